// SPDX-License-Identifier: MIT
//
// Reading a model's metadata: which format a file has, and its reader.

#include <aiaccel/metadata.hpp>

#include <cerrno>
#include <string_view>

#include "formats/reader.h"

namespace aiaccel {
namespace {

using formats::Source;

std::optional<ModelFormat> by_name(const std::filesystem::path& file) {
  const std::string suffix = file.extension().string();
  if (suffix == ".onnx") return ModelFormat::onnx;
  if (suffix == ".safetensors") return ModelFormat::safetensors;
  if (suffix == ".gguf") return ModelFormat::gguf;
  if (suffix == ".xclbin") return ModelFormat::xclbin;
  if (suffix == ".ptx") return ModelFormat::ptx;
  if (suffix == ".cubin") return ModelFormat::cubin;
  return {};
}

// "model.safetensors.index.json", "model.safetensors.index.fp16.json".
bool is_index(const std::string& name) {
  return name.ends_with(".json") && name.find(".safetensors.index.") != std::string::npos;
}

// GGUF, xclbin and ELF have marks; PTX begins with its version; safetensors has a header of a
// length that fits and begins with a brace. What is left is ONNX, which has neither, or refused by
// its reader.
ModelFormat by_contents(Source& source) {
  if (source.size() >= 4 && source.number<std::uint32_t>(0) == 0x46554747) return ModelFormat::gguf;
  if (formats::is_xclbin(source)) return ModelFormat::xclbin;
  if (formats::is_cubin(source)) return ModelFormat::cubin;
  if (formats::is_ptx(source)) return ModelFormat::ptx;
  if (source.size() > 9 && source.number<std::uint64_t>(0) <= source.size() - 8 &&
      source.number<std::uint8_t>(8) == '{')
    return ModelFormat::safetensors;
  return ModelFormat::onnx;
}

void read(Source& source, formats::Companions& companions, Metadata& metadata) {
  switch (metadata.format) {
    case ModelFormat::onnx:
      return read_onnx(source, companions, metadata);
    case ModelFormat::safetensors:
      return read_safetensors(source, metadata);
    case ModelFormat::gguf:
      return read_gguf(source, metadata);
    case ModelFormat::xclbin:
      return read_xclbin(source, metadata);
    case ModelFormat::ptx:
      return read_ptx(source, metadata);
    case ModelFormat::cubin:
      return read_cubin(source, metadata);
  }
  throw Error(EINVAL, "there is no " + to_string(metadata.format));
}

}  // namespace

Metadata read_metadata(const std::filesystem::path& file, const MetadataOptions& options) {
  const formats::OpenFile open = formats::OpenFile::named(file);
  formats::Budget budget;
  Source source(open.name(), open.fd(), open.size(), budget);
  Metadata metadata;
  metadata.files.push_back({file.filename().string(), open.size()});
  const bool index =
      options.format.value_or(ModelFormat::safetensors) == ModelFormat::safetensors &&
      is_index(file.filename().string());
  if (index)
    metadata.format = ModelFormat::safetensors;
  else if (options.format)
    metadata.format = *options.format;
  else if (auto format = by_name(file))
    metadata.format = *format;
  else
    metadata.format = by_contents(source);

  formats::Folder folder(file, options);
  if (index) {
    read_safetensors_index(source, folder, metadata);
  } else {
    formats::Companions companions(folder);
    read(source, companions, metadata);
  }
  open.check_unchanged();
  folder.check_unchanged();
  for (const ModelFile& each : metadata.files)
    if (__builtin_add_overflow(metadata.size_bytes, each.size_bytes, &metadata.size_bytes))
      throw Error(EOVERFLOW, open.name() + ": its files are larger together than can be counted");
  return metadata;
}

Metadata read_metadata(std::span<const std::byte> bytes, ModelFormat format) {
  formats::Budget budget;
  Source source(to_string(format), bytes, budget);
  Metadata metadata;
  metadata.format = format;
  formats::Companions companions;
  read(source, companions, metadata);
  metadata.files.push_back({"", bytes.size()});
  metadata.size_bytes = bytes.size();
  return metadata;
}

}  // namespace aiaccel
