// SPDX-License-Identifier: MIT
//
// What `aiaccel run` feeds a model: tensors out of files, or made up to the shapes that it takes.
//
// Threads: any.
#pragma once

#include <aiaccel/tensor.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tools {

struct InputChoice {
  std::map<std::string, std::filesystem::path> files;  // input name → raw values
  std::map<std::string, double> values;                // input name → the number that fills it
  std::map<std::string, std::int64_t> dimensions;      // name of a free dimension → its size
};

struct Input {
  aiaccel::Tensor tensor;
  std::string source;  // "generated", "filled", or the file
};

// Takes apart `NAME=FILE`, `NAME=NUMBER` and `NAME=N` of the command line. Throws Failure (usage).
InputChoice parse_choice(const std::vector<std::string>& files,
                         const std::vector<std::string>& values,
                         const std::vector<std::string>& dimensions);

// One input for each of `wanted`. A free dimension is what choice.dimensions says, also by
// `INPUT.AXIS` for one without a name; else what the file's length leaves for it, where it is the
// only one of its input; else 1. Generated numbers are the same each time: small noise for
// floating point, zeros for the rest. Throws Failure when a file does not fit, or a name is
// unknown.
std::vector<Input> make_inputs(const std::vector<aiaccel::TensorInfo>& wanted,
                               const InputChoice& choice);

}  // namespace tools
