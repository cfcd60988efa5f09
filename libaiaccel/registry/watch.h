// SPDX-License-Identifier: MIT
//
// Tells when a repository's references may have changed: by inotify, on every folder of refs/ and
// on packed-refs. It may say so of nothing, and where the file system does not tell, or the user
// may watch no more, it keeps silent: who uses it looks from time to time as well.
//
// wait() is for one thread; wake() for any.
#pragma once

#include <chrono>

#include "registry/io.h"

namespace aiaccel::registry {

class Watch {
 public:
  // Throws where there are no more file descriptors. What changes from now on is told.
  explicit Watch(Path git_dir);

  // Until something may have changed, wake() was called, or so long.
  void wait(std::chrono::milliseconds most);
  void wake() const;

 private:
  void add(const Path& folder);
  void add_all();
  bool read_events();

  const Path git_dir_;
  Fd inotify_, woken_;
  int top_ = -1;  // the watch on .git itself, of which only packed-refs matters
};

}  // namespace aiaccel::registry
