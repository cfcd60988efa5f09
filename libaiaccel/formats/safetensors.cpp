// SPDX-License-Identifier: MIT
//
// safetensors: eight bytes with the length of a header, the header as JSON, then the tensors'
// bytes. As the format's own reader does, refuses a header above 100 MB, keys that are there twice,
// and tensors that do not fill the rest of the file without a hole or an overlap.
//
// A model in several files has an index, JSON as well, that says which tensor is in which.

#include <algorithm>
#include <limits>
#include <map>

#include "formats/elements.h"
#include "formats/json_events.h"
#include "formats/reader.h"

namespace aiaccel::formats {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeader = 100'000'000;
constexpr std::size_t kMostDimensions = 64;

std::string json_text(Source& source, std::uint64_t begin, std::uint64_t length) {
  std::string text = source.text(begin, length);
  source.budget().left += length;  // not kept
  return text;
}

// {"__metadata__": {key: text}, name: {"dtype": text, "shape": [n…], "data_offsets": [begin, end]}}
class Header : public JsonEvents {
 public:
  struct Range {
    std::uint64_t begin, end;
    std::size_t tensor;
    std::uint64_t at;  // where the header says so
  };

  Header(Source& source, std::uint64_t begin, std::uint64_t data, Metadata& metadata)
      : JsonEvents(source, begin),
        source_(source),
        data_(data),
        metadata_(metadata),
        names_(source),
        keys_(source) {}
  // The ranges are not kept.
  ~Header() override { source_.budget().left += ranges_.size() * sizeof(Range); }

  std::vector<Range>& ranges() { return ranges_; }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::start:
        place_ = Place::names;
        return true;
      case Place::value_of_name:
        place_ = is_metadata_ ? Place::metadata : Place::tensor;
        return true;
      default:
        unexpected("an object");
    }
  }

  bool null() override {
    // The format's own reader takes it for none.
    if (place_ != Place::value_of_name || !is_metadata_) unexpected("null");
    place_ = Place::names;
    return true;
  }

  bool end_object() override {
    switch (place_) {
      case Place::names:
        place_ = Place::end;
        return true;
      case Place::metadata:
        place_ = Place::names;
        return true;
      case Place::tensor:
        add();
        place_ = Place::names;
        return true;
      default:
        unexpected("the end of an object");
    }
  }

  bool key(string_t& key) override {
    switch (place_) {
      case Place::names:
        new_name(key);
        return true;
      case Place::metadata:
        pay(key.size() + sizeof(metadata_.properties[0]));
        if (!keys_.add(here(), key)) refuse("the key " + in_quotes(key) + " is there twice");
        key_ = key;
        place_ = Place::value_of_key;
        return true;
      case Place::tensor:
        place_ = field(key);
        return true;
      default:
        unexpected("a key");
    }
  }

  bool string(string_t& text) override {
    if (place_ == Place::value_of_key) {
      pay(text.size());
      add_property(metadata_, std::move(key_), text);
      place_ = Place::metadata;
      return true;
    }
    if (place_ != Place::dtype) unexpected("a string");
    element_ = safetensors_element(text);
    if (element_.name.empty())
      source_.refuse(here(), "the element type " + in_quotes(text) + " is not known", EOPNOTSUPP);
    place_ = Place::tensor;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::shape)
      place_ = Place::in_shape;
    else if (place_ == Place::offsets)
      place_ = Place::in_offsets;
    else
      unexpected("an array");
    return true;
  }

  bool end_array() override {
    if (place_ == Place::in_offsets && offsets_.size() != 2)
      refuse("data_offsets are two numbers, and these are " + std::to_string(offsets_.size()));
    if (place_ != Place::in_shape && place_ != Place::in_offsets) unexpected("the end of an array");
    place_ = Place::tensor;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::in_shape) {
      if (shape_.size() == kMostDimensions) refuse("the shape has too many dimensions");
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        refuse("the dimension " + std::to_string(value) + " is larger than any file");
      shape_.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::in_offsets) {
      if (offsets_.size() == 2) refuse("data_offsets are two numbers, and here is a third");
      offsets_.push_back(value);
    } else {
      unexpected("a number");
    }
    return true;
  }
  // What is not negative but written as if it were.
  bool number_integer(number_integer_t) override { refuse("a negative number"); }

 private:
  enum class Place {
    start,
    names,
    value_of_name,
    metadata,
    value_of_key,
    tensor,
    dtype,
    shape,
    in_shape,
    offsets,
    in_offsets,
    end
  };

  void new_name(const string_t& name) {
    pay(name.size());
    if (!names_.add(here(), name)) refuse("the name " + in_quotes(name) + " is there twice");
    is_metadata_ = name == "__metadata__";
    name_ = name;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    shape_.clear();
    offsets_.clear();
    place_ = Place::value_of_name;
  }

  Place field(const string_t& key) {
    bool* has;
    Place next;
    if (key == "dtype") {
      has = &has_dtype_;
      next = Place::dtype;
    } else if (key == "shape") {
      has = &has_shape_;
      next = Place::shape;
    } else if (key == "data_offsets") {
      has = &has_offsets_;
      next = Place::offsets;
    } else {
      refuse("a tensor has no " + in_quotes(key));
    }
    if (*has) refuse(in_quotes(key) + " of " + in_quotes(name_) + " is there twice");
    *has = true;
    return next;
  }

  void add() {
    if (!has_dtype_ || !has_shape_ || !has_offsets_)
      refuse("the tensor " + in_quotes(name_) + " lacks its " +
             (!has_dtype_   ? "dtype"
              : !has_shape_ ? "shape"
                            : "data_offsets"));
    const Extent wanted = extent(source_, here(), shape_, element_.block, element_.bits);
    const std::uint64_t begin = offsets_[0], end = offsets_[1];
    if (begin > end || end > source_.size() - data_)
      refuse("the tensor " + in_quotes(name_) + " lies from " + std::to_string(begin) + " to " +
             std::to_string(end) + " of " + std::to_string(source_.size() - data_) + " bytes");
    if (end - begin != wanted.bytes)
      refuse("the tensor " + in_quotes(name_) + " has room for " + std::to_string(end - begin) +
             " bytes and takes " + std::to_string(wanted.bytes));
    pay(sizeof(Range));
    ranges_.push_back({begin, end, metadata_.tensors.size(), here()});
    add_tensor(source_, here(), metadata_,
               {.name = std::move(name_),
                .scope = {},
                .type = std::string(element_.name),
                .shape = shape_,
                .elements = wanted.elements,
                .bytes = wanted.bytes,
                .file = {},
                .offset = data_ + begin});
  }

  Source& source_;
  const std::uint64_t data_;  // where the tensors' bytes begin
  Metadata& metadata_;
  Place place_ = Place::start;
  Names names_, keys_;
  std::vector<Range> ranges_;

  std::string name_, key_;
  bool is_metadata_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  Element element_;
  Shape shape_;
  std::vector<std::uint64_t> offsets_;
};

// In the order of their bytes, the tensors follow each other and end where the file does.
void check_ranges(const Source& source, std::vector<Header::Range>& ranges, std::uint64_t data,
                  const Metadata& metadata) {
  std::sort(ranges.begin(), ranges.end(), [](const Header::Range& a, const Header::Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t at = 0;
  for (const Header::Range& range : ranges) {
    const std::string name = in_quotes(metadata.tensors[range.tensor].name);
    if (range.begin < at)
      source.refuse(range.at, "the tensor " + name + " overlaps the one before it");
    if (range.begin > at)
      source.refuse(range.at, "there is a hole of " + std::to_string(range.begin - at) +
                                  " bytes before the tensor " + name);
    at = range.end;
  }
  if (at != source.size() - data)
    source.refuse(data + at, "the file goes on for " + std::to_string(source.size() - data - at) +
                                 " bytes behind its last tensor");
}

// {"metadata": anything, "weight_map": {tensor: file}}
class Index : public JsonEvents {
 public:
  // The shards in the order of their names, and where each is named first; tensor to shard.
  std::map<std::string, std::uint64_t> shards;
  std::map<std::string, const std::string*> files;

  Index(Source& source, Metadata& metadata)
      : JsonEvents(source, 0), metadata_(metadata), top_(source) {}

  bool has_map() const { return has_map_; }

  bool null() override { return other("null"); }
  bool boolean(bool value) override { return other(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return other(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return other(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { return other(text); }

  bool string(string_t& text) override {
    if (depth_ != 2 || !in_map_) return other(text);
    auto shard = shards.find(text);
    if (shard == shards.end()) {
      // Its name stands among the model's files as well.
      pay(Names::kEach + sizeof(ModelFile) + 2 * text.size());
      shard = shards.emplace(text, here()).first;
    }
    pay(Names::kEach + key_.size());
    if (!files.emplace(key_, &shard->first).second)
      refuse("the tensor " + in_quotes(key_) + " is there twice");
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ == 1 && in_map_) has_map_ = true;
    return deeper(true);
  }
  bool start_array(std::size_t) override { return deeper(false); }
  bool end_object() override { return higher(); }
  bool end_array() override { return higher(); }

  bool key(string_t& key) override {
    if (depth_ == 1) {
      if (!top_.add(here(), key)) refuse("the key " + in_quotes(key) + " is there twice");
      in_map_ = key == "weight_map";
      in_metadata_ = key == "metadata";
    }
    key_ = key;
    return true;
  }

 private:
  static constexpr unsigned kDeepest = 8;

  bool other(const std::string& text) {
    if (depth_ == 0 || in_map_)
      refuse("a weight_map has names of files, and here is something else");
    if (in_metadata_ && depth_ == 2) {
      pay(key_.size() + text.size() + sizeof(metadata_.properties[0]));
      add_property(metadata_, key_, text);
    }
    return true;
  }

  bool deeper(bool object) {
    if (depth_ == 0 && !object) unexpected("an array");
    if (in_map_ && (depth_ > 1 || !object)) refuse("a weight_map is an object of names of files");
    if (depth_ == kDeepest) refuse("this is nested too deeply");
    ++depth_;
    return true;
  }

  bool higher() {
    --depth_;
    if (depth_ == 1) in_map_ = in_metadata_ = false;
    return true;
  }

  Metadata& metadata_;
  unsigned depth_ = 0;
  bool in_map_ = false, in_metadata_ = false, has_map_ = false;
  std::string key_;
  Names top_;
};

// The shard's tensors, renamed to lie in `file`, and its properties come to those of the model.
void add_shard(Source& index, std::uint64_t offset, const std::string& file, Metadata shard,
               const Index& listed, Metadata& metadata) {
  for (TensorRecord& tensor : shard.tensors) {
    auto found = listed.files.find(tensor.name);
    if (found == listed.files.end())
      index.refuse(offset, "the file " + in_quotes(file) +
                               " has a tensor that the index has not, " + in_quotes(tensor.name));
    if (*found->second != file)
      index.refuse(offset, "the tensor " + in_quotes(tensor.name) + " is in " + in_quotes(file) +
                               ", and the index has it in " + in_quotes(*found->second));
    index.pay(offset, file.size());
    tensor.file = file;
    count_tensor(index, offset, metadata, std::move(tensor));
  }
  for (auto& property : shard.properties)
    if (std::find(metadata.properties.begin(), metadata.properties.end(), property) ==
        metadata.properties.end())
      add_property(metadata, std::move(property.first), std::move(property.second));
  metadata.properties_left_out += shard.properties_left_out;
  metadata.files.push_back({file, shard.size_bytes});
}

}  // namespace

void read_safetensors(Source& source, Metadata& metadata) {
  const auto length = source.number<std::uint64_t>(0);
  if (length > kMostHeader)
    source.refuse(0, "the header has " + std::to_string(length) + " bytes, and at most " +
                         std::to_string(kMostHeader) + " are allowed");
  source.need(kLengthBytes, length, "the header");
  const std::string text = json_text(source, kLengthBytes, length);
  if (text.empty() || text[0] != '{')
    source.refuse(kLengthBytes, "the header does not begin with '{'");
  const std::uint64_t data = kLengthBytes + length;
  Header header(source, kLengthBytes, data, metadata);
  header.parse(text);
  check_ranges(source, header.ranges(), data, metadata);
}

void read_safetensors_index(Source& source, Folder& folder, Metadata& metadata) {
  if (source.size() > kMostHeader)
    source.refuse(0, "the index has " + std::to_string(source.size()) + " bytes, and at most " +
                         std::to_string(kMostHeader) + " are allowed");
  Index index(source, metadata);
  index.parse(json_text(source, 0, source.size()));
  if (!index.has_map()) source.refuse(source.size(), "the index has no weight_map");
  for (const auto& [name, offset] : index.shards) {
    const OpenFile file = folder.open(source, offset, name);
    Source bytes(file.name(), file.fd(), file.size(), source.budget());
    Metadata shard;
    shard.size_bytes = file.size();
    read_safetensors(bytes, shard);
    add_shard(source, offset, name, std::move(shard), index, metadata);
  }
  // Each tensor of a shard is listed once and for that shard: as many means the same.
  if (metadata.tensors.size() != index.files.size())
    source.refuse(source.size(), "the index lists " + std::to_string(index.files.size()) +
                                     " tensors, and its files have " +
                                     std::to_string(metadata.tensors.size()));
}

}  // namespace aiaccel::formats
