// SPDX-License-Identifier: MIT
//
// What Triton Inference Server has to be told of a model: the text of its config.pbtxt.
//
// A pure function of metadata, so from any thread.
#pragma once

#include <string>

#include <aiaccel/metadata.hpp>

namespace aiaccel::registry {

struct TritonOptions {
  std::string name;  // that of the folder
  // Where the model can be batched: all inputs and outputs begin with the same free dimension.
  unsigned max_batch_size = 8;
  std::string model_filename = "model.onnx";  // in the folder of the version
  // Which folder is served, whatever others there are; 0: as Triton does, the highest.
  unsigned version = 0;
};

// Throws Error: EOPNOTSUPP for what Triton has no backend or no type for, EINVAL for inputs or
// outputs that have no name, or none at all.
std::string triton_config(const Metadata& metadata, const TritonOptions& options);

}  // namespace aiaccel::registry
