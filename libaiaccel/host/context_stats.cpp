// SPDX-License-Identifier: MIT
//
// STATS: who uses what. Under the Host's mutex. A caller sees its own tenant, a privileged one all.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host/context.h"

namespace aiaccel::host {
namespace {

void copy_text(const std::string& from, char* to, size_t bytes) {
  // Its end tells more than its start.
  const std::string text = from.size() < bytes ? from : from.substr(from.size() - bytes + 1);
  std::memcpy(to, text.data(), text.size());
}

// Lays records out as the caller's record_size asks: as many as fit, longer ones cut, shorter ones
// filled with zeros.
class Records {
 public:
  explicit Records(Call& call) : call_(call), room_(call.arg.stats.count) {}

  template <typename T>
  void add(const T& record) {
    ++count_;
    if (count_ > room_) return;
    const size_t at = call_.array.size();
    const size_t step = call_.arg.stats.record_size;
    call_.array.resize(at + step);
    std::memcpy(call_.array.data() + at, &record, std::min(step, sizeof record));
  }

  uint32_t count() const { return count_; }

 private:
  Call& call_;
  const uint32_t room_;
  uint32_t count_ = 0;
};

}  // namespace

int Context::stats(Call& call) {
  aiaccel_stats& arg = call.arg.stats;
  if (int error = aia_check_stats(&arg)) return error;
  Records records(call);

  if (arg.kind == AIACCEL_STATS_ENGINES) {
    for (const auto& engine : host_.engines) {
      const aia_sched_engine& sched = engine->sched;
      aiaccel_stats_engine record{};
      record.id = engine->info.id;
      record.state = sched.state;
      record.slots = sched.slots;
      record.slots_used = sched.slots_used;
      record.jobs_waiting = sched.waiting;
      record.queues = engine->queues;
      record.granted = sched.granted;
      record.busy_ns = sched.busy_ns;
      records.add(record);
    }
  } else if (arg.kind == AIACCEL_STATS_TENANTS) {
    auto add = [&](const Tenant& tenant) {
      aiaccel_stats_tenant record{};
      record.tenant = tenant.id;
      record.parent = tenant.parent ? tenant.parent->id : 0;
      record.source_id = tenant.uid;
      record.kind = tenant.kind;
      record.weight = AIACCEL_WEIGHT_DEFAULT;
      record.contexts = tenant.parent ? static_cast<uint32_t>(tenant.contexts.used) : 0;
      record.queues = tenant.queues;
      record.allocated_bytes = tenant.allocated_bytes;
      record.pinned_bytes = tenant.pinned_bytes;
      for (const aia_sched_node& node : tenant.nodes) {
        record.granted += node.granted;
        record.busy_ns += node.busy_ns;
      }
      copy_text(tenant.name, record.name, sizeof record.name);
      records.add(record);
    };
    if (client_.privileged) add(host_.root);
    for (const auto& [uid, tenant] : host_.tenants)
      if (client_.privileged || tenant.get() == tenant_) add(*tenant);
  } else {
    for (const Context* context : host_.contexts) {
      if (!client_.privileged && context->tenant_ != tenant_) continue;
      for (const auto& [id, queue] : context->queues_) {
        const aia_sched_queue& sched = queue->sched;
        const aia_sched_job* turn = sched.seat->turn;
        aiaccel_stats_queue record{};
        record.context = context->number_;
        record.tenant = context->tenant_->id;
        record.engine = queue->engine->info.id;
        record.id = id;
        record.class_ = sched.class_;
        record.weight = queue->weight;
        record.waiting = sched.waiting;
        record.slots_held = turn && turn->queue == &sched ? turn->width : 0;
        record.pid = context->client_.pid;
        record.submitted = sched.submitted;
        record.granted = sched.granted;
        record.completed = sched.completed;
        record.wait_ns = sched.wait_ns;
        record.run_ns = sched.run_ns;
        record.max_wait_ns = sched.max_wait_ns;
        copy_text(context->client_.comm, record.comm, sizeof record.comm);
        std::memcpy(record.label, queue->label, sizeof record.label);
        records.add(record);
      }
    }
  }
  arg.count = records.count();
  arg.time_ns = monotonic_ns();
  return 0;
}

}  // namespace aiaccel::host
