// SPDX-License-Identifier: MIT
//
// A SNAPSHOT: all that STATS has of one moment, as the Host's mutex is held around it. Not more
// than AIACCEL_SNAPSHOT_MAX records, a tenant's place at each engine counted as one, so that others
// are not kept for long.
#include <cerrno>
#include <cstring>

#include "host/context.h"

namespace aiaccel::host {

// Records behind their heads. All are counted; they are kept as far as there is room.
class Context::Snapshot {
 public:
  explicit Snapshot(Call& call)
      : array_(call.array), room_(uint64_t{call.arg.stats.count} * kUnit) {}

  void look(size_t times) { looks_ += times; }
  bool too_much() const { return looks_ > AIACCEL_SNAPSHOT_MAX; }

  template <typename T>
  void add(uint32_t kind, const T& record) {
    static_assert(sizeof(T) % kUnit == 0);
    const aiaccel_stats_head head{kind, sizeof head + sizeof record};
    look(1);
    bytes_ += head.bytes;
    if (bytes_ > room_ || too_much()) return;
    append(&head, sizeof head);
    append(&record, sizeof record);
  }

  // All or nothing. -EMSGSIZE: it is too much.
  int finish(uint32_t* units) {
    if (bytes_ > room_ || too_much()) array_.clear();
    if (too_much()) return -EMSGSIZE;
    *units = static_cast<uint32_t>(bytes_ / kUnit);
    return 0;
  }

 private:
  static constexpr uint32_t kUnit = 8;

  void append(const void* from, size_t bytes) {
    const auto* data = static_cast<const std::byte*>(from);
    array_.insert(array_.end(), data, data + bytes);
  }

  std::vector<std::byte>& array_;
  const uint64_t room_;
  uint64_t bytes_ = 0;
  size_t looks_ = 0;
};

void Context::add_to(Snapshot& snapshot, const Context& viewer, uint64_t now_ns) const {
  viewer.host_.mutex.is_held();  // it is the same
  snapshot.add(AIACCEL_STATS_CONTEXTS, describe());
  for (const auto& [id, queue] : queues_) snapshot.add(AIACCEL_STATS_QUEUES, describe(*queue));
  const aia_turn* turn = nullptr;
  while ((turn = aia_turns_next(&turns_.core, turn)) && !snapshot.too_much()) {
    if (!aia_turns_state(turn)) continue;
    const auto& engine = reinterpret_cast<const Engine&>(*turn->job.queue->seat->engine);
    aiaccel_stats_turn told;
    aia_turns_tell(turn, engine.info.id, viewer.client_.privileged ? 0 : viewer.tenant_->id, 0,
                   now_ns, &told);
    snapshot.add(AIACCEL_STATS_TURNS, told);
  }
}

int Context::stats_snapshot(Call& call, uint64_t now_ns) const {
  Snapshot snapshot(call);
  host_.prune_tenants(now_ns);
  auto add = [&](const Tenant& tenant) {
    host_.mutex.is_held();  // it is
    if (!sees(tenant)) return;
    snapshot.look(tenant.nodes.size());
    if (!snapshot.too_much()) snapshot.add(AIACCEL_STATS_TENANTS, describe(tenant));
  };
  add(host_.root);
  for (const auto& [uid, tenant] : host_.tenants) add(*tenant);
  for (const auto& engine : host_.engines) {
    if (snapshot.too_much()) break;
    snapshot.add(AIACCEL_STATS_ENGINES, describe(*engine));
  }
  for (const Context* context : host_.contexts) {
    if (snapshot.too_much()) break;
    context->host_.mutex.is_held();  // it is the same
    if (sees(*context->tenant_)) context->add_to(snapshot, *this, now_ns);
  }
  return snapshot.finish(&call.arg.stats.count);
}

}  // namespace aiaccel::host
