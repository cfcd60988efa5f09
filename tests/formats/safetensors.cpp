// SPDX-License-Identifier: MIT
//
// safetensors files: what a good one says, and every way known in which one was made to mislead a
// reader.
#include "formats/fixture.hpp"

#include <cerrno>

using namespace aiaccel;
using fixture::le;
using fixture::safetensors;

namespace {

constexpr auto kFormat = ModelFormat::safetensors;

const std::string kTwo = R"({"__metadata__":{"format":"pt","license":"apache-2.0"},)"
                         R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},)"
                         R"("a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})";

// A header of one tensor with these fields.
std::string one(const std::string& fields) {
  return R"({"a":{)" + fields + "}}";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors_files)

BOOST_AUTO_TEST_CASE(are_read) {
  const Metadata metadata = fixture::read(safetensors(kTwo, 28), kFormat);
  BOOST_TEST((metadata.format == kFormat));
  BOOST_TEST(metadata.size_bytes == 8 + kTwo.size() + 28);
  BOOST_TEST(metadata.licence == "apache-2.0");
  BOOST_TEST(metadata.parameters == 10u);
  BOOST_REQUIRE(metadata.tensors.size() == 2u);
  const TensorRecord& b = metadata.tensors[0];
  BOOST_TEST(b.name == "b");
  BOOST_TEST(b.type == "bfloat16");
  BOOST_TEST((b.shape == Shape{2, 3}));
  BOOST_TEST(b.elements == 6u);
  BOOST_TEST(b.bytes == 12u);
  BOOST_TEST((b.offset == 8 + kTwo.size() + 16));
  BOOST_TEST((metadata.properties == std::vector<std::pair<std::string, std::string>>{
                                         {"format", "pt"}, {"license", "apache-2.0"}}));
  BOOST_TEST(metadata.inputs.empty());
}

BOOST_AUTO_TEST_CASE(may_be_empty_padded_and_scalar) {
  BOOST_TEST(fixture::read(safetensors("{}   ", 0), kFormat).tensors.empty());
  const Metadata scalar = fixture::read(
      safetensors(one(R"("dtype":"F64","shape":[],"data_offsets":[0,8])") + "      ", 8), kFormat);
  BOOST_TEST(scalar.parameters == 1u);
  const Metadata empty = fixture::read(
      safetensors(one(R"("dtype":"F64","shape":[4,0,9],"data_offsets":[0,0])"), 0), kFormat);
  BOOST_TEST(empty.parameters == 0u);
  BOOST_TEST(empty.tensors.size() == 1u);
}

BOOST_AUTO_TEST_CASE(have_every_element_type) {
  struct {
    const char* dtype;
    const char* name;
    unsigned bytes_of_eight;
  } const types[] = {
      {"BOOL", "bool", 8},
      {"F4", "float4_e2m1", 4},
      {"F6_E2M3", "float6_e2m3", 6},
      {"F6_E3M2", "float6_e3m2", 6},
      {"U8", "uint8", 8},
      {"I8", "int8", 8},
      {"F8_E5M2", "float8_e5m2", 8},
      {"F8_E4M3", "float8_e4m3fn", 8},
      {"F8_E8M0", "float8_e8m0", 8},
      {"I16", "int16", 16},
      {"U16", "uint16", 16},
      {"F16", "float16", 16},
      {"BF16", "bfloat16", 16},
      {"I32", "int32", 32},
      {"U32", "uint32", 32},
      {"F32", "float32", 32},
      {"C64", "complex64", 64},
      {"F64", "float64", 64},
      {"I64", "int64", 64},
      {"U64", "uint64", 64},
  };
  for (const auto& type : types) {
    const std::string header =
        one("\"dtype\":\"" + std::string(type.dtype) + R"(","shape":[8],"data_offsets":[0,)" +
            std::to_string(type.bytes_of_eight) + "]");
    const Metadata metadata = fixture::read(safetensors(header, type.bytes_of_eight), kFormat);
    BOOST_TEST(metadata.tensors.at(0).type == type.name);
  }
  auto unknown = fixture::refusal(
      safetensors(one(R"("dtype":"F3","shape":[8],"data_offsets":[0,3])"), 3), kFormat);
  BOOST_TEST(unknown.error == EOPNOTSUPP);
  BOOST_TEST(unknown.says("the element type 'F3' is not known"), unknown.what);
  REFUSED(safetensors(one(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])"), 2), kFormat,
          "ends inside a byte");
}

BOOST_AUTO_TEST_CASE(cut_short_anywhere_are_refused) {
  const std::string whole = safetensors(kTwo, 28);
  for (std::size_t keep = 0; keep < whole.size(); ++keep)
    BOOST_TEST(fixture::refusal(whole.substr(0, keep), kFormat).error == EBADMSG,
               keep << " bytes were accepted");
}

BOOST_AUTO_TEST_CASE(header_lengths_are_limited) {
  // Above 100 MB, although the file is long enough; then one that wraps when 8 is added.
  fixture::Folder folder;
  const auto file = folder.write("long.safetensors", le<std::uint64_t>(100'000'001) + "{}");
  std::filesystem::resize_file(file, 8 + 100'000'001);
  const auto refusal = fixture::refusal_of([&] { read_metadata(file); });
  BOOST_TEST(refusal.says("long.safetensors: byte 0: the header has 100000001 bytes"),
             refusal.what);
  for (std::uint64_t length : {~std::uint64_t{0}, ~std::uint64_t{0} - 7, std::uint64_t{1} << 63})
    REFUSED(le(length) + "{}", kFormat, "at most 100000000 are allowed");
  REFUSED(le<std::uint64_t>(3) + "{}", kFormat, "the header of 3 bytes ends behind the file");
  REFUSED(le<std::uint64_t>(0), kFormat, "does not begin with '{'");
  REFUSED(safetensors(" {}", 0), kFormat, "does not begin with '{'");
}

BOOST_AUTO_TEST_CASE(offsets_that_overlap_or_leave_holes_are_refused) {
  auto two = [](const char* first, const char* second) {
    return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  BOOST_TEST(fixture::read(safetensors(two("[0,4]", "[4,8]"), 8), kFormat).parameters == 8u);
  REFUSED(safetensors(two("[0,4]", "[3,7]"), 7), kFormat, "the tensor 'b' overlaps");
  REFUSED(safetensors(two("[0,4]", "[0,4]"), 4), kFormat, "overlaps the one before it");
  REFUSED(safetensors(two("[0,4]", "[5,9]"), 9), kFormat,
          "a hole of 1 bytes before the tensor 'b'");
  REFUSED(safetensors(two("[1,5]", "[5,9]"), 9), kFormat,
          "a hole of 1 bytes before the tensor 'a'");
  REFUSED(safetensors(two("[4,0]", "[4,8]"), 8), kFormat, "lies from 4 to 0");
  REFUSED(safetensors(two("[0,4]", "[4,9]"), 9), kFormat, "has room for 5 bytes and takes 4");
  REFUSED(safetensors(two("[0,4]", "[4,8]"), 7), kFormat, "lies from 4 to 8 of 7 bytes");
  REFUSED(safetensors(two("[0,4]", "[18446744073709551612,18446744073709551615]"), 8), kFormat,
          "lies from 18446744073709551612");
}

BOOST_AUTO_TEST_CASE(longer_than_their_data_are_refused) {
  const auto refusal = fixture::refusal(safetensors(kTwo, 29), kFormat);
  BOOST_TEST(refusal.says("goes on for 1 bytes behind its last tensor"), refusal.what);
  BOOST_TEST(refusal.offset == 8 + kTwo.size() + 28);
  REFUSED(safetensors("{}", 1), kFormat, "goes on for 1 bytes");
}

BOOST_AUTO_TEST_CASE(keys_that_are_there_twice_are_refused) {
  const std::string a = R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  REFUSED(safetensors("{" + a + "," + a + "}", 0), kFormat, "the name 'a' is there twice");
  // The same name, spelled otherwise.
  REFUSED(safetensors("{" + a + R"(,"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0),
          kFormat, "the name 'a' is there twice");
  REFUSED(safetensors(R"({"__metadata__":{"x":"1","x":"2"}})", 0), kFormat,
          "the key 'x' is there twice");
  REFUSED(safetensors(R"({"__metadata__":{},"__metadata__":{}})", 0), kFormat,
          "the name '__metadata__' is there twice");
  for (const char* field : {R"("dtype":"U8")", R"("shape":[0])", R"("data_offsets":[0,0])"})
    REFUSED(safetensors(
                one(std::string(field) + R"(,"dtype":"U8","shape":[0],"data_offsets":[0,0])"), 0),
            kFormat, "is there twice");
}

BOOST_AUTO_TEST_CASE(shapes_whose_product_overflows_are_refused) {
  for (const char* shape : {"[9223372036854775807,9223372036854775807]", "[4294967296,4294967296]",
                            "[9223372036854775808,2]", "[4611686018427387904,4]",
                            "[65536,65536,65536,65536]", "[2305843009213693952]"})
    REFUSED(
        safetensors(
            one(std::string(R"("dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,0])"), 0),
        kFormat, "larger than any file");
  // Without a wrap, only too much.
  REFUSED(safetensors(one(R"("dtype":"U8","shape":[1000000],"data_offsets":[0,4])"), 4), kFormat,
          "has room for 4 bytes and takes 1000000");
}

// The parser takes a NUL for the end of its text.
BOOST_AUTO_TEST_CASE(headers_do_not_end_at_a_nul) {
  const std::string nul(1, '\0');
  const auto refusal = fixture::refusal(safetensors("{}" + nul + "\"a\":evil", 0), kFormat);
  BOOST_TEST(refusal.says("there is a NUL in JSON"), refusal.what);
  BOOST_TEST(refusal.offset == 10u);
  REFUSED(safetensors(one(R"("dtype":"U8","shape":[0],"data_offsets":[0,0])") + nul, 0), kFormat,
          "there is a NUL in JSON");
}

BOOST_AUTO_TEST_CASE(may_say_that_they_have_no_metadata) {
  const Metadata metadata = fixture::read(
      safetensors(R"({"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                  1),
      kFormat);
  BOOST_TEST(metadata.parameters == 1u);
  REFUSED(safetensors(R"({"__metadata__":{"x":null}})", 0), kFormat, "null is not expected");
  REFUSED(safetensors(R"({"a":null})", 0), kFormat, "null is not expected");
}

BOOST_AUTO_TEST_CASE(headers_that_are_something_else_are_refused) {
  // A tensor of nothing, whole but for one field.
  auto dtype = [](const std::string& value) {
    return one("\"dtype\":" + value + R"(,"shape":[0],"data_offsets":[0,0])");
  };
  auto shape = [](const std::string& value) {
    return one("\"shape\":" + value + R"(,"dtype":"U8","data_offsets":[0,0])");
  };
  auto offsets = [](const std::string& value) {
    return one("\"data_offsets\":" + value + R"(,"dtype":"U8","shape":[0])");
  };
  struct {
    std::string header;
    const char* why;
  } const rows[] = {
      {"{", "this is no JSON"},
      {"{\"a\"", "this is no JSON"},
      {"{\"a\":", "this is no JSON"},
      {"{]", "this is no JSON"},
      {"{} {}", "this is no JSON"},
      {"{\"a\":1}", "a number is not expected"},
      {"{\"a\":[]}", "an array is not expected"},
      {"{\"a\":true}", "a truth value is not expected"},
      {"{\"a\":\"x\"}", "a string is not expected"},
      {"{\"a\":{}}", "lacks its dtype"},
      {"{\"__metadata__\":[]}", "an array is not expected"},
      {"{\"__metadata__\":\"x\"}", "a string is not expected"},
      {"{\"__metadata__\":{\"x\":1}}", "a number is not expected"},
      {"{\"__metadata__\":{\"x\":{}}}", "an object is not expected"},
      {dtype("1"), "a number is not expected"},
      {dtype("[\"U8\"]"), "an array is not expected"},
      {shape("0"), "a number is not expected"},
      {shape("[-1]"), "a negative number"},
      {shape("[-0]"), "a negative number"},
      {shape("[0.0]"), "a number that is not whole"},
      {shape("[1e999]"), "a number is out of range"},
      {shape("[[0]]"), "an array is not expected"},
      {shape("[true]"), "a truth value is not expected"},
      {shape("[\"0\"]"), "a string is not expected"},
      {shape("[null]"), "null is not expected"},
      {shape("[{}]"), "an object is not expected"},
      {shape("[99999999999999999999]"), "a number that is not whole"},
      {shape("[9223372036854775808,0]"), "is larger than any file"},
      {offsets("[]"), "data_offsets are two numbers, and these are 0"},
      {offsets("[0]"), "data_offsets are two numbers, and these are 1"},
      {offsets("[0,0,0]"), "here is a third"},
      {offsets("[0,-0]"), "a negative number"},
      {offsets("0"), "a number is not expected"},
      {one(R"("dtype":"U8","shape":[0],"data_offsets":[0,0],"other":1)"), "has no 'other'"},
      {one(R"("dtype":"U8","shape":[0])"), "lacks its data_offsets"},
      {one(R"("dtype":"U8","data_offsets":[0,0])"), "lacks its shape"},
      {one(R"("shape":[0],"data_offsets":[0,0])"), "lacks its dtype"},
      {"{\"a\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", "this is no JSON"},
  };
  for (const auto& row : rows) REFUSED(safetensors(row.header, 0), kFormat, row.why);
  // Nothing recurses: a million brackets are refused at the second.
  REFUSED(safetensors("{\"a\":" + std::string(1'000'000, '['), 0), kFormat,
          "an array is not expected");
  REFUSED(safetensors(one("\"shape\":[" + std::string(200, '1').replace(1, 199, "") +
                          [] {
                            std::string more;
                            for (int i = 0; i < 64; ++i) more += ",1";
                            return more + "]";
                          }()),
                      0),
          kFormat, "too many dimensions");
}

BOOST_AUTO_TEST_CASE(refusals_say_where_and_can_be_printed) {
  const auto refusal = fixture::refusal(safetensors("{\"a\x1b[31m\":1}", 0), kFormat);
  for (char c : refusal.what) BOOST_TEST((c >= 0x20 && c < 0x7f));
  const auto later = fixture::refusal(safetensors(R"({"a":{"shape":[1,2,x]}})", 0), kFormat);
  BOOST_TEST(later.offset == 8u + 19, later.what);
}

BOOST_AUTO_TEST_CASE(what_is_kept_is_limited) {
  // A header as long as allowed, of nothing but names: refused before memory is short.
  std::string header = "{";
  for (unsigned i = 0; header.size() < 80'000'000; ++i)
    header += (i ? ",\"" : "\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  REFUSED(safetensors(header + "}", 4'000'000), kFormat, "more to be kept than 256 MiB");
  // Of properties, a thousand are kept and the others counted; and of long ones.
  header = R"({"__metadata__":{"long":")" + std::string(5000, 'x') + "\"";
  for (int i = 0; i < 1200; ++i) header += ",\"" + std::to_string(i) + "\":\"v\"";
  const Metadata metadata = fixture::read(safetensors(header + "}}", 0), kFormat);
  BOOST_TEST(metadata.properties.size() == 1000u);
  BOOST_TEST(metadata.properties_left_out == 201u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(safetensors_shards)

namespace {

const std::string kFirst =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
const std::string kSecond =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
    R"("c":{"dtype":"U8","shape":[],"data_offsets":[16,17]}})";

struct Shards : fixture::Folder {
  Shards() {
    write("model-00001-of-00002.safetensors", safetensors(kFirst, 4));
    write("model-00002-of-00002.safetensors", safetensors(kSecond, 17));
  }
  std::filesystem::path index(const std::string& map) const {
    return write("model.safetensors.index.json", map);
  }
  std::filesystem::path good() const {
    return index(R"({"metadata":{"total_size":21,"nested":{"x":[1,2.5,null,true]}},"weight_map":{)"
                 R"("a":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors",)"
                 R"("b":"model-00002-of-00002.safetensors"}})");
  }
  std::string refusal(const std::string& map) const {
    const auto file = index(map);
    return fixture::refusal_of([&] { read_metadata(file); }).what;
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_CASE(are_read_by_their_index) {
  Shards shards;
  const auto index = shards.good();
  const Metadata metadata = read_metadata(index);
  BOOST_TEST((metadata.format == kFormat));
  BOOST_TEST(metadata.parameters == 9u);
  BOOST_REQUIRE(metadata.tensors.size() == 3u);
  BOOST_TEST(metadata.tensors[1].name == "b");
  BOOST_TEST(metadata.tensors[1].file == "model-00002-of-00002.safetensors");
  BOOST_REQUIRE(metadata.files.size() == 3u);
  BOOST_TEST(metadata.files[0].path == "model.safetensors.index.json");
  BOOST_TEST(metadata.size_bytes ==
             std::filesystem::file_size(index) + 8 + kFirst.size() + 4 + 8 + kSecond.size() + 17);
  BOOST_TEST((metadata.properties == std::vector<std::pair<std::string, std::string>>{
                                         {"total_size", "21"}, {"format", "pt"}}));
}

BOOST_AUTO_TEST_CASE(and_index_say_the_same) {
  Shards shards;
  const std::string a = R"("a":"model-00001-of-00002.safetensors")",
                    b = R"("b":"model-00002-of-00002.safetensors")",
                    c = R"("c":"model-00002-of-00002.safetensors")";
  auto map = [](const std::string& entries) { return R"({"weight_map":{)" + entries + "}}"; };
  BOOST_TEST(shards.refusal(map(a + "," + b + "," + c)) == "");
  BOOST_TEST(has(shards.refusal(map(a + "," + b)), "a tensor that the index has not, 'c'"));
  BOOST_TEST(
      has(shards.refusal(map(a + "," + b + "," + c + R"(,"d":"model-00001-of-00002.safetensors")")),
          "the index lists 4 tensors, and its files have 3"));
  BOOST_TEST(
      has(shards.refusal(map(a + "," + b + R"(,"c":"model-00001-of-00002.safetensors")")),
          "'c' is in 'model-00002-of-00002.safetensors', and the index has it in 'model-00001"));
  BOOST_TEST(
      has(shards.refusal(map(a + "," + a + "," + b + "," + c)), "the tensor 'a' is there twice"));
  BOOST_TEST(
      has(shards.refusal(map(R"("a":"absent.safetensors")")), "cannot open 'absent.safetensors'"));
}

BOOST_AUTO_TEST_CASE(lie_beside_their_index) {
  Shards shards;
  shards.write("outside/x.safetensors", safetensors(kFirst, 4));
  std::filesystem::create_directory(shards.path / "model");
  auto refusal = [&](const std::string& name) {
    const auto index = shards.write("model/model.safetensors.index.json",
                                    R"({"weight_map":{"a":")" + name + "\"}}");
    return fixture::refusal_of([&] { read_metadata(index); }).what;
  };
  BOOST_TEST(has(refusal("../outside/x.safetensors"), "has '..' in it"));
  BOOST_TEST(has(refusal("sub/../../outside/x.safetensors"), "has '..' in it"));
  BOOST_TEST(has(refusal((shards.path / "outside/x.safetensors").string()), "is absolute"));
  BOOST_TEST(has(refusal(""), "is empty"));
  BOOST_TEST(has(refusal("a\\u0000b"), "has a NUL in it"));
  std::filesystem::create_symlink("../outside/x.safetensors",
                                  shards.path / "model/link.safetensors");
  BOOST_TEST(has(refusal("link.safetensors"), "symbolic link"));
  std::filesystem::create_symlink("../outside", shards.path / "model/folder");
  BOOST_TEST(has(refusal("folder/x.safetensors"), "symbolic link"));
  std::filesystem::create_hard_link(shards.path / "outside/x.safetensors",
                                    shards.path / "model/hard.safetensors");
  BOOST_TEST(has(refusal("hard.safetensors"), "hard links"));
  // Who trusts the folder above has a cache of links, and links of both kinds.
  const auto index = shards.write("model/model.safetensors.index.json",
                                  R"({"weight_map":{"a":"hard.safetensors"}})");
  BOOST_TEST(read_metadata(index, {.beneath = shards.path}).parameters == 4u);
}

// What stands in an index, or in a shard, may be shown to somebody.
BOOST_AUTO_TEST_CASE(have_names_that_can_be_printed) {
  Shards shards;
  const std::string name = "a\x1b[31m\n" + std::string(100, 'x') + ".safetensors";
  const auto index = shards.index(R"({"weight_map":{"a":"a\u001b[31m\n)" + name.substr(7) + "\"}}");
  auto refusal = [&] {
    auto refusal = fixture::refusal_of([&] { read_metadata(index); });
    for (const char c : refusal.what) BOOST_TEST((c >= 0x20 && c < 0x7f), refusal.what);
    BOOST_TEST(refusal.what.size() < 300u);
    return refusal;
  };
  BOOST_TEST(refusal().error == ENOENT);
  shards.write(name, "no header");
  const auto damaged = refusal();
  BOOST_TEST(damaged.says("...': byte 0: the header has"), damaged.what);
  std::filesystem::remove(shards.path / name);
  std::filesystem::create_directory(shards.path / name);
  BOOST_TEST(refusal().says("is not a regular file"));
}

BOOST_AUTO_TEST_CASE(have_indexes_of_variants) {
  Shards shards;
  const auto index = shards.good();
  const auto variant = shards.path / "model.safetensors.index.fp16.json";
  std::filesystem::copy_file(index, variant);
  BOOST_TEST(read_metadata(variant).parameters == 9u);
  BOOST_TEST(read_metadata(index, {.format = kFormat}).parameters == 9u);
  // Whoever says what it is is believed.
  const auto as_onnx =
      fixture::refusal_of([&] { read_metadata(index, {.format = ModelFormat::onnx}); });
  BOOST_TEST(as_onnx.says("byte 0: wire type 3 is not read"), as_onnx.what);
}

// Thrice as many tensors as the largest models have: none is paid for twice.
BOOST_AUTO_TEST_CASE(may_be_of_300000_tensors) {
  Shards shards;
  std::string map;
  for (int shard = 0; shard < 3; ++shard) {
    const std::string file = "model-0000" + std::to_string(shard + 1) + "-of-00003.safetensors";
    std::string header = "{";
    for (int i = 0; i < 100'000; ++i) {
      const std::string name = "model.layers." + std::to_string(shard) + ".mlp.experts." +
                               std::to_string(i) + ".down_proj.weight";
      header += (i ? ",\"" : "\"") + name + R"(":{"dtype":"U8","shape":[1,1],"data_offsets":[)" +
                std::to_string(i) + "," + std::to_string(i + 1) + "]}";
      map += (map.empty() ? "\"" : ",\"") + name + "\":\"" + file + "\"";
    }
    shards.write(file, safetensors(header + "}", 100'000));
  }
  BOOST_TEST(read_metadata(shards.index("{\"weight_map\":{" + map + "}}")).parameters == 300'000u);
}

BOOST_AUTO_TEST_CASE(of_a_cache_are_links_within_it) {
  // As the cache of Hugging Face has it: snapshots of links to blobs.
  fixture::Folder cache;
  cache.write("blobs/1", safetensors(kFirst, 4));
  cache.write("blobs/2", R"({"weight_map":{"a":"model-00001.safetensors"}})");
  const auto snapshot = cache.path / "snapshots/abc";
  std::filesystem::create_directories(snapshot);
  std::filesystem::create_symlink("../../blobs/1", snapshot / "model-00001.safetensors");
  std::filesystem::create_symlink("../../blobs/2", snapshot / "model.safetensors.index.json");
  const auto index = snapshot / "model.safetensors.index.json";
  BOOST_TEST(fixture::refusal_of([&] { read_metadata(index); }).says("symbolic link"));
  BOOST_TEST(read_metadata(index, {.format = {}, .beneath = cache.path}).parameters == 4u);
  // But not out of it.
  fixture::Folder other;
  other.write("x", safetensors(kFirst, 4));
  std::filesystem::remove(cache.path / "blobs/1");
  std::filesystem::create_symlink(other.path / "x", cache.path / "blobs/1");
  const auto out =
      fixture::refusal_of([&] { read_metadata(index, {.format = {}, .beneath = cache.path}); });
  BOOST_TEST(out.says("leads out of its folder"), out.what);
  const auto wrong =
      fixture::refusal_of([&] { read_metadata(index, {.format = {}, .beneath = other.path}); });
  BOOST_TEST(wrong.says("is not beneath"), wrong.what);
}

BOOST_AUTO_TEST_CASE(indexes_that_are_something_else_are_refused) {
  Shards shards;
  auto map = [](const char* value) { return "{\"weight_map\":" + std::string(value) + "}"; };
  struct {
    std::string text;
    const char* why;
  } const rows[] = {
      {"", "this is no JSON"},
      {"[]", "an array is not expected"},
      {"null", "something else"},
      {"1", "something else"},
      {"{}", "the index has no weight_map"},
      {"{\"x\":{\"weight_map\":{}}}", "the index has no weight_map"},
      {map("[]"), "is an object of names of files"},
      {map("null"), "something else"},
      {map("\"x\""), "something else"},
      {map("{\"a\":1}"), "something else"},
      {map("{\"a\":-1}"), "something else"},
      {map("{\"a\":1.5}"), "something else"},
      {map("{\"a\":true}"), "something else"},
      {map("{\"a\":{}}"), "is an object of names of files"},
      {map("{\"a\":[]}"), "is an object of names of files"},
      {map("{},\"weight_map\":{}"), "the key 'weight_map' is there twice"},
      {map("{}") + std::string(1, '\0') + "x", "there is a NUL in JSON"},
      {"{\"x\":[[[[[[[[[[]]]]]]]]]],\"weight_map\":{}}", "nested too deeply"},
  };
  for (const auto& row : rows) {
    const std::string why = shards.refusal(row.text);
    BOOST_TEST(has(why, row.why), row.text << ": " << why);
  }
  BOOST_TEST(shards.refusal("{\"weight_map\":{}}") == "");
}

BOOST_AUTO_TEST_SUITE_END()
