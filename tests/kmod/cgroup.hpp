// SPDX-License-Identifier: MIT
//
// Cgroups of version 2 that a test makes, enters and removes.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "raw.hpp"

namespace raw {

inline const std::string kCgroups = "/sys/fs/cgroup";

inline bool have_cgroups() {
  return access((kCgroups + "/cgroup.procs").c_str(), F_OK) == 0;
}

// Removed at the end.
class Cgroup {
 public:
  explicit Cgroup(const std::string& path) : path_(kCgroups + path) {
    BOOST_REQUIRE_MESSAGE(mkdir(path_.c_str(), 0755) == 0 || errno == EEXIST,
                          path_ << ": " << strerror(errno));
  }
  ~Cgroup() {
    if (!eventually([&] { return rmdir(path_.c_str()) == 0; }))
      BOOST_ERROR(path_ << ": " << strerror(errno));
  }
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  const std::string& path() const { return path_; }
  // Moves the calling process: a child for good, or the test's own until leave().
  void enter() const { move_to(path_); }
  static void leave() { move_to(kCgroups); }

 private:
  static void move_to(const std::string& path) {
    std::ofstream procs(path + "/cgroup.procs");
    if (!(procs << getpid() << std::flush)) _exit(102);
  }

  std::string path_;
};

}  // namespace raw
