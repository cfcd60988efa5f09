// SPDX-License-Identifier: MIT
//
// What differs between two models, by what their files say of themselves: structure, not weights.
//
// Pure functions of two values, so from any thread. The order of the result depends on names alone:
// parts as Part lists them, in a part by name. Two files with as many tensors take n log n.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <aiaccel/metadata.hpp>

namespace aiaccel::registry {

enum class Part {
  format,
  producer,
  architecture,
  licence,
  opset,
  input,
  output,
  op,      // how many nodes of an operator there are
  wiring,  // the same operators in the same numbers, connected otherwise or named otherwise
  tensor,
  file,
  property,
};

enum class How {
  added,
  removed,
  reshaped,  // the shape differs, and maybe more: `before` and `after` say it
  retyped,   // only the element type differs
  changed,
};

struct Change {
  Part part = Part::format;
  How how = How::changed;
  std::string name;   // "" where a model has only one
  std::string scope;  // of a tensor: the graph inside a node, else ""
  std::string before, after;

  bool operator==(const Change&) const = default;
};

std::string_view to_string(Part part);  // "input", "operator", ...
std::string_view to_string(How how);    // "added", ...

// float32[batch, 2, 128], with a free dimension's name or `?`; `[...]` for any rank.
std::string to_text(const ValueInfo& value);
std::string to_text(const TensorRecord& tensor);

std::vector<Change> diff(const Metadata& before, const Metadata& after);

}  // namespace aiaccel::registry
