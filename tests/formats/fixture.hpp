// SPDX-License-Identifier: MIT
//
// What the tests of model files share: files written byte by byte, as the formats' own papers say
// and without anything of the readers, and what reading them says. Not thread safe; test cases run
// one after the other.
#pragma once

#include <tap/tap.hpp>

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <aiaccel/metadata.hpp>

namespace fixture {

// A number, the lowest byte first.
template <typename T>
std::string le(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i)
    bytes += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  return bytes;
}

inline std::string safetensors(const std::string& header, std::size_t data_bytes) {
  return le<std::uint64_t>(header.size()) + header + std::string(data_bytes, 'w');
}

// GGUF: texts, keys with values, tensors.
namespace gguf {

enum Type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

inline std::string string(const std::string& text) {
  return le<std::uint64_t>(text.size()) + text;
}

inline std::string pair(const std::string& key, Type type, const std::string& value) {
  return string(key) + le<std::uint32_t>(type) + value;
}

inline std::string tensor(const std::string& name, std::initializer_list<std::uint64_t> dimensions,
                          std::uint32_t type, std::uint64_t offset) {
  std::string bytes = string(name) + le(static_cast<std::uint32_t>(dimensions.size()));
  for (std::uint64_t dimension : dimensions) bytes += le(dimension);
  return bytes + le(type) + le(offset);
}

inline std::string file(std::uint64_t pairs, const std::string& pair_bytes, std::uint64_t tensors,
                        const std::string& tensor_bytes, std::size_t data_bytes,
                        std::size_t alignment = 32) {
  std::string bytes =
      "GGUF" + le<std::uint32_t>(3) + le(tensors) + le(pairs) + pair_bytes + tensor_bytes;
  if (data_bytes) bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
  return bytes + std::string(data_bytes, 'w');
}

}  // namespace gguf

// Protobuf: fields.
namespace pb {

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value > 0x7f; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

inline std::string number(std::uint32_t field, std::uint64_t value) {
  return varint(std::uint64_t{field} << 3) + varint(value);
}

inline std::string bytes(std::uint32_t field, const std::string& value) {
  return varint(std::uint64_t{field} << 3 | 2) + varint(value.size()) + value;
}

}  // namespace pb

// A folder of its own, gone with this.
struct Folder {
  std::filesystem::path path;

  Folder() {
    char name[] = "/tmp/aiaccel-formats-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }

  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << bytes;
    return path / name;
  }
};

inline aiaccel::Metadata read(const std::string& bytes, aiaccel::ModelFormat format) {
  return aiaccel::read_metadata(std::as_bytes(std::span<const char>(bytes)), format);
}

// What a refusal says, where, and the errno; {"", 0, 0} when nothing was refused.
struct Refusal {
  std::string what;
  std::uint64_t offset = 0;
  int error = 0;

  bool says(const std::string& part) const { return what.find(part) != std::string::npos; }
};

template <typename Call>
Refusal refusal_of(Call call) {
  try {
    call();
  } catch (const aiaccel::FormatError& error) {
    return {error.what(), error.offset(), error.code().value()};
  } catch (const aiaccel::Error& error) {
    return {error.what(), 0, error.code().value()};
  }
  return {};
}

inline Refusal refusal(const std::string& bytes, aiaccel::ModelFormat format) {
  return refusal_of([&] { read(bytes, format); });
}

}  // namespace fixture

// The bytes are refused for this reason, as damaged.
#define REFUSED(bytes, format, part)                                   \
  do {                                                                 \
    const fixture::Refusal refusal_ = fixture::refusal(bytes, format); \
    BOOST_TEST(refusal_.says(part), "'" << refusal_.what << "'");      \
    BOOST_TEST(refusal_.error == EBADMSG);                             \
  } while (0)
