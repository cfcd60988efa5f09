// SPDX-License-Identifier: MIT
//
// Reading the environment; see settings.h.
#include "shim/settings.h"

#include <uapi/aiaccel.h>

#include <cstdlib>

#include "policy/values.h"
#include "shim/say.h"

namespace aiaccel::shim {
namespace {

std::string variable(const char* name) {
  const char* value = secure_getenv(name);
  return value ? value : "";
}

void complain(const char* name, const std::string& value, const char* wanted) {
  Topic().say("%s=%s: %s is expected; it is not heeded", name, value.c_str(), wanted);
}

uint32_t read_class() {
  const std::string value = variable("AIACCEL_CLASS");
  if (const auto class_ = policy::read_word(value, policy::kClasses))
    return static_cast<uint32_t>(*class_);
  if (!value.empty()) complain("AIACCEL_CLASS", value, "idle, low, normal or high");
  return AIACCEL_CLASS_NORMAL;
}

uint64_t read_device_bytes() {
  const std::string value = variable("AIACCEL_DEVICE_BYTES");
  if (value.empty()) return AIACCEL_UNLIMITED;
  if (const auto bytes = policy::read_bytes(value)) return *bytes;
  complain("AIACCEL_DEVICE_BYTES", value, "bytes such as 512M or 10G, or unlimited");
  return AIACCEL_UNLIMITED;
}

std::optional<bool> read_on_missing() {
  const std::string value = variable("AIACCEL_ON_MISSING");
  if (const auto wanted = policy::read_word(value, policy::kOnMissing))
    return *wanted == AIACCEL_ON_MISSING_OPEN;
  if (!value.empty()) complain("AIACCEL_ON_MISSING", value, "open or closed");
  return std::nullopt;
}

}  // namespace

const char* class_name(uint32_t class_) {
  return class_ < std::size(policy::kClasses) ? policy::kClasses[class_].data() : "?";
}

Settings Settings::from_environment() {
  prepare_to_say();
  return {read_class(),      variable("AIACCEL_ENGINE"),    read_device_bytes(),
          read_on_missing(), variable("AIACCEL_TRANSPORT"), BrokerPlace::from_environment()};
}

}  // namespace aiaccel::shim
