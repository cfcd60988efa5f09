// SPDX-License-Identifier: MIT
//
// Real models through ONNX Runtime: what they take and give, and every way a file or an input can
// be wrong.

#include <tap/tap.hpp>

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <thread>

#include "backends/onnxruntime.hpp"
#include "fixture.hpp"

using namespace aiaccel;
using fixture::contains;
using fixture::error_of;
using fixture::silero;
using fixture::tone;
using fixture::vad_inputs;
using fixture::vad_state;

namespace {

std::vector<std::byte> read_all(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::vector<char> chars(std::istreambuf_iterator<char>(in), {});
  auto bytes = std::as_bytes(std::span<const char>(chars));
  return {bytes.begin(), bytes.end()};
}

struct TempFile {
  std::filesystem::path path;
  TempFile() {
    char name[] = "/tmp/aiaccel-model-XXXXXX";
    ::close(::mkstemp(name));
    path = name;
  }
  ~TempFile() { std::filesystem::remove(path); }
};

// What looking for a runtime says with AIACCEL_ONNXRUNTIME set to `value`.
std::pair<int, std::string> load_with(const char* value) {
  const char* before = ::getenv("AIACCEL_ONNXRUNTIME");
  const std::string kept = before ? before : "";
  ::setenv("AIACCEL_ONNXRUNTIME", value, 1);
  auto error = error_of([] { ort::Runtime::load(); });
  if (before)
    ::setenv("AIACCEL_ONNXRUNTIME", kept.c_str(), 1);
  else
    ::unsetenv("AIACCEL_ONNXRUNTIME");
  return error;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(model)

BOOST_AUTO_TEST_CASE(says_why_there_is_no_runtime) {
  auto absent = load_with("/nowhere/libonnxruntime.so.1");
  BOOST_TEST(absent.first == ENOSYS);
  BOOST_TEST(
      contains(absent.second, "/nowhere/libonnxruntime.so.1: cannot open shared object file"),
      absent.second);
  // A library that is there but is something else; and the named one is the only one tried.
  auto other = load_with("libc.so.6");
  BOOST_TEST(other.first == ENOSYS);
  BOOST_TEST(contains(other.second, "libc.so.6: has no OrtGetApiBase"), other.second);
  BOOST_TEST(!contains(other.second, "libonnxruntime.so"), other.second);
}

// The build for Node.js has the vendor's telemetry in it: a thread, a database and connections.
BOOST_AUTO_TEST_CASE(reports_its_use_to_nobody) {
  NEED_MODELS();
  Model::open(silero("v5"));
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    BOOST_TEST(!contains(target, "onnxruntime.db"), target);
    BOOST_TEST(!contains(target, "mat-debug"), target);
    BOOST_TEST(!contains(target, "socket:"), target);
  }
}

BOOST_AUTO_TEST_CASE(knows_its_inputs_and_outputs) {
  NEED_MODELS();
  Model v5 = Model::open(silero("v5"), "silero-vad@v5");
  BOOST_TEST(v5.label() == "silero-vad@v5");
  BOOST_TEST(v5.name() == "silero-vad");
  BOOST_TEST(v5.version() == "v5");
  BOOST_TEST(v5.file() == silero("v5"));
  BOOST_TEST(v5.size_bytes() == std::filesystem::file_size(silero("v5")));
  BOOST_REQUIRE(v5.inputs().size() == 3u);
  BOOST_TEST(v5.inputs()[0].name == "input");
  BOOST_TEST((v5.inputs()[0].type == ElementType::f32));
  BOOST_TEST(v5.inputs()[1].name == "state");
  BOOST_TEST((v5.inputs()[1].shape == Shape{2, -1, 128}));
  BOOST_TEST(v5.inputs()[2].name == "sr");
  BOOST_TEST((v5.inputs()[2].type == ElementType::i64));
  BOOST_TEST(v5.inputs()[2].shape.empty());
  BOOST_REQUIRE(v5.outputs().size() == 2u);
  BOOST_TEST(v5.outputs()[0].name == "output");
  BOOST_TEST(v5.outputs()[1].name == "stateN");
  Model plain = Model::open(silero("v6"));
  BOOST_TEST(plain.label() == "silero_vad_v6");
  BOOST_TEST(plain.version() == "");
}

BOOST_AUTO_TEST_CASE(answers_the_same_from_file_and_memory_and_carries_state) {
  NEED_MODELS();
  Model from_file = Model::open(silero("v5"));
  Model from_memory = Model::from_bytes(read_all(silero("v5")), "copy");
  Tensor state = vad_state();
  std::vector<float> first = tone(3), second = tone(5);
  auto a = from_file.run(vad_inputs(first, state));
  auto b = from_memory.run(vad_inputs(first, state));
  BOOST_REQUIRE(a.size() == 2u);
  BOOST_TEST((a[0].shape() == Shape{1, 1}));
  BOOST_TEST((a[1].shape() == Shape{2, 1, 128}));
  BOOST_TEST((a == b));
  float probability = a[0].data<float>()[0];
  BOOST_TEST(probability >= 0.0f);
  BOOST_TEST(probability <= 1.0f);
  // The second step depends on the state of the first.
  auto carried = from_file.run(vad_inputs(second, a[1]));
  auto fresh = from_file.run(vad_inputs(second, vad_state()));
  BOOST_TEST(!(carried[1] == fresh[1]));
  BOOST_TEST((carried == from_memory.run(vad_inputs(second, b[1]))));
  // Another version is another model.
  auto other = Model::open(silero("v6")).run(vad_inputs(first, state));
  BOOST_TEST(!(other[0] == a[0]));
}

BOOST_AUTO_TEST_CASE(may_be_run_by_several_threads_at_once) {
  NEED_MODELS();
  Model model = Model::open(silero("v5"));
  auto wanted = model.run(vad_inputs(tone(7), vad_state()));
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&] {
      for (int n = 0; n < 25; n++) right += model.run(vad_inputs(tone(7), vad_state())) == wanted;
    });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(right == 100);
}

BOOST_AUTO_TEST_CASE(refuses_inputs_that_do_not_fit) {
  NEED_MODELS();
  Model model = Model::open(silero("v5"));
  auto inputs = vad_inputs(tone(3), vad_state());

  auto two = error_of([&] { model.run(std::span<const Tensor>(inputs).first(2)); });
  BOOST_TEST(two.first == EINVAL);
  BOOST_TEST(contains(two.second, "takes 3 inputs, and 2 are given"), two.second);

  auto wrong_shape = inputs;
  wrong_shape[1] = Tensor(ElementType::f32, {2, 1, 64});
  auto shape = error_of([&] { model.run(wrong_shape); });
  BOOST_TEST(shape.first == EINVAL);
  BOOST_TEST(
      contains(shape.second, "takes state: float32[2, ?, 128], and float32[2, 1, 64] is given"),
      shape.second);

  auto wrong_type = inputs;
  wrong_type[2] = Tensor::scalar<std::int32_t>(16000);
  auto type = error_of([&] { model.run(wrong_type); });
  BOOST_TEST(type.first == EINVAL);
  BOOST_TEST(contains(type.second, "takes sr: int64[], and int32[] is given"), type.second);

  std::vector<TensorView> views(inputs.begin(), inputs.end());
  views[0].bytes = views[0].bytes.first(100);
  auto short_of = error_of([&] { model.run(views); });
  BOOST_TEST(short_of.first == EINVAL);
  BOOST_TEST(contains(short_of.second, "takes 2304 bytes for input, and 100 are given"),
             short_of.second);

  // What only the runtime can tell comes with its own words: a batch that differs between inputs.
  auto wrong_batch = inputs;
  wrong_batch[1] = Tensor(ElementType::f32, {2, 3, 128});
  auto batch = error_of([&] { model.run(wrong_batch); });
  BOOST_TEST(batch.first != 0);
  BOOST_TEST(contains(batch.second, "cannot run " + silero("v5").string()), batch.second);
  // And none of this harmed the model.
  BOOST_TEST(model.run(inputs).size() == 2u);
}

BOOST_AUTO_TEST_CASE(refuses_files_that_are_no_models) {
  NEED_MODELS();
  auto absent = error_of([] { Model::open("/nowhere/model.onnx"); });
  BOOST_TEST(absent.first == ENOENT);
  BOOST_TEST(contains(absent.second, "/nowhere/model.onnx"), absent.second);
  BOOST_TEST(error_of([] { Model::open("/tmp"); }).first == EINVAL);
  BOOST_TEST(error_of([] { Model::open("/dev/null"); }).first == EINVAL);

  TempFile file;
  auto empty = error_of([&] { Model::open(file.path); });
  BOOST_TEST(empty.first == EBADMSG);
  BOOST_TEST(contains(empty.second, "no bytes"), empty.second);

  std::ofstream(file.path) << "this is no protobuf at all";
  auto text = error_of([&] { Model::open(file.path); });
  BOOST_TEST(text.first == EBADMSG);
  BOOST_TEST(contains(text.second, "cannot load " + file.path.string()), text.second);
}

BOOST_AUTO_TEST_CASE(refuses_models_cut_short_or_damaged) {
  NEED_MODELS();
  std::vector<std::byte> good = read_all(silero("v5"));
  for (std::size_t keep : {1ul, 64ul, 4096ul, good.size() / 2, good.size() - 1}) {
    auto [code, what] = error_of([&] {
      Model::from_bytes({good.begin(), good.begin() + static_cast<long>(keep)}, "cut@1");
    });
    BOOST_TEST(code != 0, "a model of " << keep << " bytes was accepted");
    BOOST_TEST(contains(what, "cut@1"), what);
  }
  // Damage in the graph's beginning, where names and lengths lie.
  std::vector<std::byte> damaged = good;
  for (std::size_t i = 16; i < 512; i++) damaged[i] ^= std::byte{0x5a};
  BOOST_TEST(error_of([&] { Model::from_bytes(damaged, "damaged@1"); }).first != 0);
}

BOOST_AUTO_TEST_CASE(refuses_labels_that_cannot_be_shown) {
  for (std::string label :
       {std::string("two\nlines"), std::string("\xc3\xa9"), std::string(64, 'a')}) {
    auto [code, what] = error_of([&] { Model::from_bytes({std::byte{0}}, label); });
    BOOST_TEST(code == EINVAL);
    BOOST_TEST(contains(what, "printable ASCII"), what);
  }
}

BOOST_AUTO_TEST_CASE(tells_whether_one_version_can_replace_another) {
  NEED_MODELS();
  Model v5 = Model::open(silero("v5"));
  Model v6 = Model::open(silero("v6"));
  Model legacy = Model::open(silero("legacy"));
  BOOST_TEST(v5.replaceable_by(v6) == "");
  BOOST_TEST(v6.replaceable_by(v5) == "");
  std::string why = v5.replaceable_by(legacy);
  BOOST_TEST(contains(why, "3 inputs become 4"), why);
}

BOOST_AUTO_TEST_SUITE_END()
