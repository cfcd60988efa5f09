// SPDX-License-Identifier: MIT
//
// Files and programs by system calls.

#include "registry/io.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aiaccel/error.hpp>
#include <atomic>
#include <cerrno>
#include <csignal>

extern char** environ;

namespace aiaccel::registry {

void throw_errno(const std::string& what) {
  throw Error(errno, what);
}

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd open_file(const Path& path, int flags, unsigned mode) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode));
  if (!fd) throw_errno("cannot open " + path.string());
  return fd;
}

void write_all(int fd, std::string_view bytes, const Path& name) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw_errno("cannot write " + name.string());
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

bool is_unchanged(const struct stat& before, const struct stat& now) {
  const auto same = [](const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
  };
  return before.st_dev == now.st_dev && before.st_ino == now.st_ino &&
         before.st_size == now.st_size && same(before.st_mtim, now.st_mtim) &&
         (same(before.st_ctim, now.st_ctim) || before.st_nlink != now.st_nlink ||
          before.st_mode != now.st_mode);
}

void sync(int fd, const Path& name) {
  if (::fsync(fd) < 0) throw_errno("cannot write " + name.string() + " to disk");
}

void sync_folder(const Path& folder) {
  const Fd fd = open_file(folder, O_RDONLY | O_DIRECTORY);
  // Some file systems have nothing to sync in a folder.
  if (::fsync(fd.get()) < 0 && errno != EINVAL)
    throw_errno("cannot write " + folder.string() + " to disk");
}

std::optional<std::string> read_file(const Path& path, std::size_t limit) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    throw_errno("cannot open " + path.string());
  }
  std::string text;
  struct stat seen {};
  if (::fstat(fd.get(), &seen) == 0 && seen.st_size > 0) {
    text.reserve(std::min(limit, static_cast<std::size_t>(seen.st_size)) + 1);
  }
  char buffer[64 << 10];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("cannot read " + path.string());
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > limit)
      throw Error(EFBIG, path.string() + " is larger than " + std::to_string(limit) + " bytes");
  }
}

void make_folders(const Path& folder) {
  if (::mkdir(folder.c_str(), 0777) == 0) {
    if (folder.has_parent_path()) sync_folder(folder.parent_path());
    return;
  }
  if (errno == EEXIST) return;
  if (errno != ENOENT || !folder.has_parent_path())
    throw_errno("cannot make the folder " + folder.string());
  make_folders(folder.parent_path());
  if (::mkdir(folder.c_str(), 0777) < 0 && errno != EEXIST)
    throw_errno("cannot make the folder " + folder.string());
  sync_folder(folder.parent_path());
}

std::string unique_name() {
  static std::atomic<std::uint64_t> count = 0;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::to_string(::getpid()) + "-" + std::to_string(now.tv_sec) +
         std::to_string(now.tv_nsec) + "-" + std::to_string(count++);
}

TempFile::TempFile(const Path& folder)
    : path_(folder / unique_name()), fd_(open_file(path_, O_RDWR | O_CREAT | O_EXCL, 0644)) {}

TempFile::~TempFile() {
  if (named_) ::unlink(path_.c_str());
}

void TempFile::rename(const Path& to) {
  if (::rename(path_.c_str(), to.c_str()) < 0)
    throw_errno("cannot rename " + path_.string() + " to " + to.string());
  named_ = false;
  sync_folder(to.parent_path());
}

FileLock::FileLock(const Path& file, bool shared)
    : fd_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666)) {
  // Who may only read what it guards holds it as well.
  if (const int refused = errno; !fd_) {
    if (refused == EACCES || refused == EROFS || refused == EPERM)
      fd_ = Fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    errno = refused;
    if (!fd_) throw_errno("cannot open " + file.string());
  }
  while (::flock(fd_.get(), shared ? LOCK_SH : LOCK_EX) < 0) {
    if (errno != EINTR) throw_errno("cannot lock " + file.string());
  }
}

namespace {

// Reads what is there. False at the end.
bool read_some(int fd, std::string& into) {
  char buffer[16 << 10];
  const ssize_t got = ::read(fd, buffer, sizeof(buffer));
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  into.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

}  // namespace

Ran run(const std::vector<std::string>& argv, const Path& folder) {
  int out[2];
  int err[2];
  if (::pipe2(out, O_CLOEXEC) < 0) throw_errno("cannot run " + argv.front());
  const Fd out_read(out[0]);
  Fd out_write(out[1]);
  if (::pipe2(err, O_CLOEXEC) < 0) throw_errno("cannot run " + argv.front());
  const Fd err_read(err[0]);
  Fd err_write(err[1]);

  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  // What it says may be told to the user: in English, as this is. It asks for no password: there
  // may be nobody.
  std::vector<std::string> texts;
  for (char** entry = environ; *entry != nullptr; entry++) {
    const std::string_view text = *entry;
    // Git's own variables name another repository, as in a hook.
    if (text.starts_with("LC_ALL=") || text.starts_with("GIT_DIR=") ||
        text.starts_with("GIT_INDEX_FILE=") || text.starts_with("GIT_WORK_TREE=") ||
        text.starts_with("GIT_OBJECT_DIRECTORY=") || text.starts_with("GIT_TERMINAL_PROMPT=")) {
      continue;
    }
    texts.emplace_back(text);
  }
  texts.emplace_back("LC_ALL=C");
  texts.emplace_back("GIT_TERMINAL_PROMPT=0");
  std::vector<char*> environment;
  for (std::string& text : texts) environment.push_back(text.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_write.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err_write.get(), 2);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = -1;
  const int failed = posix_spawnp(&child, argv.front().c_str(), &actions, &attributes,
                                  arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) throw Error(failed, "cannot run " + argv.front());
  out_write = Fd();
  err_write = Fd();

  Ran ran;
  pollfd ready[2] = {{out_read.get(), POLLIN, 0}, {err_read.get(), POLLIN, 0}};
  while (ready[0].fd >= 0 || ready[1].fd >= 0) {
    if (::poll(ready, 2, -1) < 0) continue;
    if (ready[0].fd >= 0 && ready[0].revents != 0 && !read_some(ready[0].fd, ran.out))
      ready[0].fd = -1;
    if (ready[1].fd >= 0 && ready[1].revents != 0 && !read_some(ready[1].fd, ran.err))
      ready[1].fd = -1;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw_errno("cannot wait for " + argv.front());
  }
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

}  // namespace aiaccel::registry
