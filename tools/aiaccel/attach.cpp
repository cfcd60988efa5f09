// SPDX-License-Identifier: MIT
//
// aiaccel attach: what can be done for a class and an engine to a process that runs already. Prints
// what was done, on stderr what could not be done and why, and how to go back.
#include <fmt/format.h>
#include <numa.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "aiaccel/command.hpp"
#include "aiaccel/group.hpp"
#include "aiaccel/scheduling.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"
#include "common/text.hpp"
#include "policy/hierarchy.h"

namespace tools {
namespace {

struct Options {
  pid_t pid = 0;
  std::string priority;
  std::string engine;
};

class Attaching {
 public:
  explicit Attaching(pid_t pid) : pid_(pid) {}

  void place(std::optional<std::uint32_t> priority, const std::optional<CpuNode>& cpus);
  void set_class(std::uint32_t priority);
  void set_node(const CpuNode& node);
  void tell_of_cuda(const Options& options);
  int finish() const;

 private:
  void did(const std::string& what) { fmt::print("{}\n", printable(what)); }
  void cannot(const std::string& what, const std::string& why) {
    fmt::print(stderr, "aiaccel attach: {}: {}\n", what, printable(why));
    refused_ = true;
  }
  void undo(const std::string& line) { undo_.push_back(line); }

  // Has all threads done, those too that come meanwhile; they inherit it from who was done.
  void each_thread(const std::string& what, const std::function<std::string(pid_t)>& act);
  bool move_memory(int node);

  const pid_t pid_;
  std::string folder_;  // of the group that was made for it; "" where there is none
  std::vector<std::string> undo_;
  bool refused_ = false;
};

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  std::error_code error;
  std::filesystem::directory_iterator entry(fmt::format("/proc/{}/task", pid), error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    threads.push_back(std::stoi(entry->path().filename()));
  return threads;
}

void Attaching::each_thread(const std::string& what, const std::function<std::string(pid_t)>& act) {
  std::set<pid_t> seen;
  std::size_t done = 0;
  std::string why;
  for (bool more = true; more;) {
    more = false;
    for (const pid_t thread : threads_of(pid_)) {
      if (!seen.insert(thread).second) continue;
      more = true;
      const std::string refusal = act(thread);
      if (refusal.empty())
        done++;
      else if (refusal != std::strerror(ESRCH))  // it ended
        why = refusal;
    }
  }
  if (done) did(fmt::format("{}: {}", what, count_text(done, "thread")));
  if (!why.empty()) cannot(what, why);
}

// The group's files bound threads to come as well.
void Attaching::place(std::optional<std::uint32_t> priority, const std::optional<CpuNode>& cpus) {
  const auto hierarchy = aiaccel::policy::find_hierarchy({}, std::to_string(pid_));
  const std::string unit = std::filesystem::path(hierarchy.group).filename();
  const std::string base = sibling_base(pid_);
  if (base.empty()) {
    if (hierarchy.mount.empty()) return cannot("no cgroup of its own", "cgroup v2 is not mounted");
    std::string line = unit.find('.') == unit.npos ? "" : "; for all of it:";
    if (!line.empty()) {
      line +=
          fmt::format(" systemctl {}set-property --runtime {}",
                      hierarchy.group.find("/user@") == std::string::npos ? "" : "--user ", unit);
      if (priority) line += fmt::format(" CPUWeight={}", scheduling_of(*priority).weight);
      if (cpus) line += " AllowedCPUs=" + cpus->cpus;
    }
    return cannot("no cgroup of its own", "it stays in " + hierarchy.group + line);
  }
  std::string why;
  folder_ = enter_group(base, kGroupPrefix + std::to_string(pid_), pid_, why);
  if (folder_.empty()) return cannot("no cgroup of its own", why);
  did("cgroup: " + group_path(folder_));
  const std::string before = hierarchy.mount + (hierarchy.group == "/" ? "" : hierarchy.group);
  if (before != folder_) undo(fmt::format("echo {} > {}/cgroup.procs", pid_, before));
  if (!priority) return;
  const Scheduling& wanted = scheduling_of(*priority);
  const bool idle = *priority == AIACCEL_CLASS_IDLE;
  why = weigh_group(folder_, wanted.weight, idle);
  if (why.empty())
    did(idle ? "cgroup: cpu.idle" : fmt::format("cgroup: cpu.weight {}", wanted.weight));
  else
    cannot("cpu.weight", why);
}

void Attaching::set_class(std::uint32_t priority) {
  const Scheduling& wanted = scheduling_of(priority);
  each_thread(wanted.text, [&](pid_t thread) { return schedule(thread, wanted); });
  if (priority != AIACCEL_CLASS_NORMAL) undo(fmt::format("aiaccel attach {} --class normal", pid_));
}

// Pages go where the CPUs are. Those that come later do so by themselves, unless the program itself
// says otherwise: memory is taken near the CPU that asks.
bool Attaching::move_memory(int node) {
  if (node < 0 || numa_available() < 0 || numa_max_node() == 0) return true;
  bitmask* to = numa_allocate_nodemask();
  numa_bitmask_setbit(to, static_cast<unsigned>(node));
  const int left = numa_migrate_pages(pid_, numa_all_nodes_ptr, to);
  const int error = errno;
  numa_free_nodemask(to);
  const std::string what = fmt::format("memory to node {}", node);
  if (left < 0)
    cannot(what, std::strerror(error));
  else if (left > 0)
    cannot(what, count_text(static_cast<std::uint64_t>(left), "page") +
                     " could not be moved: pinned, or shared with others");
  else
    did(what);
  return left == 0;
}

void Attaching::set_node(const CpuNode& node) {
  const std::string before = cpus_of(pid_);
  const std::string what = "CPUs " + node.cpus;
  if (!folder_.empty() && set_in_group(folder_, "cpuset.cpus", node.cpus).empty()) {
    did("cgroup: cpuset.cpus " + node.cpus);
  } else {
    each_thread(what, [&](pid_t thread) { return put_on_cpus(thread, node.cpus); });
    if (before != node.cpus) undo(fmt::format("taskset -a -p -c {} {}", before, pid_));
  }
  move_memory(node.node);
}

// What only a start can give.
void Attaching::tell_of_cuda(const Options& options) {
  std::ifstream maps(fmt::format("/proc/{}/maps", pid_));
  bool cuda = false, gated = false;
  for (std::string line; std::getline(maps, line);) {
    cuda = cuda || line.find("/libcuda.so") != line.npos;
    gated = gated || line.find("/libaiaccel-cuda.so") != line.npos;
  }
  if (cuda && !gated)
    cannot("its CUDA launches stay ungated",
           fmt::format("that needs a restart: aiaccel exec --class {} -- …",
                       options.priority.empty() ? "normal" : options.priority));
}

int Attaching::finish() const {
  for (const std::string& line : undo_) fmt::print("to go back: {}\n", line);
  return refused_ ? exit_failed : exit_ok;
}

// The CPUs beside an engine that has none itself.
std::optional<CpuNode> node_near(const std::string& engine, const std::string& transport) {
  if (auto cpus = find_cpu_node(engine)) return cpus;
  const int node = open_device(transport).engine(engine).info().numa_node;
  if (node < 0)
    throw Failure(fmt::format("no node is known to be near {}", engine),
                  "name the CPUs: --engine cpu-node0, for one");
  return cpu_node(node);
}

int run(const Options& options, const std::string& transport) {
  if (options.priority.empty() && options.engine.empty())
    throw Failure("nothing to do", "--class, --engine or both", exit_usage);
  std::optional<std::uint32_t> priority;
  if (!options.priority.empty()) priority = read_class(options.priority);
  if (::kill(options.pid, 0) < 0 && errno == ESRCH)
    throw Failure(fmt::format("there is no process {}", options.pid), "");
  std::optional<CpuNode> cpus;
  if (!options.engine.empty()) cpus = node_near(options.engine, transport);

  Attaching attaching(options.pid);
  attaching.place(priority, cpus);
  if (priority) attaching.set_class(*priority);
  if (cpus) attaching.set_node(*cpus);
  attaching.tell_of_cuda(options);
  return attaching.finish();
}

}  // namespace

void add_attach(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("attach", "Put a running process into a class");
  command->add_option("PID", options->pid, "The process, with all its threads")
      ->required()
      ->check(between(1, 1 << 22));
  command->add_option("--class", options->priority, "idle, low, normal or high")
      ->type_name("CLASS");
  command->add_option("--engine", options->engine, "CPUs and memory to keep to, or a GPU's")
      ->type_name("NAME");
  command->callback([&globals, options] { globals.status = run(*options, globals.transport); });
}

}  // namespace tools
