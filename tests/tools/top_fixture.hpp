// SPDX-License-Identifier: MIT
//
// A host as aiaccel-top may find it, made by hand: a GPU-like engine of eight slots on node 1
// beside a CPU, an inference server and a notebook.
#pragma once

#include <cstring>
#include <string>

#include "aiaccel-top/sample.hpp"

namespace top_fixture {

inline constexpr std::uint64_t second = 1'000'000'000;

template <std::size_t size>
void put(char (&field)[size], const std::string& text) {
  BOOST_REQUIRE(text.size() < size);
  std::memcpy(field, text.c_str(), text.size() + 1);
}

inline tools::Sample first_sample() {
  tools::Sample sample;
  sample.time_ns = 100 * second;
  sample.transport = "kernel";
  sample.scope = tools::Scope::all;
  sample.query.tenant = 2;
  sample.query.pinned_bytes = 4ull << 30;
  sample.query.max_pinned_bytes = 16ull << 30;
  sample.host_total_bytes = 64ull << 30;
  sample.host_available_bytes = 30ull << 30;

  aiaccel_engine_info cpu{};
  cpu.id = 1;
  cpu.kind = AIACCEL_ENGINE_CPU;
  cpu.slots = 2;
  cpu.order = AIACCEL_ORDER_FAIR;
  put(cpu.name, "cpu-node0");
  aiaccel_engine_info gpu = cpu;
  gpu.id = 7;
  gpu.kind = AIACCEL_ENGINE_GPU;
  gpu.slots = 8;
  gpu.order = AIACCEL_ORDER_EDF;
  gpu.contended = 2;
  gpu.numa_node = 1;
  put(gpu.name, "0000:41:00.0");
  sample.engine_infos = {cpu, gpu};

  aiaccel_stats_engine cpu_stats{};
  cpu_stats.id = 1;
  cpu_stats.state = AIACCEL_ENGINE_ACTIVE;
  cpu_stats.slots = 2;
  aiaccel_stats_engine gpu_stats = cpu_stats;
  gpu_stats.id = 7;
  gpu_stats.slots = 8;
  gpu_stats.slots_used = 3;
  gpu_stats.jobs_waiting = 5;
  gpu_stats.queues = 2;
  gpu_stats.granted = 1000;
  gpu_stats.busy_ns = 50 * second;
  gpu_stats.device_bytes = 80ull << 30;
  gpu_stats.reserved_bytes = 62ull << 30;
  sample.engines = {cpu_stats, gpu_stats};

  aiaccel_stats_tenant server{};
  server.tenant = 2;
  server.parent = 1;
  server.kind = AIACCEL_TENANT_CGROUP;
  server.weight = 100;
  server.contexts = 1;
  server.queues = 1;
  server.allocated_bytes = 4ull << 30;
  server.granted = 900;
  server.busy_ns = 40 * second;
  server.reserved_bytes = 62ull << 30;
  server.max_bytes = server.max_device_bytes = AIACCEL_UNLIMITED;
  server.max_class = AIACCEL_CLASS_REALTIME;
  server.engine_time = AIACCEL_ENGINE_TIME_ALL;
  put(server.name, "/system.slice/vllm.service");
  aiaccel_stats_tenant notebook = server;
  notebook.tenant = 3;
  notebook.allocated_bytes = 0;
  notebook.pinned_bytes = 3 << 20;
  notebook.granted = 100;
  notebook.busy_ns = 10 * second;
  notebook.reserved_bytes = 0;
  notebook.max_class = AIACCEL_CLASS_LOW;
  notebook.max_device_bytes = 10ull << 30;
  notebook.engine_time = AIACCEL_ENGINE_TIME_ALL / 4;
  notebook.grants = 1;
  put(notebook.name, "/machine.slice/notebook.scope");
  sample.tenants = {server, notebook};

  aiaccel_stats_queue asr{};
  asr.context = 11;
  asr.tenant = 2;
  asr.engine = 7;
  asr.id = 4;
  asr.class_ = AIACCEL_CLASS_HIGH;
  asr.weight = 100;
  asr.slots_held = 2;
  asr.pid = 812;
  asr.submitted = 905;
  asr.granted = 900;
  asr.completed = 899;
  asr.wait_ns = 9 * second;
  asr.run_ns = 18 * second;
  asr.max_wait_ns = 80'000'000;
  put(asr.comm, "vllm");
  put(asr.label, "asr@v2");
  aiaccel_stats_queue train = asr;
  train.context = 12;
  train.tenant = 3;
  train.id = 4;  // ids are a context's own: the same as the other's
  train.class_ = AIACCEL_CLASS_LOW;
  train.waiting = 5;
  train.slots_held = 1;
  train.pid = 4410;
  train.granted = 100;
  train.completed = 100;
  put(train.comm, "python3");
  put(train.label, "train");
  sample.queues = {asr, train};
  return sample;
}

// Two seconds later: the GPU gave 200 turns, all to the server, that held 4 slots on average.
inline tools::Sample second_sample() {
  tools::Sample sample = first_sample();
  sample.time_ns += 2 * second;
  sample.engines[1].granted += 200;
  sample.engines[1].busy_ns += 8 * second;
  sample.tenants[0].granted += 200;
  sample.tenants[0].busy_ns += 8 * second;
  sample.queues[0].submitted += 200;
  sample.queues[0].granted += 200;
  sample.queues[0].completed += 100;
  sample.queues[0].wait_ns += 200 * 3'000'000ull;
  sample.queues[0].run_ns += 100 * 20'000'000ull;
  // 190 waited from 1.05 to 2.1 ms, ten from 67 to 134 ms; all ran from 16.8 to 33.6 ms.
  sample.queues[0].wait.count[11] += 190;
  sample.queues[0].wait.count[17] += 10;
  sample.queues[0].run.count[15] += 100;
  sample.tenants[0].wait = sample.queues[0].wait;
  sample.tenants[0].run = sample.queues[0].run;
  return sample;
}

inline tools::Report report() {
  const tools::Sample before = first_sample();
  return tools::make_report(&before, second_sample());
}

}  // namespace top_fixture
