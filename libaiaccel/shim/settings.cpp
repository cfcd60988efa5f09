// SPDX-License-Identifier: MIT
//
// Reading the environment; see settings.h.
#include "shim/settings.h"

#include <uapi/aiaccel.h>

#include <cstdlib>
#include <string_view>

#include "shim/say.h"

namespace aiaccel::shim {
namespace {

constexpr const char* kClasses[] = {"idle", "low", "normal", "high"};

std::string variable(const char* name) {
  const char* value = secure_getenv(name);
  return value ? value : "";
}

void complain(const char* name, const std::string& value, const char* wanted) {
  Topic().say("%s=%s: %s is expected; it is not heeded", name, value.c_str(), wanted);
}

uint32_t read_class() {
  const std::string value = variable("AIACCEL_CLASS");
  for (uint32_t i = 0; i < std::size(kClasses); ++i)
    if (value == kClasses[i]) return i;
  if (!value.empty()) complain("AIACCEL_CLASS", value, "idle, low, normal or high");
  return AIACCEL_CLASS_NORMAL;
}

// Digits, and perhaps one of K, M, G, T.
std::optional<uint64_t> parse_bytes(std::string_view text) {
  uint64_t value = 0;
  size_t at = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(text[at] - '0'), &value))
      return std::nullopt;
  if (at == 0) return std::nullopt;
  if (at == text.size()) return value;
  const size_t unit = std::string_view("KMGT").find(text[at]);
  if (unit == std::string_view::npos || at + 1 != text.size()) return std::nullopt;
  if (__builtin_mul_overflow(value, uint64_t{1} << (10 * (unit + 1)), &value)) return std::nullopt;
  return value;
}

uint64_t read_device_bytes() {
  const std::string value = variable("AIACCEL_DEVICE_BYTES");
  if (value.empty()) return AIACCEL_UNLIMITED;
  if (const auto bytes = parse_bytes(value)) return *bytes;
  complain("AIACCEL_DEVICE_BYTES", value, "a number of bytes such as 10G");
  return AIACCEL_UNLIMITED;
}

std::optional<bool> read_on_missing() {
  const std::string value = variable("AIACCEL_ON_MISSING");
  if (value == "open") return true;
  if (value == "closed") return false;
  if (!value.empty()) complain("AIACCEL_ON_MISSING", value, "open or closed");
  return std::nullopt;
}

}  // namespace

const char* class_name(uint32_t class_) {
  return class_ < std::size(kClasses) ? kClasses[class_] : "?";
}

Settings Settings::from_environment() {
  return {read_class(), variable("AIACCEL_ENGINE"), read_device_bytes(), read_on_missing()};
}

}  // namespace aiaccel::shim
