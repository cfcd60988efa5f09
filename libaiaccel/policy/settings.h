// SPDX-License-Identifier: MIT
//
// What a policy can give: one table of keys, with how each is read, checked and written. The parser
// of files, the options of `aiaccel policy set` and what `show` prints all go by this table.
//
// Threads: any.
#ifndef AIACCEL_POLICY_SETTINGS_H
#define AIACCEL_POLICY_SETTINGS_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aiaccel::policy {

enum class Key : unsigned {
  max_class,     // enum aiaccel_class
  weight,        // as in QUEUE_CREATE
  pinned_bytes,  // AIACCEL_UNLIMITED: no ceiling
  device_bytes,  // of each engine; likewise
  engine_time,   // of each engine, in 1/10000
  grants,        // turns held at once on each engine; the largest u32: no ceiling
  on_missing,    // enum aiaccel_on_missing
};
inline constexpr unsigned kKeys = 7;

struct KeyInfo {
  const char* name;      // in files
  const char* option;    // of `aiaccel policy set`
  const char* expected;  // what can stand behind it, for messages
};
const KeyInfo& info(Key key);
std::optional<Key> find_key(std::string_view name);

// The value of `key` that `text` means, if it means one.
std::optional<std::uint64_t> read_value(Key key, std::string_view text);
// The shortest text that read_value() takes for `value`.
std::string write_value(Key key, std::uint64_t value);

class Settings {
 public:
  std::optional<std::uint64_t>& operator[](Key key) { return values_[static_cast<unsigned>(key)]; }
  const std::optional<std::uint64_t>& operator[](Key key) const {
    return values_[static_cast<unsigned>(key)];
  }
  bool empty() const;
  // What `later` says replaces what is here, key by key.
  void merge(const Settings& later);
  bool operator==(const Settings&) const = default;

 private:
  std::array<std::optional<std::uint64_t>, kKeys> values_;
};

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_SETTINGS_H
