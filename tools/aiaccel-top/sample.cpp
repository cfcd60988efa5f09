// SPDX-License-Identifier: MIT
//
// Taking a Sample; see sample.hpp. The only file of aiaccel-top that asks the machine.
#include "aiaccel-top/sample.hpp"

#include <fstream>
#include <sstream>

#include "common/stats.hpp"

namespace tools {
namespace {

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
  sample.scope = scope_of(device);
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
  return observe::Arbiter{sample.engine_infos, sample.queues, sample.scope == Scope::all};
}

}  // namespace tools
