// SPDX-License-Identifier: MIT
//
// The smallest ONNX model that keeps weights in a file beside it: y = x + w, four float32 each.
#pragma once

#include <string>
#include <vector>

#include "formats/fixture.hpp"

namespace fixture {

// `place` is more of where they are: entry("offset", "16").
inline std::string entry(const std::string& key, const std::string& value) {
  return pb::bytes(13, pb::bytes(1, key) + pb::bytes(2, value));
}

inline std::string weights(const std::string& location, const std::string& place = "") {
  return pb::number(1, 4) + pb::number(2, 1) + pb::bytes(8, "w") + entry("location", location) +
         place + pb::number(14, 1);
}

inline std::string value(const std::string& name) {
  return pb::bytes(1, name) +
         pb::bytes(2,
                   pb::bytes(1, pb::number(1, 1) + pb::bytes(2, pb::bytes(1, pb::number(1, 4)))));
}

inline std::string node(const std::vector<std::string>& inputs, const std::string& output,
                        const std::string& op) {
  std::string node;
  for (const std::string& input : inputs) node += pb::bytes(1, input);
  return node + pb::bytes(2, output) + pb::bytes(4, op);
}

// A model whose graph has `body`, x and y.
inline std::string graph(const std::string& body) {
  const std::string graph =
      body + pb::bytes(2, "graph") + pb::bytes(11, value("x")) + pb::bytes(12, value("y"));
  return pb::number(1, 8) + pb::bytes(7, graph) + pb::bytes(8, pb::number(2, 17));
}

inline std::string adding(const std::string& location, const std::string& place = "") {
  return graph(pb::bytes(1, node({"x", "w"}, "y", "Add")) + pb::bytes(5, weights(location, place)));
}

// Four float32, each `one`.
inline std::string four(float one) {
  const float values[] = {one, one, one, one};
  return {reinterpret_cast<const char*>(values), sizeof values};
}

}  // namespace fixture
