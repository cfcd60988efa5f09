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

// float32 weights, stored as numbers.
std::string numbers(std::uint64_t elements, std::uint64_t type, const std::string& stored) {
  return pb::number(1, elements) + pb::number(2, type) + pb::bytes(8, "w") + stored;
}

// A sparse tensor of two values in ten.
std::string sparse(const std::string& name, const std::string& more = "") {
  return pb::bytes(1, weights(name, {2}, 8)) +
         pb::bytes(2, pb::number(1, 2) + pb::number(2, 7) + pb::bytes(7, "\1\7")) +
         pb::number(3, 10) + more;
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

// What a Constant holds is called as its output, and is none of the graph's inputs.
BOOST_AUTO_TEST_CASE(have_inputs_that_are_called_as_constants) {
  const std::string constant =
      node("Constant", pb::bytes(5, pb::bytes(1, "value") + pb::bytes(5, weights("x", {2}, 8))));
  const Metadata metadata = fixture::read(
      model(pb::bytes(1, constant) + pb::bytes(11, value("x", tensor_type()))), kFormat);
  BOOST_REQUIRE(metadata.inputs.size() == 1u);
  BOOST_TEST(metadata.tensors.at(0).name == "x");
  // An initializer is, also a sparse one.
  BOOST_TEST(
      fixture::read(model(pb::bytes(11, value("x", tensor_type())) + pb::bytes(15, sparse("x"))),
                    kFormat)
          .inputs.empty());
}

BOOST_AUTO_TEST_CASE(have_sparse_tensors) {
  const Metadata metadata = fixture::read(model(pb::bytes(15, sparse("s"))), kFormat);
  BOOST_REQUIRE(metadata.tensors.size() == 1u);
  const TensorRecord& tensor = metadata.tensors[0];
  BOOST_TEST(tensor.name == "s");
  BOOST_TEST(tensor.type == "sparse(float32)");
  BOOST_TEST((tensor.shape == Shape{10}));
  BOOST_TEST(tensor.elements == 2u);
  BOOST_TEST(tensor.bytes == 8u + 16);
  BOOST_TEST(!tensor.offset.has_value());
  // In a node, called as its output.
  const Metadata held = fixture::read(
      model(pb::bytes(1, node("Constant", pb::bytes(5, pb::bytes(22, sparse("")))))), kFormat);
  BOOST_TEST(held.tensors.at(0).name == "y");
  REFUSED(model(pb::bytes(15, pb::number(3, 10))), kFormat, "a sparse tensor has no values");
  REFUSED(model(pb::bytes(15, sparse("s", pb::number(3, 1ull << 62) + pb::number(3, 4)))), kFormat,
          "larger than any file");
}

BOOST_AUTO_TEST_CASE(have_functions) {
  // Attributes without a value there are names; those with one hold tensors as nodes do.
  const std::string function =
      pb::bytes(1, "Act") + pb::bytes(10, "com.x") + pb::bytes(6, "alpha") +
      pb::bytes(7, node("Relu", pb::bytes(5, pb::bytes(5, weights("", {3}, 12))))) +
      pb::bytes(11, pb::bytes(1, "table") + pb::bytes(5, weights("", {2}, 8)));
  const Metadata metadata = fixture::read(model("") + pb::bytes(25, function), kFormat);
  BOOST_TEST(metadata.nodes.at(0).scope == "com.x::Act");
  BOOST_REQUIRE(metadata.tensors.size() == 2u);
  BOOST_TEST(metadata.tensors[0].name == "y");
  BOOST_TEST(metadata.tensors[0].scope == "com.x::Act");
  BOOST_TEST(metadata.tensors[1].name == "table");
  BOOST_TEST(metadata.tensors[1].scope == "com.x::Act");
  const std::string leads_out =
      pb::bytes(11, pb::bytes(1, "table") + pb::bytes(5, external("../w")));
  REFUSED(model("") + pb::bytes(25, leads_out), kFormat, "has '..' in it");
}

BOOST_AUTO_TEST_CASE(have_types_of_every_kind) {
  auto shown = [](const std::string& type) {
    const Metadata metadata = fixture::read(model(pb::bytes(11, value("x", type))), kFormat);
    return metadata.inputs.at(0).type + (metadata.inputs.at(0).ranked ? " ranked" : "");
  };
  const std::string map = pb::bytes(5, pb::number(1, 7) + pb::bytes(2, tensor_type()));
  BOOST_TEST(shown(tensor_type()) == "float32 ranked");
  BOOST_TEST(shown(pb::bytes(8, pb::number(1, 1))) == "sparse(float32)");
  BOOST_TEST(shown(map) == "map(int64, float32)");
  BOOST_TEST(shown(pb::bytes(4, pb::bytes(1, map))) == "sequence(map(int64, float32))");
  BOOST_TEST(shown(pb::bytes(9, pb::bytes(1, tensor_type()))) == "optional(float32)");
  BOOST_TEST(shown(pb::bytes(7, "")) == "opaque");
  BOOST_TEST(shown(pb::bytes(1, pb::number(1, 0))) == "undefined");
  BOOST_TEST(
      fixture::refusal(model(pb::bytes(11, value("x", pb::bytes(1, pb::number(1, 99))))), kFormat)
          .error == EOPNOTSUPP);
}

// Protobuf makes one of two messages, and others take the last.
BOOST_AUTO_TEST_CASE(are_not_told_twice) {
  auto input = [](const std::string& bytes) { return model(pb::bytes(11, bytes)); };
  auto attribute = [](const std::string& bytes) {
    return model(pb::bytes(1, node("If", pb::bytes(5, bytes))));
  };
  const std::string tensor = tensor_type(), held = pb::bytes(5, weights("", {2}, 8));
  REFUSED(model("") + pb::bytes(7, ""), kFormat, "there is a second graph");
  REFUSED(input(value("x", tensor) + pb::bytes(2, tensor)), kFormat, "a second type");
  REFUSED(input(value("x", tensor + tensor)), kFormat, "a second kind of a type");
  REFUSED(input(value("x", tensor + pb::bytes(4, pb::bytes(1, tensor)))), kFormat,
          "a second kind of a type");
  REFUSED(input(value("x", pb::bytes(1, pb::bytes(2, "") + pb::bytes(2, "")))), kFormat,
          "a second shape");
  REFUSED(input(value("x", pb::bytes(4, pb::bytes(1, tensor) + pb::bytes(1, tensor)))), kFormat,
          "a second type of elements");
  REFUSED(input(value("x", pb::bytes(5, pb::bytes(2, tensor) + pb::bytes(2, tensor)))), kFormat,
          "a second type of values");
  REFUSED(attribute(held + held), kFormat, "a second tensor");
  REFUSED(attribute(pb::bytes(6, "") + pb::bytes(6, "")), kFormat, "a second graph");
  REFUSED(attribute(pb::bytes(22, sparse("")) + pb::bytes(22, sparse(""))), kFormat,
          "a second sparse tensor");
  // As lists, several are meant.
  BOOST_TEST(fixture::read(
                 attribute(pb::bytes(10, weights("", {2}, 8)) + pb::bytes(10, weights("", {2}, 8)) +
                           pb::bytes(11, "") + pb::bytes(11, "")),
                 kFormat)
                 .tensors.size() == 2u);
  REFUSED(model(pb::bytes(15, sparse("s", pb::bytes(1, weights("t", {2}, 8))))), kFormat,
          "a second list of values");
  REFUSED(model(pb::bytes(15, sparse("s", pb::bytes(2, weights("t", {2}, 8))))), kFormat,
          "a second list of indices");
  REFUSED(model(pb::bytes(5, weights("w", {2}, 8)) + pb::bytes(5, weights("w", {1}, 4))), kFormat,
          "the initializer 'w' is there twice");
  REFUSED(model(pb::bytes(5, weights("w", {2}, 8)) + pb::bytes(15, sparse("w"))), kFormat,
          "the initializer 'w' is there twice");
  REFUSED(model("") + pb::bytes(8, pb::number(2, 18)), kFormat, "the opset of '' is there twice");
  REFUSED(model("") + pb::bytes(8, pb::bytes(1, "ai.onnx") + pb::number(2, 18)), kFormat,
          "the opset of '' is there twice");
  REFUSED(model("") + pb::bytes(14, pb::bytes(1, "license") + pb::bytes(2, "mit")), kFormat,
          "the property 'license' is there twice");
}

BOOST_AUTO_TEST_CASE(what_is_kept_is_limited) {
  std::string nodes;
  const std::string one = pb::bytes(1, pb::bytes(4, "A"));
  for (unsigned i = 0; i < 2'000'000; ++i) nodes += one;
  REFUSED(model(nodes), kFormat, "more to be kept than 256 MiB");
  // A name that many tensors have from their node is kept once for each, and paid for.
  std::string attributes = pb::bytes(2, std::string(1'000'000, 'y'));
  for (unsigned i = 0; i < 300; ++i) attributes += pb::bytes(5, pb::bytes(5, weights("", {1}, 4)));
  REFUSED(model(pb::bytes(1, pb::bytes(4, "A") + attributes)), kFormat,
          "more to be kept than 256 MiB");
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
          "has 1 to 3 numbers, and type and shape ask for 1000");
  REFUSED(tensor(pb::number(1, 2) + pb::number(2, 8) + pb::bytes(6, "one")), kFormat,
          "has 1 texts, and its shape asks for 2");
  REFUSED(tensor(pb::number(1, 1)), kFormat, "elements of type 0");
  BOOST_TEST(fixture::refusal(tensor(pb::number(2, 99)), kFormat).error == EOPNOTSUPP);
  // Numbers are in the list of their type, as many as there are elements, and nowhere else.
  const std::string four = "\1\2\3\4", floats(16, 'f'), doubles(32, 'd');
  for (const std::string& good :
       {numbers(4, 1, pb::bytes(4, floats)), numbers(2, 14, pb::bytes(4, floats)),
        numbers(4, 11, pb::bytes(10, doubles)), numbers(2, 15, pb::bytes(10, doubles)),
        numbers(4, 7, pb::bytes(7, four)), numbers(4, 12, pb::bytes(11, four)),
        numbers(4, 13, pb::bytes(11, four)), numbers(4, 3, pb::bytes(5, four)),
        numbers(4, 10, pb::bytes(5, four)), numbers(8, 22, pb::bytes(5, four)),
        numbers(2, 7, pb::number(7, 1) + pb::number(7, 2)),
        numbers(2, 7, pb::number(7, 1) + pb::bytes(7, "\2")),
        numbers(1, 1, std::string("\x25") + "ffff"), numbers(1, 11, "\x51" + doubles.substr(24)),
        numbers(0, 1, "")})
    BOOST_TEST(fixture::read(tensor(good), kFormat).tensors.size() == 1u);
  REFUSED(tensor(numbers(4, 1, pb::bytes(4, "ffff"))), kFormat,
          "has 1 numbers, and type and shape ask for 4");
  REFUSED(tensor(numbers(3, 1, pb::bytes(4, floats))), kFormat, "has 4 numbers");
  REFUSED(tensor(numbers(4, 14, pb::bytes(4, floats))), kFormat, "ask for 8");
  REFUSED(tensor(numbers(4, 1, pb::bytes(4, floats + "f"))), kFormat, "ends inside of one");
  REFUSED(tensor(numbers(4, 1, pb::bytes(5, four))), kFormat, "weights of two kinds");
  REFUSED(tensor(numbers(4, 11, pb::bytes(4, floats))), kFormat, "weights of two kinds");
  REFUSED(tensor(numbers(4, 1, pb::bytes(4, floats) + pb::bytes(9, floats))), kFormat,
          "weights of two kinds");
  REFUSED(tensor(numbers(4, 1, pb::bytes(4, floats) + pb::bytes(7, four))), kFormat,
          "weights of two kinds");
  REFUSED(tensor(numbers(4, 7, pb::bytes(7, std::string(41, '\1')))), kFormat,
          "has 5 to 41 numbers, and type and shape ask for 4");
  REFUSED(tensor(numbers(1, 7, pb::number(7, 1) + pb::number(7, 2))), kFormat,
          "has 2 numbers, and type and shape ask for 1");
  REFUSED(tensor(numbers(4, 1, "")), kFormat, "has 0 numbers");
  REFUSED(tensor(numbers(1, 1, pb::bytes(6, "text"))), kFormat, "its type is another");
  REFUSED(tensor(numbers(1, 8, pb::bytes(9, "text"))), kFormat, "has 0 texts");
  REFUSED(tensor(numbers(1, 1, pb::number(4, 1))), kFormat, "a number is expected");
  // Parts of a tensor: nothing of what it says could be checked.
  const auto segment = fixture::refusal(
      tensor(pb::number(1, 1ull << 50) + pb::number(2, 1) + pb::bytes(3, "")), kFormat);
  BOOST_TEST(segment.error == EOPNOTSUPP);
  BOOST_TEST(segment.says("segments"), segment.what);
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
            pb::bytes(1, node("Constant", pb::bytes(5, pb::bytes(5, external("data/w.bin")))))));
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
  const auto file = place.model(with_external("hard"));
  BOOST_TEST(read_metadata(file, {.beneath = place.path / "model"}).tensors.at(0).file == "hard");
}

// Other readers keep 32 bits of the number that says whether weights are elsewhere.
BOOST_AUTO_TEST_CASE(data_is_in_the_file_or_not) {
  auto with = [](std::uint64_t location, const std::string& more = "") {
    return model(pb::bytes(5, weights("w", {4}, 16) + entry("location", "../outside/secret") +
                                  pb::number(14, location) + more));
  };
  REFUSED(with((1ull << 32) + 1), kFormat, "there is no location 4294967297 of weights");
  REFUSED(with(2), kFormat, "there is no location 2 of weights");
  REFUSED(with(~std::uint64_t{0}), kFormat, "there is no location");
  REFUSED(with(0), kFormat, "is in the file, and says where else it is");
  REFUSED(with(1), kFormat, "is elsewhere, and in the file as well");
  REFUSED(with(1, pb::number(14, 0)), kFormat, "is in the file, and says where else it is");
  BOOST_TEST(fixture::read(model(pb::bytes(5, weights("w", {4}, 16) + pb::number(14, 0))), kFormat)
                 .parameters == 4u);
  const auto texts =
      fixture::refusal(model(pb::bytes(5, pb::number(1, 1) + pb::number(2, 8) +
                                              entry("location", "w") + pb::number(14, 1))),
                       kFormat);
  BOOST_TEST(texts.says("texts are no external data"), texts.what);
}

// A file is counted once, whatever it is called.
BOOST_AUTO_TEST_CASE(data_is_counted_once) {
  Place place;
  std::string graph;
  int i = 0;
  for (const char* location : {"data/w.bin", "./data/w.bin", "data//w.bin", ".//data/./w.bin"}) {
    const std::string name = std::to_string(i++);
    graph += pb::bytes(5, pb::number(1, 4) + pb::number(2, 1) + pb::bytes(8, name) +
                              entry("location", location) + pb::number(14, 1));
  }
  const auto file = place.model(model(graph));
  const Metadata metadata = read_metadata(file);
  BOOST_TEST(metadata.size_bytes == std::filesystem::file_size(file) + 64);
  BOOST_REQUIRE(metadata.files.size() == 2u);
  BOOST_REQUIRE(metadata.tensors.size() == 4u);
  for (const TensorRecord& tensor : metadata.tensors) BOOST_TEST(tensor.file == "data/w.bin");
}

BOOST_AUTO_TEST_CASE(data_has_names_that_can_be_printed) {
  Place place;
  const std::string name = "w\x1b[31m\n" + std::string(100, 'x');
  auto refusal = [&] {
    auto refusal = place.refusal(with_external(name));
    for (const char c : refusal.what) BOOST_TEST((c >= 0x20 && c < 0x7f), refusal.what);
    BOOST_TEST(refusal.what.size() < 300u);
    return refusal;
  };
  BOOST_TEST(refusal().error == ENOENT);
  std::filesystem::create_directory(place.path / "model" / name);
  BOOST_TEST(refusal().says("is not a regular file"));
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
                 .says("has 18446744073709551615 bytes"));
  for (const char* length : {"15", "17", "64", "0"})
    BOOST_TEST(place.refusal(with_external("data/w.bin", entry("length", length)))
                   .says("has " + std::string(length) + " bytes, and type and shape ask for 16"),
               length);
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
