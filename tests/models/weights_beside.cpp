// SPDX-License-Identifier: MIT
//
// Models that keep weights in files beside them: read from there and nowhere else, or given with
// the model's own bytes.
#include <tap/tap.hpp>

#include <cerrno>
#include <filesystem>

#include "adding.hpp"
#include "fixture.hpp"

using namespace aiaccel;
using fixture::adding;
using fixture::contains;
using fixture::error_of;
using fixture::four;

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

BOOST_AUTO_TEST_CASE(are_given_with_the_bytes_and_not_looked_for) {
  NEED_RUNTIME();
  const fixture::Folder place;
  const auto before = std::filesystem::current_path();
  place.write("w.bin", four(9));
  std::filesystem::current_path(place.path);
  const auto missing = error_of([] { Model::from_bytes(bytes_of(adding("w.bin")), "m@1"); });
  std::filesystem::current_path(before);
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
