// SPDX-License-Identifier: MIT
//
// What each format's reader is called, and what they share: checked arithmetic on shapes, and
// putting things into a Metadata.
//
// A reader is given a Source and fills a Metadata, or throws. Readers know nothing of files but
// what Source and Companions tell them, so that tests and fuzzers run them on bytes in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "formats/files.h"
#include "formats/source.h"

namespace aiaccel::formats {

// The files beside the one that is read. Without a folder (bytes in memory) there is none, and what
// a model says of them is believed.
class Companions {
 public:
  Companions() = default;
  explicit Companions(const Folder& folder) : folder_(&folder) {}

  // The size of the file at `location`, which is added to the model's files; nothing without a
  // folder. Throws where it is refused, or not there.
  std::optional<std::uint64_t> size_of(Source& source, std::uint64_t offset,
                                       const std::string& location, Metadata& metadata);

 private:
  const Folder* folder_ = nullptr;
  std::map<std::string, std::uint64_t> known_;
};

void read_safetensors(Source& source, Metadata& metadata);
void read_safetensors_index(Source& source, const Folder& folder, Metadata& metadata);
void read_gguf(Source& source, Metadata& metadata);
void read_xclbin(Source& source, Metadata& metadata);
void read_ptx(Source& source, Metadata& metadata);
void read_cubin(Source& source, Metadata& metadata);
void read_onnx(Source& source, Companions& companions, Metadata& metadata);

// Whether a file begins as these do.
bool is_xclbin(Source& source);
bool is_ptx(Source& source);
bool is_cubin(Source& source);

// Numbers of one tensor, computed without wrapping. `elements` and `bytes` are 0 for an empty shape
// dimension, whatever the others are.
struct Extent {
  std::uint64_t elements = 1;
  std::uint64_t bytes = 0;
};
// A block of `block` elements takes `bits`; refuses at `offset` what no file can hold, and what is
// no whole number of blocks (`padded`: the last byte may be half used).
Extent extent(const Source& source, std::uint64_t offset, const Shape& shape, std::uint64_t block,
              std::uint64_t bits, bool padded = false);

// A tensor more: paid for, counted.
void add_tensor(const Source& source, std::uint64_t offset, Metadata& metadata,
                TensorRecord tensor);

// A kernel more, as add_tensor().
void add_entry_point(const Source& source, std::uint64_t offset, Metadata& metadata,
                     EntryPoint entry);

// One more thing that the file says, as long as there is room; takes note of licences and of the
// model's name on the way.
void add_property(Metadata& metadata, std::string key, std::string value);

}  // namespace aiaccel::formats
