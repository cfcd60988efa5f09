// SPDX-License-Identifier: MIT
//
// Protobuf's wire format, as far as reading needs it: the fields of a message one after the other,
// with bytes told by where they lie and not copied. libprotobuf would first copy the whole model,
// weights and all, and stops at 2 GiB.
//
// Refuses what no writer makes: groups, field 0, numbers of more than 64 bits, and fields that
// reach out of the message they are in. One thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "formats/source.h"

namespace aiaccel::formats {

// Where the bytes of a message, or of a text, lie.
struct Slice {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t size() const { return end - begin; }
};

struct Field {
  enum Wire : unsigned { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  std::uint64_t at = 0;  // of its key
  std::uint32_t number = 0;
  Wire wire = varint;
  std::uint64_t value = 0;  // of a varint; the others' lies in `slice`
  Slice slice;
};

class Message {
 public:
  Message(Source& source, Slice slice) : source_(source), at_(slice.begin), end_(slice.end) {}

  // The next field, until there is none.
  bool next(Field& field) {
    if (at_ == end_) return false;
    field.at = at_;
    const std::uint64_t key = varint();
    if (key >> 3 == 0 || key >> 32) source_.refuse(field.at, "there is no such field in protobuf");
    field.number = static_cast<std::uint32_t>(key >> 3);
    field.wire = static_cast<Field::Wire>(key & 7);
    std::uint64_t length = 0;
    switch (field.wire) {
      case Field::varint:
        field.value = varint();
        break;
      case Field::fixed64:
        length = 8;
        break;
      case Field::bytes:
        length = varint();
        break;
      case Field::fixed32:
        length = 4;
        break;
      default:
        source_.refuse(field.at, "wire type " + std::to_string(key & 7) + " is not read");
    }
    if (length > end_ - at_)
      source_.refuse(field.at, "a field of " + std::to_string(length) +
                                   " bytes ends behind its message, which has " +
                                   std::to_string(end_ - at_) + " left");
    field.slice = {at_, at_ + length};
    at_ += length;
    return true;
  }

  // One number of a packed list, until there is none.
  bool next_packed(std::uint64_t& value) {
    if (at_ == end_) return false;
    value = varint();
    return true;
  }

 private:
  std::uint64_t varint() {
    const std::uint64_t begin = at_;
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) source_.refuse(begin, "a number ends behind its message");
      const auto byte = static_cast<std::uint8_t>(*source_.at(at_++, 1));
      if (shift == 63 && byte > 1) break;
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (!(byte & 0x80)) return value;
    }
    source_.refuse(begin, "a number has more than 64 bits");
  }

  Source& source_;
  std::uint64_t at_, end_;
};

}  // namespace aiaccel::formats
