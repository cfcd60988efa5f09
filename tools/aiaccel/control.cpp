// SPDX-License-Identifier: MIT
//
// aiaccel drain, resume, leave: what an operator does before a repair, an upgrade, a removal.
// aiaccel order: who is next at an engine.
#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "aiaccel/command.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"
#include "common/find_engine.hpp"
#include "common/names.hpp"
#include "common/stats.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

constexpr unsigned kMostSeconds = 86'400;

void tell(const aiaccel::Device& device, std::uint32_t engine, std::uint32_t state,
          std::uint32_t order = 0) {
  aiaccel_control arg{};
  arg.size = sizeof arg;
  arg.engine = engine;
  arg.state = state;
  arg.order = order;
  aiaccel::detail::check(
      aiaccel_call(device.handle(), AIACCEL_IOC_CONTROL, &arg),
      order ? "cannot change the order at engines" : "cannot change the state of engines");
}

// False when it did not come to hold in time. It is looked at once at least.
bool wait_until(const std::function<bool()>& holds, unsigned seconds) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::seconds(seconds);
  for (;;) {
    if (holds()) return true;
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

struct Options {
  std::string engine;
  std::string order;
  bool all = false;
  unsigned wait_s = 0;
};

std::uint32_t chosen(const aiaccel::Device& device, const Options& options) {
  if (options.all != options.engine.empty())
    throw Failure("name an engine or give --all", "aiaccel engines, which lists them", exit_usage);
  return options.all ? 0 : find_engine(device, options.engine).info().id;
}

int drain(const aiaccel::Device& device, const Options& options) {
  const std::uint32_t engine = chosen(device, options);
  tell(device, engine, AIACCEL_ENGINE_DRAINING);
  if (!options.wait_s) return exit_ok;
  std::uint64_t left = 0;
  const bool idle = wait_until(
      [&] {
        left = 0;
        for (const auto& record : read_stats<aiaccel_stats_engine>(device).records)
          if (!engine || record.id == engine) left += record.slots_used + record.jobs_waiting;
        return left == 0;
      },
      options.wait_s);
  if (idle) return exit_ok;
  throw Failure(fmt::format("after {} s there are still turns held or waited for", options.wait_s),
                "aiaccel-top, which shows whose; they may be evicted");
}

int set_order(const aiaccel::Device& device, const Options& options) {
  std::uint32_t order = AIACCEL_ORDER_FAIR;
  while (order_name(order) != options.order)
    if (++order > AIACCEL_ORDER_FIFO)
      throw Failure(fmt::format("there is no order '{}'", printable(options.order)),
                    "fair, strict, edf or fifo", exit_usage);
  tell(device, chosen(device, options), 0, order);
  return exit_ok;
}

// ---- leaving ----

std::string comm_of(const std::string& pid) {
  std::string comm;
  std::getline(std::ifstream("/proc/" + pid + "/comm"), comm);
  return printable(comm);
}

// Processes other than this one that have the device open, by their number.
std::map<int, std::string> holders(dev_t device) {
  std::map<int, std::string> result;
  DIR* processes = opendir("/proc");
  if (!processes) return result;
  while (const dirent* process = readdir(processes)) {
    const std::string pid = process->d_name;
    if (pid.find_first_not_of("0123456789") != std::string::npos || std::stoi(pid) == getpid())
      continue;
    const std::string folder = "/proc/" + pid + "/fd/";
    DIR* fds = opendir(folder.c_str());
    if (!fds) continue;
    while (const dirent* fd = readdir(fds)) {
      struct stat status {};
      if (stat((folder + fd->d_name).c_str(), &status) == 0 && S_ISCHR(status.st_mode) &&
          status.st_rdev == device)
        result[std::stoi(pid)] = comm_of(pid);
    }
    closedir(fds);
  }
  closedir(processes);
  return result;
}

std::map<int, std::string> clients(const aiaccel::Device& device) {
  struct stat status {};
  if (device.transport() == "kernel" && stat("/dev/aiaccel", &status) == 0)
    return holders(status.st_rdev);
  std::map<int, std::string> result;
  for (const auto& queue : read_stats<aiaccel_stats_queue>(device).records)
    if (queue.pid != getpid()) result[queue.pid] = comm_of(std::to_string(queue.pid));
  return result;
}

// Open contexts of all but this one.
std::uint64_t contexts(const aiaccel::Device& device) {
  std::uint64_t count = 0;
  for (const auto& tenant : read_stats<aiaccel_stats_tenant>(device).records)
    count += tenant.contexts;
  return count ? count - 1 : 0;
}

// Open contexts that clients() cannot tell whose they are: the broker lists queues alone, and a
// process of another PID namespace is not in /proc.
std::uint64_t unlisted(const aiaccel::Device& device) {
  const std::uint64_t open = contexts(device);
  if (device.transport() == "kernel") return clients(device).empty() ? open : 0;
  std::set<std::uint64_t> listed;
  for (const auto& queue : read_stats<aiaccel_stats_queue>(device).records)
    listed.insert(queue.context);
  return open - std::min<std::uint64_t>(open, listed.size());
}

// Who keeps it, a text each.
std::vector<std::string> keepers(const aiaccel::Device& device) {
  std::vector<std::string> result;
  for (const auto& [pid, comm] : clients(device)) result.push_back(fmt::format("{} {}", pid, comm));
  if (const std::uint64_t count = unlisted(device))
    result.push_back(count_text(count, "context") + (device.transport() == "kernel"
                                                         ? " of processes not seen here"
                                                         : " without a queue"));
  return result;
}

int leave(const aiaccel::Device& device, unsigned wait_s) {
  tell(device, 0, AIACCEL_ENGINE_LEAVING);
  for (const std::string& keeper : keepers(device)) fmt::print("open in {}\n", keeper);
  if (wait_until([&] { return contexts(device) == 0; }, wait_s)) {
    fmt::print("nobody has it open\n");
    return exit_ok;
  }
  std::string who;
  for (const std::string& keeper : keepers(device)) who += (who.empty() ? " " : ", ") + keeper;
  throw Failure(fmt::format("after {} s it is still open in:{}", wait_s, who),
                "end these, and the same again; or: aiaccel resume --all");
}

}  // namespace

void add_control(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* help,
                       int (*run)(const aiaccel::Device&, const Options&)) {
    CLI::App* command = app.add_subcommand(name, help);
    if (run == set_order)
      command->add_option("ORDER", options->order, "fair, strict, edf or fifo")->required();
    command->add_option("ENGINE", options->engine, "A name or an alias out of aiaccel engines");
    command->add_flag("--all", options->all, "All engines, also those registered later");
    command->callback([&globals, options, run] {
      globals.status = run(need_running(globals.transport), *options);
    });
    return command;
  };
  const auto add_wait = [&](CLI::App* command, const char* help) {
    command->add_option("--wait", options->wait_s, help)
        ->type_name("SECONDS")
        ->check(between(0U, kMostSeconds));
  };
  add_wait(add("drain", "Have an engine end what it has and take no more", drain),
           "Wait so long for it to be idle");
  add("resume", "Have an engine take work again",
      [](const aiaccel::Device& device, const Options& wanted) -> int {
        tell(device, chosen(device, wanted), AIACCEL_ENGINE_ACTIVE);
        return exit_ok;
      });
  add("order", "Say who is next at an engine", set_order);
  CLI::App* leaving = app.add_subcommand("leave", "Have all programs let go, before an upgrade");
  add_wait(leaving, "Wait so long for all of them to have done so");
  leaving->callback([&globals, options] {
    globals.status = leave(need_running(globals.transport), options->wait_s);
  });
}

}  // namespace tools
