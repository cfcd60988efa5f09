// SPDX-License-Identifier: MIT
//
// What each format's reader is called, and what they share: checked arithmetic on shapes, and
// putting things into a Metadata.
//
// A reader is given a Source and fills a Metadata, or throws. Readers know nothing of files but
// what Source and Companions tell them, so that tests and fuzzers run them on bytes in memory. One
// thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <set>
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
  explicit Companions(Folder& folder) : folder_(&folder) {}

  // The size of the file at `location`, which is added to the model's files, once; nothing without
  // a folder. A file that is listed already by another name has that one from here on. Throws where
  // it is refused, or not there.
  std::optional<std::uint64_t> size_of(Source& source, std::uint64_t offset, std::string& location,
                                       Metadata& metadata);

 private:
  Folder* folder_ = nullptr;
  // Both tell where in the model's files.
  std::map<std::string, std::size_t> by_location_;
  std::map<FileId, std::size_t> by_id_;
};

// Names of a file that must not be there twice. Ordered, as a hash that is known makes a list of
// what should be a table. Paid for as long as this lives.
class Names {
 public:
  // What a name in a set or map takes beside its bytes.
  static constexpr std::uint64_t kEach = 96;

  explicit Names(Source& source) : source_(source) {}
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;
  ~Names() { source_.budget().left += paid_; }

  // False where it was there before.
  bool add(std::uint64_t offset, const std::string& name) {
    source_.pay(offset, name.size() + kEach);
    paid_ += name.size() + kEach;
    return names_.insert(name).second;
  }
  bool has(const std::string& name) const { return names_.contains(name); }

 private:
  Source& source_;
  std::uint64_t paid_ = 0;
  std::set<std::string> names_;
};

void read_safetensors(Source& source, Metadata& metadata);
void read_safetensors_index(Source& source, Folder& folder, Metadata& metadata);
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
// The same of one that was paid for where it was read.
void count_tensor(const Source& source, std::uint64_t offset, Metadata& metadata,
                  TensorRecord tensor);

// A kernel more, as add_tensor().
void add_entry_point(const Source& source, std::uint64_t offset, Metadata& metadata,
                     EntryPoint entry);

// What is shown of a text that should be short.
std::string shortened(const std::string& text);

// One more thing that the file says, as long as there is room; takes note of licences and of the
// model's name on the way.
void add_property(Metadata& metadata, std::string key, std::string value);

}  // namespace aiaccel::formats
