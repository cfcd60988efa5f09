// SPDX-License-Identifier: MIT
//
// What there is to say in STATS of an engine, a tenant, a context, a queue. Under the Host's mutex.
#include <cstring>

#include "host/context.h"

namespace aiaccel::host {
namespace {

void copy_text(const std::string& from, char* to, size_t bytes) {
  // Its end tells more than its start.
  const std::string text = from.size() < bytes ? from : from.substr(from.size() - bytes + 1);
  std::memcpy(to, text.data(), text.size());
}

}  // namespace

aiaccel_stats_engine Context::describe(const Engine& engine) const {
  const aia_sched_engine& sched = engine.sched;
  aiaccel_stats_engine record{};
  record.id = engine.info.id;
  record.state = sched.state;
  record.slots = sched.slots;
  record.slots_used = sched.slots_used;
  record.jobs_waiting = sched.waiting;
  record.queues = engine.queues;
  record.granted = sched.granted;
  record.busy_ns = sched.busy_ns;
  record.device_bytes = engine.info.device_bytes;
  record.reserved_bytes = host_.device_bytes(engine).used;
  record.wait = sched.wait;
  record.run = sched.run;
  return record;
}

aiaccel_stats_tenant Context::describe(const Tenant& tenant) const {
  aiaccel_stats_tenant record{};
  record.tenant = tenant.id;
  record.parent = tenant.parent ? tenant.parent->id : 0;
  record.source_id = tenant.uid;
  record.kind = tenant.kind;
  record.weight = tenant.settings.weight;
  record.contexts = tenant.parent ? static_cast<uint32_t>(tenant.contexts.used) : 0;
  record.queues = tenant.queues;
  record.allocated_bytes = tenant.allocated_bytes;
  record.pinned_bytes = tenant.pinned_bytes;
  for (const aia_sched_node& node : tenant.nodes) {
    record.granted += node.granted;
    record.busy_ns += node.busy_ns;
    aia_histogram_sum(&record.wait, &node.wait);
    aia_histogram_sum(&record.run, &node.run);
  }
  copy_text(tenant.name, record.name, sizeof record.name);
  for (const aia_limit& limit : tenant.device_bytes) record.reserved_bytes += limit.used;
  record.max_bytes = tenant.bytes.max;
  record.max_device_bytes = tenant.settings.device_bytes;
  record.max_class = tenant.highest_class();
  record.on_missing = tenant.settings.on_missing;
  record.engine_time = tenant.settings.engine_time;
  record.grants = tenant.settings.grants;
  return record;
}

aiaccel_stats_context Context::describe() const {
  aiaccel_stats_context record{};
  record.context = who_.context;
  record.tenant = tenant_->id;
  record.pid = client_.pid;
  record.events_unread = unread();
  for (const auto& [id, queue] : queues_) {
    const aia_sched_job* turn = aia_sched_queue_turn(&queue->sched);
    record.queues++;
    record.waiting += queue->sched.waiting;
    if (!turn) continue;
    record.turns++;
    record.slots_held += turn->width;
  }
  for (const auto& [engine, seat] : seats_) {
    record.granted += seat->sched.granted;
    record.busy_ns += seat->sched.busy_ns;
  }
  for (const auto& [id, handle] : buffers_) {
    const bool pinned = handle.buffer->kind == AIACCEL_BUFFER_PINNED;
    (handle.foreign ? record.imported_bytes
     : pinned       ? record.pinned_bytes
                    : record.allocated_bytes) += handle.buffer->length;
  }
  for (const auto& [id, reservation] : reservations_) record.reserved_bytes += reservation.bytes;
  std::memcpy(record.comm, who_.comm, sizeof record.comm);
  return record;
}

aiaccel_stats_queue Context::describe(const Queue& queue) const {
  const aia_sched_queue& sched = queue.sched;
  const aia_sched_job* turn = aia_sched_queue_turn(&sched);
  aiaccel_stats_queue record{};
  record.context = who_.context;
  record.tenant = tenant_->id;
  record.engine = queue.engine->info.id;
  record.id = queue.who.queue;
  record.class_ = sched.class_;
  record.weight = queue.weight;
  record.waiting = sched.waiting;
  record.slots_held = turn ? turn->width : 0;
  record.pid = client_.pid;
  record.submitted = sched.submitted;
  record.granted = sched.granted;
  record.completed = sched.completed;
  record.wait_ns = sched.wait_ns;
  record.run_ns = sched.run_ns;
  record.max_wait_ns = sched.max_wait_ns;
  std::memcpy(record.comm, who_.comm, sizeof record.comm);
  std::memcpy(record.label, queue.who.label, sizeof record.label);
  record.wait = sched.wait;
  record.run = sched.run;
  return record;
}

}  // namespace aiaccel::host
