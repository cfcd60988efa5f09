// SPDX-License-Identifier: MIT
#include "module.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "raw.hpp"

namespace raw {

namespace {

constexpr const char* kModule = "kmod/aiaccel.ko";

}  // namespace

int load_module(const std::string& path, const std::string& parameters) {
  utsname name{};
  uname(&name);
  const std::string file = std::string("build/kmod/") + name.release + "/" + path;
  const Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  BOOST_REQUIRE_MESSAGE(fd.get() >= 0, "cannot open " << file);
  return syscall(SYS_finit_module, fd.get(), parameters.c_str(), 0) < 0 ? errno : 0;
}

int unload_module(const std::string& name) {
  return syscall(SYS_delete_module, name.c_str(), O_NONBLOCK) < 0 ? errno : 0;
}

int put(const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd.get() < 0) return errno;
  return write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
}

std::string find_edu() {
  for (const auto& device : std::filesystem::directory_iterator("/sys/bus/pci/devices")) {
    std::string vendor, number;
    std::ifstream(device.path() / "vendor") >> vendor;
    std::ifstream(device.path() / "device") >> number;
    if (vendor == "0x1234" && number == "0x11e8") return device.path().filename();
  }
  return "";
}

Reloaded::Reloaded(const std::string& parameters) {
  // a file that is gone may still be about to be released
  BOOST_REQUIRE(eventually([] { return unload_module("aiaccel") == 0; }));
  error_ = load_module(kModule, parameters);
}

Reloaded::~Reloaded() {
  if (!error_) BOOST_TEST(eventually([] { return unload_module("aiaccel") == 0; }));
  BOOST_TEST(load_module(kModule, "") == 0);
}

}  // namespace raw
