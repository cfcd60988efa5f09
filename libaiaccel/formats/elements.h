// SPDX-License-Identifier: MIT
//
// Element types by the names that the formats give them, and how much room they take.
//
// Tables of constants: safe from everywhere.
#pragma once

#include <cstdint>
#include <string_view>

namespace aiaccel::formats {

struct Element {
  std::string_view name;    // ours: "float32", "q4_k"; empty: no such type
  std::uint16_t block = 1;  // elements
  std::uint16_t bits = 0;   // of a block; 0: no fixed size
};

Element safetensors_element(std::string_view dtype);
Element ggml_element(std::uint32_t type);
Element onnx_element(std::uint64_t data_type);

}  // namespace aiaccel::formats
