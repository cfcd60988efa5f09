// SPDX-License-Identifier: MIT
//
// GGUF, versions 2 and 3, little-endian: a header of counts, keys with values, a list of tensors,
// and behind padding the tensors' bytes. Every length is checked against what is left of the file
// before anything is done with it, by subtraction, as sums wrap; counts are never believed, only
// walked.

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "formats/elements.h"
#include "formats/reader.h"

namespace aiaccel::formats {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kMostKey = 65535;
constexpr std::uint64_t kMostTensorName = 1024;
constexpr std::uint32_t kMostDimensions = 4;
constexpr unsigned kDeepest = 4;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMostAlignment = std::uint64_t{1} << 30;
// What of a value is shown: an array's elements up to so many, a text up to so many bytes.
constexpr std::uint64_t kMostShown = 16;
constexpr std::uint64_t kMostText = 65536;
// Keys and the list of tensors; in a hole of a file their lengths are 0, and there is no end of
// them.
constexpr std::uint64_t kMostHeader = std::uint64_t{1} << 30;

enum Type : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  text,
  array,
  u64,
  i64,
  f64,
};
constexpr std::uint64_t kTypeBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr const char* kTypeNames[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                      "int32",  "float32", "bool",   "string", "array",
                                      "uint64", "int64",   "float64"};

class Gguf {
 public:
  Gguf(Source& source, Metadata& metadata)
      : source_(source), metadata_(metadata), names_(source), tensor_names_(source) {}

  void read() {
    header();
    for (std::uint64_t i = 0; i < keys_; ++i) pair();
    std::vector<Range> ranges;
    for (std::uint64_t i = 0; i < tensors_; ++i) tensor(ranges);
    place(ranges);
  }

 private:
  struct Range {
    std::uint64_t begin, bytes;
    std::size_t tensor;
    std::uint64_t at;
  };

  template <typename T>
  T take() {
    if (at_ > kMostHeader)
      source_.refuse(at_,
                     "a header of more than " + std::to_string(kMostHeader) + " bytes is not read");
    const T value = source_.number<T>(at_);
    at_ += sizeof(T);
    return value;
  }

  // The length of what comes next, all of which is there.
  std::uint64_t length(const char* what, std::uint64_t most) {
    const std::uint64_t at = at_;
    const auto bytes = take<std::uint64_t>();
    if (bytes > most)
      source_.refuse(at, std::string(what) + " has " + std::to_string(bytes) +
                             " bytes, and at most " + std::to_string(most) + " are allowed");
    source_.need(at_, bytes, what);
    return bytes;
  }

  std::string name(const char* what, std::uint64_t most) {
    const std::uint64_t bytes = length(what, most);
    std::string name = source_.text(at_, bytes);
    at_ += bytes;
    return name;
  }

  void header() {
    if (source_.number<std::uint32_t>(0) != kMagic)
      source_.refuse(0, "a GGUF file begins with 'GGUF'");
    at_ = 4;
    const auto version = take<std::uint32_t>();
    if (version == 0x02000000 || version == 0x03000000)
      source_.refuse(4, "the file is big-endian, which is not read", EOPNOTSUPP);
    if (version != 2 && version != 3)
      source_.refuse(4, "GGUF version " + std::to_string(version) + " is not read, only 2 and 3",
                     EOPNOTSUPP);
    metadata_.format_version = std::to_string(version);
    // The least that one tensor takes: lengths of nothing, no dimension, a type, an offset; and one
    // key.
    tensors_ = count("tensors", 8 + 4 + 4 + 8);
    keys_ = count("keys", 8 + 4 + 1);
  }

  std::uint64_t count(const char* what, std::uint64_t least_bytes) {
    const std::uint64_t at = at_;
    const auto count = take<std::uint64_t>();
    if (count > source_.size() / least_bytes)
      source_.refuse(at, std::to_string(count) + " " + what + " do not fit the file");
    return count;
  }

  void pair() {
    const std::uint64_t at = at_;
    std::string key = name("a key", kMostKey);
    if (key.empty()) source_.refuse(at, "a key has no name");
    if (!names_.add(at, key)) source_.refuse(at, "the key " + in_quotes(key) + " is there twice");
    const std::uint64_t type_at = at_;
    const auto type = take<std::uint32_t>();
    if (key == "general.alignment") {
      if (type != Type::u32) source_.refuse(type_at, "general.alignment is no uint32");
      alignment_ = source_.number<std::uint32_t>(at_);
      if (!std::has_single_bit(alignment_) || alignment_ > kMostAlignment)
        source_.refuse(at_, "the alignment " + std::to_string(alignment_) +
                                " is no power of two up to " + std::to_string(kMostAlignment));
    }
    std::optional<std::string> shown = value(type, type_at, 0);
    if (!shown) {
      metadata_.properties_left_out++;
      return;
    }
    if (key == "general.architecture") metadata_.architecture = shortened(*shown);
    source_.pay(at, shown->size() + sizeof(metadata_.properties[0]));
    add_property(metadata_, std::move(key), std::move(*shown));
  }

  // Steps over a value, and gives it as text unless it is too long for that.
  std::optional<std::string> value(std::uint32_t type, std::uint64_t type_at, unsigned depth) {
    switch (type) {
      case Type::text: {
        const std::uint64_t bytes = length("a text", std::numeric_limits<std::uint64_t>::max());
        std::optional<std::string> shown;
        if (bytes <= kMostText) shown = source_.text(at_, bytes);
        at_ += bytes;
        return shown;
      }
      case Type::array:
        return array_value(type_at, depth);
      default:
        if (type >= std::size(kTypeBytes))
          source_.refuse(type_at, "there is no type " + std::to_string(type) + " of values");
        return number(type);
    }
  }

  std::string number(std::uint32_t type) {
    switch (type) {
      case Type::u8:
        return std::to_string(take<std::uint8_t>());
      case Type::i8:
        return std::to_string(take<std::int8_t>());
      case Type::u16:
        return std::to_string(take<std::uint16_t>());
      case Type::i16:
        return std::to_string(take<std::int16_t>());
      case Type::u32:
        return std::to_string(take<std::uint32_t>());
      case Type::i32:
        return std::to_string(take<std::int32_t>());
      case Type::u64:
        return std::to_string(take<std::uint64_t>());
      case Type::i64:
        return std::to_string(take<std::int64_t>());
      case Type::f32:
        return float_text(std::bit_cast<float>(take<std::uint32_t>()));
      case Type::f64:
        return float_text(std::bit_cast<double>(take<std::uint64_t>()));
      default: {
        const std::uint64_t at = at_;
        const auto value = take<std::uint8_t>();
        if (value > 1)
          source_.refuse(at, "a truth value is 0 or 1, and this is " + std::to_string(value));
        return value ? "true" : "false";
      }
    }
  }

  template <typename T>
  static std::string float_text(T value) {
    // As few digits as tell it from all others; no locale has a say.
    const T size = std::fabs(value);
    const bool plain = size == 0 || (size >= T{1e-4} && size < T{1e15});
    char text[64];
    const auto end =
        std::to_chars(text, text + sizeof text, value,
                      plain ? std::chars_format::fixed : std::chars_format::scientific);
    return {text, end.ptr};
  }

  std::string array_value(std::uint64_t type_at, unsigned depth) {
    if (depth == kDeepest) source_.refuse(type_at, "arrays are nested too deeply");
    const std::uint64_t element_at = at_;
    const auto type = take<std::uint32_t>();
    if (type >= std::size(kTypeBytes))
      source_.refuse(element_at, "there is no type " + std::to_string(type) + " of values");
    const std::uint64_t count_at = at_;
    const auto count = take<std::uint64_t>();
    const bool nested = type == Type::array, texts = type == Type::text;
    // The least that an element takes: an empty text has its length, an empty array a type, too.
    const std::uint64_t least = nested ? 12 : texts ? 8 : kTypeBytes[type];
    if (count > (source_.size() - at_) / least)
      source_.refuse(count_at,
                     "an array of " + std::to_string(count) + " elements does not fit the file");
    if (count <= kMostShown && !nested) return listed(type, count, depth);
    if (!nested && !texts) {
      at_ += count * least;
    } else {
      for (std::uint64_t i = 0; i < count; ++i)
        if (texts)
          at_ += length("a text", std::numeric_limits<std::uint64_t>::max());
        else
          array_value(at_, depth + 1);
    }
    return std::string(kTypeNames[type]) + "[" + std::to_string(count) + "]";
  }

  std::string listed(std::uint32_t type, std::uint64_t count, unsigned depth) {
    std::string shown = "[";
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i) shown += ", ";
      shown += value(type, at_, depth).value_or("...");
    }
    return shown + "]";
  }

  void tensor(std::vector<Range>& ranges) {
    const std::uint64_t at = at_;
    TensorRecord tensor;
    tensor.name = name("a tensor's name", kMostTensorName);
    if (!tensor_names_.add(at, tensor.name))
      source_.refuse(at, "the tensor " + in_quotes(tensor.name) + " is there twice");
    const std::uint64_t shape_at = at_;
    const auto dimensions = take<std::uint32_t>();
    if (dimensions > kMostDimensions)
      source_.refuse(shape_at, "the tensor " + in_quotes(tensor.name) + " has " +
                                   std::to_string(dimensions) + " dimensions, and at most " +
                                   std::to_string(kMostDimensions) + " are allowed");
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      const std::uint64_t dimension_at = at_;
      const auto dimension = take<std::uint64_t>();
      if (dimension > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        source_.refuse(dimension_at,
                       "the dimension " + std::to_string(dimension) + " is larger than any file");
      tensor.shape.push_back(static_cast<std::int64_t>(dimension));
    }
    const std::uint64_t type_at = at_;
    const auto type = take<std::uint32_t>();
    const Element element = ggml_element(type);
    if (element.name.empty())
      source_.refuse(type_at, "the element type " + std::to_string(type) + " is not known",
                     EOPNOTSUPP);
    // Blocks do not reach from one row into the next.
    const std::uint64_t row =
        tensor.shape.empty() ? 1 : static_cast<std::uint64_t>(tensor.shape.front());
    if (row % element.block)
      source_.refuse(shape_at, "a row of " + std::to_string(row) +
                                   " elements is no whole number of blocks of " +
                                   std::to_string(element.block));
    const Extent wanted = extent(source_, shape_at, tensor.shape, element.block, element.bits);
    // The file has the innermost dimension first.
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    tensor.type = element.name;
    tensor.elements = wanted.elements;
    tensor.bytes = wanted.bytes;
    const std::uint64_t offset_at = at_;
    const auto offset = take<std::uint64_t>();
    if (offset % alignment_)
      source_.refuse(offset_at, "the offset " + std::to_string(offset) + " is no multiple of " +
                                    std::to_string(alignment_));
    source_.pay(at, sizeof(Range));
    ranges.push_back({offset, wanted.bytes, metadata_.tensors.size(), offset_at});
    add_tensor(source_, at, metadata_, std::move(tensor));
  }

  // The tensors lie in what is left of the file, each by itself.
  void place(std::vector<Range>& ranges) {
    const std::uint64_t over = at_ % alignment_;
    const std::uint64_t padding = over ? alignment_ - over : 0;
    if (ranges.empty()) return;
    source_.need(at_, padding, "the padding before the tensors");
    const std::uint64_t data = at_ + padding;
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.bytes < b.bytes;
    });
    std::uint64_t at = 0;
    for (const Range& range : ranges) {
      TensorRecord& tensor = metadata_.tensors[range.tensor];
      const std::uint64_t room = source_.size() - data;
      if (range.begin > room || range.bytes > room - range.begin)
        source_.refuse(
            range.at, "the tensor " + in_quotes(tensor.name) + " of " +
                          std::to_string(range.bytes) + " bytes at " + std::to_string(range.begin) +
                          " ends behind the file, whose tensors have " + std::to_string(room));
      if (range.begin < at)
        source_.refuse(range.at,
                       "the tensor " + in_quotes(tensor.name) + " overlaps the one before it");
      tensor.offset = data + range.begin;
      at = range.begin + range.bytes;
    }
  }

  Source& source_;
  Metadata& metadata_;
  std::uint64_t at_ = 0;
  std::uint64_t tensors_ = 0, keys_ = 0;
  std::uint64_t alignment_ = kDefaultAlignment;
  Names names_, tensor_names_;
};

}  // namespace

void read_gguf(Source& source, Metadata& metadata) {
  Gguf(source, metadata).read();
}

}  // namespace aiaccel::formats
