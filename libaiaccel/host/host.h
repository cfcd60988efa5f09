// SPDX-License-Identifier: MIT
//
// The arbiter in user space: the twin of the module's global state, around the same core. The
// embedded transport has one for its process, aiacceld has one for its clients.
//
// It holds the engines (fixed once made), the tenants (users; a tenant lives while it has contexts,
// pays for a buffer, or owes engine time), the buffers that were exported, and the ceilings. What a
// client owns is in its Context.
//
// Threads: `mutex` guards all that can change here and in every Context. Nothing blocks under it.
#ifndef AIACCEL_HOST_HOST_H
#define AIACCEL_HOST_HOST_H

#include <uapi/aiaccel.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/buffer.h"
#include "host/core.h"
#include "mutex.h"

namespace aiaccel::host {

class Context;

// What a context can hold; part of QUERY.
inline constexpr uint32_t kMaxQueues = 64;
inline constexpr uint32_t kMaxBuffers = 4096;

struct Ceilings {
  uint64_t tenant_bytes = AIACCEL_UNLIMITED;
  uint64_t host_bytes = AIACCEL_UNLIMITED;
  uint64_t tenant_jobs = 16384;
  uint64_t tenant_contexts = 256;
  // What the arbiter itself remembers for one tenant, and lists in STATS, stays small so.
  uint64_t tenant_lines = 4096;  // queues and reservations
  uint64_t tenant_buffers = 16384;
};

// `sched` comes first, so that what the core returns leads back here.
struct Engine {
  aia_sched_engine sched;
  aiaccel_engine_info info;
  uint32_t queues;
  aia_history history;
  std::unique_ptr<aia_history_record[], void (*)(void*)> records{nullptr, std::free};
};

// What this machine has: one CPU engine for each NUMA node that has CPUs online.
std::vector<aiaccel_engine_info> find_cpu_engines();

struct Tenant {
  uint64_t id = 0;
  Tenant* parent = nullptr;
  uint32_t kind = AIACCEL_TENANT_ROOT;
  uint64_t uid = 0;
  std::string name;
  aia_limit bytes{};  // the root's is the ceiling of the whole arbiter
  aia_limit jobs{};
  aia_limit contexts{};
  aia_limit lines{};  // queues and reservations
  aia_limit buffers{};
  uint64_t allocated_bytes = 0;  // its children's included
  uint64_t pinned_bytes = 0;
  uint32_t queues = 0;                  // its own
  aia_settings settings{};              // what the rules give it
  std::vector<aia_limit> device_bytes;  // by place of the engine; never moved once made

  bool is_below(const Tenant* top) const;  // or is it
  uint32_t highest_class() const;

  std::vector<aia_sched_node> nodes;  // by place of the engine; never moved once made
};

class Host {
 public:
  // `capabilities`: what QUERY says.
  Host(const std::vector<aiaccel_engine_info>& engines, const Ceilings& ceilings,
       uint64_t capabilities);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  const uint64_t capabilities;
  const Ceilings ceilings;
  // Fixed, but for what changes of each, under `mutex`: `sched` and `queues`.
  std::vector<std::unique_ptr<Engine>> engines;

  Mutex mutex;

  std::set<Context*> contexts GUARDED_BY(mutex);
  aia_groups groups GUARDED_BY(mutex){};
  Tenant root GUARDED_BY(mutex);
  std::map<uint64_t, std::unique_ptr<Tenant>> tenants GUARDED_BY(mutex);  // by uid
  std::map<Mark, std::shared_ptr<Buffer>> exported GUARDED_BY(mutex);
  uint64_t last_context GUARDED_BY(mutex) = 0;

  // -EDQUOT: the tenant has too many contexts.
  int get_tenant(uint64_t uid, Tenant** tenant) REQUIRES(mutex);
  void put_tenant(Tenant* tenant) REQUIRES(mutex);
  // Forgets those that have no context, pay for no buffer that another context imported, and owe no
  // engine time: who reconnects for each turn owes as much as who stays. Only who has a ceiling of
  // it can owe, so the rules bound how many are kept.
  void prune_tenants(uint64_t now_ns) REQUIRES(mutex);

  Engine* find_engine(uint32_t id) const;
  const Tenant* find_tenant(uint64_t id) const REQUIRES(mutex);
  size_t place(const Engine& engine) const;  // index in `engines`
  // What is reserved there by all, of its bytes.
  const aia_limit& device_bytes(const Engine& engine) const REQUIRES(mutex);

  // Charges memory to the tenant and all above it; `refused_by` is set on -EDQUOT.
  int charge_bytes(Tenant* tenant, uint64_t bytes, bool pinned, uint32_t* refused_by)
      REQUIRES(mutex);
  void uncharge_bytes(Tenant* tenant, uint64_t bytes, bool pinned) REQUIRES(mutex);

  // An id of it goes; with the last one it does.
  void put_buffer(Buffer& buffer) REQUIRES(mutex);

  // Acts on what the core handed back: grants what can be granted at the engines that were stirred,
  // tells the contexts concerned, and frees turns.
  void act(aia_news& news, uint64_t now_ns) REQUIRES(mutex);

  // The rules of all tenants, checked; they hold at once.
  const std::vector<aiaccel_policy_rule>& rules() const REQUIRES(mutex) { return rules_; }
  void set_rules(std::vector<aiaccel_policy_rule> rules, uint64_t now_ns) REQUIRES(mutex);

  // Does what has become due: a tenant that used its engine time up has some again, a turn has lasted
  // too long. Whoever drives this arbiter calls it at the time that `wake_at` was called with last, or
  // soon after. Set that before the first context is made; it is called under `mutex` and must not
  // block.
  void tick(uint64_t now_ns);
  std::function<void(uint64_t ns)> wake_at;

  // Whether something would be lost with an arbiter that serves nobody: engine time that is owed,
  // that an engine drains, or its order. An engine that all are to leave is left.
  bool is_needed(uint64_t now_ns) REQUIRES(mutex);

  // Frees turns, so that what was completed makes room for what is submitted.
  void free_turns(aia_news& news) REQUIRES(mutex);

 private:
  void apply_rules(Tenant* tenant, uint64_t now_ns) REQUIRES(mutex);
  void init_tenant(Tenant* tenant, Tenant* parent) REQUIRES(mutex);

  uint64_t last_tenant_ GUARDED_BY(mutex) = 0;
  std::vector<aiaccel_policy_rule> rules_ GUARDED_BY(mutex);
  uint64_t wake_ns_ GUARDED_BY(mutex) = AIACCEL_NEVER;  // what wake_at was called with
};

uint64_t monotonic_ns();

}  // namespace aiaccel::host

#endif  // AIACCEL_HOST_HOST_H
