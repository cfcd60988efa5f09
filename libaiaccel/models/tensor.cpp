// SPDX-License-Identifier: MIT
//
// Tensors: sizes checked once, here; names for messages.

#include <aiaccel/tensor.hpp>

#include <cerrno>
#include <limits>

#include <aiaccel/error.hpp>

namespace aiaccel {

std::string to_string(ElementType type) {
  switch (type) {
    case ElementType::undefined:
      return "undefined";
    case ElementType::f32:
      return "float32";
    case ElementType::u8:
      return "uint8";
    case ElementType::i8:
      return "int8";
    case ElementType::u16:
      return "uint16";
    case ElementType::i16:
      return "int16";
    case ElementType::i32:
      return "int32";
    case ElementType::i64:
      return "int64";
    case ElementType::string:
      return "string";
    case ElementType::boolean:
      return "bool";
    case ElementType::f16:
      return "float16";
    case ElementType::f64:
      return "float64";
    case ElementType::u32:
      return "uint32";
    case ElementType::u64:
      return "uint64";
    case ElementType::c64:
      return "complex64";
    case ElementType::c128:
      return "complex128";
    case ElementType::bf16:
      return "bfloat16";
  }
  return "type " + std::to_string(static_cast<int>(type));
}

std::string to_string(ElementType type, std::span<const std::int64_t> shape) {
  std::string text = to_string(type) + "[";
  const char* separator = "";
  for (std::int64_t dimension : shape) {
    text += separator;
    text += dimension < 0 ? "?" : std::to_string(dimension);
    separator = ", ";
  }
  return text + "]";
}

std::string to_string(const TensorInfo& info) {
  std::string text = info.name + ": " + to_string(info.type) + "[";
  for (std::size_t i = 0; i < info.shape.size(); i++) {
    if (i) text += ", ";
    if (info.shape[i] >= 0)
      text += std::to_string(info.shape[i]);
    else if (i < info.symbols.size() && !info.symbols[i].empty())
      text += info.symbols[i];
    else
      text += "?";
  }
  return text + "]";
}

std::size_t tensor_bytes(ElementType type, std::span<const std::int64_t> shape) {
  std::size_t bytes = element_bytes(type);
  if (!bytes) throw Error(EOPNOTSUPP, to_string(type) + " elements have no fixed size");
  bool empty = false;
  for (std::int64_t dimension : shape) {
    if (dimension < 0) throw Error(EINVAL, to_string(type, shape) + " has a negative dimension");
    empty |= dimension == 0;
  }
  if (empty) return 0;
  for (std::int64_t dimension : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(dimension), &bytes) ||
        bytes > std::numeric_limits<std::ptrdiff_t>::max())
      throw Error(EOVERFLOW, to_string(type, shape) + " is larger than memory can be");
  }
  return bytes;
}

Tensor::Tensor(ElementType type, Shape shape)
    : type_(type), shape_(std::move(shape)), bytes_(tensor_bytes(type_, shape_)) {}

Tensor::Tensor(ElementType type, Shape shape, std::span<const std::byte> bytes)
    : type_(type), shape_(std::move(shape)) {
  if (std::size_t wanted = tensor_bytes(type_, shape_); wanted != bytes.size())
    throw Error(EINVAL, to_string(type_, shape_) + " takes " + std::to_string(wanted) +
                            " bytes, and " + std::to_string(bytes.size()) + " are given");
  bytes_.assign(bytes.begin(), bytes.end());
}

void Tensor::check(ElementType asked) const {
  if (asked != type_)
    throw Error(EINVAL, to_string(type_, shape_) + " is read as " + to_string(asked));
}

}  // namespace aiaccel
