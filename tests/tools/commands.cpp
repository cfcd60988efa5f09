// SPDX-License-Identifier: MIT
//
// The tool `aiaccel` as people run it: what it prints, what it says on stderr, how it ends.
#include <aiaccel.h>
#include <aiaccel/device.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "models/fixture.hpp"
#include "process.hpp"
#include "tap/tap.hpp"

namespace {

using process::Result;
using process::run;
using tools::Json;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string speech_model() {
  return fixture::silero("v5").string();
}

// One step of speech detection at 16 kHz.
std::vector<std::string> speech_run(const std::vector<std::string>& more) {
  std::vector<std::string> command{"aiaccel",     "run",     speech_model(), "--dim",
                                   "input.1=576", "--value", "sr=16000"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

}  // namespace

#define NEEDS_MODELS() \
  if (const std::string why = fixture::missing(); !why.empty()) SKIP(why)

BOOST_AUTO_TEST_SUITE(commands)

BOOST_AUTO_TEST_CASE(version_and_help) {
  const Result version = run({"aiaccel", "--version"});
  BOOST_TEST(version.status == 0);
  BOOST_TEST(version.out == std::string("aiaccel ") + aiaccel_version() + "\n");
  const Result help = run({"aiaccel", "--help"});
  BOOST_TEST(help.status == 0);
  for (const char* command : {"doctor", "engines", "run", "demo"})
    BOOST_TEST(has(help.out, command));
  BOOST_TEST(has(run({"aiaccel", "run", "--help"}).out, "--instances"));
}

BOOST_AUTO_TEST_CASE(misuse_ends_with_2_and_says_what_to_do) {
  const std::vector<std::vector<std::string>> misuses{
      {"aiaccel"},
      {"aiaccel", "nonsense"},
      {"aiaccel", "engines", "--nonsense"},
      {"aiaccel", "run"},
      {"aiaccel", "run", "x.onnx", "--width", "0"},
      {"aiaccel", "run", "x.onnx", "--class", "urgent"},
      {"aiaccel", "run", "x.onnx", "--class", "realtime"},
      {"aiaccel", "run", "x.onnx", "--dim", "n"},
      {"aiaccel", "engines", "--transport", "pigeon"},
  };
  for (const auto& misuse : misuses) {
    const Result result = run(misuse);
    BOOST_TEST_CONTEXT(misuse.back()) {
      BOOST_TEST(result.status == 2);
      BOOST_TEST(result.out == "");
      BOOST_TEST(result.err.starts_with("aiaccel: "));
      BOOST_TEST(has(result.err, "\naiaccel: hint: "));
    }
  }
}

BOOST_AUTO_TEST_CASE(engines_are_those_of_the_library) {
  const Result result = run({"aiaccel", "engines", "--json"});
  BOOST_TEST_REQUIRE(result.status == 0);
  const Json json = result.json();
  BOOST_TEST(json["transport"] == process::transport());

  const aiaccel::Device device = aiaccel::Device::open(process::transport());
  const auto engines = device.engines();
  BOOST_TEST_REQUIRE(json["engines"].size() == engines.size());
  for (std::size_t i = 0; i < engines.size(); i++) {
    const aiaccel_engine_info& info = engines[i].info();
    const Json& told = json["engines"][i];
    BOOST_TEST(told["id"] == info.id);
    BOOST_TEST(told["name"] == info.name);
    BOOST_TEST(told["slots"] == info.slots);
    BOOST_TEST(told["provider"] == info.provider);
    BOOST_TEST(told["state"] == "active");
    BOOST_TEST(told["order"] == "fair");
    // The alias is a name that programs can use.
    BOOST_TEST(device.engine(told["alias"]).id() == info.id);
  }
}

BOOST_AUTO_TEST_CASE(engines_as_a_table) {
  const Result result = run({"aiaccel", "engines"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out.starts_with("ENGINE "));
  BOOST_TEST(has(result.out, "\ncpu-node"));
  BOOST_TEST(has(result.out, "\ntransport: " + process::transport() + "\n"));
  BOOST_TEST(!has(result.out, "\033"));
}

BOOST_AUTO_TEST_CASE(the_option_wins_over_the_environment) {
  const Result before = run({"aiaccel", "--transport", "embedded", "engines", "--json"});
  BOOST_TEST(before.json()["transport"] == "embedded");
  const Result behind = run({"aiaccel", "engines", "--json", "--transport", "embedded"});
  BOOST_TEST(behind.json()["transport"] == "embedded");
}

BOOST_AUTO_TEST_CASE(a_transport_that_is_not_here_ends_with_3) {
  if (std::filesystem::exists("/dev/aiaccel")) SKIP("the module is here");
  const Result result = run({"aiaccel", "engines", "--transport", "kernel"});
  BOOST_TEST(result.status == 3);
  BOOST_TEST(result.err ==
             "aiaccel: cannot open the transport 'kernel': No such file or directory\n"
             "aiaccel: hint: `aiaccel doctor` says what is missing\n");
}

BOOST_AUTO_TEST_CASE(output_that_cannot_be_written_is_a_failure) {
  // /dev/full takes the place of stdout by way of a shell.
  const std::string tool =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel";
  const int status =
      std::system(("\"" + tool + "\" --transport embedded engines >/dev/full 2>/dev/null").c_str());
  BOOST_TEST(WEXITSTATUS(status) == 1);
}

BOOST_AUTO_TEST_CASE(doctor_tells_what_it_found) {
  const Result result = run({"aiaccel", "doctor", "--json"});
  const Json json = result.json();
  int missing = 0;
  std::vector<std::string> subjects;
  for (const Json& finding : json["findings"]) {
    subjects.push_back(finding["subject"]);
    if (finding["verdict"] == "missing") missing++;
  }
  const std::vector<std::string> wanted{"kernel",      "module", "device",  "broker", "transport",
                                        "onnxruntime", "numa",   "memlock", "cgroup", "nvml"};
  BOOST_TEST(subjects == wanted, boost::test_tools::per_element());
  BOOST_TEST(json["missing"] == missing);
  BOOST_TEST(json["transport"] == process::transport());
  BOOST_TEST(result.status == (missing ? 1 : 0));
}

BOOST_AUTO_TEST_CASE(doctor_misses_a_runtime_that_is_not_there) {
  const Result result =
      run({"aiaccel", "doctor"}, {"AIACCEL_ONNXRUNTIME=/nonexistent/libonnxruntime.so"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.out, "missing  onnxruntime  no ONNX Runtime was found"));
  BOOST_TEST(has(result.out, "type: "));
}

BOOST_AUTO_TEST_CASE(run_needs_a_runtime) {
  const Result result = run({"aiaccel", "run", speech_model()},
                            {"AIACCEL_ONNXRUNTIME=/nonexistent/libonnxruntime.so"});
  if (!std::filesystem::exists(speech_model())) SKIP("no model: run scripts/setup");
  BOOST_TEST(result.status == 3);
  BOOST_TEST(has(result.err, "hint: `aiaccel doctor`"));
}

BOOST_AUTO_TEST_CASE(run_answers_with_a_real_model) {
  NEEDS_MODELS();
  const Result result =
      run(speech_run({"--json", "--count", "20", "--instances", "2", "--class", "high"}));
  BOOST_TEST_REQUIRE(result.status == 0);
  BOOST_TEST(result.err == "");  // runtimes like to talk
  const Json json = result.json();
  BOOST_TEST(json["transport"] == process::transport());
  BOOST_TEST(json["version"] == "silero_vad_v5");
  BOOST_TEST(json["answered"] == 20);
  BOOST_TEST(json["class"] == "high");
  BOOST_TEST(json["inputs"][0]["shape"] == Json({1, 576}));
  BOOST_TEST(json["inputs"][0]["source"] == "generated");
  BOOST_TEST(json["inputs"][2]["source"] == "filled");
  const Json& probability = json["outputs"][0];
  BOOST_TEST(probability["name"] == "output");
  BOOST_TEST(probability["shape"] == Json({1, 1}));
  BOOST_TEST(probability["min"] >= 0.0);
  BOOST_TEST(probability["max"] <= 1.0);
  BOOST_TEST(json["outputs"][1]["elements"] == 256);
  for (const char* part : {"wait", "run", "total"}) {
    BOOST_TEST(json[part]["p50_ns"] <= json[part]["p99_ns"]);
    BOOST_TEST(json[part]["p99_ns"] <= json[part]["max_ns"]);
  }
  BOOST_TEST(json["run"]["p50_ns"] > 0);
}

// The tool gives what the library gives for the same input, read from files.
BOOST_AUTO_TEST_CASE(run_gives_what_the_library_gives) {
  NEEDS_MODELS();
  const auto inputs = fixture::vad_inputs(fixture::tone(7), fixture::vad_state());
  std::vector<std::string> command{"aiaccel", "run", speech_model(), "--json"};
  const auto folder =
      std::filesystem::temp_directory_path() / ("aiaccel-test-run." + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const aiaccel::Model model = aiaccel::Model::open(speech_model());
  for (std::size_t i = 0; i < inputs.size(); i++) {
    const std::string name = model.inputs()[i].name;
    std::ofstream file(folder / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(inputs[i].bytes().data()),
               static_cast<std::streamsize>(inputs[i].bytes().size()));
    command.insert(command.end(), {"--input", name + "=" + (folder / name).string()});
  }
  command.insert(command.end(), {"--dim", "input.0=1"});  // the file's length gives the other
  const Result result = run(command);
  std::filesystem::remove_all(folder);
  BOOST_TEST_REQUIRE(result.status == 0, result.err);
  const double wanted = model.run(inputs).at(0).data<float>()[0];
  BOOST_TEST(result.json()["outputs"][0]["first"][0].get<double>() == wanted,
             boost::test_tools::tolerance(1e-5));
}

BOOST_AUTO_TEST_CASE(run_as_text_has_the_same_parts) {
  NEEDS_MODELS();
  const Result result = run(speech_run({}));
  BOOST_TEST(result.status == 0);
  for (const char* part :
       {"model      silero_vad_v5", "transport ", "input      sr: int64",
        "output     output: float32[1, 1]", "answered   1 by silero_vad_v5", "P50", "total"})
    BOOST_TEST(has(result.out, part));
}

BOOST_AUTO_TEST_CASE(run_says_what_does_not_fit) {
  NEEDS_MODELS();
  const Result shape = run({"aiaccel", "run", speech_model(), "--value", "sr=16000"});
  BOOST_TEST(shape.status == 1);
  BOOST_TEST(has(shape.err, "hint: other sizes by --dim"));
  const Result width = run(speech_run({"--width", "4000"}));
  BOOST_TEST(width.status == 1);
  BOOST_TEST(has(width.err, "slots"));
  // Before the model is opened.
  const Result engine = run({"aiaccel", "run", "/nonexistent.onnx", "--engine", "gpu77"});
  BOOST_TEST(engine.status == 2);
  BOOST_TEST(has(engine.err, "there is no engine 'gpu77'"));
  BOOST_TEST(has(engine.err, "hint: the engines here are cpu-node"));
  const Result file = run({"aiaccel", "run", "/etc/passwd"});
  BOOST_TEST(file.status == 1);
  BOOST_TEST(has(file.err, "cannot load /etc/passwd"));
  const Result none = run({"aiaccel", "run", "/nonexistent.onnx"});
  BOOST_TEST(none.status == 1);
  BOOST_TEST(none.err == "aiaccel: cannot open /nonexistent.onnx: No such file or directory\n");
}

BOOST_AUTO_TEST_SUITE_END()
