// SPDX-License-Identifier: MIT
//
// ONNX files: whatever bytes stand in one.
#include "libfuzzer/metadata.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_bytes(std::string(reinterpret_cast<const char*>(data), size),
                    aiaccel::ModelFormat::onnx);
  return 0;
}
