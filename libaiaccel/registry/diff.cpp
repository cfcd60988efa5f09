// SPDX-License-Identifier: MIT
//
// See diff.hpp. Records are sorted by a key and walked side by side. A file may hold the same key
// several times: those meet in the order of the file.
#include "registry/diff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace aiaccel::registry {
namespace {

template <typename Record, typename Key>
std::vector<const Record*> sorted(const std::vector<Record>& records, const Key& key) {
  std::vector<const Record*> result;
  result.reserve(records.size());
  for (const Record& record : records) result.push_back(&record);
  std::stable_sort(result.begin(), result.end(),
                   [&](const Record* a, const Record* b) { return key(*a) < key(*b); });
  return result;
}

// Calls visit(before, after) for each key; one of them is null where only the other has it.
template <typename Record, typename Key, typename Visit>
void side_by_side(const std::vector<Record>& before, const std::vector<Record>& after,
                  const Key& key, const Visit& visit) {
  const std::vector<const Record*> left = sorted(before, key);
  const std::vector<const Record*> right = sorted(after, key);
  auto l = left.begin();
  auto r = right.begin();
  while (l != left.end() || r != right.end()) {
    if (r == right.end() || (l != left.end() && key(**l) < key(**r)))
      visit(*l++, static_cast<const Record*>(nullptr));
    else if (l == left.end() || key(**r) < key(**l))
      visit(static_cast<const Record*>(nullptr), *r++);
    else
      visit(*l++, *r++);
  }
}

class Changes {
 public:
  std::vector<Change> take() { return std::move(changes_); }

  // One value of each model.
  void compare(Part part, const std::string& before, const std::string& after) {
    if (before != after) add(part, before, after, {});
  }

  void add(Part part, const std::string& before, const std::string& after,
           const std::string& name) {
    const How how = before.empty() ? How::added : after.empty() ? How::removed : How::changed;
    changes_.push_back({part, how, name, {}, before, after});
  }

  void add(Change change) { changes_.push_back(std::move(change)); }

 private:
  std::vector<Change> changes_;
};

std::string words(const std::string& first, const std::string& second) {
  return second.empty() ? first : first.empty() ? second : first + " " + second;
}

How how_differs(const std::string& type_before, const std::string& type_after, bool same_shape) {
  if (!same_shape) return How::reshaped;
  return type_before != type_after ? How::retyped : How::changed;
}

// A free dimension with another name takes the same tensors: the shape is the same, and yet the
// model is bound otherwise.
void compare_values(Changes& changes, Part part, const std::vector<ValueInfo>& before,
                    const std::vector<ValueInfo>& after) {
  const auto name = [](const ValueInfo& value) -> const std::string& { return value.name; };
  side_by_side(before, after, name, [&](const ValueInfo* l, const ValueInfo* r) {
    if (!l) return changes.add({part, How::added, r->name, {}, {}, to_text(*r)});
    if (!r) return changes.add({part, How::removed, l->name, {}, to_text(*l), {}});
    const std::string was = to_text(*l);
    const std::string is = to_text(*r);
    if (was == is) return;
    const bool same_shape = l->ranked == r->ranked && l->shape == r->shape;
    changes.add({part, how_differs(l->type, r->type, same_shape), l->name, {}, was, is});
  });
  const auto names = [](const std::vector<ValueInfo>& values) {
    std::vector<std::string> result;
    for (const ValueInfo& value : values) result.push_back(value.name);
    return result;
  };
  const std::vector<std::string> was = names(before);
  const std::vector<std::string> is = names(after);
  // Callers that go by position are given other tensors.
  if (was != is && std::is_permutation(was.begin(), was.end(), is.begin(), is.end()))
    changes.add({part,
                 How::changed,
                 {},
                 {},
                 fmt::format("in the order {}", fmt::join(was, ", ")),
                 fmt::format("in the order {}", fmt::join(is, ", "))});
}

void compare_tensors(Changes& changes, const Metadata& before, const Metadata& after) {
  const auto key = [](const TensorRecord& tensor) { return std::tie(tensor.scope, tensor.name); };
  side_by_side(before.tensors, after.tensors, key,
               [&](const TensorRecord* l, const TensorRecord* r) {
                 const TensorRecord& any = l ? *l : *r;
                 if (l && r && l->type == r->type && l->shape == r->shape) return;
                 Change change{Part::tensor,
                               How::added,
                               any.name,
                               any.scope,
                               l ? to_text(*l) : std::string(),
                               r ? to_text(*r) : std::string()};
                 if (l && r)
                   change.how = how_differs(l->type, r->type, l->shape == r->shape);
                 else if (l)
                   change.how = How::removed;
                 changes.add(std::move(change));
               });
}

void compare_opsets(Changes& changes, const Metadata& before, const Metadata& after) {
  const auto domain = [](const OpsetVersion& opset) -> const std::string& { return opset.domain; };
  side_by_side(before.opsets, after.opsets, domain,
               [&](const OpsetVersion* l, const OpsetVersion* r) {
                 const std::string was = l ? std::to_string(l->version) : "";
                 const std::string is = r ? std::to_string(r->version) : "";
                 if (was != is) changes.add(Part::opset, was, is, l ? l->domain : r->domain);
               });
}

// True if operators were added or removed, by number.
bool compare_operators(Changes& changes, const Metadata& before, const Metadata& after) {
  using Count = std::pair<std::string, std::uint64_t>;
  const std::vector<Count> was(before.operators.begin(), before.operators.end());
  const std::vector<Count> is(after.operators.begin(), after.operators.end());
  bool differ = false;
  const auto op = [](const Count& count) -> const std::string& { return count.first; };
  side_by_side(was, is, op, [&](const Count* l, const Count* r) {
    if (l && r && l->second == r->second) return;
    differ = true;
    changes.add(Part::op, l ? std::to_string(l->second) : "", r ? std::to_string(r->second) : "",
                l ? l->first : r->first);
  });
  return differ;
}

// Nodes are compared by what they do to which values, whatever their order and their own names.
void compare_wiring(Changes& changes, const Metadata& before, const Metadata& after) {
  const auto key = [](const NodeRecord& node) {
    return std::tie(node.scope, node.op, node.inputs, node.outputs);
  };
  std::uint64_t only_before = 0;
  std::uint64_t only_after = 0;
  side_by_side(before.nodes, after.nodes, key, [&](const NodeRecord* l, const NodeRecord* r) {
    only_before += !r;
    only_after += !l;
  });
  const auto text = [](std::uint64_t count, std::size_t all) {
    return fmt::format("{} of {} nodes", count, all);
  };
  if (only_before || only_after)
    changes.add({Part::wiring,
                 How::changed,
                 {},
                 {},
                 text(only_before, before.nodes.size()),
                 text(only_after, after.nodes.size())});
}

void compare_files(Changes& changes, const Metadata& before, const Metadata& after) {
  const auto path = [](const ModelFile& file) -> const std::string& { return file.path; };
  const auto text = [](const ModelFile* file) {
    return file ? fmt::format("{} bytes", file->size_bytes) : std::string();
  };
  side_by_side(before.files, after.files, path, [&](const ModelFile* l, const ModelFile* r) {
    if (!l || !r || l->size_bytes != r->size_bytes)
      changes.add(Part::file, text(l), text(r), l ? l->path : r->path);
  });
}

void compare_properties(Changes& changes, const Metadata& before, const Metadata& after) {
  using Property = std::pair<std::string, std::string>;
  const auto key = [](const Property& property) -> const std::string& { return property.first; };
  side_by_side(before.properties, after.properties, key, [&](const Property* l, const Property* r) {
    if (l && r && l->second == r->second) return;
    const How how = !l ? How::added : !r ? How::removed : How::changed;
    changes.add({Part::property,
                 how,
                 l ? l->first : r->first,
                 {},
                 l ? l->second : std::string(),
                 r ? r->second : std::string()});
  });
}

}  // namespace

std::string_view to_string(Part part) {
  switch (part) {
    case Part::format:
      return "format";
    case Part::producer:
      return "producer";
    case Part::architecture:
      return "architecture";
    case Part::licence:
      return "licence";
    case Part::opset:
      return "opset";
    case Part::input:
      return "input";
    case Part::output:
      return "output";
    case Part::op:
      return "operator";
    case Part::wiring:
      return "wiring";
    case Part::tensor:
      return "tensor";
    case Part::file:
      return "file";
    case Part::property:
      return "property";
  }
  return "";
}

std::string_view to_string(How how) {
  switch (how) {
    case How::added:
      return "added";
    case How::removed:
      return "removed";
    case How::reshaped:
      return "reshaped";
    case How::retyped:
      return "retyped";
    case How::changed:
      return "changed";
  }
  return "";
}

std::string to_text(const ValueInfo& value) {
  if (!value.ranked) return value.type + "[...]";
  std::vector<std::string> dimensions;
  for (std::size_t i = 0; i < value.shape.size(); i++) {
    const bool named = i < value.symbols.size() && !value.symbols[i].empty();
    dimensions.push_back(value.shape[i] >= 0 ? std::to_string(value.shape[i])
                         : named             ? value.symbols[i]
                                             : "?");
  }
  return fmt::format("{}[{}]", value.type, fmt::join(dimensions, ", "));
}

std::string to_text(const TensorRecord& tensor) {
  return fmt::format("{}[{}]", tensor.type, fmt::join(tensor.shape, ", "));
}

std::vector<Change> diff(const Metadata& before, const Metadata& after) {
  Changes changes;
  changes.compare(Part::format, words(to_string(before.format), before.format_version),
                  words(to_string(after.format), after.format_version));
  changes.compare(Part::producer, words(before.producer, before.producer_version),
                  words(after.producer, after.producer_version));
  changes.compare(Part::architecture, before.architecture, after.architecture);
  changes.compare(Part::licence, before.licence, after.licence);
  compare_opsets(changes, before, after);
  compare_values(changes, Part::input, before.inputs, after.inputs);
  compare_values(changes, Part::output, before.outputs, after.outputs);
  if (!compare_operators(changes, before, after)) compare_wiring(changes, before, after);
  compare_tensors(changes, before, after);
  compare_files(changes, before, after);
  compare_properties(changes, before, after);
  return changes.take();
}

}  // namespace aiaccel::registry
