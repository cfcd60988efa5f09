// SPDX-License-Identifier: MIT
//
// See summary.hpp.
#include "aiaccel/summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "aiaccel/element.hpp"

namespace tools {
namespace {

using aiaccel::ElementType;

constexpr std::size_t first_values = 8;

double from_bf16(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// IEEE binary16: 1 sign, 5 exponent, 10 fraction bits.
double from_f16(std::uint16_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1;
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  if (exponent == 0x1f) return fraction ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(fraction + 1024, exponent - 25);
}

template <typename T, typename Convert>
Summary over(std::span<const std::byte> bytes, Convert convert) {
  Summary summary;
  summary.elements = bytes.size() / sizeof(T);
  double sum = 0;
  for (std::size_t i = 0; i < summary.elements; i++) {
    T raw;
    std::memcpy(&raw, bytes.data() + i * sizeof(T), sizeof raw);
    const double value = convert(raw);
    if (i < first_values) summary.first.push_back(value);
    if (!std::isfinite(value)) {
      summary.not_finite++;
      continue;
    }
    sum += value;
    summary.min = summary.min ? std::min(*summary.min, value) : value;
    summary.max = summary.max ? std::max(*summary.max, value) : value;
  }
  if (summary.min) summary.mean = sum / static_cast<double>(summary.elements - summary.not_finite);
  return summary;
}

}  // namespace

Summary summarise(const aiaccel::Tensor& tensor) {
  const auto bytes = tensor.bytes();
  if (tensor.type() == ElementType::f16) return over<std::uint16_t>(bytes, from_f16);
  if (tensor.type() == ElementType::bf16) return over<std::uint16_t>(bytes, from_bf16);
  Summary summary;
  const std::size_t size = aiaccel::element_bytes(tensor.type());
  summary.elements = size ? bytes.size() / size : 0;
  with_element(tensor.type(), [&]<typename T>(std::type_identity<T>) {
    summary = over<T>(bytes, [](T value) { return static_cast<double>(value); });
  });
  return summary;
}

}  // namespace tools
