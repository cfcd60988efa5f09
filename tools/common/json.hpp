// SPDX-License-Identifier: MIT
//
// JSON as the tools print it: fields in the order in which they were added, names of other users
// with broken UTF-8 mended.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace tools {

using Json = nlohmann::ordered_json;

// `indent` below zero: all on one line.
inline std::string json_text(const Json& json, int indent = 2) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// What is not known is null, never 0.
template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace tools
