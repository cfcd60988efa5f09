// SPDX-License-Identifier: MIT
//
// What the readers share.

#include "formats/reader.h"

#include <algorithm>
#include <cctype>
#include <limits>

namespace aiaccel::formats {
namespace {

constexpr std::size_t kMostProperties = 1000;
constexpr std::size_t kMostValue = 4096;

bool one_of(std::string_view key, std::initializer_list<std::string_view> keys) {
  std::string lower(key);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(keys.begin(), keys.end(), lower) != keys.end();
}

}  // namespace

std::optional<std::uint64_t> Companions::size_of(Source& source, std::uint64_t offset,
                                                 std::string& location, Metadata& metadata) {
  if (!folder_) {
    if (std::string why = why_not_beside(location); !why.empty())
      source.refuse(offset, "the location " + in_quotes(location) + " " + why);
    return {};
  }
  auto found = by_location_.find(location);
  if (found == by_location_.end()) {
    source.pay(offset, 2 * (Names::kEach + location.size()) + sizeof(ModelFile));
    const OpenFile file = folder_->open(source, offset, location);
    const auto [known, added] = by_id_.emplace(file.id(), metadata.files.size());
    if (added) metadata.files.push_back({location, file.size()});
    found = by_location_.emplace(location, known->second).first;
  }
  const ModelFile& file = metadata.files[found->second];
  location = file.path;
  return file.size_bytes;
}

Extent extent(const Source& source, std::uint64_t offset, const Shape& shape, std::uint64_t block,
              std::uint64_t bits, bool padded) {
  Extent result;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    result.elements = 0;
    return result;
  }
  for (std::int64_t dimension : shape)
    if (dimension < 0 ||
        __builtin_mul_overflow(result.elements, static_cast<std::uint64_t>(dimension),
                               &result.elements))
      source.refuse(offset, "the product of the shape is larger than any file");
  if (result.elements % block)
    source.refuse(offset, std::to_string(result.elements) +
                              " elements are no whole number of blocks of " +
                              std::to_string(block));
  std::uint64_t whole;
  if (__builtin_mul_overflow(result.elements / block, bits, &whole) ||
      whole > std::numeric_limits<std::int64_t>::max())
    source.refuse(offset, "the tensor is larger than any file");
  if (whole % 8 && !padded) source.refuse(offset, "the tensor ends inside a byte");
  result.bytes = (whole + 7) / 8;
  return result;
}

void add_tensor(const Source& source, std::uint64_t offset, Metadata& metadata,
                TensorRecord tensor) {
  // The texts were paid for when they were read.
  source.pay(offset,
             sizeof tensor + tensor.scope.size() + tensor.shape.size() * sizeof tensor.shape[0]);
  count_tensor(source, offset, metadata, std::move(tensor));
}

void count_tensor(const Source& source, std::uint64_t offset, Metadata& metadata,
                  TensorRecord tensor) {
  if (__builtin_add_overflow(metadata.parameters, tensor.elements, &metadata.parameters))
    source.refuse(offset, "the tensors have more elements together than can be counted");
  metadata.tensors.push_back(std::move(tensor));
}

void add_entry_point(const Source& source, std::uint64_t offset, Metadata& metadata,
                     EntryPoint entry) {
  source.pay(offset, sizeof entry + entry.parameters.size() * sizeof(std::string));
  metadata.entry_points.push_back(std::move(entry));
}

std::string shortened(const std::string& text) {
  return text.substr(0, kMostValue);
}

void add_property(Metadata& metadata, std::string key, std::string value) {
  if (metadata.licence.empty() &&
      one_of(key, {"license", "licence", "general.license", "modelspec.license"}))
    metadata.licence = shortened(value);
  if (metadata.name.empty() && one_of(key, {"general.name", "modelspec.title"}))
    metadata.name = shortened(value);
  if (metadata.properties.size() < kMostProperties && key.size() <= kMostValue &&
      value.size() <= kMostValue)
    metadata.properties.emplace_back(std::move(key), std::move(value));
  else
    metadata.properties_left_out++;
}

}  // namespace aiaccel::formats
