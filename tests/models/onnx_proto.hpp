// SPDX-License-Identifier: MIT
//
// Reads the serialized ONNX TensorProto files that libonnx-testdata has beside its models, just far
// enough to feed a model and to know the expected answer. Product code does not parse ONNX.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <aiaccel/error.hpp>
#include <aiaccel/tensor.hpp>

namespace onnx_proto {

// One field of a protobuf message: its number, and its number or bytes.
struct Field {
  std::uint32_t number = 0;
  std::uint32_t wire = 0;
  std::uint64_t value = 0;
  std::string bytes;
};

// Reads fields one after the other; nothing is returned at the end or where the bytes make no
// sense.
class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  bool done() const { return at_ == bytes_.size(); }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      auto byte = static_cast<std::uint8_t>(bytes_[at_++]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (!(byte & 0x80)) return value;
    }
    return {};
  }

  std::optional<Field> field() {
    auto key = varint();
    if (!key) return {};
    Field field{static_cast<std::uint32_t>(*key >> 3), static_cast<std::uint32_t>(*key & 7), 0, {}};
    std::size_t length = field.wire == 1 ? 8 : field.wire == 5 ? 4 : 0;
    if (field.wire == 0 || field.wire == 2) {
      auto value = varint();
      if (!value) return {};
      field.value = *value;
      if (field.wire == 2) length = *value;
    }
    if (length > bytes_.size() - at_) return {};
    field.bytes = bytes_.substr(at_, length);
    at_ += length;
    return field;
  }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

// The tensor in a file; nothing when it is another kind of value, of strings, or oddly stored.
inline std::optional<aiaccel::Tensor> read_tensor(const std::filesystem::path& file) {
  using aiaccel::ElementType;
  std::ifstream in(file, std::ios::binary);
  Reader reader(std::string(std::istreambuf_iterator<char>(in), {}));
  aiaccel::Shape shape;
  auto type = ElementType::undefined;
  std::string raw;
  // int32_data carries every type of up to 32 bits, as varints.
  auto append_integer = [&](std::uint64_t value) {
    raw.append(reinterpret_cast<const char*>(&value), aiaccel::element_bytes(type));
  };
  while (!reader.done()) {
    auto field = reader.field();
    if (!field) return {};
    switch (field->number) {
      case 1:
        if (field->wire == 0) shape.push_back(static_cast<std::int64_t>(field->value));
        for (Reader packed(field->bytes); field->wire == 2 && !packed.done();) {
          auto value = packed.varint();
          if (!value) return {};
          shape.push_back(static_cast<std::int64_t>(*value));
        }
        break;
      case 2:
        type = static_cast<ElementType>(field->value);
        break;
      case 4:   // float_data
      case 9:   // raw_data
      case 10:  // double_data
        raw += field->bytes;
        break;
      case 5:   // int32_data
      case 7:   // int64_data
      case 11:  // uint64_data
        if (field->wire == 0) append_integer(field->value);
        for (Reader packed(field->bytes); field->wire == 2 && !packed.done();) {
          auto value = packed.varint();
          if (!value) return {};
          append_integer(*value);
        }
        break;
      case 8:   // name
      case 12:  // doc_string
        break;
      default:
        return {};
    }
  }
  try {
    return aiaccel::Tensor(type, std::move(shape), std::as_bytes(std::span<const char>(raw)));
  } catch (const aiaccel::Error&) {
    return {};  // another message than a TensorProto, read as one
  }
}

}  // namespace onnx_proto
