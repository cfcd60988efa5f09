// SPDX-License-Identifier: MIT
//
// What the demo's client processes do; see demo_child.hpp. `aiaccel demo --role NAME` runs one.
#pragma once

#include <string>
#include <vector>

namespace tools {

// "streams": an open-loop client. "flood": a batch job. "server": both in one process.
void run_role(const std::string& role);

// Samples as they lie in the file that the clients share.
void write_samples(const std::string& file, const std::vector<float>& samples);

}  // namespace tools
