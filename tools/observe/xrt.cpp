// SPDX-License-Identifier: MIT
//
// See xrt.hpp.
#include "observe/xrt.hpp"

#include <fmt/format.h>

namespace observe {

bool is_xrt_driver(std::string_view driver) {
  return driver == "xocl" || driver == "zocl" || driver == "xclmgmt";
}

std::string xrt_name(const Root& root, const std::string& address) {
  const std::string folder = root.sys + "/bus/pci/devices/" + address;
  for (const std::string& name : names_in(folder).value_or(std::vector<std::string>()))
    if (name.starts_with("rom."))
      if (std::string shell = read_line(folder + "/" + name + "/VBNV"); !shell.empty())
        return shell;
  return {};
}

std::string xrt_card(std::string_view path) {
  // Both carry domain, bus, device and function in one number.
  std::string_view digits;
  if (path.starts_with("/dev/xclmgmt")) {
    digits = path.substr(12);
  } else if (path.starts_with("/dev/xfpga/")) {
    std::size_t begin = path.find('.');
    begin = begin == std::string_view::npos ? begin : path.find('.', begin + 1);
    if (begin == std::string_view::npos) return {};
    digits = path.substr(begin + 1);
    digits = digits.substr(0, digits.find('.'));
  }
  const auto instance = number(digits);
  if (!instance || *instance > UINT32_MAX) return {};
  return fmt::format("{:04x}:{:02x}:{:02x}", *instance >> 16, *instance >> 8 & 0xff,
                     *instance >> 3 & 0x1f);
}

}  // namespace observe
