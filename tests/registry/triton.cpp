// SPDX-License-Identifier: MIT
//
// config.pbtxt: what Triton is told of a model, read back by protobuf's own parser (triton.py).
#include <registry/triton.hpp>
#include <tap/tap.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

using namespace aiaccel;
using namespace aiaccel::registry;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

Metadata model(std::vector<ValueInfo> inputs, std::vector<ValueInfo> outputs) {
  Metadata m;
  m.inputs = std::move(inputs);
  m.outputs = std::move(outputs);
  return m;
}

ValueInfo value(const std::string& name, const std::string& type, Shape shape,
                std::vector<std::string> symbols = {}) {
  symbols.resize(shape.size());
  return {name, type, true, std::move(shape), std::move(symbols)};
}

std::string why_missing() {
  const char* command = "/usr/bin/python3 -c 'import google.protobuf.text_format' 2>/dev/null";
  return std::system(command) == 0 ? "" : "python3-protobuf is not installed";  // NOLINT
}

struct Folder {
  fs::path path;
  Folder() {
    char name[] = "/tmp/aiaccel-triton-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
};

// Each text as the other parser reads it.
std::vector<Json> parsed(const std::vector<std::string>& texts) {
  const Folder folder;
  std::string command = "/usr/bin/python3 tests/registry/triton.py";
  for (std::size_t i = 0; i < texts.size(); i++) {
    const fs::path file = folder.path / std::to_string(i);
    std::ofstream(file, std::ios::binary) << texts[i];
    command += " " + file.string();
  }
  std::FILE* pipe = ::popen(command.c_str(), "re");
  BOOST_REQUIRE(pipe);
  std::vector<Json> result;
  std::string line;
  for (int c; (c = std::fgetc(pipe)) != EOF;) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    result.push_back(Json::parse(line));
    line.clear();
  }
  BOOST_REQUIRE(::pclose(pipe) == 0);
  BOOST_REQUIRE(result.size() == texts.size());
  return result;
}

Json parsed(const Metadata& metadata, const TritonOptions& options = {"m"}) {
  return parsed(std::vector{triton_config(metadata, options)}).at(0);
}

int error_of(const Metadata& metadata) {
  try {
    triton_config(metadata, {"m"});
  } catch (const Error& e) {
    return e.code().value();
  }
  return 0;
}

}  // namespace

#define NEEDS_PYTHON() \
  if (const std::string why = why_missing(); !why.empty()) SKIP(why)

BOOST_AUTO_TEST_SUITE(triton)

BOOST_AUTO_TEST_CASE(the_text) {
  const Metadata m =
      model({value("input", "float32", {-1, -1}, {"batch", "n"}), value("sr", "int64", {})},
            {value("output", "float32", {-1, 1}, {"batch", ""})});
  BOOST_TEST(triton_config(m, {"silero-vad"}) ==
             "name: \"silero-vad\"\n"
             "backend: \"onnxruntime\"\n"
             "max_batch_size: 0\n"
             "input [\n  {\n    name: \"input\"\n    data_type: TYPE_FP32\n    dims: [ -1, -1 ]\n"
             "  }\n]\n"
             "input [\n  {\n    name: \"sr\"\n    data_type: TYPE_INT64\n    dims: [ 1 ]\n  }\n]\n"
             "output [\n  {\n    name: \"output\"\n    data_type: TYPE_FP32\n    dims: [ -1, 1 ]\n"
             "  }\n]\n");
}

BOOST_AUTO_TEST_CASE(everything_begins_with_the_same_free_dimension) {
  NEEDS_PYTHON();
  const Metadata m =
      model({value("a", "float16", {-1, 3}, {"n", ""}), value("length", "int32", {-1}, {"n"})},
            {value("b", "bool", {-1, -1, 2}, {"n", "t", ""})});
  const Json config = parsed(m);
  BOOST_TEST(config["max_batch_size"] == 8);
  BOOST_TEST(config["input"][0]["dims"] == Json({"3"}));
  // Only the batch was there: Triton needs a dimension, which its backend takes away again.
  BOOST_TEST(config["input"][1]["dims"] == Json({"1"}));
  BOOST_TEST(config["input"][1].contains("reshape"));
  BOOST_TEST(config["output"][0]["dims"] == Json({"-1", "2"}));
  BOOST_TEST(config["output"][0]["data_type"] == "TYPE_BOOL");
  const Json not_wanted = parsed(m, {"m", 0});
  BOOST_TEST(!not_wanted.contains("max_batch_size"));
  BOOST_TEST(not_wanted["input"][1]["dims"] == Json({"-1"}));
  BOOST_TEST(!not_wanted["input"][1].contains("reshape"));
}

BOOST_AUTO_TEST_CASE(one_folder_of_several_is_served) {
  NEEDS_PYTHON();
  const Metadata m = model({value("a", "float32", {1})}, {value("b", "float32", {1})});
  BOOST_TEST(!parsed(m).contains("version_policy"));
  TritonOptions options{"m"};
  options.version = 3;
  BOOST_TEST(parsed(m, options)["version_policy"]["specific"]["versions"] == Json({"3"}));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_batched) {
  const auto batched = [](const Metadata& m) {
    return triton_config(m, {"m"}).find("max_batch_size: 8") != std::string::npos;
  };
  const ValueInfo n = value("x", "float32", {-1, 3}, {"n", ""});
  const ValueInfo unnamed = value("y", "float32", {-1, 3});
  BOOST_TEST(batched(model({n}, {n})));
  BOOST_TEST(batched(model({unnamed}, {unnamed})));
  BOOST_TEST(!batched(model({n}, {unnamed})));  // nothing says that they are equal
  BOOST_TEST(!batched(model({n}, {value("y", "float32", {-1, 3}, {"m", ""})})));
  BOOST_TEST(!batched(model({n}, {value("y", "float32", {1, 3})})));
  BOOST_TEST(!batched(model({n, value("sr", "int64", {})}, {n})));
}

BOOST_AUTO_TEST_CASE(types_that_triton_has) {
  NEEDS_PYTHON();
  const std::pair<const char*, const char*> types[] = {
      {"bool", "BOOL"},     {"uint8", "UINT8"},  {"uint16", "UINT16"}, {"uint32", "UINT32"},
      {"uint64", "UINT64"}, {"int8", "INT8"},    {"int16", "INT16"},   {"int32", "INT32"},
      {"int64", "INT64"},   {"float16", "FP16"}, {"float32", "FP32"},  {"float64", "FP64"},
      {"bfloat16", "BF16"}, {"string", "STRING"}};
  std::vector<ValueInfo> inputs;
  for (const auto& [ours, theirs] : types) inputs.push_back(value(ours, ours, {2}));
  const Json config = parsed(model(inputs, {value("y", "float32", {2})}));
  for (std::size_t i = 0; i < inputs.size(); i++)
    BOOST_TEST(config["input"][i]["data_type"] == std::string("TYPE_") + types[i].second);
}

BOOST_AUTO_TEST_CASE(names_are_the_files_and_so_anything) {
  NEEDS_PYTHON();
  const std::string hostile[] = {"a\" } ] max_batch_size: 99 #",
                                 "back\\slash",
                                 "line\nbreak\r\t",
                                 "nul\0end" + std::string(1, '\0') + "7",
                                 "ünïcödé \xe2\x98\x83",
                                 "\x7f\x01"
                                 "1",
                                 "'single'",
                                 "{{}}"};
  std::vector<ValueInfo> inputs;
  for (const std::string& name : hostile) inputs.push_back(value(name, "int8", {1}));
  const Json config = parsed(model(inputs, {value("y", "int8", {1})}), {"m\"odel", 4, "a b.onnx"});
  BOOST_TEST(config["name"] == "m\"odel");
  BOOST_TEST(config["default_model_filename"] == "a b.onnx");
  BOOST_TEST(!config.contains("max_batch_size"));
  for (std::size_t i = 0; i < inputs.size(); i++)
    BOOST_TEST(config["input"][i]["name"].get<std::string>() == hostile[i]);
}

BOOST_AUTO_TEST_CASE(what_triton_cannot_serve) {
  const ValueInfo good = value("x", "float32", {1});
  BOOST_TEST(error_of(model({good}, {good})) == 0);
  BOOST_TEST(error_of(model({}, {good})) == EINVAL);
  BOOST_TEST(error_of(model({good}, {})) == EINVAL);
  BOOST_TEST(error_of(model({value("", "float32", {1})}, {good})) == EINVAL);
  BOOST_TEST(error_of(model({value("x", "sequence(int64)", {})}, {good})) == EOPNOTSUPP);
  BOOST_TEST(error_of(model({value("x", "complex64", {1})}, {good})) == EOPNOTSUPP);
  BOOST_TEST(error_of(model({value("x", "", {1})}, {good})) == EOPNOTSUPP);
  BOOST_TEST(error_of(model({{"x", "float32", false, {}, {}}}, {good})) == EOPNOTSUPP);
  BOOST_TEST(error_of(model({value("x", "float32", {2, 0})}, {good})) == EOPNOTSUPP);
  Metadata other = model({good}, {good});
  other.format = ModelFormat::gguf;
  BOOST_TEST(error_of(other) == EOPNOTSUPP);
}

// Each model of ONNX's own tests is written in a way that parses, or refused.
BOOST_AUTO_TEST_CASE(all_of_onnx) {
  NEEDS_PYTHON();
  const fs::path data = "/usr/share/libonnx-testdata/data";
  if (!fs::exists(data)) SKIP("libonnx-testdata is not installed");
  std::vector<std::string> texts;
  std::size_t refused = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(data)) {
    if (entry.path().extension() != ".onnx") continue;
    try {
      texts.push_back(triton_config(read_metadata(entry.path()), {"m"}));
    } catch (const Error& e) {
      const int error = e.code().value();
      BOOST_TEST((error == EOPNOTSUPP || error == EINVAL), entry.path() << ": " << e.what());
      refused++;
    }
  }
  BOOST_TEST(texts.size() > 500u);
  BOOST_TEST(refused < texts.size() / 4);
  for (const Json& config : parsed(texts)) BOOST_TEST(config["backend"] == "onnxruntime");
}

BOOST_AUTO_TEST_SUITE_END()
