// SPDX-License-Identifier: MIT
//
// Tensors: what goes into a model and comes out of it.
//
// A Tensor owns its bytes; a TensorView looks at bytes that somebody else keeps alive, and is what
// running a model takes, so that no input needs to be copied. Values lie in row-major order in the
// machine's byte order, as every runtime expects them.
//
// Plain values: safe to use from one thread at a time, like a vector.
#ifndef AIACCEL_TENSOR_HPP
#define AIACCEL_TENSOR_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace aiaccel {

// The numbers are ONNX's own (TensorProto.DataType), so that no table translates them.
enum class ElementType : int {
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  string = 8,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  c64 = 14,
  c128 = 15,
  bf16 = 16,
};

// Bytes of one element; 0 for those without a fixed size (string, undefined, packed types).
constexpr std::size_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::u8:
    case ElementType::i8:
    case ElementType::boolean:
      return 1;
    case ElementType::u16:
    case ElementType::i16:
    case ElementType::f16:
    case ElementType::bf16:
      return 2;
    case ElementType::f32:
    case ElementType::i32:
    case ElementType::u32:
      return 4;
    case ElementType::f64:
    case ElementType::i64:
    case ElementType::u64:
    case ElementType::c64:
      return 8;
    case ElementType::c128:
      return 16;
    default:
      return 0;
  }
}

template <typename T>
constexpr ElementType element_type_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, float>)
    return ElementType::f32;
  else if constexpr (std::is_same_v<U, double>)
    return ElementType::f64;
  else if constexpr (std::is_same_v<U, bool>)
    return ElementType::boolean;
  else if constexpr (std::is_same_v<U, std::int8_t>)
    return ElementType::i8;
  else if constexpr (std::is_same_v<U, std::uint8_t>)
    return ElementType::u8;
  else if constexpr (std::is_same_v<U, std::int16_t>)
    return ElementType::i16;
  else if constexpr (std::is_same_v<U, std::uint16_t>)
    return ElementType::u16;
  else if constexpr (std::is_same_v<U, std::int32_t>)
    return ElementType::i32;
  else if constexpr (std::is_same_v<U, std::uint32_t>)
    return ElementType::u32;
  else if constexpr (std::is_same_v<U, std::int64_t>)
    return ElementType::i64;
  else if constexpr (std::is_same_v<U, std::uint64_t>)
    return ElementType::u64;
  else
    static_assert(sizeof(U) == 0, "no tensor element type for this C++ type");
}

// "float32", "int64", ...
[[gnu::visibility("default")]] std::string to_string(ElementType type);

// "float32[2, 1, 128]"; a dimension below zero prints as "?".
[[gnu::visibility("default")]] std::string to_string(ElementType type,
                                                     std::span<const std::int64_t> shape);

using Shape = std::vector<std::int64_t>;

// Bytes that a tensor of this type and shape takes. Throws Error: EINVAL for a negative dimension,
// EOPNOTSUPP for an element type without a fixed size, EOVERFLOW when the product does not fit.
[[gnu::visibility("default")]] std::size_t tensor_bytes(ElementType type,
                                                        std::span<const std::int64_t> shape);

struct TensorView {
  ElementType type = ElementType::undefined;
  std::span<const std::int64_t> shape;
  std::span<const std::byte> bytes;

  template <typename T>
  static TensorView of(std::span<const std::int64_t> shape, std::span<const T> values) {
    return {element_type_of<T>(), shape, std::as_bytes(values)};
  }
};

class [[gnu::visibility("default")]] Tensor {
 public:
  Tensor() = default;
  // All zero.
  Tensor(ElementType type, Shape shape);
  // A copy of `bytes`, which must be as many as type and shape ask for (EINVAL).
  Tensor(ElementType type, Shape shape, std::span<const std::byte> bytes);

  template <typename T>
  static Tensor of(Shape shape, std::span<const T> values) {
    return Tensor(element_type_of<T>(), std::move(shape), std::as_bytes(values));
  }
  template <typename T>
  static Tensor scalar(T value) {
    return of<T>({}, std::span<const T>(&value, 1));
  }

  ElementType type() const {
    return type_;
  }
  const Shape& shape() const {
    return shape_;
  }
  std::span<std::byte> bytes() {
    return bytes_;
  }
  std::span<const std::byte> bytes() const {
    return bytes_;
  }

  // The elements as T, which must be the type that the tensor has (EINVAL).
  template <typename T>
  std::span<T> data() {
    check(element_type_of<T>());
    return {reinterpret_cast<T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }
  template <typename T>
  std::span<const T> data() const {
    check(element_type_of<T>());
    return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

  operator TensorView() const {
    return {type_, shape_, bytes_};
  }

  bool operator==(const Tensor&) const = default;

 private:
  void check(ElementType asked) const;

  ElementType type_ = ElementType::undefined;
  Shape shape_;
  std::vector<std::byte> bytes_;
};

// One input or output of a model: what it is called and which tensors fit.
struct TensorInfo {
  std::string name;
  ElementType type = ElementType::undefined;
  Shape shape;                       // a negative dimension is free: any size fits
  std::vector<std::string> symbols;  // the names of free dimensions, "" where there is none

  bool operator==(const TensorInfo&) const = default;
};

// "state: float32[2, batch, 128]"
[[gnu::visibility("default")]] std::string to_string(const TensorInfo& info);

}  // namespace aiaccel

#endif  // AIACCEL_TENSOR_HPP
