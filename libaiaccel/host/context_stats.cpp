// SPDX-License-Identifier: MIT
//
// STATS: who uses what; a SNAPSHOT is in context_snapshot.cpp. Under the Host's mutex. A caller
// sees its own tenant, a privileged one all.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host/context.h"

namespace aiaccel::host {
namespace {

// Lays records out as the caller's record_size asks: as many as fit, longer ones cut, shorter ones
// filled with zeros. `count`: how many there are.
class Records {
 public:
  Records(Call& call, size_t count)
      : array_(call.array),
        step_(call.arg.stats.record_size),
        end_(std::min<size_t>(call.arg.stats.count, count) * step_) {
    array_.reserve(end_);
    call.arg.stats.count = static_cast<uint32_t>(count);
  }

  bool full() const { return array_.size() == end_; }

  template <typename T>
  void add(const T& record) {
    const size_t at = array_.size();
    array_.resize(at + step_);
    std::memcpy(array_.data() + at, &record, std::min(step_, sizeof record));
  }

 private:
  std::vector<std::byte>& array_;
  const size_t step_;
  const size_t end_;
};

}  // namespace

bool Context::sees(const Tenant& tenant) const {
  return client_.privileged || &tenant == tenant_;
}

int Context::stats(Call& call) {
  aiaccel_stats& arg = call.arg.stats;
  if (int error = aia_check_stats(&arg)) return error;
  switch (arg.kind) {
    case AIACCEL_STATS_ENGINES:
      stats_engines(call);
      break;
    case AIACCEL_STATS_TENANTS:
      stats_tenants(call);
      break;
    case AIACCEL_STATS_QUEUES:
      stats_queues(call);
      break;
    case AIACCEL_STATS_TURNS:
      stats_turns(call);
      break;
    case AIACCEL_STATS_RESERVATIONS:
      stats_reservations(call);
      break;
    case AIACCEL_STATS_CONTEXTS:
      stats_contexts(call);
      break;
    case AIACCEL_STATS_SNAPSHOT: {
      const uint64_t now = monotonic_ns();
      if (int error = stats_snapshot(call, now)) return error;
      arg.time_ns = now;
      return 0;
    }
    default:
      return -EOPNOTSUPP;
  }
  arg.time_ns = monotonic_ns();
  return 0;
}

void Context::stats_engines(Call& call) const {
  Records records(call, host_.engines.size());
  for (const auto& engine : host_.engines) {
    if (records.full()) return;
    records.add(describe(*engine));
  }
}

void Context::stats_tenants(Call& call) const {
  host_.prune_tenants(monotonic_ns());
  Records records(call, client_.privileged ? 1 + host_.tenants.size() : 1);
  auto add = [&](const Tenant& tenant) {
    host_.mutex.is_held();  // it is
    if (!records.full() && sees(tenant)) records.add(describe(tenant));
  };
  add(host_.root);
  for (const auto& [uid, tenant] : host_.tenants) add(*tenant);
}

void Context::stats_queues(Call& call) const {
  size_t count = 0;
  for (const Context* context : host_.contexts) {
    context->host_.mutex.is_held();  // it is the same
    if (sees(*context->tenant_)) count += context->queues_.size();
  }
  Records records(call, count);
  for (const Context* context : host_.contexts) {
    context->host_.mutex.is_held();
    if (!sees(*context->tenant_)) continue;
    for (const auto& [id, queue] : context->queues_) {
      if (records.full()) return;
      records.add(context->describe(*queue));
    }
  }
}

void Context::stats_contexts(Call& call) const {
  size_t count = 0;
  for (const Context* context : host_.contexts) {
    context->host_.mutex.is_held();  // it is the same
    count += sees(*context->tenant_);
  }
  Records records(call, count);
  for (const Context* context : host_.contexts) {
    context->host_.mutex.is_held();
    if (records.full()) return;
    if (sees(*context->tenant_)) records.add(context->describe());
  }
}

// Those that ended, then those that wait or run. All are counted; only what the caller may see and
// has room for is copied.
void Context::stats_turns(Call& call) const {
  std::vector<aiaccel_stats_turn> turns;
  size_t count = 0;
  // Not what was done under its uid before: that may be another's by now.
  const __u64 own = tenant_->id;
  auto tell = [&](const aia_history_record& record, const Engine& engine) {
    if (!client_.privileged && record.who.tenant != own) return;
    if (count++ < call.arg.stats.count)
      aia_history_tell(&record, engine.info.id, 0, &turns.emplace_back());
  };
  for (const auto& engine : host_.engines) {
    __u64 from = 0;
    while (const aia_history_record* record = aia_history_next(&engine->history, &from))
      tell(*record, *engine);
  }
  std::vector<aia_history_record> live(AIA_TURNS_MAX);
  const uint64_t now = monotonic_ns();
  for (const Context* context : host_.contexts) {
    context->host_.mutex.is_held();
    if (!sees(*context->tenant_)) continue;
    for (const auto& [id, queue] : context->queues_) {
      const uint32_t found = aia_turns_list(&context->turns_.core, &queue->sched, live.data(), now);
      for (uint32_t i = 0; i < found; ++i) tell(live[i], *queue->engine);
    }
  }
  Records list(call, count);
  for (const aiaccel_stats_turn& turn : turns) list.add(turn);
}

void Context::stats_reservations(Call& call) const {
  size_t count = 0;
  for (const Context* context : host_.contexts) {
    context->host_.mutex.is_held();
    if (sees(*context->tenant_)) count += context->reservations_.size();
  }
  Records records(call, count);
  for (const Context* context : host_.contexts) {
    context->host_.mutex.is_held();
    if (!sees(*context->tenant_)) continue;
    for (const auto& [id, reservation] : context->reservations_) {
      if (records.full()) return;
      aiaccel_stats_reservation record{};
      record.context = context->who_.context;
      record.tenant = context->tenant_->id;
      record.engine = reservation.engine->info.id;
      record.id = id;
      record.bytes = reservation.bytes;
      record.pid = context->client_.pid;
      std::memcpy(record.comm, context->who_.comm, sizeof record.comm);
      records.add(record);
    }
  }
}

uint32_t record_bytes(uint32_t kind) {
  switch (kind) {
    case AIACCEL_STATS_ENGINES:
      return sizeof(aiaccel_stats_engine);
    case AIACCEL_STATS_TENANTS:
      return sizeof(aiaccel_stats_tenant);
    case AIACCEL_STATS_QUEUES:
      return sizeof(aiaccel_stats_queue);
    case AIACCEL_STATS_TURNS:
      return sizeof(aiaccel_stats_turn);
    case AIACCEL_STATS_RESERVATIONS:
      return sizeof(aiaccel_stats_reservation);
    case AIACCEL_STATS_CONTEXTS:
      return sizeof(aiaccel_stats_context);
    case AIACCEL_STATS_SNAPSHOT:
      return 8;
  }
  return 0;
}

}  // namespace aiaccel::host
