// SPDX-License-Identifier: MIT
//
// GGUF files: what a good one says, and every way known in which one was made to mislead a reader.
#include "formats/fixture.hpp"

#include <bit>
#include <cerrno>
#include <limits>

using namespace aiaccel;
using fixture::le;
namespace gguf = fixture::gguf;

namespace {

constexpr auto kFormat = ModelFormat::gguf;

std::string keys() {
  std::string tokens = le<std::uint32_t>(gguf::text) + le<std::uint64_t>(20);
  for (int i = 0; i < 20; ++i) tokens += gguf::string("token " + std::to_string(i));
  return gguf::pair("general.architecture", gguf::text, gguf::string("llama")) +
         gguf::pair("general.name", gguf::text, gguf::string("Tiny")) +
         gguf::pair("general.license", gguf::text, gguf::string("mit")) +
         gguf::pair("llama.context_length", gguf::u32, le<std::uint32_t>(4096)) +
         gguf::pair("llama.rope.freq_base", gguf::f32, le<std::uint32_t>(0x461c4000)) +
         gguf::pair("tokenizer.ggml.tokens", gguf::array, tokens) +
         gguf::pair("some.list", gguf::array,
                    le<std::uint32_t>(gguf::i32) + le<std::uint64_t>(2) + le<std::int32_t>(-1) +
                        le<std::int32_t>(7)) +
         gguf::pair("some.truth", gguf::boolean, le<std::uint8_t>(1));
}

// A q4_0 matrix of 2 rows of 64, then 8 float32.
std::string tensors() {
  return gguf::tensor("blk.0.w", {64, 2}, 2, 0) + gguf::tensor("norm", {8}, 0, 96);
}

std::string good() {
  return gguf::file(8, keys(), 2, tensors(), 96 + 32);
}

std::string one_key(gguf::Type type, const std::string& value) {
  return gguf::file(1, gguf::pair("k", type, value), 0, "", 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gguf_files)

BOOST_AUTO_TEST_CASE(are_read) {
  const Metadata metadata = fixture::read(good(), kFormat);
  BOOST_TEST((metadata.format == kFormat));
  BOOST_TEST(metadata.format_version == "3");
  BOOST_TEST(metadata.architecture == "llama");
  BOOST_TEST(metadata.name == "Tiny");
  BOOST_TEST(metadata.licence == "mit");
  BOOST_TEST(metadata.parameters == 136u);
  BOOST_REQUIRE(metadata.tensors.size() == 2u);
  BOOST_TEST(metadata.tensors[0].name == "blk.0.w");
  BOOST_TEST(metadata.tensors[0].type == "q4_0");
  // Outermost first, which in the file is last.
  BOOST_TEST((metadata.tensors[0].shape == Shape{2, 64}));
  BOOST_TEST(metadata.tensors[0].bytes == 72u);
  BOOST_TEST(metadata.tensors[1].bytes == 32u);
  BOOST_TEST((metadata.tensors[1].offset == good().size() - 32));
  const std::vector<std::pair<std::string, std::string>> properties = {
      {"general.architecture", "llama"}, {"general.name", "Tiny"},
      {"general.license", "mit"},        {"llama.context_length", "4096"},
      {"llama.rope.freq_base", "10000"}, {"tokenizer.ggml.tokens", "string[20]"},
      {"some.list", "[-1, 7]"},          {"some.truth", "true"}};
  BOOST_TEST((metadata.properties == properties));
  std::string second = good();
  second[4] = 2;
  BOOST_TEST(fixture::read(second, kFormat).format_version == "2");
}

BOOST_AUTO_TEST_CASE(have_values_of_every_type) {
  struct {
    gguf::Type type;
    std::string bytes;
    const char* shown;
  } const values[] = {
      {gguf::u8, le<std::uint8_t>(200), "200"},
      {gguf::i8, le<std::int8_t>(-3), "-3"},
      {gguf::u16, le<std::uint16_t>(65535), "65535"},
      {gguf::i16, le<std::int16_t>(-300), "-300"},
      {gguf::u32, le<std::uint32_t>(4294967295u), "4294967295"},
      {gguf::i32, le<std::int32_t>(-70000), "-70000"},
      {gguf::f32, le<std::uint32_t>(0x3fc00000), "1.5"},
      {gguf::boolean, le<std::uint8_t>(0), "false"},
      {gguf::text, gguf::string("text"), "text"},
      {gguf::u64, le<std::uint64_t>(18446744073709551615u), "18446744073709551615"},
      {gguf::i64, le<std::int64_t>(-5), "-5"},
      {gguf::f64, le<std::uint64_t>(0x3ff8000000000000), "1.5"},
  };
  for (const auto& value : values) {
    const Metadata metadata = fixture::read(one_key(value.type, value.bytes), kFormat);
    BOOST_TEST(metadata.properties.at(0).second == value.shown);
    // The same in a short array, and in a long one, which is only counted.
    std::string twice =
        le<std::uint32_t>(value.type) + le<std::uint64_t>(2) + value.bytes + value.bytes;
    const Metadata two = fixture::read(one_key(gguf::array, twice), kFormat);
    BOOST_TEST(two.properties.at(0).second ==
               "[" + std::string(value.shown) + ", " + value.shown + "]");
    std::string many = le<std::uint32_t>(value.type) + le<std::uint64_t>(17);
    for (int i = 0; i < 17; ++i) many += value.bytes;
    BOOST_TEST(fixture::read(one_key(gguf::array, many), kFormat)
                   .properties.at(0)
                   .second.ends_with("[17]"));
  }
  REFUSED(one_key(gguf::boolean, le<std::uint8_t>(2)), kFormat, "a truth value is 0 or 1");
  REFUSED(one_key(static_cast<gguf::Type>(13), ""), kFormat, "there is no type 13 of values");
}

// As few digits as tell a number from all others of its type.
BOOST_AUTO_TEST_CASE(numbers_are_shown_whole) {
  auto shown = [](gguf::Type type, const std::string& bytes) {
    return fixture::read(one_key(type, bytes), kFormat).properties.at(0).second;
  };
  auto f32 = [&](float value) { return shown(gguf::f32, le(std::bit_cast<std::uint32_t>(value))); };
  auto f64 = [&](double value) {
    return shown(gguf::f64, le(std::bit_cast<std::uint64_t>(value)));
  };
  BOOST_TEST(f32(0.1F) == "0.1");
  BOOST_TEST(f32(1e-5F) == "1e-05");
  BOOST_TEST(f32(1e-6F) == "1e-06");
  BOOST_TEST(f32(500000.0F) == "500000");
  BOOST_TEST(f32(1000000.0F) == "1000000");
  BOOST_TEST(f32(-0.0F) == "-0");
  BOOST_TEST(f32(3.4028235e38F) == "3.4028235e+38");
  BOOST_TEST(f64(0.1) == "0.1");
  BOOST_TEST(f64(1.0 / 3) == "0.3333333333333333");
  BOOST_TEST(f64(123456789.123456789) == "123456789.12345679");
  BOOST_TEST(f64(1e300) == "1e+300");
  BOOST_TEST(f64(-5e-324) == "-5e-324");
  BOOST_TEST(f64(std::numeric_limits<double>::infinity()) == "inf");
}

// In a hole, texts of no length and tensors of no name go on for as long as the file does.
BOOST_AUTO_TEST_CASE(headers_end_within_a_gib) {
  fixture::Folder folder;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 30;
  const auto file = folder.write(
      "hole.gguf",
      gguf::file(2, gguf::pair("k", gguf::array, le<std::uint32_t>(gguf::u8) + le(kMost)), 0, "",
                 0));
  std::filesystem::resize_file(file, kMost + 1000);
  const auto refusal = fixture::refusal_of([&] { read_metadata(file); });
  BOOST_TEST(refusal.says("a header of more than 1073741824 bytes"), refusal.what);
  BOOST_TEST(refusal.error == EBADMSG);
}

BOOST_AUTO_TEST_CASE(what_is_kept_is_limited) {
  std::string tensors;
  constexpr unsigned kMany = 1'000'000;
  for (unsigned i = 0; i < kMany; ++i) tensors += gguf::tensor(std::to_string(i), {}, 0, i * 32ull);
  REFUSED(gguf::file(0, "", kMany, tensors, 0), kFormat, "more to be kept than 256 MiB");
  // Keys and values of more than 4 KiB are counted; what is kept of the architecture is no more.
  const std::string longer(5000, 'x');
  const Metadata metadata = fixture::read(
      gguf::file(2,
                 gguf::pair(longer, gguf::u8, "1") +
                     gguf::pair("general.architecture", gguf::text, gguf::string(longer)),
                 0, "", 0),
      kFormat);
  BOOST_TEST(metadata.properties.empty());
  BOOST_TEST(metadata.properties_left_out == 2u);
  BOOST_TEST(metadata.architecture.size() == 4096u);
}

BOOST_AUTO_TEST_CASE(cut_short_anywhere_are_refused) {
  const std::string whole = good();
  for (std::size_t keep = 0; keep < whole.size(); ++keep)
    BOOST_TEST(fixture::refusal(whole.substr(0, keep), kFormat).error == EBADMSG,
               keep << " bytes were accepted");
}

BOOST_AUTO_TEST_CASE(of_other_versions_and_orders_are_refused) {
  auto version = [](std::uint32_t number) {
    return "GGUF" + le(number) + le<std::uint64_t>(0) + le<std::uint64_t>(0);
  };
  for (std::uint32_t number : {0u, 1u, 4u, 0x02000000u, 0x03000000u}) {
    const auto refusal = fixture::refusal(version(number), kFormat);
    BOOST_TEST(refusal.error == EOPNOTSUPP);
    BOOST_TEST(refusal.offset == 4u);
  }
  BOOST_TEST(fixture::refusal(version(0x03000000), kFormat).says("big-endian"));
  REFUSED(std::string("GGML") + version(3).substr(4), kFormat, "begins with 'GGUF'");
}

// CVE-2025-53630 and its kin: sizes whose sum, or product, wraps to something small.
BOOST_AUTO_TEST_CASE(tensor_sizes_that_overflow_are_refused) {
  for (auto dimensions : {std::initializer_list<std::uint64_t>{1ull << 32, 1ull << 32},
                          {1ull << 62, 4},
                          {(1ull << 63) - 1, 2},
                          {1ull << 63, 1},
                          {1ull << 61},
                          {1ull << 21, 1ull << 21, 1ull << 21, 2}})
    REFUSED(gguf::file(0, "", 1, gguf::tensor("t", dimensions, 0, 0), 64), kFormat,
            "larger than any file");
  // The bypass, CVE-2026-27940: no tensor wraps by itself, their places and sum do.
  const std::uint64_t half = std::uint64_t{1} << 57;  // times 4 bytes
  REFUSED(gguf::file(0, "", 2,
                     gguf::tensor("a", {half}, 0, 0) + gguf::tensor("b", {half}, 0, half * 4), 64),
          kFormat, "ends behind the file");
  REFUSED(gguf::file(0, "", 1, gguf::tensor("t", {16}, 0, ~std::uint64_t{31}), 64), kFormat,
          "ends behind the file");
  REFUSED(gguf::file(0, "", 1, gguf::tensor("t", {16}, 0, std::uint64_t{1} << 63), 64), kFormat,
          "ends behind the file");
}

BOOST_AUTO_TEST_CASE(string_sizes_that_overflow_are_refused) {
  for (std::uint64_t length :
       {~std::uint64_t{0}, ~std::uint64_t{0} - 7, std::uint64_t{1} << 63, std::uint64_t{5}}) {
    REFUSED(one_key(gguf::text, le(length) + "text"), kFormat, "ends behind the file");
    std::string tokens = le<std::uint32_t>(gguf::text) + le<std::uint64_t>(1) + le(length) + "text";
    REFUSED(one_key(gguf::array, tokens), kFormat, "ends behind the file");
  }
  REFUSED("GGUF" + le<std::uint32_t>(3) + le<std::uint64_t>(0) + le<std::uint64_t>(1) +
              le(~std::uint64_t{0}) + "some key of a file",
          kFormat, "at most 65535 are allowed");
  REFUSED(gguf::file(0, "", 1, le<std::uint64_t>(1025) + std::string(2000, 'x'), 0), kFormat,
          "at most 1024 are allowed");
}

BOOST_AUTO_TEST_CASE(counts_are_not_believed) {
  for (std::uint64_t count : {~std::uint64_t{0}, std::uint64_t{1} << 61, std::uint64_t{1} << 32}) {
    REFUSED("GGUF" + le<std::uint32_t>(3) + le(count) + le<std::uint64_t>(0), kFormat,
            "tensors do not fit the file");
    REFUSED("GGUF" + le<std::uint32_t>(3) + le<std::uint64_t>(0) + le(count), kFormat,
            "keys do not fit the file");
    for (gguf::Type type : {gguf::u8, gguf::u64, gguf::text, gguf::array})
      REFUSED(one_key(gguf::array, le<std::uint32_t>(type) + le(count) + std::string(64, '\0')),
              kFormat, "elements does not fit the file");
  }
}

BOOST_AUTO_TEST_CASE(alignments_that_wrap_are_refused) {
  auto aligned = [](gguf::Type type, const std::string& value) {
    return gguf::file(1, gguf::pair("general.alignment", type, value), 1,
                      gguf::tensor("t", {16}, 0, 0), 64, 64);
  };
  BOOST_TEST(fixture::read(aligned(gguf::u32, le<std::uint32_t>(64)), kFormat).parameters == 16u);
  for (std::uint32_t alignment : {0u, 3u, 33u, 0x80000000u, 0xffffffffu})
    REFUSED(aligned(gguf::u32, le(alignment)), kFormat, "is no power of two");
  REFUSED(aligned(gguf::u32, le<std::uint32_t>(1u << 30)), kFormat,
          "the padding before the tensors");
  REFUSED(aligned(gguf::u64, le<std::uint64_t>(64)), kFormat, "general.alignment is no uint32");
  REFUSED(gguf::file(0, "", 1, gguf::tensor("t", {16}, 0, 16), 96), kFormat,
          "is no multiple of 32");
}

BOOST_AUTO_TEST_CASE(tensors_that_overlap_or_are_there_twice_are_refused) {
  REFUSED(gguf::file(0, "", 2, gguf::tensor("a", {16}, 0, 0) + gguf::tensor("b", {16}, 0, 32), 128),
          kFormat, "the tensor 'b' overlaps");
  REFUSED(gguf::file(0, "", 2, gguf::tensor("a", {8}, 0, 0) + gguf::tensor("a", {8}, 0, 32), 64),
          kFormat, "the tensor 'a' is there twice");
  REFUSED(gguf::file(2, gguf::pair("k", gguf::u8, "1") + gguf::pair("k", gguf::u8, "2"), 0, "", 0),
          kFormat, "the key 'k' is there twice");
  REFUSED(gguf::file(1, gguf::pair("", gguf::u8, "1"), 0, "", 0), kFormat, "a key has no name");
}

BOOST_AUTO_TEST_CASE(tensors_of_odd_shapes_and_types_are_refused) {
  REFUSED(gguf::file(0, "", 1, gguf::tensor("t", {1, 1, 1, 1, 1}, 0, 0), 64), kFormat,
          "has 5 dimensions");
  REFUSED(gguf::file(0, "", 1, gguf::string("t") + le<std::uint32_t>(0xffffffff), 64), kFormat,
          "has 4294967295 dimensions");
  // 64 elements, but no row is a whole block.
  REFUSED(gguf::file(0, "", 1, gguf::tensor("t", {16, 4}, 2, 0), 64), kFormat,
          "no whole number of blocks");
  for (std::uint32_t type : {4u, 5u, 31u, 36u, 1000u, 0xffffffffu})
    BOOST_TEST(fixture::refusal(gguf::file(0, "", 1, gguf::tensor("t", {1}, type, 0), 64), kFormat)
                   .error == EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(arrays_nest_only_so_deep) {
  auto nested = [](int depth) {
    std::string value = le<std::uint32_t>(gguf::u8) + le<std::uint64_t>(1) + "x";
    for (int i = 1; i < depth; ++i)
      value = le<std::uint32_t>(gguf::array) + le<std::uint64_t>(1) + value;
    return one_key(gguf::array, value);
  };
  BOOST_TEST(fixture::read(nested(4), kFormat).properties.at(0).second == "array[1]");
  REFUSED(nested(5), kFormat, "nested too deeply");
  REFUSED(nested(100'000), kFormat, "nested too deeply");
}

// CVE-2026-7482 read on behind a file that had been cut: see also cut_short_anywhere. Here the
// header is whole and the weights are not.
BOOST_AUTO_TEST_CASE(without_their_weights_are_refused) {
  fixture::Folder folder;
  const auto file = folder.write("cut.gguf", good());
  std::filesystem::resize_file(file, good().size() - 1);
  const auto refusal = fixture::refusal_of([&] { read_metadata(file); });
  BOOST_TEST(refusal.says("cut.gguf: byte "), refusal.what);
  BOOST_TEST(refusal.says("the tensor 'norm' of 32 bytes at 96 ends behind the file"),
             refusal.what);
}

BOOST_AUTO_TEST_SUITE_END()
