// SPDX-License-Identifier: MIT
//
// aiaccel attach: what can be done for a class and an engine to a process that runs already. Prints
// what was done, on stderr what could not be done and why, and how to go back.
#include <fmt/format.h>
#include <numa.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "aiaccel/arbiter_policy.hpp"
#include "aiaccel/command.hpp"
#include "aiaccel/group.hpp"
#include "aiaccel/scheduling.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"
#include "common/find_engine.hpp"
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

  void place(const std::string& transport, std::optional<std::uint32_t> priority,
             const std::optional<CpuNode>& cpus);
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

  // Has all threads done, those too that come meanwhile; they inherit it from who was done. Returns
  // those that were changed, by `state` before.
  using Before = std::map<std::string, std::vector<pid_t>>;
  Before each_thread(const std::string& what, const std::function<std::string(pid_t)>& act,
                     const std::function<std::string(pid_t)>& state);
  // The commands of `back`, by thread, for what they were before.
  void undo_threads(const Before& before, const std::function<std::string(std::string)>& back);
  void write_back(const char* file, const std::string& before);
  void move_memory(int node);
  void move(const std::string& transport, std::optional<std::uint32_t> priority,
            const std::optional<CpuNode>& cpus);

  const pid_t pid_;
  Group group_;  // its own
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

std::string read_from_group(const std::string& folder, const char* file) {
  std::string value;
  std::getline(std::ifstream(folder + "/" + file), value);
  return value;
}

// The nodes that have pages of the process.
std::set<int> nodes_of(pid_t pid) {
  std::set<int> nodes;
  std::ifstream maps(fmt::format("/proc/{}/numa_maps", pid));
  int node = 0;
  for (std::string word; maps >> word;)
    if (std::sscanf(word.c_str(), "N%d=", &node) == 1) nodes.insert(node);
  return nodes;
}

// What gives it to a thread again that is named behind.
std::string schedule_of(pid_t thread) {
  const int policy = ::sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
  sched_param param{};
  ::sched_getparam(thread, &param);
  const char* name = policy == SCHED_BATCH  ? "batch"
                     : policy == SCHED_IDLE ? "idle"
                     : policy == SCHED_FIFO ? "fifo"
                     : policy == SCHED_RR   ? "rr"
                                            : "other";
  return fmt::format("chrt --{} -p {} $t; renice -n {} -p", name, param.sched_priority,
                     ::getpriority(PRIO_PROCESS, static_cast<id_t>(thread)));
}

Attaching::Before Attaching::each_thread(const std::string& what,
                                         const std::function<std::string(pid_t)>& act,
                                         const std::function<std::string(pid_t)>& state) {
  std::set<pid_t> seen;
  std::size_t done = 0;
  std::string why;
  Before changed;
  for (bool more = true; more;) {
    more = false;
    for (const pid_t thread : threads_of(pid_)) {
      if (!seen.insert(thread).second) continue;
      more = true;
      const std::string before = state(thread);
      const std::string refusal = act(thread);
      if (state(thread) != before) changed[before].push_back(thread);
      if (refusal.empty())
        done++;
      else if (refusal != std::strerror(ESRCH))  // it ended
        why = refusal;
    }
  }
  if (done) did(fmt::format("{}: {}", what, count_text(done, "thread")));
  if (!why.empty()) cannot(what, why);
  return changed;
}

void Attaching::undo_threads(const Before& before,
                             const std::function<std::string(std::string)>& back) {
  const bool all = before.size() == 1 && before.begin()->second.size() == threads_of(pid_).size();
  for (const auto& [state, threads] : before)
    undo(fmt::format(
        "for t in {}; do {}; done",
        all ? fmt::format("$(ls /proc/{}/task)", pid_) : fmt::format("{}", fmt::join(threads, " ")),
        back(state)));
}

// A group that was made for it is left, with all that is in its files.
void Attaching::write_back(const char* file, const std::string& before) {
  if (!group_.fresh && before != read_from_group(group_.folder, file))
    undo(fmt::format("echo '{}' > {}/{}", before, group_.folder, file));
}

// The group's files bound threads to come as well.
void Attaching::place(const std::string& transport, std::optional<std::uint32_t> priority,
                      const std::optional<CpuNode>& cpus) {
  group_ = own_group(pid_);
  if (group_.folder.empty()) move(transport, priority, cpus);
  if (group_.folder.empty()) return;
  did("cgroup: " + group_path(group_.folder));
  if (!priority) return;
  const Scheduling& wanted = scheduling_of(*priority);
  const bool idle = *priority == AIACCEL_CLASS_IDLE;
  const std::string weight_before = read_from_group(group_.folder, "cpu.weight");
  const std::string idle_before = read_from_group(group_.folder, "cpu.idle");
  const std::string why = weigh_group(group_.folder, wanted.weight, idle);
  write_back("cpu.idle", idle_before);
  if (idle_before != "1") write_back("cpu.weight", weight_before);
  if (why.empty())
    did(idle ? "cgroup: cpu.idle" : fmt::format("cgroup: cpu.weight {}", wanted.weight));
  else
    cannot("cpu.weight", why);
}

// Into a group of its own, where it may leave the one that it is in.
void Attaching::move(const std::string& transport, std::optional<std::uint32_t> priority,
                     const std::optional<CpuNode>& cpus) {
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
  group_ = enter_group(base, kGroupPrefix + std::to_string(pid_), pid_, why);
  if (group_.folder.empty()) return cannot("no cgroup of its own", why);
  const std::string before = hierarchy.mount + (hierarchy.group == "/" ? "" : hierarchy.group);
  undo(fmt::format("echo {} > {}/cgroup.procs", pid_, before));
  std::string none;
  if (group_.fresh && ::geteuid() == 0)
    if (const auto device = open_module(transport, none)) try {
        drop_group_rule(*device, group_path(group_.folder));
      } catch (const std::exception& e) {
        cannot("ceilings of an earlier group", e.what());
      }
}

void Attaching::set_class(std::uint32_t priority) {
  const Scheduling& wanted = scheduling_of(priority);
  const auto before = each_thread(
      wanted.text, [&](pid_t thread) { return schedule(thread, wanted); }, schedule_of);
  undo_threads(before, [](const std::string& state) { return state + " $t"; });
}

// Pages go where the CPUs are. Those that come later do so by themselves, unless the program itself
// says otherwise: memory is taken near the CPU that asks.
void Attaching::move_memory(int node) {
  if (node < 0 || numa_available() < 0 || numa_max_node() == 0) return;
  std::set<int> nodes = nodes_of(pid_);
  nodes.erase(node);
  bitmask* to = numa_allocate_nodemask();
  numa_bitmask_setbit(to, static_cast<unsigned>(node));
  const int left = numa_migrate_pages(pid_, numa_all_nodes_ptr, to);
  const int error = errno;
  numa_free_nodemask(to);
  const std::string what = fmt::format("memory to node {}", node);
  if (left < 0) return cannot(what, std::strerror(error));
  if (left > 0)
    cannot(what, count_text(static_cast<std::uint64_t>(left), "page") +
                     " could not be moved: pinned, or shared with others");
  else
    did(what);
  if (!nodes.empty()) undo(fmt::format("migratepages {} {} {}", pid_, node, fmt::join(nodes, ",")));
}

void Attaching::set_node(const CpuNode& node) {
  const std::string cpuset = read_from_group(group_.folder, "cpuset.cpus");
  if (!group_.folder.empty() && set_in_group(group_.folder, "cpuset.cpus", node.cpus).empty()) {
    did("cgroup: cpuset.cpus " + node.cpus);
    write_back("cpuset.cpus", cpuset);
  } else {
    const auto before = each_thread(
        "CPUs " + node.cpus, [&](pid_t thread) { return put_on_cpus(thread, node.cpus); }, cpus_of);
    undo_threads(before, [](const std::string& cpus) { return "taskset -pc " + cpus + " $t"; });
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

// The process, which may be named by one of its threads. Throws Failure where nothing can be done
// with it.
pid_t find_process(pid_t thread) {
  if (::kill(thread, 0) < 0)
    throw errno == ESRCH ? Failure(fmt::format("there is no process {}", thread), "")
                         : Failure(fmt::format("process {} is another user's", thread), "as root");
  pid_t pid = thread;
  bool ended = false, has_memory = false;
  std::ifstream status(fmt::format("/proc/{}/status", thread));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Tgid:")) pid = std::stoi(line.substr(5));
    ended = ended || line.starts_with("State:\tZ") || line.starts_with("State:\tX");
    has_memory = has_memory || line.starts_with("VmSize:");
  }
  if (ended) throw Failure(fmt::format("process {} has ended", thread), "");
  if (!has_memory) throw Failure(fmt::format("{} is a thread of the kernel", thread), "");
  return pid;
}

// The CPUs beside an engine that has none itself.
std::optional<CpuNode> node_near(const std::string& engine, const std::string& transport) {
  if (auto cpus = find_cpu_node(engine)) return cpus;
  std::string missing;
  const auto device = open_running(transport, missing);
  if (!device) throw Failure(fmt::format("where {} is cannot be asked: {}", engine, missing), "");
  const int node = find_engine(*device, engine).info().numa_node;
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
  const pid_t pid = find_process(options.pid);
  std::optional<CpuNode> cpus;
  if (!options.engine.empty()) cpus = node_near(options.engine, transport);

  Attaching attaching(pid);
  attaching.place(transport, priority, cpus);
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
      ->type_name("CLASS")
      ->check(not_empty());
  command->add_option("--engine", options->engine, "CPUs and memory to keep to, or a GPU's")
      ->type_name("NAME")
      ->check(not_empty());
  command->callback([&globals, options] { globals.status = run(*options, globals.transport); });
}

}  // namespace tools
