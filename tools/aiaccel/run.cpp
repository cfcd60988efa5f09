// SPDX-License-Identifier: MIT
//
// aiaccel run: one model through a Deployment, as a program would run it, and how that went.
#include <fmt/format.h>
#include <aiaccel/deployment.hpp>

#include <cerrno>
#include <chrono>
#include <deque>
#include <filesystem>
#include <future>

#include "aiaccel/command.hpp"
#include "aiaccel/inputs.hpp"
#include "aiaccel/model_command.hpp"
#include "aiaccel/model_trust.hpp"
#include "aiaccel/scheduling.hpp"
#include "aiaccel/summary.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"
#include "common/find_engine.hpp"
#include "common/json.hpp"
#include "common/table.hpp"

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
  aiaccel::Answer answer;  // the last one
  aiaccel::VersionStats stats;
  nanoseconds elapsed{0};
  std::string transport;
  std::string os_help;
};

// A file; where there is none of that name, a version in the user's registry.
aiaccel::Model open_model(const std::string& text) {
  std::string file = text;
  std::string label;
  if (!std::filesystem::exists(text) && is_ref(text)) {
    const aiaccel::Registry registry = open_registry({});
    const aiaccel::ModelVersion version = registry.resolve(parse_ref(text));
    if (version.main_file.empty())
      throw Failure(
          fmt::format("{} does not say which of its files is the model", version_name(version)),
          "");
    file = trusted_checkout(registry, version) / version.main_file;
    label = version_name(version);
  }
  try {
    return aiaccel::Model::open(file, label);
  } catch (const aiaccel::Error& e) {
    if (e.code().value() == ENOSYS) throw Failure(e.what(), "`aiaccel doctor`", exit_absent);
    throw;
  }
}

// As many requests under way as there are instances, so that each always has one.
Outcome run_all(const std::string& transport, const aiaccel::Model& model,
                const std::vector<Input>& inputs, const Options& options) {
  aiaccel::DeploymentOptions wanted;
  wanted.engine = options.engine;
  wanted.instances = options.instances;
  wanted.width = options.width;
  wanted.priority = static_cast<aiaccel::Class>(read_class(options.priority));
  wanted.transport = transport;
  aiaccel::Deployment deployment(model, wanted);

  std::vector<aiaccel::Tensor> tensors;
  for (const Input& input : inputs) tensors.push_back(input.tensor);
  Outcome outcome;
  std::deque<std::future<aiaccel::Answer>> under_way;
  const auto began = steady_clock::now();
  for (std::uint64_t asked = 0; asked < options.count || !under_way.empty();) {
    if (asked < options.count && under_way.size() < options.instances) {
      under_way.push_back(deployment.infer_async(tensors));
      asked++;
      continue;
    }
    outcome.answer = under_way.front().get();
    under_way.pop_front();
  }
  outcome.elapsed = steady_clock::now() - began;
  outcome.stats = deployment.stats().back();
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
  fmt::print("answered   {} by {} in {:.3g} s, {} a second\n\n", outcome.stats.total.count(),
             outcome.answer.version, seconds,
             rate_text(static_cast<double>(outcome.stats.total.count()) / seconds));
  Table table({{""}, {"P50", Align::right}, {"P99", Align::right}, {"MAX", Align::right}});
  const auto add = [&table](const char* name, const aiaccel::Histogram& histogram) {
    const auto text = [](nanoseconds time) {
      return duration_text(static_cast<std::uint64_t>(time.count()));
    };
    table.add({name, text(histogram.percentile(0.5)), text(histogram.percentile(0.99)),
               text(histogram.max())});
  };
  add("wait", outcome.stats.wait);
  add("run", outcome.stats.run);
  add("total", outcome.stats.total);
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
  return {{"model", model.label()},
          {"model_bytes", model.size_bytes()},
          {"version", outcome.answer.version},
          {"transport", outcome.transport},
          {"engine", options.engine},
          {"class", options.priority},
          {"width", options.width},
          {"instances", options.instances},
          {"answered", outcome.stats.total.count()},
          {"elapsed_ns", outcome.elapsed.count()},
          {"inputs", in},
          {"outputs", out},
          {"wait", latency_json(outcome.stats.wait)},
          {"run", latency_json(outcome.stats.run)},
          {"total", latency_json(outcome.stats.total)}};
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
  const aiaccel::Model model = open_model(options.model);
  const std::vector<Input> inputs = make_inputs(model.inputs(), choice);
  const Outcome outcome = [&] {
    try {
      return run_all(reached, model, inputs, options);
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
