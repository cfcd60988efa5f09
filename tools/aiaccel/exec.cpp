// SPDX-License-Identifier: MIT
//
// aiaccel exec: starts a program that knows nothing of aiaccel in a class, on an engine, within
// bytes.
//
// It becomes the program: process, signals and exit status are the program's own, and nothing of
// this stays behind but its cgroup, which the next exec removes, and a broker for the shim where
// there was none. What cannot be set is said in one line each and the program starts all the same.
#include <broker/address.h>
#include <fmt/format.h>
#include <glob.h>
#include <policy/answer.h>
#include <policy/expand.h>
#include <policy/folder.h>
#include <transport.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "aiaccel/arbiter_policy.hpp"
#include "aiaccel/command.hpp"
#include "aiaccel/group.hpp"
#include "aiaccel/scheduling.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"
#include "common/find_engine.hpp"
#include "common/names.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

namespace fs = std::filesystem;
using aiaccel::policy::Key;

// As env(1) has them.
constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;

struct Options {
  std::string priority;
  std::string engine;
  std::string device_bytes;
  std::string weight;
  std::string name;
  std::vector<std::string> command;
};

// What the options mean.
struct Wanted {
  std::optional<std::uint32_t> priority;
  std::optional<CpuNode> cpus;
  aiaccel::policy::Settings settings;  // of the program's group
};

std::optional<std::uint64_t> value_of(Key key, const char* option, const std::string& text) {
  if (text.empty()) return {};
  const auto value = read_value(key, text);
  if (!value)
    throw Failure(fmt::format("{} {}: {} is expected", option, text, info(key).expected), "",
                  exit_usage);
  return value;
}

Wanted understand(const Options& options) {
  Wanted wanted;
  if (!options.priority.empty()) wanted.priority = read_class(options.priority);
  if (!options.engine.empty()) wanted.cpus = find_cpu_node(options.engine);
  wanted.settings[Key::device_bytes] =
      value_of(Key::device_bytes, "--device-bytes", options.device_bytes);
  wanted.settings[Key::weight] = value_of(Key::weight, "--weight", options.weight);
  const bool good = std::all_of(options.name.begin(), options.name.end(), [](unsigned char c) {
    return std::isalnum(c) || std::strchr("._-", c);
  });
  if (!good || options.name.size() > 64)
    throw Failure(fmt::format("--name {}: up to 64 letters, digits, dots, - and _ are expected",
                              options.name),
                  "", exit_usage);
  return wanted;
}

void cannot(const std::string& what, const std::string& why) {
  if (!why.empty()) fmt::print(stderr, "aiaccel exec: {}: {}\n", what, printable(why));
}

// Beside this program, as installed (in lib, or in lib of this architecture) or as built.
std::string find_shim() {
  std::error_code none;
  const fs::path lib = fs::read_symlink("/proc/self/exe", none).parent_path().parent_path() / "lib";
  std::string found;
  for (const char* place : {"aiaccel", "*/aiaccel", "."}) {
    glob_t files{};
    const std::string pattern = lib / place / "libaiaccel-cuda.so";
    if (found.empty() && ::glob(pattern.c_str(), 0, nullptr, &files) == 0)
      found = fs::path(files.gl_pathv[0]).lexically_normal();
    ::globfree(&files);
  }
  return found;
}

void preload_shim() {
  const std::string shim = find_shim();
  if (shim.empty()) return cannot("CUDA is not gated", "libaiaccel-cuda.so is not installed");
  const char* before = std::getenv("LD_PRELOAD");
  const std::string old = before ? before : "";
  if (old.find("libaiaccel-cuda.so") == old.npos)
    ::setenv("LD_PRELOAD", (old.empty() ? shim : shim + ":" + old).c_str(), 1);
}

// Ceilings, where the arbiter lets this user say so: root, as a rule.
void cap_group(const Group& group, const Wanted& wanted, const std::string& transport) {
  const bool asked = !wanted.settings.empty();
  std::string why;
  if (group.folder.empty())
    why = "it has no cgroup of its own";
  else if (::geteuid() != 0)
    why = "only root sets them";
  else if (asked || group.fresh)
    if (const auto device = open_module(transport, why)) try {
        const std::string path = group_path(group.folder);
        if (asked)
          set_group_rule(*device, path, aiaccel::policy::rule_with(wanted.settings));
        else
          drop_group_rule(*device, path);
      } catch (const std::exception& e) {
        return cannot("no ceilings by the arbiter", e.what());
      }
  if (asked) cannot("no ceilings by the arbiter", why);
}

// A GPU's name is known to the arbiter, where one runs already. The program may find it all the
// same when its engine comes later.
void look_for_engine(const Options& options, const Wanted& wanted, const std::string& transport) {
  if (options.engine.empty() || wanted.cpus) return;
  try {
    std::string missing;
    const auto device = open_running(transport, missing);
    if (device && device->transport() != "embedded") find_engine(*device, options.engine);
  } catch (const Failure& e) {
    cannot("--engine " + options.engine, fmt::format("{}; {}", e.what(), e.advice()));
  } catch (const std::exception& e) {
    cannot("--engine " + options.engine, e.what());
  }
}

// The shim starts none: it would be a child of a program that has its own, in that one's class and
// group. It stays until the program has got to its first launch, which may take minutes.
void start_broker_if_none(const std::string& transport) {
  constexpr unsigned kIdleSeconds = 600;
  const char* environment = std::getenv("AIACCEL_TRANSPORT");
  std::string name = transport.empty() && environment ? environment : transport;
  if (name.empty() || name == "auto") {
    std::unique_ptr<aiaccel::Transport> kernel;
    const int error = aiaccel::open_kernel(&kernel);
    if (error == -ENOENT || error == -ENODEV || error == -ENXIO) name = "broker";
  }
  if (name != "broker" || find_shim().empty() || aiaccel::broker_listens()) return;
  aiaccel::BrokerAddress address;
  if (aiaccel::find_broker(&address) == 0 && !address.of_system)
    aiaccel::start_broker(address.path, kIdleSeconds);  // if it cannot, the shim says what follows
}

Group enter_own_group(const Options& options, const Wanted& wanted) {
  std::string why;
  Group group;
  const std::string base = group_base(why);
  const std::string name = options.name.empty() ? std::to_string(::getpid()) : options.name;
  if (!base.empty()) group = enter_group(base, kGroupPrefix + name, 0, why);
  if (group.folder.empty()) {
    cannot("no cgroup of its own", why);
  } else if (wanted.priority || wanted.settings[Key::weight]) {
    const Scheduling& scheduling = scheduling_of(wanted.priority.value_or(AIACCEL_CLASS_NORMAL));
    const auto weight = wanted.settings[Key::weight].value_or(scheduling.weight);
    cannot("cpu.weight", weigh_group(group.folder, static_cast<unsigned>(weight),
                                     wanted.priority == AIACCEL_CLASS_IDLE));
  }
  return group;
}

// After the group was entered: a cpuset of it bounds what can be set here.
void schedule_self(const std::string& folder, const Wanted& wanted) {
  if (wanted.cpus) {
    const bool grouped =
        !folder.empty() && set_in_group(folder, "cpuset.cpus", wanted.cpus->cpus).empty();
    if (!grouped) cannot("CPUs " + wanted.cpus->cpus, put_on_cpus(0, wanted.cpus->cpus));
    cannot("memory of the node", prefer_memory(wanted.cpus->node));
  }
  if (wanted.priority) {
    const Scheduling& scheduling = scheduling_of(*wanted.priority);
    cannot(scheduling.text, schedule(0, scheduling));
  }
}

// Read by the shim, and by programs that link libaiaccel.
void set_environment(const Options& options, const Wanted& wanted, const std::string& transport) {
  if (!options.priority.empty()) ::setenv("AIACCEL_CLASS", options.priority.c_str(), 1);
  if (!options.engine.empty()) ::setenv("AIACCEL_ENGINE", options.engine.c_str(), 1);
  if (const auto bytes = wanted.settings[Key::device_bytes])
    ::setenv("AIACCEL_DEVICE_BYTES", write_value(Key::device_bytes, *bytes).c_str(), 1);
  if (!transport.empty()) ::setenv("AIACCEL_TRANSPORT", transport.c_str(), 1);
  // The arbiter, where it is there, tells the rest.
  if (aiaccel::policy::answer_for_self(aiaccel::policy::kFolder).on_missing ==
      AIACCEL_ON_MISSING_CLOSED)
    ::setenv("AIACCEL_ON_MISSING", "closed", 0);
}

int run(const Options& options, const std::string& transport) {
  const Wanted wanted = understand(options);
  look_for_engine(options, wanted, transport);
  start_broker_if_none(transport);  // in the class and the group that this began in
  const Group group = enter_own_group(options, wanted);
  schedule_self(group.folder, wanted);
  cap_group(group, wanted, transport);
  set_environment(options, wanted, transport);
  preload_shim();

  std::vector<char*> arguments;
  for (const std::string& argument : options.command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int error = errno;
  cannot(options.command[0], std::strerror(error));
  return error == ENOENT ? kNotFound : kCannotRun;
}

}  // namespace

void add_exec(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("exec", "Start a program in a class, on an engine");
  command->add_option("--class", options->priority, "idle, low, normal or high")
      ->type_name("CLASS")
      ->check(not_empty());
  command->add_option("--engine", options->engine, "A GPU, or the CPUs and memory to keep to")
      ->type_name("NAME")
      ->check(not_empty());
  command->add_option("--device-bytes", options->device_bytes, "Most device memory, such as 10G")
      ->type_name("BYTES")
      ->check(not_empty());
  command->add_option("--weight", options->weight, "Share against others [100]")
      ->type_name("N")
      ->check(not_empty());
  command->add_option("--name", options->name, "Name of its cgroup [its process number]")
      ->type_name("NAME")
      ->check(not_empty());
  command->add_option("CMD", options->command, "The program and its arguments")->required();
  command->callback([&globals, options] { globals.status = run(*options, globals.transport); });
}

std::vector<char*> end_options_of_exec(const CLI::App& app, int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  const CLI::App* exec = app.get_subcommand("exec");
  int words = 0;
  for (auto at = arguments.begin(); at != arguments.end() && ++at != arguments.end();) {
    const std::string word = *at;
    if (word == "--") break;
    if (word.size() > 1 && word[0] == '-') {
      const CLI::Option* option = exec->get_option_no_throw(word);
      if (!option) option = app.get_option_no_throw(word);
      if (option && option->get_expected_min() > 0 && at + 1 != arguments.end()) ++at;
    } else if (++words == 1 && word != "exec") {
      break;
    } else if (words == 2) {
      static char end[] = "--";
      arguments.insert(at, end);
      break;
    }
  }
  return arguments;
}

}  // namespace tools
