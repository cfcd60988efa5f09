// SPDX-License-Identifier: MIT
//
// What differs between two models: each part alone, what looks like a difference and is none, and
// real models.
#include <registry/diff.hpp>
#include <tap/tap.hpp>

#include <algorithm>
#include <tuple>

#include "models/fixture.hpp"

using namespace aiaccel;
using namespace aiaccel::registry;

namespace {

Metadata model() {
  Metadata m;
  m.format_version = "8";
  m.producer = "pytorch";
  m.producer_version = "2.0";
  m.licence = "mit";
  m.opsets = {{"", 16}};
  m.inputs = {{"x", "float32", true, {-1, 576}, {"batch", ""}}, {"sr", "int64", true, {}, {}}};
  m.outputs = {{"y", "float32", true, {-1, 1}, {"batch", ""}}};
  m.tensors = {{"w", "", "float32", {2, 3}, 6, 24, "", 0},
               {"w", "if/then", "float32", {4}, 4, 16, "", 24},
               {"b", "", "float32", {3}, 3, 12, "", 40}};
  m.operators = {{"Add", 1}, {"Conv", 2}};
  m.nodes = {{"1", "", "Conv", {"x", "w"}, {"a"}},
             {"2", "", "Conv", {"a", "w"}, {"c"}},
             {"3", "", "Add", {"c", "b"}, {"y"}}};
  m.files = {{"model.onnx", 1000}};
  m.properties = {{"task", "vad"}};
  return m;
}

// "input x reshaped: float32[1] -> float32[2]"
std::string text(const Change& change) {
  return std::string(to_string(change.part)) + " " +
         (change.scope.empty() ? "" : change.scope + ":") + change.name + " " +
         std::string(to_string(change.how)) + ": " + change.before + " -> " + change.after;
}

// What `edit` makes of a model, as the lines of one text.
template <typename Edit>
std::string after(const Edit& edit) {
  Metadata changed = model();
  edit(changed);
  std::string lines;
  for (const Change& change : diff(model(), changed)) lines += text(change) + "\n";
  return lines;
}

How opposite(How how) {
  return how == How::added ? How::removed : how == How::removed ? How::added : how;
}

// The other way round the same is said with before and after swapped.
void check_opposite(const Metadata& a, const Metadata& b) {
  const std::vector<Change> there = diff(a, b);
  std::vector<Change> back = diff(b, a);
  BOOST_TEST_REQUIRE(there.size() == back.size());
  for (std::size_t i = 0; i < there.size(); i++) {
    std::swap(back[i].before, back[i].after);
    back[i].how = opposite(back[i].how);
    BOOST_TEST(text(there[i]) == text(back[i]));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(structure)

BOOST_AUTO_TEST_CASE(a_model_does_not_differ_from_itself) {
  BOOST_TEST(diff(model(), model()).empty());
  BOOST_TEST(diff({}, {}).empty());
}

BOOST_AUTO_TEST_CASE(what_a_model_has_once) {
  BOOST_TEST(after([](Metadata& m) { m.format = ModelFormat::gguf; }) ==
             "format  changed: onnx 8 -> gguf 8\n");
  BOOST_TEST(after([](Metadata& m) { m.producer_version = "2.1"; }) ==
             "producer  changed: pytorch 2.0 -> pytorch 2.1\n");
  BOOST_TEST(after([](Metadata& m) { m.architecture = "llama"; }) ==
             "architecture  added:  -> llama\n");
  BOOST_TEST(after([](Metadata& m) { m.licence = ""; }) == "licence  removed: mit -> \n");
}

BOOST_AUTO_TEST_CASE(opsets) {
  BOOST_TEST(after([](Metadata& m) {
               m.opsets = {{"com.x", 1}, {"", 17}};
             }) == "opset  changed: 16 -> 17\nopset com.x added:  -> 1\n");
}

BOOST_AUTO_TEST_CASE(inputs_and_outputs) {
  BOOST_TEST(after([](Metadata& m) { m.inputs[0].shape[1] = 512; }) ==
             "input x reshaped: float32[batch, 576] -> float32[batch, 512]\n");
  BOOST_TEST(after([](Metadata& m) { m.inputs[1].type = "int32"; }) ==
             "input sr retyped: int64[] -> int32[]\n");
  BOOST_TEST(after([](Metadata& m) {
               m.outputs[0].type = "float16";
               m.outputs[0].ranked = false;
               m.outputs[0].shape = {};
             }) == "output y reshaped: float32[batch, 1] -> float16[...]\n");
  BOOST_TEST(after([](Metadata& m) { m.inputs.pop_back(); }) == "input sr removed: int64[] -> \n");
  BOOST_TEST(after([](Metadata& m) {
               m.outputs.push_back({"state", "float32", true, {2, -1}, {}});
             }) == "output state added:  -> float32[2, ?]\n");
}

// The same tensors fit, so nothing is reshaped; but two dimensions may now have to be equal.
BOOST_AUTO_TEST_CASE(a_free_dimension_with_another_name) {
  BOOST_TEST(after([](Metadata& m) { m.inputs[0].symbols[0] = "n"; }) ==
             "input x changed: float32[batch, 576] -> float32[n, 576]\n");
}

BOOST_AUTO_TEST_CASE(inputs_in_another_order) {
  BOOST_TEST(after([](Metadata& m) { std::swap(m.inputs[0], m.inputs[1]); }) ==
             "input  changed: in the order x, sr -> in the order sr, x\n");
}

BOOST_AUTO_TEST_CASE(operators) {
  BOOST_TEST(after([](Metadata& m) {
               m.operators = {{"Conv", 3}, {"LSTM", 1}};
             }) ==
             "operator Add removed: 1 -> \noperator Conv changed: 2 -> 3\n"
             "operator LSTM added:  -> 1\n");
}

BOOST_AUTO_TEST_CASE(the_same_operators_connected_otherwise) {
  BOOST_TEST(after([](Metadata& m) { std::swap(m.nodes[0].inputs[0], m.nodes[0].inputs[1]); }) ==
             "wiring  changed: 1 of 3 nodes -> 1 of 3 nodes\n");
  // Names of nodes and their order say nothing of what is computed.
  BOOST_TEST(after([](Metadata& m) {
               std::swap(m.nodes[0], m.nodes[2]);
               m.nodes[0].name = "other";
             }) == "");
}

BOOST_AUTO_TEST_CASE(tensors) {
  BOOST_TEST(after([](Metadata& m) {
               m.tensors[0].shape = {3, 2};
             }) == "tensor w reshaped: float32[2, 3] -> float32[3, 2]\n");
  BOOST_TEST(after([](Metadata& m) { m.tensors[2].type = "float16"; }) ==
             "tensor b retyped: float32[3] -> float16[3]\n");
  BOOST_TEST(after([](Metadata& m) {
               m.tensors[2].type = "q4_k";
               m.tensors[2].shape = {256};
             }) == "tensor b reshaped: float32[3] -> q4_k[256]\n");
  BOOST_TEST(after([](Metadata& m) { m.tensors.erase(m.tensors.begin()); }) ==
             "tensor w removed: float32[2, 3] -> \n");
  BOOST_TEST(after([](Metadata& m) { m.tensors[1].name = "v"; }) ==
             "tensor if/then:v added:  -> float32[4]\ntensor if/then:w removed: float32[4] -> \n");
  // Where in the file they lie is no matter.
  BOOST_TEST(after([](Metadata& m) {
               std::swap(m.tensors[0], m.tensors[2]);
               m.tensors[0].offset = 4096;
             }) == "");
}

BOOST_AUTO_TEST_CASE(a_name_that_occurs_twice) {
  Metadata once = model();
  Metadata twice = model();
  twice.tensors.push_back(twice.tensors[0]);
  BOOST_TEST_REQUIRE(diff(once, twice).size() == 1u);
  BOOST_TEST(text(diff(once, twice)[0]) == "tensor w added:  -> float32[2, 3]");
  BOOST_TEST(diff(twice, twice).empty());
  check_opposite(once, twice);
}

BOOST_AUTO_TEST_CASE(files_and_properties) {
  BOOST_TEST(after([](Metadata& m) {
               m.files = {{"model.onnx", 900}, {"model.onnx_data", 5}};
             }) ==
             "file model.onnx changed: 1000 bytes -> 900 bytes\n"
             "file model.onnx_data added:  -> 5 bytes\n");
  BOOST_TEST(after([](Metadata& m) {
               m.properties = {{"task", ""}, {"a", "1"}};
             }) == "property a added:  -> 1\nproperty task changed: vad -> \n");
}

BOOST_AUTO_TEST_CASE(both_directions_say_the_same) {
  Metadata other = model();
  other.producer = "";
  other.producer_version = "";
  other.opsets = {{"com.x", 1}};
  other.inputs[0].shape = {1};
  other.outputs = {};
  other.operators = {{"Mul", 1}};
  other.tensors[0].type = "int8";
  other.tensors.pop_back();
  other.files = {};
  other.properties = {{"a", "1"}};
  BOOST_TEST(diff(model(), other).size() > 10u);
  check_opposite(model(), other);
  check_opposite({}, model());
}

// v6 was made with the same graph and other weights; the first version has another graph.
BOOST_AUTO_TEST_CASE(real_models) {
  if (const std::string why = fixture::missing(); !why.empty()) SKIP(why);
  const Metadata v5 = read_metadata(fixture::silero("v5"));
  const Metadata legacy = read_metadata(fixture::silero("legacy"));
  BOOST_TEST(diff(v5, v5).empty());
  const std::vector<Change> changes = diff(legacy, v5);
  const auto has = [&](Part part, How how, const std::string& name) {
    return std::any_of(changes.begin(), changes.end(), [&](const Change& c) {
      return c.part == part && c.how == how && c.name == name;
    });
  };
  BOOST_TEST(has(Part::input, How::removed, "h"));
  BOOST_TEST(has(Part::input, How::removed, "c"));
  BOOST_TEST(has(Part::input, How::added, "state"));
  BOOST_TEST(has(Part::output, How::added, "stateN"));
  check_opposite(legacy, v5);
}

BOOST_AUTO_TEST_SUITE_END()
