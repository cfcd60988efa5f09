// SPDX-License-Identifier: MIT
//
// The verdicts of `aiaccel doctor --pid`, from an observation alone.
#pragma once

#include <string>
#include <vector>

#include "aiaccel/findings.hpp"
#include "observe/users.hpp"

namespace tools {

// Who it is, what it uses, and what would mend what is not as it should be. `observation` was asked
// for this process, `arguments` are the words that start it; empty: they are not known.
// `scheduled` is the class that the system's scheduler has it in, "" where it is in none.
std::vector<Finding> judge_process(const observe::Observation& observation,
                                   const std::vector<std::string>& arguments,
                                   const std::string& scheduled);

// As a shell takes it for one word.
std::string quoted(const std::string& word);

}  // namespace tools
