// SPDX-License-Identifier: MIT
//
// What has to hold of a model's file whatever bytes it is made of: it is refused at a byte that it
// has, in words that can be printed, or what is said of it is true of its size and can be written
// as JSON.
#pragma once

#include "libfuzzer/fuzz.hpp"

#include <nlohmann/json.hpp>

#include <aiaccel/metadata.hpp>

namespace fuzz {

inline void check_message(const std::string& text) {
  for (const char c : text) MUST(c >= 0x20 && c < 0x7f);
  MUST(text.size() < 1024);
}

inline void check_metadata(const aiaccel::Metadata& metadata, std::size_t size) {
  std::uint64_t elements = 0;
  for (const aiaccel::TensorRecord& tensor : metadata.tensors) {
    elements += tensor.elements;
    for (const std::int64_t dimension : tensor.shape) MUST(dimension >= 0);
    if (!tensor.offset || !tensor.file.empty()) continue;
    MUST(*tensor.offset <= size && tensor.bytes <= size - *tensor.offset);
  }
  MUST(elements == metadata.parameters);
  std::uint64_t nodes = 0;
  for (const auto& [name, count] : metadata.operators) nodes += count;
  MUST(nodes == metadata.nodes.size());
  MUST(nlohmann::json::parse(metadata.to_json(-1))["tensors"].size() == metadata.tensors.size());
}

template <typename Read>
void check_read(std::size_t size, Read read) {
  try {
    check_metadata(read(), size);
  } catch (const aiaccel::FormatError& error) {
    MUST(error.offset() <= size);
    check_message(error.what());
  } catch (const aiaccel::Error& error) {
    check_message(error.what());
  }
}

inline void check_bytes(const std::string& bytes, aiaccel::ModelFormat format) {
  check_read(bytes.size(), [&] {
    return aiaccel::read_metadata(std::as_bytes(std::span<const char>(bytes)), format);
  });
}

}  // namespace fuzz
