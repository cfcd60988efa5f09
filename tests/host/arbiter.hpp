// SPDX-License-Identifier: MIT
//
// The arbiter in user space, without a transport: engines as a test wants them, and clients of any
// user. What is tested so needs no second user on the machine and no accelerator.
#pragma once

#include <uapi/aiaccel.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "host/context.h"
#include "host/host.h"
#include "tap/tap.hpp"

namespace arbiter {

inline constexpr uint32_t kCpu = 1;  // the engines' ids
inline constexpr uint32_t kGpu = 2;
inline constexpr uint64_t kGpuBytes = 1000;

inline std::vector<aiaccel_engine_info> engines() {
  std::vector<aiaccel_engine_info> infos(2);
  for (uint32_t i = 0; i < 2; ++i) {
    infos[i].size = sizeof infos[i];
    infos[i].id = i + 1;
    infos[i].state = AIACCEL_ENGINE_ACTIVE;
  }
  infos[0].kind = AIACCEL_ENGINE_CPU;
  infos[0].enforcement = AIACCEL_ADVISORY;
  infos[0].slots = 4;
  std::strcpy(infos[0].name, "cpu-node0");
  infos[1].kind = AIACCEL_ENGINE_GPU;
  infos[1].enforcement = AIACCEL_GATED;
  infos[1].slots = 1;
  infos[1].device_bytes = kGpuBytes;
  std::strcpy(infos[1].name, "0000:01:00.0");
  std::strcpy(infos[1].alias, "GPU-0");
  return infos;
}

struct Arbiter : aiaccel::host::Host {
  explicit Arbiter(const aiaccel::host::Ceilings& limits = {})
      : Host(arbiter::engines(), limits, 0) {}
};

class Client {
 public:
  explicit Client(aiaccel::host::Host& host, uint64_t uid = 1000, bool privileged = false) {
    BOOST_REQUIRE_EQUAL(aiaccel::host::Context::create(
                            host, {uid, 1, "test", privileged}, [] {}, &context_),
                        0);
  }

  // `array`: what goes to the caller's array. `mark`: that of the buffer's file.
  template <typename T>
  int call(unsigned long request, T& arg, std::vector<std::byte>* array = nullptr,
           const aiaccel::host::Mark& mark = aiaccel::host::kNoMark) {
    arg.size = sizeof arg;
    aiaccel::host::Call call;
    const aiaccel::host::Row* row = aiaccel::host::find_row(request);
    // Not by Boost, which allocates: no_memory.cpp counts what a call does.
    if (!row || aiaccel::host::take_arg(*row, &arg, &call)) std::abort();
    if (array) call.array = *array;
    call.mark = mark;
    const int result = context_->call(call);
    aiaccel::host::give_arg(call, result, &arg);
    if (array) *array = call.array;
    return result;
  }

  aiaccel_query query() {
    aiaccel_query arg{};
    BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_QUERY, arg), 0);
    return arg;
  }

  // A queue of its own to this engine.
  uint32_t queue(uint32_t engine, uint32_t class_ = AIACCEL_CLASS_NORMAL, uint32_t weight = 0) {
    aiaccel_queue_create arg{};
    arg.engine = engine;
    arg.class_ = class_;
    arg.weight = weight;
    std::strcpy(arg.label, "test@1");
    BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_QUEUE_CREATE, arg), 0);
    return arg.id;
  }

  int submit(uint64_t cookie, uint32_t queue, uint32_t width = 1) {
    aiaccel_job job{};
    job.cookie = cookie;
    job.queue = queue;
    job.width = width;
    aiaccel_enter arg{};
    arg.jobs = reinterpret_cast<uintptr_t>(&job);
    arg.nr_jobs = 1;
    return call(AIACCEL_IOC_ENTER, arg);
  }

  int complete(uint64_t cookie, uint32_t generation) {
    const aiaccel_completion completion{cookie, generation, 0};
    aiaccel_enter arg{};
    arg.completions = reinterpret_cast<uintptr_t>(&completion);
    arg.nr_completions = 1;
    return call(AIACCEL_IOC_ENTER, arg);
  }

  // Takes what is in the ring.
  std::vector<aiaccel_event> events() {
    const auto* ring = static_cast<const aiaccel_ring*>(context_->ring().data());
    auto* consumed = static_cast<uint32_t*>(context_->consumed().data());
    const auto* entries = reinterpret_cast<const aiaccel_event*>(
        reinterpret_cast<const char*>(ring) + ring->events_offset);
    std::vector<aiaccel_event> events;
    while (*consumed != ring->produced) events.push_back(entries[(*consumed)++ % ring->entries]);
    return events;
  }

  // The one event in the ring.
  aiaccel_event must_event(uint64_t cookie, uint32_t bits) {
    const auto all = events();
    BOOST_REQUIRE_EQUAL(all.size(), 1u);
    BOOST_REQUIRE_EQUAL(all[0].cookie, cookie);
    BOOST_REQUIRE_EQUAL(all[0].events, bits);
    return all[0];
  }

  int destroy(uint32_t id) {
    aiaccel_destroy arg{};
    arg.id = id;
    return call(AIACCEL_IOC_DESTROY, arg);
  }

  template <typename Record>
  std::vector<Record> stats(uint32_t kind) {
    aiaccel_stats arg{};
    arg.kind = kind;
    arg.count = 1 << 16;
    arg.record_size = sizeof(Record);
    std::vector<std::byte> bytes;
    BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_STATS, arg, &bytes), 0);
    std::vector<Record> records(arg.count);
    BOOST_REQUIRE_EQUAL(bytes.size(), records.size() * sizeof(Record));
    if (!bytes.empty()) std::memcpy(records.data(), bytes.data(), bytes.size());
    return records;
  }

 private:
  std::unique_ptr<aiaccel::host::Context> context_;
};

}  // namespace arbiter
