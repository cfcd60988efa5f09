// SPDX-License-Identifier: MIT
//
// Engines of the arbiter in user space, and what is granted there; tenants are in tenants.cpp. See
// host.h for the locking rule.
#include "host/host.h"

#include <algorithm>
#include <ctime>
#include <new>
#include <utility>

#include "host/context.h"

namespace aiaccel::host {

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

Host::Host(const std::vector<aiaccel_engine_info>& infos, const Ceilings& limits, uint64_t caps)
    : capabilities(caps), ceilings(limits) {
  // STATS tells of all in one answer.
  const uint32_t capacity = aia_history_capacity(infos.size(), 8ULL * AIA_HISTORY_RECORDS, 0);
  for (const aiaccel_engine_info& info : infos) {
    auto engine = std::make_unique<Engine>();
    aia_sched_engine_init(&engine->sched, info.slots);
    engine->sched.number = info.id;
    engine->sched.numa_node = info.numa_node;
    engine->sched.gives_way = info.kind == AIACCEL_ENGINE_CPU;
    aia_terms_set_engine(&engine->sched, info.enforcement, info.grace_ns);
    engine->info = info;
    // Untouched until it is used.
    engine->records.reset(
        static_cast<aia_history_record*>(std::calloc(capacity, sizeof(aia_history_record))));
    if (!engine->records) throw std::bad_alloc();
    aia_history_init(&engine->history, engine->records.get(), capacity);
    engine->sched.history = &engine->history;
    engines.push_back(std::move(engine));
  }
  root.name.assign(1, '/');
  aia_limit_init(&root.bytes, nullptr, ceilings.host_bytes);
  aia_limit_init(&root.jobs, nullptr, AIA_LIMIT_NONE);
  aia_limit_init(&root.contexts, nullptr, AIA_LIMIT_NONE);
  aia_limit_init(&root.lines, nullptr, AIA_LIMIT_NONE);
  aia_limit_init(&root.buffers, nullptr, AIA_LIMIT_NONE);
  init_tenant(&root, nullptr);
}

Host::~Host() = default;

Engine* Host::find_engine(uint32_t id) const {
  const auto found = std::find_if(engines.begin(), engines.end(),
                                  [=](const auto& engine) { return engine->info.id == id; });
  return found == engines.end() ? nullptr : found->get();
}

size_t Host::place(const Engine& engine) const {
  const auto found = std::find_if(engines.begin(), engines.end(),
                                  [&](const auto& other) { return other.get() == &engine; });
  return static_cast<size_t>(found - engines.begin());
}

const aia_limit& Host::device_bytes(const Engine& engine) const {
  return root.device_bytes[place(engine)];
}

void Host::free_turns(aia_news& news) {
  while (aia_turn* turn = news.freed) {
    news.freed = turn->next_freed;
    aia_limit_uncharge(&static_cast<Tenant*>(turn->owner)->jobs, 1);
    delete turn->job.any;
    delete turn;
  }
}

void Host::tick(uint64_t now_ns) {
  Lock lock(mutex);
  wake_ns_ = AIACCEL_NEVER;
  aia_news news{};
  for (const auto& engine : engines)
    if (aia_turns_next_ns(&engine->sched) != AIACCEL_NEVER) aia_turns_stir(&engine->sched, &news);
  act(news, now_ns);
  prune_tenants(now_ns);
}

bool Host::is_needed(uint64_t now_ns) {
  prune_tenants(now_ns);
  return !tenants.empty() || std::any_of(engines.begin(), engines.end(), [](const auto& engine) {
    const aia_sched_engine& sched = engine->sched;
    return sched.state == AIACCEL_ENGINE_DRAINING ||
           (sched.order != AIACCEL_ORDER_FAIR && sched.state != AIACCEL_ENGINE_LEAVING);
  });
}

void Host::act(aia_news& news, uint64_t now_ns) {
  while (aia_sched_engine* engine = aia_turns_next_stirred(&news)) {
    aia_turns_dispatch(engine, now_ns, &news);
    const uint64_t next_ns = aia_turns_next_ns(engine);
    if (next_ns >= wake_ns_) continue;
    wake_ns_ = next_ns;
    if (wake_at) wake_at(next_ns);
  }
  while (aia_turns* turns = news.woken) {
    news.woken = turns->next_woken;
    turns->woken = false;
    Context::of(turns).on_events_();
  }
  free_turns(news);
}

}  // namespace aiaccel::host
