// SPDX-License-Identifier: MIT
//
// See triton.hpp. The fields are those of Triton's model_config.proto, in the text format of
// protocol buffers; names come out of the model's file and are written as its strings have to be.
#include "registry/triton.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace aiaccel::registry {
namespace {

constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
    {"bool", "TYPE_BOOL"},     {"uint8", "TYPE_UINT8"},   {"uint16", "TYPE_UINT16"},
    {"uint32", "TYPE_UINT32"}, {"uint64", "TYPE_UINT64"}, {"int8", "TYPE_INT8"},
    {"int16", "TYPE_INT16"},   {"int32", "TYPE_INT32"},   {"int64", "TYPE_INT64"},
    {"float16", "TYPE_FP16"},  {"float32", "TYPE_FP32"},  {"float64", "TYPE_FP64"},
    {"bfloat16", "TYPE_BF16"}, {"string", "TYPE_STRING"},
};

// A string in the text format. Whatever is not printable ASCII is written in octal, always with
// three digits, so that no digit behind it is taken for one more.
std::string string_text(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += fmt::format("\\{}", c);
    else if (byte < 0x20 || byte > 0x7e)
      result += fmt::format("\\{:03o}", byte);
    else
      result += c;
  }
  return result + "\"";
}

std::string_view triton_type(const ValueInfo& value) {
  for (const auto& [ours, theirs] : kTypes)
    if (value.type == ours) return theirs;
  throw Error(EOPNOTSUPP, fmt::format("{}: Triton has no type for {}", value.name,
                                      value.type.empty() ? "a value without one" : value.type));
}

// Triton batches along the first dimension of everything, which has to be the same one.
bool can_batch(const Metadata& metadata) {
  const std::string* symbol = nullptr;
  const auto fits = [&symbol](const ValueInfo& value) {
    static const std::string unnamed;
    if (!value.ranked || value.shape.empty() || value.shape[0] >= 0) return false;
    const std::string& own = value.symbols.empty() ? unnamed : value.symbols[0];
    if (!symbol) symbol = &own;
    return *symbol == own;
  };
  return std::all_of(metadata.inputs.begin(), metadata.inputs.end(), fits) &&
         std::all_of(metadata.outputs.begin(), metadata.outputs.end(), fits);
}

std::string value_text(const char* field, const ValueInfo& value, bool batched) {
  if (value.name.empty()) throw Error(EINVAL, fmt::format("an {} has no name", field));
  if (!value.ranked)
    throw Error(EOPNOTSUPP,
                fmt::format("{}: Triton needs a rank, and this may be of any", value.name));
  std::vector<std::int64_t> dimensions(value.shape.begin() + (batched ? 1 : 0), value.shape.end());
  for (std::int64_t& dimension : dimensions) {
    if (dimension == 0)
      throw Error(EOPNOTSUPP, fmt::format("{}: Triton takes no dimension of 0", value.name));
    dimension = std::max<std::int64_t>(dimension, -1);
  }
  std::string reshape;
  if (dimensions.empty()) {
    // A shape of Triton's has a dimension at least. Its backend knows that a scalar has none, but
    // not that only the batch was there.
    dimensions = {1};
    if (batched) reshape = "    reshape { shape: [ ] }\n";
  }
  return fmt::format("{} [\n  {{\n    name: {}\n    data_type: {}\n    dims: [ {} ]\n{}  }}\n]\n",
                     field, string_text(value.name), triton_type(value),
                     fmt::join(dimensions, ", "), reshape);
}

}  // namespace

std::string triton_config(const Metadata& metadata, const TritonOptions& options) {
  if (metadata.format != ModelFormat::onnx)
    throw Error(EOPNOTSUPP,
                fmt::format("Triton has no backend of its own for {}", to_string(metadata.format)));
  if (metadata.inputs.empty() || metadata.outputs.empty())
    throw Error(EINVAL, "a model without inputs or without outputs cannot be served");
  const bool batched = options.max_batch_size > 0 && can_batch(metadata);
  std::string text = fmt::format("name: {}\nbackend: \"onnxruntime\"\nmax_batch_size: {}\n",
                                 string_text(options.name), batched ? options.max_batch_size : 0);
  if (options.model_filename != "model.onnx")
    text += fmt::format("default_model_filename: {}\n", string_text(options.model_filename));
  if (options.version)
    text += fmt::format("version_policy {{ specific {{ versions: [ {} ] }} }}\n", options.version);
  for (const ValueInfo& value : metadata.inputs) text += value_text("input", value, batched);
  for (const ValueInfo& value : metadata.outputs) text += value_text("output", value, batched);
  return text;
}

}  // namespace aiaccel::registry
