// SPDX-License-Identifier: MIT
//
// aiaccel demo: the main job on a real model. Clients that people wait for and floods that they
// would drown in, in processes of their own; a server that takes both; a flood that is killed;
// versions that are switched; the speech that was found. Figures are printed, and written as JSON.
//
// Everything here runs one step after the other; what runs at the same time are the clients.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include <aiaccel/deployment.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "aiaccel/command.hpp"
#include "aiaccel/demo_cgroup.hpp"
#include "aiaccel/demo_child.hpp"
#include "aiaccel/demo_roles.hpp"
#include "aiaccel/demo_runner.hpp"
#include "aiaccel/demo_switch.hpp"
#include "aiaccel/speech.hpp"
#include "common/failure.hpp"
#include "common/stats.hpp"
#include "common/table.hpp"

namespace tools {
namespace {

using aiaccel::Class;
using aiaccel::Device;
using aiaccel::Model;

constexpr unsigned kStreams = 32;
constexpr double kRealTime = kStreams * static_cast<double>(kSampleRate) / kChunk;  // 1000 a second
constexpr std::uint64_t kHeldBytes = 64 << 20;
constexpr unsigned kServerBacklog = 64;

std::filesystem::path model_file(const char* version) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path base =
      cache && *cache ? cache : std::filesystem::path(home && *home ? home : "/root") / ".cache";
  const std::filesystem::path file =
      base / "aiaccel/models" / (std::string("silero_vad_") + version + ".onnx");
  if (!std::filesystem::exists(file))
    throw Failure(file.string() + " is missing", "scripts/setup demo", exit_absent);
  return file;
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

// A file that goes with its object.
struct TempFile {
  std::string path;
  TempFile() {
    char name[] = "/tmp/aiaccel-demo-XXXXXX";
    const int fd = ::mkstemp(name);
    if (fd < 0)
      throw std::system_error(errno, std::generic_category(), "cannot make a file in /tmp");
    ::close(fd);
    path = name;
  }
  ~TempFile() { ::unlink(path.c_str()); }
};

// What is going on, on stderr: on a terminal one line that is replaced, else a line for each step.
class Progress {
 public:
  ~Progress() { clear(); }
  void say(const std::string& what) {
    clear();
    fmt::print(stderr, "  {} …{}", what, terminal_ ? "" : "\n");
    std::fflush(stderr);
  }
  void clear() {
    if (terminal_) fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO);
};

void print_section(int number, const char* title) {
  fmt::print("\n{}. {}\n\n", number, title);
}

void print_table(const Table& table) {
  for (const std::string& line : table.lines()) fmt::print("  {}\n", line);
}

std::string milliseconds(const Json& value) {
  return fmt::format("{:.2f} ms", value.get<double>());
}

class Demo {
 public:
  Demo(const std::string& transport, double seconds)
      : device_(open_device(transport)),
        transport_(device_.transport()),
        slots_(device_.engine(kEngine).slots()),
        load_(load_average()),
        seconds_(seconds),
        v5_(Model::open(model_file("v5"), "silero-vad@v5")),
        v6_(Model::open(model_file("v6"), "silero-vad@v6")) {}

  Json run();

 private:
  static constexpr const char* kEngine = "cpu0";

  struct Condition {
    const char* key;
    const char* title;
    bool flood, os_tools, gated;
  };

  void measure();
  void introduce() const;
  Json conditions();
  Json condition(const Condition& condition);
  Json server();
  Json kill_flood();
  Json switches();
  Json segments();

  Json runner(Class priority, bool gated, bool os_tools) const;
  Json load(Json runner) const;

  // Before the device: whether cgroups are in use decides which tenant a context belongs to.
  Cgroups cgroups_;
  Device device_;
  const std::string transport_;
  const unsigned slots_;
  const double load_;     // of the machine, before the demo
  const double seconds_;  // of each condition
  const Model v5_, v6_;
  Progress progress_;
  TempFile samples_;
  std::vector<float> speech_;
  double service_ms_ = 0;  // one inference, one thread, nothing else running
  double per_s_ = 0;       // of the client with streams
};

void Demo::measure() {
  progress_.say("espeak-ng speaks");
  speech_ = synthesize_speech({"The quick brown fox jumps over the lazy dog.",
                               "Every accelerator on this host is shared by several programs.",
                               "Please wait for your turn, and give it back when you are done."});
  write_samples(samples_.path, speech_);
  progress_.say("measuring one inference");
  VadStream line;
  std::vector<double> took;
  const Clock::time_point begin = Clock::now();
  while (took.size() < 300 && Clock::now() - begin < std::chrono::seconds(2)) {
    const Clock::time_point before = Clock::now();
    line.take(v5_.run(line.inputs(std::span(speech_).subspan(kSampleRate, kChunk))));
    took.push_back(std::chrono::duration<double, std::milli>(Clock::now() - before).count());
  }
  std::nth_element(took.begin(), took.begin() + static_cast<long>(took.size() / 2), took.end());
  service_ms_ = took[took.size() / 2];
  // Slower machines, and emulated ones above all, get streams that are as slow in proportion.
  per_s_ = std::min(kRealTime, 0.22 * 1000 / service_ms_);
}

void Demo::introduce() const {
  const aiaccel::OnnxRuntime runtime = aiaccel::OnnxRuntime::find();
  fmt::print("transport  {}\n", transport_);
  if (transport_ == "embedded")
    fmt::print(
        "           (arbitrates inside one process only: separate clients do not meet in it)\n");
  fmt::print("engine     {}, {} slots\n", device_.engine(kEngine).name(), slots_);
  fmt::print("models     {} and {}, ONNX Runtime {}\n", v5_.label(), v6_.label(), runtime.version);
  fmt::print("sound      {:.1f} s of speech and silence by espeak-ng\n",
             static_cast<double>(speech_.size()) / kSampleRate);
  fmt::print("clients    separate processes, {}\n", cgroups_.kind());
  fmt::print(
      "pace       one inference takes {:.2f} ms here; {} streams ask for {:.0f} a second, {}\n",
      service_ms_, kStreams, per_s_,
      per_s_ == kRealTime ? "which is real time"
                          : fmt::format("since real time, {:.0f}, is too much here", kRealTime));
  if (load_ > 0.5)
    fmt::print("           other work disturbs what follows: the load was {:.1f} before it began\n",
               load_);
  fmt::print("No GPU was involved: everything below ran on the CPU.\n");
}

Json Demo::runner(Class priority, bool gated, bool os_tools) const {
  RunnerConfig config;
  config.model = v5_.file().string();
  config.label = v5_.label();
  config.transport = gated ? transport_ : "";
  config.engine = kEngine;
  config.instances = slots_;
  config.os_tools = os_tools;
  config.priority = priority;
  return to_json(config);
}

Json Demo::load(Json runner) const {
  return {{"runner", std::move(runner)}, {"speech", samples_.path},
          {"streams", kStreams},         {"per_s", per_s_},
          {"seconds", seconds_},         {"bytes", 0}};
}

Json Demo::condition(const Condition& condition) {
  progress_.say(fmt::format("{} ({:.0f} s)", condition.title, seconds_));
  cgroups_.weigh("flood", condition.os_tools);
  std::optional<Child> flood;
  if (condition.flood) {
    Json config = load(runner(Class::low, condition.gated, condition.os_tools));
    // It is there before and after: what is measured is measured beside it.
    config["seconds"] = seconds_ + 0.5;
    flood.emplace("flood", config, cgroups_.procs("flood"));
  }
  Child high("streams", load(runner(Class::high, condition.gated, condition.os_tools)),
             cgroups_.procs("high"));
  std::vector<Child*> all = {&high};
  if (flood) all.push_back(&*flood);
  start_together(all);
  Json result = high.result();
  result["flood_per_s"] = 0.0;
  if (flood) {
    const Json other = flood->result();
    result["flood_per_s"] = other["per_s"];
    result["flood_os_help"] = other["os_help"];
  }
  progress_.clear();
  return result;
}

Json Demo::conditions() {
  print_section(1, "32 streams that people wait for, beside a flood of the same model");
  const Condition all[] = {
      {"alone", "alone", false, false, false},
      {"nothing", "beside a flood, nothing done", true, false, false},
      {"os_tools", "beside a flood, the system's tools", true, true, false},
      {"aiaccel", "beside a flood, aiaccel", true, true, true},
  };
  Table table({{"CONDITION"},
               {"P50", Align::right},
               {"P99", Align::right},
               {"P99.9", Align::right},
               {"REQUESTS", Align::right},
               {"FAILED", Align::right},
               {"FLOOD", Align::right}});
  Json results;
  for (const Condition& one : all) {
    const Json& result = results[one.key] = condition(one);
    table.add({one.title, milliseconds(result["p50_ms"]), milliseconds(result["p99_ms"]),
               milliseconds(result["p999_ms"]),
               std::to_string(result["requests"].get<std::size_t>()),
               std::to_string(result["failed"].get<std::size_t>()),
               one.flood ? fmt::format("{:.0f}/s", result["flood_per_s"].get<double>()) : "-"});
  }
  print_table(table);
  auto tools = [](const Json& help) {
    const std::string text = help.get<std::string>();
    return text.empty() ? "nothing" : text;
  };
  fmt::print("\n  Latency counts from the moment at which a chunk was due, fixed beforehand.\n");
  fmt::print("  The system's tools, also used by aiaccel: streams {}; flood {}{}.\n",
             tools(results["os_tools"]["os_help"]), tools(results["os_tools"]["flood_os_help"]),
             cgroups_.weighs() ? ", least CPU weight" : "; no cpu controller to weigh with");
  return results;
}

Json Demo::server() {
  print_section(2, "One server process that is asked for both");
  Table table({{"SERVED"},
               {"P50", Align::right},
               {"P99", Align::right},
               {"P99.9", Align::right},
               {"FAILED", Align::right},
               {"BATCH", Align::right}});
  Json results;
  for (const bool by_class : {false, true}) {
    const char* title = by_class ? "by class" : "in order of arrival";
    const double seconds = seconds_ * 0.6;
    progress_.say(fmt::format("a server, {} ({:.0f} s)", title, seconds));
    Json config = load(runner(Class::normal, true, false));
    config["seconds"] = seconds;
    config["by_class"] = by_class;
    config["depth"] = kServerBacklog;
    Child server("server", config);
    start_together({&server});
    const Json& result = results[by_class ? "by_class" : "fifo"] = server.result();
    progress_.clear();
    table.add({title, milliseconds(result["p50_ms"]), milliseconds(result["p99_ms"]),
               milliseconds(result["p999_ms"]), std::to_string(result["failed"].get<std::size_t>()),
               fmt::format("{:.0f}/s", result["batch_per_s"].get<double>())});
  }
  print_table(table);
  fmt::print("\n  {} batch requests wait at all times, among those of the {} streams.\n",
             kServerBacklog, kStreams);
  return results;
}

Json Demo::kill_flood() {
  print_section(3, "A flood is killed while it runs");
  if (transport_ == "embedded") {
    fmt::print("  left out: the embedded transport ends with the process that is killed\n");
    return {{"returned_ms", nullptr}};
  }
  progress_.say("a flood that will be killed");
  const std::uint64_t before = device_.query().pinned_bytes;
  Json config = load(runner(Class::low, true, true));
  config["seconds"] = 3600;
  config["bytes"] = kHeldBytes;
  Child flood("flood", config);
  start_together({&flood});
  auto slots_held = [&] {
    unsigned held = 0;
    for (const aiaccel_stats_queue& queue : read_stats<aiaccel_stats_queue>(device_).records)
      if (queue.pid == flood.pid()) held += queue.slots_held;
    return held;
  };
  auto bytes_held = [&] { return device_.query().pinned_bytes - before; };
  auto wait_until = [](auto condition, const char* what) {
    const Clock::time_point give_up = Clock::now() + std::chrono::seconds(30);
    while (!condition())
      if (Clock::now() > give_up) throw Failure(fmt::format("30 s went by until {}", what), "");
  };
  wait_until([&] { return bytes_held() >= kHeldBytes; }, "the flood had its memory");
  wait_until([&] { return slots_held() > 0; }, "the flood had a turn");

  const Clock::time_point killed = Clock::now();
  ::kill(flood.pid(), SIGKILL);
  auto since = [&] {
    return std::chrono::duration<double, std::milli>(Clock::now() - killed).count();
  };
  wait_until([&] { return slots_held() == 0; }, "the slots came back");
  const double slots_ms = since();
  wait_until([&] { return bytes_held() == 0; }, "the memory came back");
  const double memory_ms = since();
  flood.kill();
  progress_.clear();
  fmt::print("  its slots were back after {:.2f} ms, its {} MiB after {:.2f} ms\n", slots_ms,
             kHeldBytes >> 20, memory_ms);
  return {{"returned_ms", std::max(slots_ms, memory_ms)},
          {"slots_ms", slots_ms},
          {"memory_ms", memory_ms}};
}

Json Demo::switches() {
  print_section(4, "v5 becomes v6 and v5 again while requests come");
  const double seconds = seconds_ * 0.6;
  progress_.say(fmt::format("switching versions ({:.0f} s)", seconds));
  aiaccel::DeploymentOptions options;
  options.engine = kEngine;
  options.instances = slots_;
  aiaccel::Deployment deployment = device_.deploy(v5_, options);
  const auto chunks = static_cast<std::size_t>(std::clamp(1000 / service_ms_, 16.0, 94.0));
  Json result = switch_versions(deployment, v5_, v6_, speech_, chunks, seconds);
  progress_.clear();
  std::string versions;
  for (const auto& [version, count] : result["answers"].items())
    versions +=
        fmt::format("{}{} by {}", versions.empty() ? "" : ", ", count.get<std::size_t>(), version);
  fmt::print("  {} requests: {}\n", result["requests"].get<std::size_t>(), versions);
  fmt::print("  {} lost, {} wrong; each was compared with its version's answer computed alone\n",
             result["lost"].get<std::size_t>(), result["wrong"].get<std::size_t>());
  fmt::print(
      "  {} streams, {} of them across a switch, which ended with the version they began with\n",
      result["streams"].get<std::size_t>(), result["streams_across_a_switch"].get<std::size_t>());
  fmt::print("  update took {:.1f} ms, rollback {:.2f} ms; requests went on meanwhile\n",
             result["update_ms"].get<double>(), result["rollback_ms"].get<double>());
  return result;
}

Json Demo::segments() {
  print_section(5, "The speech that was found");
  // As much of it as is heard in ten seconds.
  const auto chunks = static_cast<std::size_t>(10000 / service_ms_);
  const std::span<const float> heard =
      std::span(speech_).first(std::min(speech_.size(), chunks * kChunk));
  const double heard_s = static_cast<double>(heard.size()) / kSampleRate;
  progress_.say(fmt::format("listening to {:.1f} s", heard_s));
  aiaccel::DeploymentOptions options;
  options.engine = kEngine;
  options.priority = Class::high;
  aiaccel::Deployment deployment = device_.deploy(v5_, options);
  VadStream line;
  std::vector<float> probabilities;
  for (std::size_t at = 0; at < heard.size(); at += kChunk)
    probabilities.push_back(line.take(
        deployment.infer(line.inputs(heard.subspan(at, std::min(kChunk, heard.size() - at))))
            .outputs));
  progress_.clear();
  Json result = Json::array();
  for (const Segment& segment : speech_segments(probabilities)) {
    result.push_back({{"start_s", segment.start_s}, {"end_s", segment.end_s}});
    fmt::print("  {:6.2f} s to {:6.2f} s\n", segment.start_s, segment.end_s);
  }
  fmt::print("  in {:.1f} s of sound\n", heard_s);
  return result;
}

Json Demo::run() {
  measure();
  introduce();
  Json result = {{"transport", transport_},
                 {"gpu", false},
                 {"engine", device_.engine(kEngine).name()},
                 {"slots", slots_},
                 {"load_before", load_},
                 {"service_ms", service_ms_},
                 {"streams", kStreams},
                 {"requested_per_s", per_s_},
                 {"real_time", per_s_ == kRealTime},
                 {"cgroups", cgroups_.kind()}};
  result["conditions"] = conditions();
  result["server"] = server();
  result["kill"] = kill_flood();
  result["switch"] = switches();
  result["segments"] = segments();
  return result;
}

}  // namespace

void add_demo(CLI::App& app, Globals& globals) {
  auto file = std::make_shared<std::string>();
  auto role = std::make_shared<std::string>();
  auto seconds = std::make_shared<double>(10);
  CLI::App* command =
      app.add_subcommand("demo", "Run the main job on a real model: about a minute and a half");
  command->add_option("--json", *file, "Write the figures to FILE as well")->type_name("FILE");
  command->add_option("--role", *role)->group("");  // the demo's own clients; see demo_child.hpp
  command->add_option("--seconds", *seconds)->group("");  // of each condition, for tests
  command->callback([&globals, file, role, seconds] {
    globals.status = exit_ok;
    if (!role->empty()) return run_role(*role);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // each line when it is known, also into a file
    const Json result = Demo(globals.transport, *seconds).run();
    if (!file->empty()) {
      std::ofstream out(*file);
      out << json_text(result) << '\n';
      if (!out.flush()) throw Failure("cannot write " + *file, "");
      fmt::print("\nThe figures are in {}.\n", *file);
    }
    const bool good = result["switch"]["lost"] == 0 && result["switch"]["wrong"] == 0;
    if (!good) throw Failure("answers were lost or wrong", "");
  });
}

}  // namespace tools
