// SPDX-License-Identifier: MIT
//
// Models that keep weights in files beside them: read from there and nowhere else, or given with
// the model's own bytes.
#include <tap/tap.hpp>

#include <cerrno>
#include <filesystem>

#include "adding.hpp"
#include "backends/onnxruntime.hpp"
#include "fixture.hpp"

using namespace aiaccel;
using fixture::adding;
using fixture::contains;
using fixture::error_of;
using fixture::four;
namespace pb = fixture::pb;

namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span<const char>(text));
  return {bytes.begin(), bytes.end()};
}

float first_of(const Model& model) {
  const std::vector<float> ones(4, 1.0f);
  const std::vector<Tensor> inputs = {
      Tensor(ElementType::f32, {4}, std::as_bytes(std::span(ones)))};
  return model.run(inputs).at(0).data<float>()[3];
}

// The working directory, until this is gone.
struct WorkingFolder {
  const std::filesystem::path before = std::filesystem::current_path();
  const fixture::Folder folder;

  WorkingFolder() { std::filesystem::current_path(folder.path); }
  ~WorkingFolder() { std::filesystem::current_path(before); }
};

#define NEED_RUNTIME() \
  if (!OnnxRuntime::find().present) SKIP(OnnxRuntime::find().reason)

}  // namespace

BOOST_AUTO_TEST_SUITE(weights_beside)

BOOST_AUTO_TEST_CASE(are_read_from_the_models_folder) {
  NEED_RUNTIME();
  const fixture::Folder place;
  place.write("m/data/w.bin", four(41) + four(6));
  const Model whole = Model::open(place.write("m/whole.onnx", adding("data/w.bin")));
  BOOST_TEST(first_of(whole) == 42.0f);
  BOOST_TEST(whole.size_bytes() == std::filesystem::file_size(place.path / "m/whole.onnx") + 32);
  const Model later = Model::open(place.write(
      "m/later.onnx",
      adding("data/w.bin", fixture::entry("offset", "16") + fixture::entry("length", "16"))));
  BOOST_TEST(first_of(later) == 7.0f);
}

BOOST_AUTO_TEST_CASE(are_read_from_nowhere_else) {
  NEED_RUNTIME();
  const fixture::Folder place;
  place.write("secret", four(1));
  std::filesystem::create_directories(place.path / "m");
  std::filesystem::create_symlink("../secret", place.path / "m/link");
  std::filesystem::create_symlink("here", place.path / "m/inside");
  place.write("m/here", four(2));
  const auto opening = [&](const std::string& location) {
    return error_of([&] { Model::open(place.write("m/m.onnx", adding(location))); });
  };
  const auto absent = opening("absent");
  BOOST_TEST(absent.first == ENOENT);
  BOOST_TEST(contains(absent.second, "cannot open 'absent'"), absent.second);
  for (const std::string& location :
       {std::string("../secret"), (place.path / "secret").string(), std::string("link")}) {
    const auto refused = opening(location);
    BOOST_TEST(refused.first == EBADMSG, location);
    BOOST_TEST(contains(refused.second, location), refused.second);
  }
  BOOST_TEST(first_of(Model::open(place.write("m/m.onnx", adding("inside")))) == 3.0f);
  place.write("m/short", "12");
  BOOST_TEST(opening("short").first != 0);
}

// ONNX Runtime takes given files for dense weights of the model's own graph only, and would look in
// the working directory for all others.
BOOST_AUTO_TEST_CASE(that_cannot_be_given_are_refused) {
  NEED_RUNTIME();
  const WorkingFolder decoy;
  decoy.folder.write("w.bin", four(99));
  using fixture::graph;
  using fixture::node;
  const std::string weights = fixture::weights("w.bin");
  const std::string whole = pb::number(2, 9) + pb::bytes(8, "c") + pb::bytes(9, std::string(1, 1));
  const std::string branch = pb::bytes(1, node({"x", "w"}, "t", "Add")) + pb::bytes(2, "branch") +
                             pb::bytes(5, weights) + pb::bytes(12, fixture::value("t"));
  const auto attribute = [](const std::string& name, const std::string& value, int type) {
    return pb::bytes(5, pb::bytes(1, name) + value + pb::number(20, static_cast<unsigned>(type)));
  };
  const std::string both = attribute("then_branch", pb::bytes(6, branch), 5) +
                           attribute("else_branch", pb::bytes(6, branch), 5);
  const std::string inside =
      graph(pb::bytes(1, node({"c"}, "y", "If") + both) + pb::bytes(5, whole));
  const std::string sparse =
      graph(pb::bytes(1, node({"x", "w"}, "y", "Add")) +
            pb::bytes(15, pb::bytes(1, weights) +
                              pb::bytes(2, pb::number(1, 4) + pb::number(2, 7) + pb::bytes(8, "i") +
                                               pb::bytes(9, std::string(32, '\0'))) +
                              pb::number(3, 4)));
  for (const auto& [model, why] :
       {std::pair(inside, "inside the model's"), std::pair(sparse, "are sparse"),
        std::pair(adding("./w.bin"), "shortest way")}) {
    const auto refused = error_of([&, bytes = model] {
      Model::from_bytes(bytes_of(bytes), "m@1",
                        {{"w.bin", bytes_of(four(4))}, {"./w.bin", bytes_of(four(4))}});
    });
    BOOST_TEST(refused.first == EOPNOTSUPP, refused.second);
    BOOST_TEST(contains(refused.second, why), refused.second);
  }
}

// Its own check aside: what the runtime is not given it does not find.
BOOST_AUTO_TEST_CASE(are_never_looked_for_by_the_runtime) {
  NEED_RUNTIME();
  const WorkingFolder decoy;
  decoy.folder.write("w.bin", four(99));
  const auto bytes = bytes_of(adding("w.bin"));
  const auto found =
      error_of([&] { ort::Session(ort::Runtime::get(), bytes, {}, 1, "without its weights"); });
  BOOST_TEST(found.first != 0);
}

BOOST_AUTO_TEST_CASE(are_given_with_the_bytes_and_not_looked_for) {
  NEED_RUNTIME();
  const WorkingFolder decoy;
  decoy.folder.write("w.bin", four(9));
  const auto missing = error_of([] { Model::from_bytes(bytes_of(adding("w.bin")), "m@1"); });
  BOOST_TEST(missing.first == ENOENT);
  BOOST_TEST(contains(missing.second, "m@1: it keeps weights in 'w.bin'"), missing.second);

  const auto bytes = bytes_of(adding("w.bin"));
  BOOST_TEST((Model::weights_beside(bytes) == std::vector<std::string>{"w.bin"}));
  BOOST_TEST(first_of(Model::from_bytes(bytes, "m@1", {{"w.bin", bytes_of(four(4))}})) == 5.0f);
  BOOST_TEST(error_of([&] {
               Model::from_bytes(bytes, "m@1", {{"w.bin", bytes_of("short")}});
             }).first != 0);
}

BOOST_AUTO_TEST_SUITE_END()
