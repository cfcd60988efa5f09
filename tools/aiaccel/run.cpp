// SPDX-License-Identifier: MIT
//
// aiaccel run: one model through a Deployment, as a program would run it, and how that went.
#include <fmt/format.h>
#include <aiaccel/deployment.hpp>
#include <aiaccel/follow.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <deque>
#include <filesystem>
#include <future>
#include <optional>

#include "aiaccel/command.hpp"
#include "aiaccel/inputs.hpp"
#include "aiaccel/model_command.hpp"
#include "aiaccel/scheduling.hpp"
#include "aiaccel/summary.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"
#include "common/find_engine.hpp"
#include "common/json.hpp"
#include "common/table.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

using namespace std::chrono;

struct Options {
  std::string model;
  std::string engine = "cpu0";
  std::string priority = "normal";
  std::vector<std::string> inputs;
  std::vector<std::string> values;
  std::vector<std::string> dimensions;
  unsigned width = 1;
  unsigned instances = 1;
  std::uint64_t count = 1;
  bool json = false;
};

struct Outcome {
  aiaccel::Answer answer;                       // the last one
  std::vector<aiaccel::VersionStats> versions;  // that answered
  aiaccel::Histogram wait, run, total;          // of all of them
  nanoseconds elapsed{0};
  std::string transport;
  std::string os_help;
};

// What runs: a file; where there is none of that name, a version in the user's registry.
struct Source {
  aiaccel::Model model;
  // Of a version:
  std::optional<aiaccel::Registry> registry;
  aiaccel::Ref ref;
  aiaccel::ModelVersion version;

  bool may_change() const {
    return registry && (ref.kind == aiaccel::Ref::Kind::latest ||
                        (ref.kind == aiaccel::Ref::Kind::stage && ref.number == 0));
  }
};

void tell_warning(const aiaccel::LoadedVersion& loaded) {
  if (!loaded.check.warning.empty())
    fmt::print(stderr, "aiaccel: {}: {}\n", printable(version_name(loaded.version)),
               printable(loaded.check.warning));
}

Source open_source(const std::string& text) {
  try {
    std::error_code none;
    // A folder may have the model's name, above all where it was added from.
    if (std::filesystem::is_regular_file(text, none) || !is_ref(text))
      return {aiaccel::Model::open(text), {}, {}, {}};
    const aiaccel::Registry registry = open_registry({});
    const aiaccel::Ref ref = parse_ref(text);
    aiaccel::LoadedVersion loaded = aiaccel::load_version(registry, ref);
    tell_warning(loaded);
    return {std::move(loaded.model), registry, ref, std::move(loaded.version)};
  } catch (const aiaccel::Error& e) {
    if (e.code().value() == ENOSYS) throw Failure(e.what(), "`aiaccel doctor`", exit_absent);
    throw;
  }
}

// Who asks for a stage means what is in it, also a while later.
std::optional<aiaccel::Follower> follow(const Source& source, aiaccel::Deployment& deployment) {
  if (!source.may_change()) return {};
  aiaccel::FollowOptions options;
  options.on_switch = [](const aiaccel::LoadedVersion& now) {
    tell_warning(now);
    fmt::print(stderr, "aiaccel: now {}\n", printable(version_name(now.version)));
  };
  options.on_error = [](const aiaccel::ModelVersion& refused, const aiaccel::Error& e) {
    fmt::print(stderr, "aiaccel: not switched to {}: {}\n",
               printable(refused.commit.empty() ? refused.name : version_name(refused)),
               printable(e.what()));
  };
  return std::optional<aiaccel::Follower>(std::in_place, *source.registry, source.ref, deployment,
                                          source.version, std::move(options));
}

// SIGINT and SIGTERM: nothing more is asked, what is under way is answered, and all is printed. A
// second one ends the program.
volatile std::sig_atomic_t enough =
    0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void end_by_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { enough = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

// As many requests under way as there are instances, so that each always has one.
Outcome run_all(const std::string& transport, const Source& source,
                const std::vector<Input>& inputs, const Options& options) {
  aiaccel::DeploymentOptions wanted;
  wanted.engine = options.engine;
  wanted.instances = options.instances;
  wanted.width = options.width;
  wanted.priority = static_cast<aiaccel::Class>(read_class(options.priority));
  wanted.transport = transport;
  aiaccel::Deployment deployment(source.model, wanted);
  std::optional<aiaccel::Follower> follower = follow(source, deployment);

  std::vector<aiaccel::Tensor> tensors;
  for (const Input& input : inputs) tensors.push_back(input.tensor);
  Outcome outcome;
  std::deque<std::future<aiaccel::Answer>> under_way;
  end_by_signals();
  const auto began = steady_clock::now();
  for (std::uint64_t asked = 0; (asked < options.count && enough == 0) || !under_way.empty();) {
    if (asked < options.count && enough == 0 && under_way.size() < options.instances) {
      under_way.push_back(deployment.infer_async(tensors));
      asked++;
      continue;
    }
    outcome.answer = under_way.front().get();
    under_way.pop_front();
  }
  outcome.elapsed = steady_clock::now() - began;
  follower.reset();
  for (aiaccel::VersionStats& stats : deployment.stats()) {
    if (stats.total.count() == 0) continue;
    outcome.wait.merge(stats.wait);
    outcome.run.merge(stats.run);
    outcome.total.merge(stats.total);
    outcome.versions.push_back(std::move(stats));
  }
  outcome.transport = deployment.transport();
  outcome.os_help = deployment.os_help();
  return outcome;
}

std::string numbers_text(const Summary& summary) {
  if (!summary.min) return "";
  std::string text =
      fmt::format("min {:.6g}  mean {:.6g}  max {:.6g}", *summary.min, *summary.mean, *summary.max);
  if (summary.not_finite) text += fmt::format("  not finite {}", summary.not_finite);
  return text + fmt::format("  first {:.6g}", fmt::join(summary.first, " "));
}

std::string shape_text(const aiaccel::Tensor& tensor) {
  return aiaccel::to_string(tensor.type(), tensor.shape());
}

void print_text(const aiaccel::Model& model, const std::vector<Input>& inputs,
                const Outcome& outcome, const Options& options) {
  fmt::print("model      {}  {}\n", model.label(), bytes_text(model.size_bytes()));
  fmt::print("ran on     {}  class {}  width {}  instances {}  transport {}\n", options.engine,
             options.priority, options.width, options.instances, outcome.transport);
  if (!outcome.os_help.empty()) fmt::print("system     {}\n", outcome.os_help);
  for (std::size_t i = 0; i < inputs.size(); i++)
    fmt::print("input      {}: {}  {}\n", printable(model.inputs()[i].name),
               shape_text(inputs[i].tensor), printable(inputs[i].source));
  for (std::size_t i = 0; i < outcome.answer.outputs.size(); i++)
    fmt::print("output     {}: {}  {}\n", printable(model.outputs()[i].name),
               shape_text(outcome.answer.outputs[i]),
               numbers_text(summarise(outcome.answer.outputs[i])));

  const double seconds = duration<double>(outcome.elapsed).count();
  std::string by;
  for (const aiaccel::VersionStats& stats : outcome.versions)
    by += fmt::format("{}{} by {}", by.empty() ? "" : ", ", stats.total.count(), stats.version);
  fmt::print("answered   {} in {:.3g} s, {} a second\n\n", by, seconds,
             rate_text(static_cast<double>(outcome.total.count()) / seconds));
  Table table({{""}, {"P50", Align::right}, {"P99", Align::right}, {"MAX", Align::right}});
  const auto add = [&table](const char* name, const aiaccel::Histogram& histogram) {
    const auto text = [](nanoseconds time) {
      return duration_text(static_cast<std::uint64_t>(time.count()));
    };
    table.add({name, text(histogram.percentile(0.5)), text(histogram.percentile(0.99)),
               text(histogram.max())});
  };
  add("wait", outcome.wait);
  add("run", outcome.run);
  add("total", outcome.total);
  for (const std::string& line : table.lines()) fmt::print("{}\n", line);
}

Json latency_json(const aiaccel::Histogram& histogram) {
  return {{"p50_ns", histogram.percentile(0.5).count()},
          {"p99_ns", histogram.percentile(0.99).count()},
          {"max_ns", histogram.max().count()}};
}

Json to_json(const aiaccel::Model& model, const std::vector<Input>& inputs, const Outcome& outcome,
             const Options& options) {
  Json in = Json::array();
  for (std::size_t i = 0; i < inputs.size(); i++)
    in.push_back({{"name", model.inputs()[i].name},
                  {"type", aiaccel::to_string(inputs[i].tensor.type())},
                  {"shape", inputs[i].tensor.shape()},
                  {"source", inputs[i].source}});
  Json out = Json::array();
  for (std::size_t i = 0; i < outcome.answer.outputs.size(); i++) {
    const aiaccel::Tensor& tensor = outcome.answer.outputs[i];
    const Summary summary = summarise(tensor);
    out.push_back({{"name", model.outputs()[i].name},
                   {"type", aiaccel::to_string(tensor.type())},
                   {"shape", tensor.shape()},
                   {"elements", summary.elements},
                   {"not_finite", summary.not_finite},
                   {"min", or_null(summary.min)},
                   {"mean", or_null(summary.mean)},
                   {"max", or_null(summary.max)},
                   {"first", summary.first}});
  }
  Json versions = Json::array();
  for (const aiaccel::VersionStats& stats : outcome.versions)
    versions.push_back({{"version", stats.version}, {"answered", stats.total.count()}});
  return {{"model", model.label()},
          {"model_bytes", model.size_bytes()},
          {"version", outcome.answer.version},
          {"transport", outcome.transport},
          {"engine", options.engine},
          {"class", options.priority},
          {"width", options.width},
          {"instances", options.instances},
          {"answered", outcome.total.count()},
          {"versions", versions},
          {"elapsed_ns", outcome.elapsed.count()},
          {"inputs", in},
          {"outputs", out},
          {"wait", latency_json(outcome.wait)},
          {"run", latency_json(outcome.run)},
          {"total", latency_json(outcome.total)}};
}

// What to do about an error of a deployment.
std::string advice_for(const aiaccel::Error& error) {
  switch (error.code().value()) {
    case EINVAL:
    case EIO:
      return "other sizes by --dim or other input by --input and --value; a width that the engine "
             "has";
    case EPERM:
      return "a lower --class";
    case EOPNOTSUPP:
      return "a class up to high, and an engine of the kind cpu";
    case ESHUTDOWN:
      return "the engine is being drained: `aiaccel resume`, by who drained it";
    default:
      return "";
  }
}

int run(Options& options, const std::string& transport) {
  const InputChoice choice = parse_choice(options.inputs, options.values, options.dimensions);
  // What is wrong in the words is told before anything is loaded, which may take seconds.
  read_class(options.priority);
  std::string reached;
  {
    // Closed at once: the deployment has its own, and closes them where the arbiter leaves.
    const aiaccel::Device device = open_device(transport);
    reached = device.transport();
    options.engine = find_engine(device, options.engine).name();
  }
  const Source source = open_source(options.model);
  const aiaccel::Model& model = source.model;
  const std::vector<Input> inputs = make_inputs(model.inputs(), choice);
  const Outcome outcome = [&] {
    try {
      return run_all(reached, source, inputs, options);
    } catch (const aiaccel::Error& e) {
      throw Failure(e.what(), advice_for(e));
    }
  }();
  if (options.json)
    fmt::print("{}\n", json_text(to_json(model, inputs, outcome, options)));
  else
    print_text(model, inputs, outcome, options);
  return exit_ok;
}

}  // namespace

void add_run(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run", "Run an ONNX model and say how that went");
  command->add_option("MODEL", options->model, "The model's file, or its name in the registry")
      ->required();
  command->add_option("--input", options->inputs, "Raw values of an input; else they are generated")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command->add_option("--value", options->values, "Fill an input with one number")
      ->type_name("NAME=NUMBER")
      ->allow_extra_args(false);
  command->add_option("--dim", options->dimensions, "Size of a free dimension, also INPUT.AXIS [1]")
      ->type_name("NAME=N")
      ->allow_extra_args(false);
  command->add_option("--engine", options->engine, "Where to run [the first of the CPUs]")
      ->type_name("NAME");
  command->add_option("--class", options->priority, "idle, low, normal or high [normal]")
      ->type_name("CLASS");
  command->add_option("--width", options->width, "Slots and threads of one inference [1]")
      ->type_name("N")
      ->check(between(1u, 4096u));
  command->add_option("--instances", options->instances, "Inferences at a time [1]")
      ->type_name("N")
      ->check(between(1u, 256u));
  command->add_option("--count", options->count, "Inferences in all [1]")
      ->type_name("N")
      ->check(between(std::uint64_t{1}, std::uint64_t{1} << 40));
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([&globals, options] { globals.status = run(*options, globals.transport); });
}

}  // namespace tools
