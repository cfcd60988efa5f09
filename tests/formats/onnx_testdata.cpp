// SPDX-License-Identifier: MIT
//
// All models of libonnx-testdata, and the real ones that setup fetches, held against what ONNX's
// own library says of them (python3-onnx, onnx_testdata.py): inputs, outputs, operators, weights.
#include "formats/fixture.hpp"

#include <cstdio>
#include <set>

#include <nlohmann/json.hpp>

#include "formats/elements.h"

using namespace aiaccel;
using nlohmann::json;

namespace {

const std::filesystem::path kData = "/usr/share/libonnx-testdata/data";
// Debian's, whatever other python there is.
const char* const kPython = "/usr/bin/python3";

// What the other library says of each model in `folder`, a line each.
std::vector<json> other_side(const std::filesystem::path& folder) {
  const std::string command =
      std::string(kPython) + " tests/formats/onnx_testdata.py '" + folder.string() + "'";
  std::FILE* pipe = ::popen(command.c_str(), "re");
  BOOST_REQUIRE(pipe);
  std::string text;
  char buffer[65536];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe))
    text.append(buffer, got);
  BOOST_REQUIRE(::pclose(pipe) == 0);
  std::vector<json> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines.push_back(
        json::parse(text.begin() + static_cast<long>(at), text.begin() + static_cast<long>(end)));
    at = end + 1;
  }
  return lines;
}

std::string why_missing() {
  const std::string command = std::string(kPython) + " -c 'import onnx' 2>/dev/null";
  return std::system(command.c_str()) == 0 ? "" : "python3-onnx is not installed";  // NOLINT
}

json values(const std::vector<ValueInfo>& infos, const json& wanted) {
  json all = json::array();
  for (const ValueInfo& info : infos) {
    json shape;
    if (info.ranked) {
      shape = json::array();
      for (std::size_t i = 0; i < info.shape.size(); ++i)
        shape.push_back(json::array({info.shape[i], info.symbols[i]}));
    }
    // The name of another kind than a tensor; of a tensor its element type's number.
    json type = info.type.substr(0, info.type.find('('));
    for (std::uint64_t number = 1; number <= 26; ++number)
      if (formats::onnx_element(number).name == info.type) type = number;
    if (const std::size_t i = all.size(); i < wanted.size() && wanted[i][1].is_string())
      type = std::string(type) + "_type";
    all.push_back(json::array({info.name, type, shape}));
  }
  return all;
}

// What differs, "" when nothing does.
std::string difference(const json& wanted) {
  const Metadata metadata = read_metadata(std::filesystem::path(std::string(wanted["path"])));
  json opsets = json::array(), sizes = json::array();
  for (const OpsetVersion& opset : metadata.opsets)
    opsets.push_back(json::array({opset.domain, opset.version}));
  const json got = {{"ir", std::stoll(metadata.format_version)},
                    {"graph", metadata.name},
                    {"producer", metadata.producer},
                    {"opsets", opsets},
                    {"inputs", values(metadata.inputs, wanted["inputs"])},
                    {"outputs", values(metadata.outputs, wanted["outputs"])},
                    {"operators", metadata.operators}};
  for (const auto& [key, value] : got.items())
    if (wanted[key] != value) return key + ": " + value.dump() + " and not " + wanted[key].dump();
  // Weights, in whatever order.
  std::multiset<std::string> ours, theirs;
  for (const TensorRecord& tensor : metadata.tensors)
    ours.insert(tensor.name + " " + tensor.type + json(tensor.shape).dump());
  std::uint64_t elements = 0;
  for (const json& tensor : wanted["tensors"]) {
    // Of a sparse one the fourth is the shape of its values.
    const bool sparse = tensor.size() == 4;
    const std::string type(formats::onnx_element(tensor[2]).name);
    theirs.insert(std::string(tensor[0]) + " " + (sparse ? "sparse(" + type + ")" : type) +
                  tensor[1].dump());
    std::uint64_t product = 1;
    for (const json& dimension : tensor[sparse ? 3 : 1]) product *= dimension.get<std::uint64_t>();
    elements += product;
  }
  if (ours != theirs) return json(ours).dump() + " are the tensors and not " + json(theirs).dump();
  if (elements != metadata.parameters)
    return std::to_string(metadata.parameters) + " parameters and not " + std::to_string(elements);
  return {};
}

std::size_t compare(const std::filesystem::path& folder) {
  const std::vector<json> models = other_side(folder);
  for (const json& wanted : models) {
    std::string why;
    try {
      why = difference(wanted);
    } catch (const std::exception& error) {
      why = error.what();
    }
    BOOST_TEST(why == "", std::string(wanted["path"]) << ": " << why);
  }
  return models.size();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(onnx_testdata)

BOOST_AUTO_TEST_CASE(all_models_are_read) {
  if (!std::filesystem::exists(kData)) SKIP("libonnx-testdata is not installed");
  std::size_t read = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kData))
    if (entry.path().extension() == ".onnx") {
      const auto refusal = fixture::refusal_of([&] { read_metadata(entry.path()); });
      BOOST_TEST(refusal.what == "", entry.path());
      ++read;
    }
  BOOST_TEST(read > 1000u);
}

BOOST_AUTO_TEST_CASE(all_models_are_as_onnx_reads_them) {
  if (!std::filesystem::exists(kData)) SKIP("libonnx-testdata is not installed");
  if (const std::string why = why_missing(); !why.empty()) SKIP(why);
  BOOST_TEST(compare(kData) > 1000u);
}

BOOST_AUTO_TEST_CASE(real_models_are_as_onnx_reads_them) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path models =
      (cache && *cache ? cache : std::filesystem::path(home ? home : "/root") / ".cache") /
      "aiaccel/models";
  if (!std::filesystem::exists(models)) SKIP(models.string() + " is missing: run scripts/setup");
  if (const std::string why = why_missing(); !why.empty()) SKIP(why);
  BOOST_TEST(compare(models) >= 3u);
}

BOOST_AUTO_TEST_SUITE_END()
