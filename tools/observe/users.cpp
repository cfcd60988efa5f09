// SPDX-License-Identifier: MIT
//
// See users.hpp. Engines first, then each process once, then the marks.
#include "observe/users.hpp"

#include <fmt/format.h>
#include <fnmatch.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "common/names.hpp"
#include "observe/drm.hpp"
#include "observe/fdinfo.hpp"
#include "observe/proc.hpp"
#include "observe/unit.hpp"
#include "observe/xrt.hpp"

namespace observe {
namespace {

namespace nvml = aiaccel::nvml;

constexpr std::string_view shim = "libaiaccel-cuda.so";
constexpr std::string_view library = "libaiaccel.so";

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// Builds one Observation.
class Observer {
 public:
  Observer(const Question& question, const Gpus& gpus, const Arbiter* arbiter)
      : question_(question), root_(question.root), gpus_(gpus), arbiter_(arbiter) {}

  Observation run() {
    result_.time_ns = monotonic_ns();
    result_.topology = read_topology(root_);
    result_.nvml_missing = gpus_.missing;
    add_gpus();
    add_drm();
    name_engines();
    index_minors();
    const std::vector<int> pids = question_.pids.empty() ? all_pids(root_) : question_.pids;
    for (int pid : pids)
      if (pid != question_.self) add_process(pid);
    if (question_.pids.empty()) add_unseen();
    sort();
    return std::move(result_);
  }

 private:
  // What a process does on one engine.
  struct Use {
    std::optional<std::uint64_t> device_bytes;
    std::optional<double> busy;
    std::map<std::string, std::uint64_t> engine_ns;
    bool queued = false;  // at the arbiter
  };
  using Uses = std::map<std::size_t, Use>;  // by engine

  void add_gpus() {
    for (const Gpus::Gpu& gpu : gpus_.gpus) {
      const nvml::Device& device = gpu.device;
      Engine engine;
      engine.kind = "gpu";
      engine.name = device.name;
      engine.address = device.pci;
      engine.uuid = device.uuid;
      engine.source = "nvml";
      engine.driver = "nvidia";
      engine.divided = device.divided;
      engine.numa_node = device.numa_node;
      engine.total_bytes = device.total_bytes;
      engine.used_bytes = device.used_bytes;
      engine.busy = device.busy;
      const std::size_t place = result_.engines.size();
      for (const nvml::Process& process : gpu.processes)
        on_gpus_[static_cast<int>(process.pid)][place] = {
            process.device_bytes, process.busy, {}, false};
      // By address, the whole GPU stands for its instances.
      if (device.parent.empty()) {
        by_address_.emplace(device.pci, place);
        engine.alias = fmt::format("gpu{}", gpu_count_++);
      } else if (const auto parent = by_address_.find(device.pci); parent != by_address_.end()) {
        engine.alias = fmt::format("{}.{}", result_.engines[parent->second].alias, device.index);
      }
      result_.engines.push_back(std::move(engine));
    }
  }

  void add_drm() {
    for (DrmDevice& device : read_drm(root_, question_.drm_name)) {
      const auto [found, fresh] = by_address_.emplace(device.address, result_.engines.size());
      for (const std::string& node : device.nodes) by_node_[node] = found->second;
      if (!fresh) continue;  // NVML tells more
      Engine engine;
      engine.kind = is_xrt_driver(device.driver) ? "fpga" : "gpu";
      if (device.nodes.front().starts_with("/dev/accel/")) engine.kind = "other";
      engine.name = engine.kind == "fpga" ? xrt_name(root_, device.address) : std::string();
      if (engine.name.empty()) engine.name = device.name;
      if (engine.name.empty()) engine.name = device.driver;
      engine.address = device.address;
      engine.source = "drm";
      engine.driver = device.driver;
      engine.numa_node = device.numa_node;
      engine.total_bytes = device.total_bytes;
      engine.used_bytes = device.used_bytes;
      engine.busy = device.busy;
      unsigned& count = engine.kind == "gpu"    ? gpu_count_
                        : engine.kind == "fpga" ? fpga_count_
                                                : other_count_;
      engine.alias = fmt::format("{}{}", engine.kind, count++);
      result_.engines.push_back(std::move(engine));
    }
  }

  // Those that the arbiter has too go by the name that its users type.
  void name_engines() {
    if (!arbiter_) return;
    const auto aliases = tools::engine_aliases(arbiter_->engines);
    for (std::size_t i = 0; i < arbiter_->engines.size(); i++) {
      const aiaccel_engine_info& info = arbiter_->engines[i];
      const std::string_view name(info.name, strnlen(info.name, sizeof info.name));
      for (Engine& engine : result_.engines)
        if (!name.empty() &&
            (name == engine.uuid || (name == engine.address && !is_part(engine)))) {
          engine.engine_id = info.id;
          engine.alias = aliases[i];
        }
    }
  }

  static bool is_part(const Engine& engine) { return engine.uuid.starts_with("MIG-"); }

  // /dev/nvidiaN by the address of its GPU.
  void index_minors() {
    const std::string folder = root_.proc + "/driver/nvidia/gpus";
    for (const std::string& address : names_in(folder).value_or(std::vector<std::string>())) {
      const auto found = by_address_.find(address);
      if (found == by_address_.end()) continue;
      const auto text = read_file(folder + "/" + address + "/information").value_or("");
      std::string_view rest = text;
      while (!rest.empty()) {
        std::string_view line = take_line(rest);
        if (!line.starts_with("Device Minor:")) continue;
        line.remove_prefix(13);
        by_node_["/dev/nvidia" + std::string(take_word(line))] = found->second;
      }
    }
  }

  std::optional<std::size_t> engine_of(const std::string& path) const {
    if (const auto found = by_node_.find(path); found != by_node_.end()) return found->second;
    if (const std::string card = xrt_card(path); !card.empty())
      for (const auto& [address, place] : by_address_)
        if (address.starts_with(card)) return place;
    return std::nullopt;
  }

  void add_devices(int pid, const std::vector<OpenDevice>& devices, Uses& uses) {
    for (const OpenDevice& device : devices) {
      const auto place = engine_of(device.path);
      if (!place) continue;
      const Engine& engine = result_.engines[*place];
      if (engine.source == "nvml") {
        // NVML knows better on which instance it is, where it sees the process.
        const bool told = std::any_of(uses.begin(), uses.end(), [&](const auto& use) {
          return result_.engines[use.first].address == engine.address;
        });
        if (!told) uses[*place];
        continue;
      }
      Use& use = uses[*place];
      if (!device.path.starts_with("/dev/dri/") && !device.path.starts_with("/dev/accel/"))
        continue;
      const DrmClient client = read_fdinfo(root_, pid, device.fd);
      // One open file counts once, whoever has it by dup(), fork() or a socket.
      if (client.id && !clients_.emplace(engine.address, *client.id).second) continue;
      if (client.device_bytes)
        use.device_bytes = use.device_bytes.value_or(0) + *client.device_bytes;
      for (const auto& [part, ns] : client.engine_ns) use.engine_ns[part] += ns;
    }
  }

  std::size_t cpu_engine(const std::string& alias, std::optional<int> node) {
    for (std::size_t i = 0; i < result_.engines.size(); i++)
      if (result_.engines[i].alias == alias) return i;
    Engine engine;
    engine.alias = alias;
    engine.kind = engine.source = "cpu";
    engine.numa_node = node;
    if (arbiter_)
      for (const aiaccel_engine_info& info : arbiter_->engines)
        if (alias == info.name) engine.engine_id = info.id;
    result_.engines.push_back(std::move(engine));
    return result_.engines.size() - 1;
  }

  // The engine on which the arbiter has a queue; nothing where it is not seen here.
  std::optional<std::size_t> engine_of_queue(std::uint32_t id) {
    for (std::size_t i = 0; i < result_.engines.size(); i++)
      if (result_.engines[i].engine_id == id) return i;
    for (const aiaccel_engine_info& info : arbiter_->engines)
      if (info.id == id && info.kind == AIACCEL_ENGINE_CPU)
        return cpu_engine(info.name,
                          info.numa_node < 0 ? std::nullopt : std::optional<int>(info.numa_node));
    return std::nullopt;
  }

  bool is_watched(const Process& process) const {
    const auto matches = [this](const std::string& text) {
      return std::any_of(
          question_.watched.begin(), question_.watched.end(),
          [&](const std::string& glob) { return ::fnmatch(glob.c_str(), text.c_str(), 0) == 0; });
    };
    if (question_.watched.empty()) return false;
    if (matches(process.comm)) return true;
    std::string line;
    for (const std::string& word : arguments(root_, process.pid))
      line += (line.empty() ? "" : " ") + word;
    return matches(line);
  }

  void add_process(int pid) {
    const auto process = read_process(root_, pid);
    if (!process) return;
    Uses uses;
    if (const auto on_gpu = on_gpus_.find(pid); on_gpu != on_gpus_.end()) {
      uses = std::move(on_gpu->second);
      on_gpus_.erase(on_gpu);
    }
    // Kernel threads open nothing.
    const auto devices =
        process->resident_bytes ? open_devices(root_, pid) : std::vector<OpenDevice>();
    if (!devices)
      result_.hidden++;
    else
      add_devices(pid, *devices, uses);

    const bool has_context =
        devices && std::any_of(devices->begin(), devices->end(),
                               [](const auto& d) { return d.path == "/dev/aiaccel"; });
    bool queued = false;  // anywhere
    if (arbiter_)
      for (const aiaccel_stats_queue& queue : arbiter_->queues)
        if (queue.pid == pid) {
          queued = true;
          if (const auto place = engine_of_queue(queue.engine)) uses[*place].queued = true;
        }
    if (is_watched(*process)) {
      const auto node = result_.topology.node_of_cpus(process->cpus);
      uses[cpu_engine(node ? fmt::format("cpu-node{}", *node) : "cpu", node)];
    }
    if (uses.empty() && !has_context && !queued && process->pinned_bytes.value_or(0) == 0 &&
        question_.pids.empty())
      return;
    // Whether its queues are known: whom the arbiter shows all tenants is told of all that those
    // with a context have. To others a context may have any, and so may, at a broker that was not
    // asked, who has the library.
    const bool has_library = has_mapped(root_, pid, library).value_or(false);
    const bool known = devices && (has_context ? arbiter_ && arbiter_->sees_all : !has_library);
    put(*process, uses, queued, known, has_library);
  }

  // Whether a use waits for its turns.
  static std::optional<bool> is_gated(const Engine& engine, const Use& use,
                                      std::optional<bool> has_shim, bool known) {
    const bool gates = engine.kind == "gpu" && engine.driver == "nvidia";
    const bool arbitrated = engine.engine_id.has_value();
    if (use.queued || (gates && arbitrated && has_shim.value_or(false))) return true;
    // With the shim, but without an arbiter here that has the engine: there may be another one.
    if (!known || (gates && has_shim.value_or(true))) return std::nullopt;
    return false;
  }

  void put(const Process& process, const Uses& uses, bool queued, bool known, bool has_library) {
    User user;
    user.pid = process.pid;
    user.comm = process.comm;
    user.cgroup = cgroup_of(root_, process.pid);
    user.unit = unit_of(user.cgroup);
    user.uid = process.uid;
    user.resident_bytes = process.resident_bytes;
    user.pinned_bytes = process.pinned_bytes;
    user.locked_bytes = process.locked_bytes;
    const auto has_shim = has_mapped(root_, process.pid, shim);
    user.asks_for_turns = has_library || has_shim.value_or(false);
    const auto with_memory =
        std::count_if(result_.topology.nodes.begin(), result_.topology.nodes.end(),
                      [](const Node& node) { return node.has_memory; });
    // Not where the answer is known.
    if (with_memory > 1 && !take_over_placement(user)) {
      user.placement = read_placement(root_, process.pid);
      user.placement_ns = result_.time_ns;
    }
    if (uses.empty()) {
      if (queued) user.gated = true;
      result_.users.push_back(user);
    }
    for (const auto& [place, use] : uses) {
      User here = user;
      here.engine = place;
      here.gated = is_gated(result_.engines[place], use, has_shim, known);
      here.device_bytes = use.device_bytes;
      here.busy = use.busy;
      here.engine_ns = use.engine_ns;
      if (const auto near = result_.nearest(result_.engines[place]);
          near && here.placement && main_node(*here.placement))
        here.wrong_node = share_on(*here.placement, *near) < 0.5;
      result_.users.push_back(std::move(here));
    }
  }

  // True where the last look's is young enough.
  bool take_over_placement(User& user) const {
    if (!question_.last) return false;
    for (const User& old : question_.last->users)
      if (old.pid == user.pid && old.comm == user.comm && old.placement &&
          result_.time_ns - old.placement_ns < placement_lasts_ns) {
        user.placement = old.placement;
        user.placement_ns = old.placement_ns;
        return true;
      }
    return false;
  }

  // On a GPU, but not in our /proc.
  void add_unseen() {
    for (const auto& [pid, uses] : on_gpus_)
      for (const auto& [place, use] : uses) {
        User user;
        user.pid = pid;
        user.engine = place;
        user.device_bytes = use.device_bytes;
        user.busy = use.busy;
        result_.users.push_back(std::move(user));
      }
  }

  void sort() {
    const auto key = [](const User& user) {
      return std::tuple(user.engine.value_or(SIZE_MAX), ~user.device_bytes.value_or(0), user.pid);
    };
    std::stable_sort(result_.users.begin(), result_.users.end(),
                     [&](const User& a, const User& b) { return key(a) < key(b); });
  }

  const Question& question_;
  const Root& root_;
  const Gpus& gpus_;
  const Arbiter* const arbiter_;
  Observation result_;
  std::map<int, Uses> on_gpus_;                              // by pid, what NVML said of it
  std::map<std::string, std::size_t> by_address_;            // whole devices
  std::map<std::string, std::size_t> by_node_;               // by the path of a device's file
  std::set<std::pair<std::string, std::uint64_t>> clients_;  // of DRM, that were counted
  unsigned gpu_count_ = 0, fpga_count_ = 0, other_count_ = 0;
};

}  // namespace

Gpus read_gpus(const nvml::Nvml& nvml) {
  Gpus gpus;
  for (nvml::Device& device : nvml.devices()) {
    auto processes = device.divided ? std::vector<nvml::Process>() : nvml.processes(device);
    gpus.gpus.push_back({std::move(device), std::move(processes)});
  }
  return gpus;
}

Observation observe(const Question& question, const Gpus& gpus, const Arbiter* arbiter) {
  return Observer(question, gpus, arbiter).run();
}

void add_rates(const Observation& before, Observation& now) {
  if (now.time_ns <= before.time_ns) return;
  const double interval = static_cast<double>(now.time_ns - before.time_ns);
  const auto address_of = [](const Observation& observation, const User& user) {
    return user.engine ? observation.engines[*user.engine].address : std::string();
  };
  std::map<std::pair<int, std::string>, const User*> old;
  for (const User& user : before.users) old[{user.pid, address_of(before, user)}] = &user;
  for (User& user : now.users) {
    const auto found = old.find({user.pid, address_of(now, user)});
    if (found == old.end()) continue;
    for (const auto& [part, ns] : user.engine_ns) {
      const auto was = found->second->engine_ns.find(part);
      if (was == found->second->engine_ns.end() || was->second > ns) continue;
      const double busy = std::min(1.0, static_cast<double>(ns - was->second) / interval);
      user.busy = std::max(user.busy.value_or(0), busy);
    }
  }
}

}  // namespace observe
