// SPDX-License-Identifier: MIT
//
// The engine that a word on the command line means. Threads: as the device.
#pragma once

#include <aiaccel/device.hpp>

#include <string>

namespace tools {

// By its name, its alias or its place. Throws Failure (usage) that names those that there are.
aiaccel::Engine find_engine(const aiaccel::Device& device, const std::string& name);

}  // namespace tools
