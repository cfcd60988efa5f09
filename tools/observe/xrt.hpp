// SPDX-License-Identifier: MIT
//
// FPGAs under XRT. Its drivers publish what matters in sysfs, and their compute nodes are DRM ones,
// so drm.hpp finds the cards and fdinfo.hpp their clients; here is what is XRT's own. Written after
// XRT's documentation and sources; never run on a card.
#pragma once

#include <string>
#include <string_view>

#include "observe/files.hpp"

namespace observe {

bool is_xrt_driver(std::string_view driver);

// The shell on the card, such as "xilinx_u250_gen3x16_xdma_shell_4_1"; "" where it does not tell.
std::string xrt_name(const Root& root, const std::string& address);

// The address of the card behind /dev/xclmgmtN or /dev/xfpga/NAME.KIND.N.I, without its function:
// "0000:65:00". "" where `path` is neither.
std::string xrt_card(std::string_view path);

}  // namespace observe
