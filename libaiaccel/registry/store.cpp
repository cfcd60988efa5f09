// SPDX-License-Identifier: MIT
//
// Reading, hashing and keeping weights.

#include "registry/store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <aiaccel/error.hpp>
#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <memory>
#include <thread>

#include "mutex.h"
#include "registry/sha256.h"

namespace aiaccel::registry {
namespace {

constexpr std::size_t kChunk = 1 << 20;
constexpr std::string_view kVersion = "version https://git-lfs.github.com/spec/v1\n";

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::size_t read_chunk(int fd, char* buffer, const std::string& name) {
  std::size_t filled = 0;
  while (filled < kChunk) {
    const ssize_t got = ::read(fd, buffer + filled, kChunk - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("cannot read " + name);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

void check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ECANCELED, "it was to stop");
}

struct stat look(int fd, const std::string& name) {
  struct stat seen {};
  if (::fstat(fd, &seen) < 0) throw_errno("cannot look at " + name);
  return seen;
}

void check_unchanged(int fd, const struct stat& before, const std::string& name) {
  if (!is_unchanged(before, look(fd, name)))
    throw Error(EBUSY, name + " was changed while it was added");
}

// Writes what it is given, in a thread of its own, so that hashing goes on meanwhile.
class Writer {
 public:
  Writer(int fd, const Path& name) : fd_(fd), name_(name), thread_([this] { work(); }) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { end(); }

  // A buffer that nobody reads any more.
  char* buffer() {
    Lock lock(mutex_);
    while (given_ - written_ == kBuffers) changed_.wait(lock);
    return buffers_[given_ % kBuffers].bytes.get();
  }

  // That buffer, filled.
  void write(std::size_t bytes) {
    Lock lock(mutex_);
    buffers_[given_ % kBuffers].filled = bytes;
    given_++;
    changed_.notify_all();
  }

  // Throws what writing threw.
  void finish() {
    end();
    Lock lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  static constexpr std::size_t kBuffers = 8;
  static constexpr std::uint64_t kFlush = 32 << 20;

  struct Buffer {
    std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(kChunk);
    std::size_t filled = 0;
  };

  void end() {
    {
      Lock lock(mutex_);
      over_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  void work() {
    std::uint64_t done = 0;
    std::uint64_t flushed = 0;
    while (true) {
      Buffer* next = nullptr;
      bool failed = false;
      {
        Lock lock(mutex_);
        while (given_ == written_ && !over_) changed_.wait(lock);
        if (given_ == written_) return;
        next = &buffers_[written_ % kBuffers];
        failed = failure_ != nullptr;
      }
      std::exception_ptr failure;
      try {
        if (!failed) write_all(fd_, {next->bytes.get(), next->filled}, name_);
      } catch (...) {
        failure = std::current_exception();
      }
      done += next->filled;
      // The disk begins now, and not when all is to be synced.
      if (done - flushed >= kFlush) {
        ::sync_file_range(fd_, static_cast<off_t>(flushed), static_cast<off_t>(done - flushed),
                          SYNC_FILE_RANGE_WRITE);
        flushed = done;
      }
      Lock lock(mutex_);
      if (failure) failure_ = failure;
      written_++;
      changed_.notify_all();
    }
  }

  const int fd_;
  const Path name_;
  std::array<Buffer, kBuffers> buffers_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t given_ GUARDED_BY(mutex_) = 0;
  std::uint64_t written_ GUARDED_BY(mutex_) = 0;
  bool over_ GUARDED_BY(mutex_) = false;
  std::exception_ptr failure_ GUARDED_BY(mutex_);
  std::thread thread_;
};

// Into `to`; small files by this thread alone.
std::string copy_and_hash(int from, const std::string& name, const struct stat& seen, int to,
                          const Path& to_name, const PutOptions& options) {
  // Room first: better to fail now. Not all file systems can.
  if (seen.st_size > 0 && ::fallocate(to, 0, 0, seen.st_size) < 0 &&
      (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)) {
    throw_errno("no room for " + name);
  }
  Sha256 hash;
  std::uint64_t done = 0;
  if (static_cast<std::uint64_t>(seen.st_size) <= kChunk) {
    const auto buffer = std::make_unique_for_overwrite<char[]>(kChunk);
    while (const std::size_t got = read_chunk(from, buffer.get(), name)) {
      hash.update(buffer.get(), got);
      write_all(to, {buffer.get(), got}, to_name);
      done += got;
    }
  } else {
    Writer writer(to, to_name);
    while (true) {
      check_stop(options.stop);
      char* const buffer = writer.buffer();
      const std::size_t got = read_chunk(from, buffer, name);
      if (got == 0) break;
      hash.update(buffer, got);
      writer.write(got);
      done += got;
      if (options.progress) options.progress(done);
    }
    writer.finish();
  }
  if (done != static_cast<std::uint64_t>(seen.st_size))
    throw Error(EBUSY, name + " was changed while it was added");
  if (options.progress) options.progress(done);
  return hash.hex();
}

void check_is(const std::string& added, const std::string& now, const std::string& name) {
  if (now == added) return;
  throw Error(EBADMSG,
              name + " is not what was added: its SHA-256 is " + now + " and not " + added);
}

std::string own_name(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// Whether nobody can write this file any more but who gives himself the right to.
bool seal(int fd, const struct stat& seen) {
  if (seen.st_uid != ::geteuid() || seen.st_nlink == 0) return false;
  if ((seen.st_mode & 0222) != 0 && ::fchmod(fd, seen.st_mode & 0555) < 0) return false;
  // A lease to read is granted only while no process has it open for writing, nor mapped so. Should
  // one open it just now, the signal is one that is ignored unless somebody asks for it.
  if (::fcntl(fd, F_SETSIG, SIGURG) < 0 || ::fcntl(fd, F_SETLEASE, F_RDLCK) < 0) return false;
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return true;
}

}  // namespace

std::string Pointer::text() const {
  return std::string(kVersion) + "oid sha256:" + sha256 + "\nsize " + std::to_string(size) + "\n";
}

std::optional<Pointer> Pointer::parse(std::string_view text) {
  if (text.size() >= kLongest || !text.starts_with(kVersion)) return {};
  text.remove_prefix(kVersion.size());
  Pointer pointer;
  bool size = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("oid sha256:")) {
      const std::string_view oid = line.substr(11);
      if (oid.size() != 64 || !is_hex(oid) || !pointer.sha256.empty()) return {};
      pointer.sha256 = oid;
    } else if (line.starts_with("size ")) {
      const std::string_view digits = line.substr(5);
      const auto [stop, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), pointer.size);
      if (size || error != std::errc() || stop != digits.data() + digits.size()) return {};
      size = true;
    } else if (!line.starts_with("ext-") && !(line.empty() && text.empty())) {
      return {};
    }
  }
  if (pointer.sha256.empty() || !size) return {};
  return pointer;
}

Store::Store(const Path& git_dir)
    : objects_(git_dir / "lfs/objects"), temporary_(git_dir / "aiaccel/tmp") {}

Path Store::path(const std::string& sha256) const {
  return objects_ / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
}

bool Store::has(const Pointer& pointer) const {
  struct stat seen {};
  return ::stat(path(pointer.sha256).c_str(), &seen) == 0 && S_ISREG(seen.st_mode) &&
         static_cast<std::uint64_t>(seen.st_size) == pointer.size;
}

bool Store::holds(const Pointer& pointer, const struct stat& added,
                  const std::stop_token& stop) const {
  if (!has(pointer)) return false;
  const Path at = path(pointer.sha256);
  const Fd fd = open_file(at, O_RDONLY);
  const struct stat there = look(fd.get(), at.string());
  // The same file by another name, which was hashed just now.
  if (there.st_dev == added.st_dev && there.st_ino == added.st_ino) return true;
  return hash_file(fd.get(), at.string(), {}, stop) == pointer.sha256;
}

Stored Store::put(const Fd& file, const std::string& name, const PutOptions& options) const {
  const struct stat seen = options.seen != nullptr ? *options.seen : look(file.get(), name);
  Stored stored;
  stored.pointer.size = static_cast<std::uint64_t>(seen.st_size);
  const auto final_path = [&] {
    const Path to = path(stored.pointer.sha256);
    make_folders(to.parent_path());
    return to;
  };

  make_folders(temporary_);
  TempFile temporary(temporary_);
  if (::ioctl(temporary.fd(), FICLONE, file.get()) == 0) {
    check_unchanged(file.get(), seen, name);
    stored.how = Put::cloned;
    stored.pointer.sha256 =
        hash_file(temporary.fd(), name, options.progress, options.stop, &stored.pointer.size);
  } else if (options.may_link && seal(file.get(), seen)) {
    stored.pointer.sha256 = hash_file(file.get(), name, options.progress, options.stop);
    check_unchanged(file.get(), seen, name);
    if (holds(stored.pointer, seen, options.stop)) {
      stored.how = Put::found;
      return stored;
    }
    sync(file.get(), name);
    const Path to = final_path();
    const Path link = temporary_ / unique_name();
    if (::linkat(AT_FDCWD, own_name(file.get()).c_str(), AT_FDCWD, link.c_str(),
                 AT_SYMLINK_FOLLOW) == 0) {
      const bool renamed = ::rename(link.c_str(), to.c_str()) == 0;
      const int failed = errno;
      ::unlink(link.c_str());  // where both are one file, renaming does nothing
      errno = failed;
      if (!renamed) throw_errno("cannot rename " + link.string() + " to " + to.string());
      sync_folder(to.parent_path());
      stored.how = Put::linked;
      return stored;
    }
    // Another file system, or as many links as there can be.
    if (errno != EXDEV && errno != EMLINK && errno != EPERM) throw_errno("cannot link " + name);
    if (::lseek(file.get(), 0, SEEK_SET) < 0) throw_errno("cannot read " + name);
    stored.pointer.sha256 =
        copy_and_hash(file.get(), name, seen, temporary.fd(), temporary.path(), options);
    check_unchanged(file.get(), seen, name);
  } else {
    stored.pointer.sha256 =
        copy_and_hash(file.get(), name, seen, temporary.fd(), temporary.path(), options);
    check_unchanged(file.get(), seen, name);
  }
  if (!options.sha256.empty()) check_is(options.sha256, stored.pointer.sha256, name);
  if (holds(stored.pointer, seen, options.stop)) {
    stored.how = Put::found;
    return stored;
  }
  if (::fchmod(temporary.fd(), 0444) < 0)
    throw_errno("cannot make read-only " + temporary.path().string());
  sync(temporary.fd(), temporary.path());
  temporary.rename(final_path());
  return stored;
}

void Store::verify(const Pointer& pointer, const std::string& name, const OnBytes& progress) const {
  const Path at = path(pointer.sha256);
  const Fd fd(::open(at.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT)
      throw Error(ENODATA, name + ": its weights are not here (" + pointer.sha256 + ")");
    throw_errno("cannot open " + at.string());
  }
  std::uint64_t size = 0;
  const std::string sha256 = hash_file(fd.get(), at.string(), progress, {}, &size);
  check_is(pointer.sha256, sha256, name);
  if (size != pointer.size) {
    throw Error(EBADMSG, name + " is recorded as " + std::to_string(pointer.size) +
                             " bytes, and has " + std::to_string(size));
  }
}

void Store::give(const Pointer& pointer, const Path& to) const {
  const Path at = path(pointer.sha256);
  const Fd from(::open(at.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from) throw_errno("cannot open " + at.string());
  {
    const Fd fd = open_file(to, O_WRONLY | O_CREAT | O_EXCL, 0444);
    if (::ioctl(fd.get(), FICLONE, from.get()) == 0) return sync(fd.get(), to);
  }
  ::unlink(to.c_str());
  if (::link(at.c_str(), to.c_str()) == 0) return;
  const Fd fd = open_file(to, O_WRONLY | O_CREAT | O_EXCL, 0444);
  const struct stat seen = look(from.get(), at.string());
  if (copy_and_hash(from.get(), at.string(), seen, fd.get(), to, {}) != pointer.sha256) {
    throw Error(EBADMSG, at.string() + " is not what its name says");
  }
  sync(fd.get(), to);
}

std::string hash_file(int fd, const std::string& name, const OnBytes& progress,
                      const std::stop_token& stop, std::uint64_t* size) {
  Sha256 hash;
  const auto buffer = std::make_unique_for_overwrite<char[]>(kChunk);
  std::uint64_t done = 0;
  while (const std::size_t got = read_chunk(fd, buffer.get(), name)) {
    check_stop(stop);
    hash.update(buffer.get(), got);
    done += got;
    if (progress) progress(done);
  }
  if (size != nullptr) *size = done;
  return hash.hex();
}

}  // namespace aiaccel::registry
