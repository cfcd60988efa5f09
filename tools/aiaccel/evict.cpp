// SPDX-License-Identifier: MIT
//
// aiaccel evict: ends the turns of a unit or a process, and the process itself when asked to.
//
// A process that is to be stopped is stopped first, so that it asks for no turn after it lost one.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "aiaccel/command.hpp"
#include "aiaccel/target.hpp"
#include "common/failure.hpp"
#include "common/find_engine.hpp"
#include "common/stats.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

struct Options {
  std::string word, engine;
  bool turn = false, freeze = false, kill = false;
};

// Where cgroups of version 2 are; "" where they are not.
std::string cgroup_root() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string what, where, type, rest; mounts >> what >> where >> type;
       std::getline(mounts, rest))
    if (type == "cgroup2") return where;
  return "";
}

void write_one(const std::string& file) {
  std::ofstream stream(file);
  if (!(stream << "1" << std::flush))
    throw Failure(fmt::format("cannot write {}: {}", file, std::strerror(errno)), "as root");
  fmt::print("{}: 1\n", file);
}

void signal_one(std::int32_t pid, int signal) {
  if (::kill(pid, signal) < 0) {
    if (errno == ESRCH) return;  // it ended by itself
    throw Failure(fmt::format("cannot signal process {}: {}", pid, std::strerror(errno)),
                  "as root, or as its user");
  }
  fmt::print("process {}: {}\n", pid, signal == SIGKILL ? "killed" : "stopped");
}

// The processes with queues that the target means.
std::set<std::int32_t> processes(const aiaccel::Device& device, const Target& target) {
  if (target.kind == Target::Kind::process) return {target.pid};
  std::set<std::int32_t> pids;
  for (const auto& queue : read_stats<aiaccel_stats_queue>(device).records)
    if (target.tenants.contains(queue.tenant) && queue.pid > 0) pids.insert(queue.pid);
  return pids;
}

void stop(const aiaccel::Device& device, const Target& target, bool kill) {
  if (target.kind == Target::Kind::unit) {
    const std::string& name = target.unit;
    const std::string root = cgroup_root();
    if (!root.empty() && name.size() > 1 && name[0] == '/' && name.size() < AIACCEL_PATH_LEN - 1) {
      write_one(root + name + (kill ? "/cgroup.kill" : "/cgroup.freeze"));
      return;
    }
  }
  for (const std::int32_t pid : processes(device, target))
    signal_one(pid, kill ? SIGKILL : SIGSTOP);
}

std::uint32_t revoke(const aiaccel::Device& device, std::uint64_t context, std::uint64_t tenant,
                     const Options& options) {
  aiaccel_revoke arg{};
  arg.size = sizeof arg;
  arg.flags = options.turn ? 0 : AIACCEL_REVOKE_WAITING;
  arg.context = context;
  arg.tenant = tenant;
  if (!options.engine.empty()) arg.engine = find_engine(device, options.engine).info().id;
  const int result = aiaccel_call(device.handle(), AIACCEL_IOC_REVOKE, &arg);
  if (result == -ENOENT) return 0;  // gone by itself
  aiaccel::detail::check(result, "cannot end turns");
  return arg.count;
}

int evict(const aiaccel::Device& device, const Options& options) {
  const Target target = find_target(device, options.word, false);
  if (target.kind == Target::Kind::unit && target.unit == "/")
    throw Failure("/ is everybody", "aiaccel drain --all");
  if (options.freeze || options.kill) stop(device, target, options.kill);
  std::uint32_t count = 0;
  if (target.kind == Target::Kind::unit) count = revoke(device, 0, target.tenant, options);
  for (const std::uint64_t context : target.contexts) count += revoke(device, context, 0, options);
  fmt::print("{}: {} {} ended\n", target.name, count, options.turn ? "turns" : "turns and jobs");
  return exit_ok;
}

}  // namespace

void add_evict(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("evict", "End the turns of a unit or a process");
  command->add_option("TARGET", options->word, "A unit, or a process or thread")->required();
  command->add_option("--engine", options->engine, "On this engine only")->type_name("NAME");
  command->add_flag("--turn", options->turn, "What runs only, and not what waits");
  auto* freeze = command->add_flag("--freeze", options->freeze, "Stop its processes first");
  command->add_flag("--kill", options->kill, "Kill its processes first")->excludes(freeze);
  command->callback(
      [&globals, options] { globals.status = evict(need_running(globals.transport), *options); });
}

}  // namespace tools
