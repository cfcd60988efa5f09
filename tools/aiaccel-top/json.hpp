// SPDX-License-Identifier: MIT
//
// A Report as JSON. The field names are documented in aiaccel-top(1) and do not change.
#pragma once

#include "aiaccel-top/sample.hpp"
#include "common/json.hpp"

namespace tools {

Json to_json(const Report& report);

}  // namespace tools
