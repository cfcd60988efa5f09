// SPDX-License-Identifier: MIT
//
// A Metadata as JSON.

#include <nlohmann/json.hpp>

#include <aiaccel/metadata.hpp>

namespace aiaccel {
namespace {

using Json = nlohmann::ordered_json;

Json shape_json(const Shape& shape, const std::vector<std::string>& symbols = {}) {
  Json json = Json::array();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] >= 0)
      json.push_back(shape[i]);
    else if (i < symbols.size() && !symbols[i].empty())
      json.push_back(symbols[i]);
    else
      json.push_back(nullptr);
  }
  return json;
}

Json values_json(const std::vector<ValueInfo>& values) {
  Json json = Json::array();
  for (const ValueInfo& value : values)
    json.push_back({{"name", value.name},
                    {"type", value.type},
                    {"shape", value.ranked ? shape_json(value.shape, value.symbols) : Json()}});
  return json;
}

Json tensor_json(const TensorRecord& tensor) {
  Json json = {{"name", tensor.name}};
  if (!tensor.scope.empty()) json["scope"] = tensor.scope;
  json["type"] = tensor.type;
  json["shape"] = shape_json(tensor.shape);
  json["bytes"] = tensor.bytes;
  if (!tensor.file.empty()) json["file"] = tensor.file;
  if (tensor.offset) json["offset"] = *tensor.offset;
  return json;
}

Json node_json(const NodeRecord& node) {
  Json json = {{"name", node.name}};
  if (!node.scope.empty()) json["scope"] = node.scope;
  json["op"] = node.op;
  json["inputs"] = node.inputs;
  json["outputs"] = node.outputs;
  return json;
}

// Names that differ only in what is no UTF-8 become one, and would be one key that is there twice.
std::map<std::string, std::uint64_t> mended(const std::map<std::string, std::uint64_t>& counts) {
  std::map<std::string, std::uint64_t> result;
  for (const auto& [name, count] : counts)
    result[Json::parse(Json(name).dump(-1, ' ', false, Json::error_handler_t::replace))
               .get<std::string>()] += count;
  return result;
}

}  // namespace

std::string to_string(ModelFormat format) {
  switch (format) {
    case ModelFormat::onnx:
      return "onnx";
    case ModelFormat::safetensors:
      return "safetensors";
    case ModelFormat::gguf:
      return "gguf";
    case ModelFormat::xclbin:
      return "xclbin";
    case ModelFormat::ptx:
      return "ptx";
    case ModelFormat::cubin:
      return "cubin";
  }
  return "format " + std::to_string(static_cast<int>(format));
}

std::string Metadata::to_json(int indent) const {
  Json json = {{"format", to_string(format)},
               {"format_version", format_version},
               {"size_bytes", size_bytes},
               {"name", name},
               {"architecture", architecture},
               {"producer", producer},
               {"producer_version", producer_version},
               {"licence", licence}};
  json["opsets"] = Json::array();
  for (const OpsetVersion& opset : opsets)
    json["opsets"].push_back({{"domain", opset.domain}, {"version", opset.version}});
  json["inputs"] = values_json(inputs);
  json["outputs"] = values_json(outputs);
  json["parameters"] = parameters;
  json["operators"] = mended(operators);
  json["entry_points"] = Json::array();
  for (const EntryPoint& entry : entry_points)
    json["entry_points"].push_back({{"name", entry.name}, {"parameters", entry.parameters}});
  json["files"] = Json::array();
  for (const ModelFile& file : files)
    json["files"].push_back({{"path", file.path}, {"size_bytes", file.size_bytes}});
  // Pairs and no object: keys that were mended may be the same.
  json["properties"] = Json::array();
  for (const auto& [key, value] : properties)
    json["properties"].push_back({{"key", key}, {"value", value}});
  json["properties_left_out"] = properties_left_out;
  json["tensors"] = Json::array();
  for (const TensorRecord& tensor : tensors) json["tensors"].push_back(tensor_json(tensor));
  json["nodes"] = Json::array();
  for (const NodeRecord& node : nodes) json["nodes"].push_back(node_json(node));
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace aiaccel
