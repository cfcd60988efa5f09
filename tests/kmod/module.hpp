// SPDX-License-Identifier: MIT
//
// Kernel modules that tests load and unload: the tests' provider, and aiaccel itself with other
// parameters. They are taken from where `make modules` leaves them, so that tests are run from the
// top of the tree.
#pragma once

#include <string>

namespace raw {

// 0 or an errno. `path` is below build/kmod/RELEASE.
int load_module(const std::string& path, const std::string& parameters);
int unload_module(const std::string& name);

// Writes to a file of the kernel's: 0 or an errno.
int put(const std::string& path, const std::string& text);

// The name of QEMU's edu device on the bus; empty without one. aiaccel_edu.ko drives it, and the
// tests' provider as well: a test loads one of them.
std::string find_edu();

// aiaccel loaded with these parameters, and as it was at the end. error() is the errno of loading.
class Reloaded {
 public:
  explicit Reloaded(const std::string& parameters);
  ~Reloaded();
  int error() const { return error_; }

 private:
  int error_;
};

}  // namespace raw
