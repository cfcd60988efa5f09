// SPDX-License-Identifier: MIT
//
// Taking a Sample; see sample.hpp. The only file of aiaccel-top that asks the machine.
#include "aiaccel-top/sample.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "common/stats.hpp"

namespace tools {
namespace {

constexpr int cap_sys_admin = 21;

// Whether the kernel lets this process see every tenant.
bool has_cap_sys_admin() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:"))
      return (std::stoull(line.substr(7), nullptr, 16) >> cap_sys_admin) & 1;
  return false;
}

Scope scope_of(const Sample& sample) {
  if (sample.transport == "embedded") return Scope::process;
  if (sample.transport == "kernel") return has_cap_sys_admin() ? Scope::all : Scope::tenant;
  // The broker shows the root of all tenants to those who may see all.
  const auto is_root = [](const auto& tenant) { return tenant.kind == AIACCEL_TENANT_ROOT; };
  return std::any_of(sample.tenants.begin(), sample.tenants.end(), is_root) ? Scope::all
                                                                            : Scope::tenant;
}

void ask_host_memory(Sample& sample) {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    std::istringstream words(line);
    std::string key;
    std::uint64_t kib = 0;
    if (!(words >> key >> kib)) continue;
    if (key == "MemTotal:") sample.host_total_bytes = kib * 1024;
    if (key == "MemAvailable:") sample.host_available_bytes = kib * 1024;
  }
}

void ask_arbiter(const aiaccel::Device& device, Sample& sample) {
  sample.transport = device.transport();
  sample.query = device.query();
  for (const aiaccel::Engine& engine : device.engines())
    sample.engine_infos.push_back(engine.info());
  auto engines = read_stats<aiaccel_stats_engine>(device);
  sample.time_ns = engines.time_ns;
  sample.engines = std::move(engines.records);
  sample.tenants = read_stats<aiaccel_stats_tenant>(device).records;
  sample.queues = read_stats<aiaccel_stats_queue>(device).records;
  sample.scope = scope_of(sample);
}

}  // namespace

Sample take_sample(const aiaccel::Device* device) {
  Sample sample;
  if (device) ask_arbiter(*device, sample);
  ask_host_memory(sample);
  return sample;
}

std::optional<observe::Arbiter> arbiter_of(const Sample& sample) {
  if (sample.scope == Scope::none) return std::nullopt;
  return observe::Arbiter{sample.engine_infos, sample.queues};
}

}  // namespace tools
