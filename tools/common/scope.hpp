// SPDX-License-Identifier: MIT
//
// How far this caller sees what others have at the arbiter. Threads: as the device.
#pragma once

#include <aiaccel/device.hpp>

namespace tools {

// Whose tenants, queues and turns are seen; none where no arbiter answers.
enum class Scope { all, tenant, process, none };

Scope scope_of(const aiaccel::Device& device);

}  // namespace tools
