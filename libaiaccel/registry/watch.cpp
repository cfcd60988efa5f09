// SPDX-License-Identifier: MIT

#include "registry/watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace aiaccel::registry {
namespace {

// Git renames lock files to what they lock; this library does, too.
constexpr std::uint32_t kMask = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE |
                                IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

Watch::Watch(Path git_dir)
    : git_dir_(std::move(git_dir)),
      inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      woken_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!woken_) throw_errno("cannot make an eventfd");
  add_all();
}

void Watch::add(const Path& folder) {
  // Refused to who watches too much already, and where it is gone again: then there is the time.
  ::inotify_add_watch(inotify_.get(), folder.c_str(), kMask);
}

void Watch::add_all() {
  if (!inotify_) return;
  top_ = ::inotify_add_watch(inotify_.get(), git_dir_.c_str(), kMask);
  const Path refs = git_dir_ / "refs";
  add(refs);
  std::error_code error;
  std::filesystem::recursive_directory_iterator each(refs, error);
  for (; !error && each != std::filesystem::recursive_directory_iterator(); each.increment(error)) {
    std::error_code gone;
    if (each->is_directory(gone) && !each->is_symlink(gone)) add(each->path());
  }
}

// Whether a reference may have changed. All that is there is taken, so that many are one.
bool Watch::read_events() {
  bool changed = false, folders = false;
  alignas(inotify_event) char buffer[16 << 10];
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    for (const char* at = buffer; at < buffer + got;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof event);
      const std::string_view name = event.len != 0 ? at + sizeof event : "";
      at += sizeof event + event.len;
      if ((event.mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_ISDIR)) != 0) folders = true;
      if (event.wd == top_ ? name == "packed-refs" || name == "refs" : !name.ends_with(".lock"))
        changed = true;
    }
  }
  // What a folder got before it was watched is told by nobody: it counts as changed.
  if (folders) add_all();
  return changed || folders;
}

void Watch::wait(std::chrono::milliseconds most) {
  using std::chrono::steady_clock;
  const auto until = steady_clock::now() + most;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now()).count();
    if (left <= 0) {
      // Of a folder that could not be watched, nor was told of.
      add_all();
      return;
    }
    pollfd fds[] = {{woken_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}};
    const int ready = ::poll(fds, 2, static_cast<int>(std::min<long long>(left, 1 << 30)));
    if (ready < 0 && errno != EINTR) return;
    if (ready <= 0) continue;
    if (fds[0].revents != 0) {
      std::uint64_t count = 0;
      if (::read(woken_.get(), &count, sizeof count) < 0) return;
      return;
    }
    if (read_events()) return;
  }
}

void Watch::wake() const {
  const std::uint64_t one = 1;
  // Fails only where it is awake already.
  [[maybe_unused]] const ssize_t written = ::write(woken_.get(), &one, sizeof one);
}

}  // namespace aiaccel::registry
