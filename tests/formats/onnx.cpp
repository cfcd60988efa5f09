// SPDX-License-Identifier: MIT
//
// ONNX files: what a good one says, external data that would like to lie elsewhere, and messages
// that no writer makes.
#include "formats/fixture.hpp"

#include <sys/stat.h>

#include <cerrno>

using namespace aiaccel;
namespace pb = fixture::pb;

namespace {

constexpr auto kFormat = ModelFormat::onnx;

// A type: float32 of [2, "batch", ?].
std::string tensor_type() {
  const std::string dimensions =
      pb::bytes(1, pb::number(1, 2)) + pb::bytes(1, pb::bytes(2, "batch")) + pb::bytes(1, "");
  return pb::bytes(1, pb::number(1, 1) + pb::bytes(2, dimensions));
}

std::string value(const std::string& name, const std::string& type) {
  return pb::bytes(1, name) + pb::bytes(2, type);
}

// float32 weights, stored raw.
std::string weights(const std::string& name, std::initializer_list<std::uint64_t> dimensions,
                    std::size_t bytes) {
  std::string tensor;
  for (std::uint64_t dimension : dimensions) tensor += pb::number(1, dimension);
  return tensor + pb::number(2, 1) + pb::bytes(8, name) + pb::bytes(9, std::string(bytes, 'w'));
}

std::string node(const std::string& op, const std::string& attributes = "") {
  return pb::bytes(1, "x") + pb::bytes(2, "y") + pb::bytes(3, "n") + pb::bytes(4, op) + attributes;
}

std::string model(const std::string& graph) {
  return pb::number(1, 8) + pb::bytes(2, "tests") + pb::bytes(3, "1.0") + pb::bytes(7, graph) +
         pb::bytes(8, pb::number(2, 17)) + pb::bytes(8, pb::bytes(1, "com.x") + pb::number(2, 1)) +
         pb::bytes(14, pb::bytes(1, "license") + pb::bytes(2, "bsd"));
}

std::string entry(const std::string& key, const std::string& text) {
  return pb::bytes(13, pb::bytes(1, key) + pb::bytes(2, text));
}

// Four float32 elsewhere.
std::string external(const std::string& location, const std::string& more = "") {
  return pb::number(1, 4) + pb::number(2, 1) + pb::bytes(8, "w") + entry("location", location) +
         more + pb::number(14, 1);
}

std::string with_external(const std::string& location, const std::string& more = "") {
  return model(pb::bytes(5, external(location, more)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(onnx_files)

BOOST_AUTO_TEST_CASE(are_read) {
  const std::string graph =
      pb::bytes(1, node("Conv")) + pb::bytes(1, node("Gelu", pb::bytes(7, "com.x"))) +
      pb::bytes(1, node("Conv")) + pb::bytes(2, "net") + pb::bytes(5, weights("w", {2, 3}, 24)) +
      pb::bytes(11, value("x", tensor_type())) + pb::bytes(11, value("w", tensor_type())) +
      pb::bytes(12, value("y", pb::bytes(4, pb::bytes(1, tensor_type()))));
  const Metadata metadata = fixture::read(model(graph), kFormat);
  BOOST_TEST(metadata.format_version == "8");
  BOOST_TEST(metadata.name == "net");
  BOOST_TEST(metadata.producer == "tests");
  BOOST_TEST(metadata.producer_version == "1.0");
  BOOST_TEST(metadata.licence == "bsd");
  BOOST_TEST((metadata.opsets == std::vector<OpsetVersion>{{"", 17}, {"com.x", 1}}));
  // "w" is an input only by name: it has a value.
  BOOST_REQUIRE(metadata.inputs.size() == 1u);
  BOOST_TEST(metadata.inputs[0].name == "x");
  BOOST_TEST(metadata.inputs[0].type == "float32");
  BOOST_TEST(metadata.inputs[0].ranked);
  BOOST_TEST((metadata.inputs[0].shape == Shape{2, -1, -1}));
  BOOST_TEST((metadata.inputs[0].symbols == std::vector<std::string>{"", "batch", ""}));
  BOOST_TEST(metadata.outputs.at(0).type == "sequence(float32)");
  BOOST_TEST(!metadata.outputs.at(0).ranked);
  BOOST_TEST((metadata.operators ==
              std::map<std::string, std::uint64_t>{{"Conv", 2}, {"com.x::Gelu", 1}}));
  BOOST_TEST(metadata.nodes.size() == 3u);
  BOOST_TEST((metadata.nodes[0].inputs == std::vector<std::string>{"x"}));
  BOOST_TEST(metadata.parameters == 6u);
  BOOST_REQUIRE(metadata.tensors.size() == 1u);
  BOOST_TEST(metadata.tensors[0].bytes == 24u);
  const std::string whole = model(graph);
  BOOST_TEST(whole.substr(*metadata.tensors[0].offset, 24) == std::string(24, 'w'));
}

BOOST_AUTO_TEST_CASE(have_graphs_in_nodes) {
  const std::string inner = pb::bytes(1, node("Relu")) + pb::bytes(5, weights("w", {1}, 4));
  const std::string attribute =
      pb::bytes(5, pb::bytes(1, "then_branch") + pb::bytes(6, inner)) +
      pb::bytes(5, pb::bytes(6, inner) + pb::bytes(1, "else_branch")) +
      pb::bytes(5, pb::bytes(1, "value") + pb::bytes(5, weights("", {2}, 8)));
  const Metadata metadata = fixture::read(model(pb::bytes(1, node("If", attribute))), kFormat);
  BOOST_TEST((metadata.operators == std::map<std::string, std::uint64_t>{{"If", 1}, {"Relu", 2}}));
  BOOST_REQUIRE(metadata.tensors.size() == 3u);
  BOOST_TEST(metadata.tensors[0].scope == "n/then_branch");
  BOOST_TEST(metadata.tensors[1].scope == "n/else_branch");
  BOOST_TEST(metadata.tensors[2].scope == "");
  BOOST_TEST(metadata.tensors[2].name == "y");
  BOOST_TEST(metadata.parameters == 4u);
}

BOOST_AUTO_TEST_CASE(nest_only_so_deep) {
  auto nested = [](int depth) {
    std::string graph;
    for (int i = 1; i < depth; ++i)
      graph = pb::bytes(1, node("If", pb::bytes(5, pb::bytes(1, "b") + pb::bytes(6, graph))));
    return model(graph);
  };
  BOOST_TEST(fixture::read(nested(32), kFormat).operators.at("If") == 31u);
  REFUSED(nested(33), kFormat, "graphs are nested too deeply");
  REFUSED(nested(2000), kFormat, "graphs are nested too deeply");
  std::string type = tensor_type();
  for (int i = 0; i < 2000; ++i) type = pb::bytes(i % 2 ? 4 : 9, pb::bytes(1, type));
  REFUSED(model(pb::bytes(11, value("x", type))), kFormat, "types are nested too deeply");
}

BOOST_AUTO_TEST_CASE(cut_short_anywhere_are_refused) {
  const std::string whole =
      model(pb::bytes(1, node("Conv")) + pb::bytes(5, weights("w", {2, 3}, 24)) +
            pb::bytes(11, value("x", tensor_type())));
  // Where a whole field ends, and the model has all it must have, there is nothing to see.
  unsigned accepted = 0;
  for (std::size_t keep = 0; keep < whole.size(); ++keep)
    accepted += fixture::refusal(whole.substr(0, keep), kFormat).error != EBADMSG;
  BOOST_TEST(accepted == 3u);
}

BOOST_AUTO_TEST_CASE(weights_are_as_many_as_their_shape_asks_for) {
  auto tensor = [](const std::string& bytes) { return model(pb::bytes(5, bytes)); };
  REFUSED(tensor(weights("w", {2, 3}, 23)), kFormat, "has 23 bytes, and type and shape ask for 24");
  REFUSED(tensor(weights("w", {1ull << 32, 1ull << 32}, 4)), kFormat, "larger than any file");
  REFUSED(tensor(weights("w", {1ull << 62}, 0)), kFormat, "larger than any file");
  REFUSED(tensor(weights("w", {~std::uint64_t{0}}, 0)), kFormat, "is negative");
  // Stored as numbers: as many bytes at least.
  REFUSED(tensor(pb::number(1, 1000) + pb::number(2, 7) + pb::bytes(7, "\1\2\3")), kFormat,
          "has 1000 elements, in 3 bytes");
  REFUSED(tensor(pb::number(1, 2) + pb::number(2, 8) + pb::bytes(6, "one")), kFormat,
          "has 1 texts, and its shape asks for 2");
  REFUSED(tensor(pb::number(1, 1)), kFormat, "elements of type 0");
  BOOST_TEST(fixture::refusal(tensor(pb::number(2, 99)), kFormat).error == EOPNOTSUPP);
  // Packed dimensions; four bits an element, the last byte half used.
  const Metadata packed =
      fixture::read(tensor(pb::bytes(1, "\3\1") + pb::number(2, 22) + pb::bytes(9, "ab")), kFormat);
  BOOST_TEST((packed.tensors.at(0).shape == Shape{3, 1}));
  BOOST_TEST(packed.tensors.at(0).type == "int4");
  BOOST_TEST(packed.tensors.at(0).bytes == 2u);
}

BOOST_AUTO_TEST_CASE(that_are_no_protobuf_are_refused) {
  REFUSED("", kFormat, "it has no IR version");
  REFUSED(pb::number(1, 8), kFormat, "the model has no graph");
  REFUSED(model("") + pb::bytes(7, ""), kFormat, "a second graph");
  REFUSED("this is no protobuf at all", kFormat, "byte 0: wire type 4 is not read");
  REFUSED(std::string(1, '\0'), kFormat, "there is no such field");
  REFUSED(model("") + "\x0b", kFormat, "wire type 3 is not read");
  // Numbers of more than 64 bits, and of none.
  REFUSED("\x08" + std::string(10, '\xff') + "\1", kFormat, "more than 64 bits");
  REFUSED("\x08" + std::string(9, '\xff') + "\x02", kFormat, "more than 64 bits");
  REFUSED("\x08" + std::string(5, '\xff'), kFormat, "a number ends behind its message");
  // Lengths that would wrap, and that reach out of the inner message only.
  REFUSED(pb::number(1, 8) + "\x3a" + pb::varint(~std::uint64_t{0}), kFormat,
          "ends behind its message");
  REFUSED(model("\x0a\x40") + std::string(64, '\0'), kFormat,
          "a field of 64 bytes ends behind its message");
  REFUSED(pb::bytes(1, "x"), kFormat, "a number is expected");
  REFUSED(pb::number(7, 1), kFormat, "a message or text is expected");
  REFUSED(model(pb::bytes(1, "")), kFormat, "a node has no operator");
}

BOOST_AUTO_TEST_SUITE_END()

// CVE-2022-25882, CVE-2024-27318, CVE-2026-27489, CVE-2026-34447.
BOOST_AUTO_TEST_SUITE(onnx_external)

namespace {

struct Place : fixture::Folder {
  Place() {
    write("outside/secret", std::string(64, 's'));
    write("model/data/w.bin", std::string(64, 'w'));
  }
  std::filesystem::path model(const std::string& bytes) const {
    return write("model/m.onnx", bytes);
  }
  fixture::Refusal refusal(const std::string& bytes) const {
    const auto file = model(bytes);
    return fixture::refusal_of([&] { read_metadata(file); });
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(data_is_listed) {
  Place place;
  const auto file = place.model(
      model(pb::bytes(5, external("data/w.bin", entry("offset", "48") + entry("length", "16"))) +
            pb::bytes(5, external("data/w.bin"))));
  const Metadata metadata = read_metadata(file);
  BOOST_REQUIRE(metadata.tensors.size() == 2u);
  BOOST_TEST(metadata.tensors[0].file == "data/w.bin");
  BOOST_TEST((metadata.tensors[0].offset == 48u));
  BOOST_TEST(metadata.tensors[0].bytes == 16u);
  BOOST_TEST((metadata.tensors[1].offset == 0u));
  BOOST_TEST((metadata.files == std::vector<ModelFile>{{"m.onnx", std::filesystem::file_size(file)},
                                                       {"data/w.bin", 64}}));
  BOOST_TEST(metadata.size_bytes == std::filesystem::file_size(file) + 64);
  // In memory there is no folder to look in; what is written is checked all the same.
  BOOST_TEST(fixture::read(with_external("nowhere.bin"), kFormat).tensors.at(0).file ==
             "nowhere.bin");
  REFUSED(with_external("../nowhere.bin"), kFormat, "has '..' in it");
}

BOOST_AUTO_TEST_CASE(data_does_not_leave_the_folder_by_name) {
  Place place;
  for (const char* location :
       {"../outside/secret", "..", "data/../../outside/secret", "./../outside/secret", "data/..",
        "x/../../../../../../../../etc/passwd"})
    BOOST_TEST(place.refusal(with_external(location)).says("has '..' in it"), location);
  BOOST_TEST(
      place.refusal(with_external((place.path / "outside/secret").string())).says("is absolute"));
  BOOST_TEST(place.refusal(with_external("//etc/passwd")).says("is absolute"));
  BOOST_TEST(place.refusal(with_external("")).says("is empty"));
  BOOST_TEST(
      place.refusal(with_external(std::string("data/w.bin\0.png", 15))).says("has a NUL in it"));
  BOOST_TEST(place.refusal(with_external(std::string(5000, 'x'))).says("longer than any path"));
}

BOOST_AUTO_TEST_CASE(data_does_not_leave_the_folder_by_symbolic_link) {
  Place place;
  std::filesystem::create_symlink("../outside/secret", place.path / "model/file");
  std::filesystem::create_symlink("../outside", place.path / "model/folder");
  std::filesystem::create_symlink(place.path / "outside/secret", place.path / "model/absolute");
  std::filesystem::create_symlink("data/w.bin", place.path / "model/within");
  for (const char* location : {"file", "folder/secret", "absolute", "within"}) {
    const auto refusal = place.refusal(with_external(location));
    BOOST_TEST(refusal.says("symbolic link"), refusal.what);
    BOOST_TEST(refusal.offset > 0u);
  }
  // Links that stay within a folder that the caller names may be followed, others not.
  const MetadataOptions within{.format = {}, .beneath = place.path / "model"};
  BOOST_TEST(read_metadata(place.model(with_external("within")), within).tensors.at(0).file ==
             "within");
  for (const char* location : {"file", "folder/secret", "absolute"}) {
    const auto file = place.model(with_external(location));
    BOOST_TEST(
        fixture::refusal_of([&] { read_metadata(file, within); }).says("leads out of its folder"));
  }
  std::filesystem::create_symlink("/proc/self/exe", place.path / "model/magic");
  const auto magic = place.model(with_external("magic"));
  BOOST_TEST(fixture::refusal_of([&] { read_metadata(magic, within); }).error != 0);
}

BOOST_AUTO_TEST_CASE(data_does_not_leave_the_folder_by_hard_link) {
  Place place;
  std::filesystem::create_hard_link(place.path / "outside/secret", place.path / "model/hard");
  const auto refusal = place.refusal(with_external("hard"));
  BOOST_TEST(refusal.says("has other names (hard links)"), refusal.what);
}

BOOST_AUTO_TEST_CASE(data_is_a_file_that_is_there) {
  Place place;
  BOOST_TEST(place.refusal(with_external("absent")).error == ENOENT);
  BOOST_TEST(place.refusal(with_external("data")).says("is not a regular file"));
  BOOST_TEST(place.refusal(with_external("data/")).says("is a folder"));
  // Opening it waits for nobody.
  BOOST_REQUIRE(::mkfifo((place.path / "model/fifo").c_str(), 0600) == 0);
  BOOST_TEST(place.refusal(with_external("fifo")).says("is not a regular file"));
}

BOOST_AUTO_TEST_CASE(data_lies_within_its_file) {
  Place place;
  for (const char* offset : {"49", "64", "65", "18446744073709551615", "18446744073709551600"})
    BOOST_TEST(place.refusal(with_external("data/w.bin", entry("offset", offset)))
                   .says("ends behind 'data/w.bin'"),
               offset);
  BOOST_TEST(place.refusal(with_external("data/w.bin", entry("length", "18446744073709551615")))
                 .says("ends behind"));
  BOOST_TEST(place.refusal(with_external("data/w.bin", entry("length", "15")))
                 .says("has 15 bytes, and type and shape ask for 16"));
  for (const char* number :
       {"", "-1", "1x", " 1", "0x10", "18446744073709551616", "99999999999999999999999"})
    BOOST_TEST(
        place.refusal(with_external("data/w.bin", entry("offset", number))).says("is no number"),
        number);
  BOOST_TEST(place.refusal(with_external("data/w.bin", entry("location", "other")))
                 .says("is there twice"));
  BOOST_TEST(place.refusal(model(pb::bytes(5, pb::number(2, 1) + pb::number(14, 1))))
                 .says("has no location"));
}

BOOST_AUTO_TEST_SUITE_END()
