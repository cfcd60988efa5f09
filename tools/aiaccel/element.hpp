// SPDX-License-Identifier: MIT
//
// From an element type to the C++ type that holds one.
#pragma once

#include <aiaccel/tensor.hpp>

#include <cstdint>
#include <type_traits>

namespace tools {

// Calls `use` with std::type_identity<T>{} for the element types that C++ has numbers for (boolean
// as a byte) and returns true; false for the others.
template <typename Use>
bool with_element(aiaccel::ElementType type, Use&& use) {
  using aiaccel::ElementType;
  switch (type) {
    case ElementType::f32:
      return use(std::type_identity<float>{}), true;
    case ElementType::f64:
      return use(std::type_identity<double>{}), true;
    case ElementType::boolean:
    case ElementType::u8:
      return use(std::type_identity<std::uint8_t>{}), true;
    case ElementType::i8:
      return use(std::type_identity<std::int8_t>{}), true;
    case ElementType::u16:
      return use(std::type_identity<std::uint16_t>{}), true;
    case ElementType::i16:
      return use(std::type_identity<std::int16_t>{}), true;
    case ElementType::u32:
      return use(std::type_identity<std::uint32_t>{}), true;
    case ElementType::i32:
      return use(std::type_identity<std::int32_t>{}), true;
    case ElementType::u64:
      return use(std::type_identity<std::uint64_t>{}), true;
    case ElementType::i64:
      return use(std::type_identity<std::int64_t>{}), true;
    default:
      return false;
  }
}

}  // namespace tools
