// SPDX-License-Identifier: MIT
//
// The verdicts of `aiaccel doctor`, from facts alone.
#pragma once

#include <string>
#include <vector>

#include "aiaccel/facts.hpp"

namespace tools {

enum class Verdict {
  ok,
  note,     // can be bettered, or cannot be had here; nothing fails for it
  missing,  // something that this machine could do does not work
};

struct Finding {
  std::string subject;  // a stable word, such as "module"
  Verdict verdict;
  std::string found;
  std::vector<std::string> fix;  // lines to type, in order
};

std::vector<Finding> judge(const Facts& facts);

// Of what NVML tells of GPUs; `missing` is why it tells nothing, "" where it does.
Finding judge_nvml(const std::string& missing);

std::string verdict_name(Verdict verdict);

}  // namespace tools
