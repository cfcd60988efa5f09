// SPDX-License-Identifier: MIT
//
// An Observation as text and as JSON. The names in the JSON are documented in aiaccel-top(1) and do
// not change. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/json.hpp"
#include "observe/users.hpp"

namespace observe {

struct Line {
  enum class Kind { heading, engine, user, alarm, note };
  std::string text;
  Kind kind = Kind::note;
};

// A heading where there are users, then each engine with its users below it, then those of no engine that is known, then
// what could not be seen. Nothing at all where there is nothing to tell.
std::vector<Line> to_lines(const Observation& observation, std::size_t width);

// What the process is marked with, such as "ungated  wrong node"; "" where nothing is known.
std::string marks(const User& user);

// "node 0  71 GiB of 80 GiB  97 %": what is known of it.
std::string engine_facts(const Engine& engine);

tools::Json to_json(const Observation& observation);

}  // namespace observe
