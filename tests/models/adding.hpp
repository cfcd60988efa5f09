// SPDX-License-Identifier: MIT
//
// The smallest ONNX model that keeps weights in a file beside it: y = x + w, four float32 each.
#pragma once

#include <string>

#include "formats/fixture.hpp"

namespace fixture {

// `place` is more of where they are: entry("offset", "16").
inline std::string entry(const std::string& key, const std::string& value) {
  return pb::bytes(13, pb::bytes(1, key) + pb::bytes(2, value));
}

inline std::string adding(const std::string& location, const std::string& place = "") {
  const std::string type =
      pb::bytes(1, pb::number(1, 1) + pb::bytes(2, pb::bytes(1, pb::number(1, 4))));
  const auto value = [&](const std::string& name) {
    return pb::bytes(1, name) + pb::bytes(2, type);
  };
  const std::string weights = pb::number(1, 4) + pb::number(2, 1) + pb::bytes(8, "w") +
                              entry("location", location) + place + pb::number(14, 1);
  const std::string node =
      pb::bytes(1, "x") + pb::bytes(1, "w") + pb::bytes(2, "y") + pb::bytes(4, "Add");
  const std::string graph = pb::bytes(1, node) + pb::bytes(2, "adding") + pb::bytes(5, weights) +
                            pb::bytes(11, value("x")) + pb::bytes(12, value("y"));
  return pb::number(1, 8) + pb::bytes(7, graph) + pb::bytes(8, pb::number(2, 17));
}

// Four float32, each `one`.
inline std::string four(float one) {
  const float values[] = {one, one, one, one};
  return {reinterpret_cast<const char*>(values), sizeof values};
}

}  // namespace fixture
