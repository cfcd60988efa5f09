// SPDX-License-Identifier: MIT
//
// See settings.h.
#include "policy/settings.h"

#include <fmt/format.h>
#include <uapi/aiaccel.h>

#include <algorithm>

#include "policy/values.h"

namespace aiaccel::policy {
namespace {

constexpr KeyInfo kInfo[kKeys] = {
    {"max_class", "--max-class", "idle, low, normal or high"},
    {"weight", "--weight", "a number from 1 to 10000"},
    {"pinned_bytes", "--pinned-bytes", "bytes such as 512M or 10G, or unlimited"},
    {"device_bytes", "--device-bytes", "bytes such as 512M or 10G, or unlimited"},
    {"engine_time", "--engine-time", "a percentage such as 25% or 0.5%, 100% at most"},
    {"grants", "--grants", "a number from 1, or unlimited"},
    {"on_missing", "--on-missing", "open or closed"},
};
static_assert(AIACCEL_WEIGHT_MIN == 1 && AIACCEL_WEIGHT_MAX == 10000, "kInfo says otherwise");

// Hundredths of a percent, which is what two digits behind the point can say.
std::optional<std::uint64_t> percent(std::string_view text) {
  static_assert(AIACCEL_ENGINE_TIME_ALL == 100 * 100);
  if (!text.ends_with('%')) return {};
  text.remove_suffix(1);
  std::string digits(text.substr(0, text.find('.')));
  std::string_view fraction;
  if (digits.size() < text.size()) {
    fraction = text.substr(digits.size() + 1);
    if (fraction.empty() || fraction.size() > 2) return {};
  }
  if (digits.empty()) return {};
  digits.append(fraction).append(2 - fraction.size(), '0');
  return read_number(digits, 1, AIACCEL_ENGINE_TIME_ALL);
}

std::string percent_text(std::uint64_t value) {
  std::string text = fmt::format("{}.{:02}", value / 100, value % 100);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text + "%";
}

std::string bytes_text(std::uint64_t value) {
  if (value == AIACCEL_UNLIMITED) return std::string(kUnlimited);
  std::size_t unit = 0;
  for (; value && value % 1024 == 0 && unit < kUnits.size(); unit++) value /= 1024;
  return unit ? fmt::format("{}{}", value, kUnits[unit - 1]) : std::to_string(value);
}

}  // namespace

const KeyInfo& info(Key key) {
  return kInfo[static_cast<unsigned>(key)];
}

std::optional<Key> find_key(std::string_view name) {
  for (unsigned i = 0; i < kKeys; i++)
    if (name == kInfo[i].name) return static_cast<Key>(i);
  return {};
}

std::optional<std::uint64_t> read_value(Key key, std::string_view text) {
  switch (key) {
    case Key::max_class:
      return read_word(text, kCeilings);
    case Key::weight:
      return read_number(text, AIACCEL_WEIGHT_MIN, AIACCEL_WEIGHT_MAX);
    case Key::pinned_bytes:
    case Key::device_bytes:
      return read_bytes(text);
    case Key::engine_time:
      return percent(text);
    case Key::grants:
      if (text == kUnlimited) return UINT32_MAX;
      return read_number(text, 1, UINT32_MAX);
    case Key::on_missing:
      return read_word(text, kOnMissing);
  }
  return {};
}

std::string write_value(Key key, std::uint64_t value) {
  switch (key) {
    case Key::max_class:
      return std::string(kCeilings[value]);
    case Key::pinned_bytes:
    case Key::device_bytes:
      return bytes_text(value);
    case Key::engine_time:
      return percent_text(value);
    case Key::on_missing:
      return std::string(kOnMissing[value]);
    case Key::grants:
      if (value == UINT32_MAX) return std::string(kUnlimited);
      [[fallthrough]];
    case Key::weight:
      break;
  }
  return std::to_string(value);
}

bool Settings::empty() const {
  return std::none_of(values_.begin(), values_.end(), [](const auto& v) { return v.has_value(); });
}

void Settings::merge(const Settings& later) {
  for (unsigned i = 0; i < kKeys; i++)
    if (later.values_[i]) values_[i] = later.values_[i];
}

}  // namespace aiaccel::policy
