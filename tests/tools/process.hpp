// SPDX-License-Identifier: MIT
//
// Running the tools that were built beside the test program.
//
// Not thread safe; test cases run one after the other.
#pragma once

#include <string>
#include <vector>

#include "common/json.hpp"

namespace process {

// From `-- --transport=NAME`, broker where it is not given.
const std::string& transport();

struct Result {
  int status = -1;  // the exit status; -N: killed by signal N
  std::string out;
  std::string err;

  tools::Json json() const { return tools::Json::parse(out); }
};

// `command[0]` is the name of a tool. Its environment is that of the test with AIACCEL_TRANSPORT
// set to transport() and `extra`, of the form NAME=VALUE.
Result run(const std::vector<std::string>& command, const std::vector<std::string>& extra = {});

}  // namespace process
