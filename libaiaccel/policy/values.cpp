// SPDX-License-Identifier: MIT
//
// See values.h.
#include "policy/values.h"

#include <algorithm>
#include <charconv>

namespace aiaccel::policy {

std::optional<std::uint64_t> read_word(std::string_view text,
                                       std::span<const std::string_view> words) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) return {};
  return static_cast<std::uint64_t>(found - words.begin());
}

std::optional<std::uint64_t> read_number(std::string_view text, std::uint64_t least,
                                         std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  if (value < least || value > most) return {};
  return value;
}

std::optional<std::uint64_t> read_bytes(std::string_view text) {
  if (text == kUnlimited) return AIACCEL_UNLIMITED;
  unsigned shift = 0;
  if (!text.empty()) {
    if (const auto unit = kUnits.find(text.back()); unit != kUnits.npos) {
      shift = 10 * (static_cast<unsigned>(unit) + 1);
      text.remove_suffix(1);
    }
  }
  const auto value = read_number(text, 0, (AIACCEL_UNLIMITED - 1) >> shift);
  if (!value) return {};
  return *value << shift;
}

}  // namespace aiaccel::policy
