// SPDX-License-Identifier: MIT
#include "fuzz/calls.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <uapi/aiaccel_edu.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fuzz {

namespace {

constexpr uint64_t kCookies = 64;  // few, so that they are met again

#define FIELD(type, member, kind)                            \
  Field {                                                    \
    offsetof(type, member), sizeof(type::member), Kind::kind \
  }

uint64_t address(const void* at) {
  return reinterpret_cast<uint64_t>(at);
}

void fill_nothing(Actor&, int, void*) {}
void learn_nothing(Actor&, int, const void*) {}

// ---- what is here ----

constexpr Field kQueryFields[] = {FIELD(aiaccel_query, size, kSize)};

constexpr Field kEngineListFields[] = {FIELD(aiaccel_engine_list, size, kSize),
                                       FIELD(aiaccel_engine_list, count, kNumber),
                                       FIELD(aiaccel_engine_list, ids, kPointer)};
void fill_engine_list(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_engine_list*>(argument);
  arg.count = actor.random.below(16);
  arg.ids = address(actor.scratch);
}

constexpr Field kEngineInfoFields[] = {FIELD(aiaccel_engine_info, size, kSize),
                                       FIELD(aiaccel_engine_info, id, kId),
                                       FIELD(aiaccel_engine_info, __reserved, kNumber)};
void fill_engine_info(Actor& actor, int, void* argument) {
  static_cast<aiaccel_engine_info*>(argument)->id = actor.engine();
}

// The names are few, so that they are met again.
constexpr Field kEngineRegisterFields[] = {FIELD(aiaccel_engine_register, size, kSize),
                                           FIELD(aiaccel_engine_register, flags, kFlags),
                                           FIELD(aiaccel_engine_register, kind, kNumber),
                                           FIELD(aiaccel_engine_register, enforcement, kNumber),
                                           FIELD(aiaccel_engine_register, slots, kNumber),
                                           FIELD(aiaccel_engine_register, numa_node, kNumber),
                                           FIELD(aiaccel_engine_register, device_bytes, kNumber),
                                           FIELD(aiaccel_engine_register, name, kBytes),
                                           FIELD(aiaccel_engine_register, alias, kBytes),
                                           FIELD(aiaccel_engine_register, provider, kBytes),
                                           FIELD(aiaccel_engine_register, __reserved, kNumber)};
void fill_engine_register(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_engine_register*>(argument);
  Random& random = actor.random;
  if (random.percent(30)) arg.flags = AIACCEL_REGISTER_BOUND;
  arg.kind = AIACCEL_ENGINE_GPU + random.below(3);
  arg.enforcement = AIACCEL_ADVISORY + random.below(2);
  arg.slots = 1 + random.below(8);
  arg.numa_node = -1;
  arg.device_bytes = random.percent(5) ? ~0ULL : random.below(1 << 20);
  memcpy(arg.name, "gpu-", 4);
  arg.name[4] = static_cast<char>('a' + random.below(24));
  if (random.percent(30)) arg.alias[0] = static_cast<char>('a' + random.below(24));
  memcpy(arg.provider, "fuzz", 4);
}
void learn_engine_register(Actor& actor, int, const void* argument) {
  actor.world.engines.put(actor.random, static_cast<const aiaccel_engine_register*>(argument)->id);
}

constexpr Field kEngineUnregisterFields[] = {FIELD(aiaccel_engine_unregister, size, kSize),
                                             FIELD(aiaccel_engine_unregister, id, kId)};
void fill_engine_unregister(Actor& actor, int, void* argument) {
  static_cast<aiaccel_engine_unregister*>(argument)->id =
      static_cast<uint32_t>(actor.world.engines.take());
}

constexpr Field kStatsFields[] = {
    FIELD(aiaccel_stats, size, kSize), FIELD(aiaccel_stats, kind, kNumber),
    FIELD(aiaccel_stats, records, kPointer), FIELD(aiaccel_stats, count, kNumber),
    FIELD(aiaccel_stats, record_size, kNumber)};
void fill_stats(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_stats*>(argument);
  constexpr uint32_t kSizes[] = {8, 64, 104, 208, 1024, 4096};
  arg.kind = 1 + actor.random.below(AIACCEL_STATS_SNAPSHOT);
  arg.record_size = arg.kind == AIACCEL_STATS_SNAPSHOT ? 8 : actor.random.one_of(kSizes);
  arg.count = actor.random.below(sizeof(actor.scratch) / arg.record_size + 1);
  arg.records = address(actor.scratch);
}

// ---- what the administrator says ----

constexpr Field kControlFields[] = {
    FIELD(aiaccel_control, size, kSize),    FIELD(aiaccel_control, flags, kFlags),
    FIELD(aiaccel_control, engine, kId),    FIELD(aiaccel_control, state, kNumber),
    FIELD(aiaccel_control, order, kNumber), FIELD(aiaccel_control, __reserved, kNumber)};
// Mostly active, so that there is work, and in any order.
void fill_control(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_control*>(argument);
  arg.engine = actor.random.percent(50) ? actor.engine() : 0;
  arg.state = actor.random.percent(90) ? AIACCEL_ENGINE_ACTIVE
              : arg.engine             ? AIACCEL_ENGINE_DRAINING
                                       : AIACCEL_ENGINE_LEAVING;
  arg.order = actor.random.below(AIACCEL_ORDER_FIFO + 1);
}

constexpr Field kRevokeFields[] = {
    FIELD(aiaccel_revoke, size, kSize),      FIELD(aiaccel_revoke, flags, kFlags),
    FIELD(aiaccel_revoke, context, kNumber), FIELD(aiaccel_revoke, tenant, kNumber),
    FIELD(aiaccel_revoke, engine, kId),      FIELD(aiaccel_revoke, count, kNumber)};
void fill_revoke(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_revoke*>(argument);
  arg.flags = actor.random.below(2);
  if (actor.random.percent(50))
    arg.tenant = 1 + (actor.random.percent(30) ? actor.random.below(8) : 0);  // the root is 1
  else
    arg.context = 1 + actor.random.below(1000);
  arg.engine = actor.random.percent(30) ? actor.engine() : 0;
}

constexpr Field kPolicyFields[] = {
    FIELD(aiaccel_policy, size, kSize), FIELD(aiaccel_policy, flags, kFlags),
    FIELD(aiaccel_policy, rules, kPointer), FIELD(aiaccel_policy, count, kNumber),
    FIELD(aiaccel_policy, rule_size, kNumber)};
constexpr Field kRuleFields[] = {FIELD(aiaccel_policy_rule, match, kNumber),
                                 FIELD(aiaccel_policy_rule, sets, kFlags),
                                 FIELD(aiaccel_policy_rule, uid, kNumber),
                                 FIELD(aiaccel_policy_rule, max_class, kNumber),
                                 FIELD(aiaccel_policy_rule, weight, kNumber),
                                 FIELD(aiaccel_policy_rule, engine_time, kNumber),
                                 FIELD(aiaccel_policy_rule, pinned_bytes, kNumber),
                                 FIELD(aiaccel_policy_rule, device_bytes, kNumber),
                                 FIELD(aiaccel_policy_rule, grants, kNumber),
                                 FIELD(aiaccel_policy_rule, on_missing, kNumber),
                                 FIELD(aiaccel_policy_rule, pattern, kBytes)};
constexpr const char* kPatterns[] = {"**", "/*", "*", "[!a-c]*", "/**/?*", "\\*"};
void fill_rule(Random& random, aiaccel_policy_rule& rule) {
  rule.match = 1 + random.below(3);
  rule.sets = random.below(0x80);
  if (rule.match == AIACCEL_MATCH_USER)
    rule.uid = 1000 + random.below(2);
  else
    strcpy(rule.pattern, random.one_of(kPatterns));
  if (rule.sets & AIACCEL_SETS_MAX_CLASS) rule.max_class = random.below(AIACCEL_NR_CLASSES);
  if (rule.sets & AIACCEL_SETS_WEIGHT) rule.weight = 1 + random.below(AIACCEL_WEIGHT_MAX);
  // Not so little that nothing happens any more.
  if (rule.sets & AIACCEL_SETS_PINNED_BYTES) rule.pinned_bytes = (1 + random.below(64)) << 20;
  if (rule.sets & AIACCEL_SETS_DEVICE_BYTES) rule.device_bytes = random.below(1 << 20);
  if (rule.sets & AIACCEL_SETS_ENGINE_TIME) rule.engine_time = 1000 + random.below(9001);
  if (rule.sets & AIACCEL_SETS_GRANTS) rule.grants = 1 + random.below(4);
  if (rule.sets & AIACCEL_SETS_ON_MISSING) rule.on_missing = random.below(2);
}
void fill_policy(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_policy*>(argument);
  auto* rules = reinterpret_cast<aiaccel_policy_rule*>(actor.scratch);
  Random& random = actor.random;
  memset(actor.scratch, 0, sizeof(actor.scratch));
  arg.flags = random.percent(70) ? AIACCEL_POLICY_REPLACE : 0;
  arg.rules = address(rules);
  arg.count = random.below(8);
  arg.rule_size = sizeof(*rules);
  for (uint32_t i = 0; i < arg.count; i++) fill_rule(random, rules[i]);
  if (arg.count && random.percent(10)) mutate(random, kRuleFields, &rules[random.below(arg.count)]);
}

// ---- objects ----

constexpr Field kDestroyFields[] = {FIELD(aiaccel_destroy, size, kSize),
                                    FIELD(aiaccel_destroy, id, kId)};
void fill_destroy(Actor& actor, int index, void* argument) {
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  uint64_t id = actor.random.percent(80)   ? context.buffers.pick(actor.random)
                : actor.random.percent(60) ? context.queues.pick(actor.random)
                                           : context.reservations.pick(actor.random);
  if (!id) id = actor.random.below(64);
  static_cast<aiaccel_destroy*>(argument)->id = static_cast<uint32_t>(id);
}
void learn_destroy(Actor& actor, int index, const void* argument) {
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  const uint32_t id = static_cast<const aiaccel_destroy*>(argument)->id;
  if (actor.random.percent(10)) return;  // to be a stale one
  context.buffers.forget(id);
  context.queues.forget(id);
  context.reservations.forget(id);
}

constexpr Field kAllocFields[] = {
    FIELD(aiaccel_alloc, size, kSize),        FIELD(aiaccel_alloc, flags, kFlags),
    FIELD(aiaccel_alloc, length, kNumber),    FIELD(aiaccel_alloc, placement, kNumber),
    FIELD(aiaccel_alloc, node, kNumber),      FIELD(aiaccel_alloc, engine, kId),
    FIELD(aiaccel_alloc, __reserved, kNumber)};
void fill_alloc(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_alloc*>(argument);
  Random& random = actor.random;
  const uint64_t most_pages = random.percent(3) ? 2048 : 64;
  arg.length = 1 + random.below(most_pages * kPage);
  arg.placement = random.below(5);
  if (arg.placement == AIACCEL_PLACE_PREFER || arg.placement == AIACCEL_PLACE_STRICT)
    arg.node = random.percent(20);
  if (arg.placement == AIACCEL_PLACE_NEAR) arg.engine = actor.engine();
}
void learn_alloc(Actor& actor, int index, const void* argument) {
  const auto& arg = *static_cast<const aiaccel_alloc*>(argument);
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  const uint64_t pages = (arg.length + kPage - 1) / kPage;
  context.buffers.put(actor.random, arg.id);
  context.offsets.put(actor.random, arg.mmap_offset | std::min<uint64_t>(pages, kPage - 1));
}

constexpr Field kPinFields[] = {FIELD(aiaccel_pin, size, kSize), FIELD(aiaccel_pin, flags, kFlags),
                                FIELD(aiaccel_pin, addr, kPointer),
                                FIELD(aiaccel_pin, length, kNumber)};
void fill_pin(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_pin*>(argument);
  Random& random = actor.random;
  const uint64_t most_pages = random.percent(10) ? kWindowPages : 16;
  arg.flags = random.percent(50) ? AIACCEL_PIN_WRITE : 0;
  arg.addr = window(static_cast<int>(random.below(random.percent(50) ? kQuiet : kWindows))) +
             random.below(8) * kPage + random.below(kPage);
  arg.length = 1 + random.below(most_pages * kPage);
  // Few ranges, so that they are met again.
  if (random.percent(50)) {
    arg.flags |= AIACCEL_PIN_CACHED;
    arg.addr &= ~(kPage - 1);
    arg.length = random.percent(50) ? kPage : most_pages * kPage;
  }
}
void learn_pin(Actor& actor, int index, const void* argument) {
  actor.world.contexts[static_cast<size_t>(index)].buffers.put(
      actor.random, static_cast<const aiaccel_pin*>(argument)->id);
}

constexpr Field kBufferInfoFields[] = {FIELD(aiaccel_buffer_info, size, kSize),
                                       FIELD(aiaccel_buffer_info, id, kId)};
void fill_buffer_info(Actor& actor, int index, void* argument) {
  static_cast<aiaccel_buffer_info*>(argument)->id = static_cast<uint32_t>(
      actor.world.contexts[static_cast<size_t>(index)].buffers.pick(actor.random));
}

constexpr Field kImportFields[] = {
    FIELD(aiaccel_import, size, kSize), FIELD(aiaccel_import, flags, kFlags),
    FIELD(aiaccel_import, fd, kId), FIELD(aiaccel_import, __reserved, kNumber)};
void fill_import(Actor& actor, int, void* argument) {
  const int own = actor.random.percent(70) ? actor.pick_export() : -1;
  static_cast<aiaccel_import*>(argument)->fd = own < 0 ? actor.world.shared->dma_buf : own;
}
void learn_import(Actor& actor, int index, const void* argument) {
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  const uint32_t id = static_cast<const aiaccel_import*>(argument)->id;
  context.buffers.put(actor.random, id);
  aiaccel_buffer_info info{};
  info.size = sizeof(info);
  info.id = id;
  if (ioctl(context.fd, AIACCEL_IOC_BUFFER_INFO, &info) || !info.mmap_offset) return;
  const uint64_t pages = info.charged_bytes / kPage;
  context.offsets.put(actor.random, info.mmap_offset | std::min<uint64_t>(pages, kPage - 1));
}

constexpr Field kExportFields[] = {FIELD(aiaccel_export, size, kSize),
                                   FIELD(aiaccel_export, flags, kFlags),
                                   FIELD(aiaccel_export, id, kId)};
void fill_export(Actor& actor, int index, void* argument) {
  static_cast<aiaccel_export*>(argument)->id = static_cast<uint32_t>(
      actor.world.contexts[static_cast<size_t>(index)].buffers.pick(actor.random));
}
void learn_export(Actor& actor, int, const void* argument) {
  actor.keep_export(static_cast<const aiaccel_export*>(argument)->fd);
}

constexpr Field kBufferRevokeFields[] = {FIELD(aiaccel_buffer_revoke, size, kSize),
                                         FIELD(aiaccel_buffer_revoke, id, kId),
                                         FIELD(aiaccel_buffer_revoke, __reserved, kNumber)};
void fill_buffer_revoke(Actor& actor, int index, void* argument) {
  static_cast<aiaccel_buffer_revoke*>(argument)->id = static_cast<uint32_t>(
      actor.world.contexts[static_cast<size_t>(index)].buffers.pick(actor.random));
}
// Little can be done with it from now on.
void learn_buffer_revoke(Actor& actor, int index, const void* argument) {
  const auto& arg = *static_cast<const aiaccel_buffer_revoke*>(argument);
  if (actor.random.percent(80))
    actor.world.contexts[static_cast<size_t>(index)].buffers.forget(arg.id);
}

constexpr Field kQuotaFields[] = {
    FIELD(aiaccel_quota, size, kSize),     FIELD(aiaccel_quota, kind, kNumber),
    FIELD(aiaccel_quota, length, kNumber), FIELD(aiaccel_quota, placement, kNumber),
    FIELD(aiaccel_quota, node, kNumber),   FIELD(aiaccel_quota, engine, kId)};
void fill_quota(Actor& actor, int, void* argument) {
  auto& arg = *static_cast<aiaccel_quota*>(argument);
  Random& random = actor.random;
  arg.kind = AIACCEL_BUFFER_ALLOCATED + random.below(2);
  arg.length = random.below(64) * kPage;
  if (arg.kind == AIACCEL_BUFFER_ALLOCATED) arg.placement = random.below(5);
  if (arg.placement == AIACCEL_PLACE_NEAR) arg.engine = actor.engine();
}

constexpr Field kReserveFields[] = {
    FIELD(aiaccel_reserve, size, kSize),    FIELD(aiaccel_reserve, flags, kFlags),
    FIELD(aiaccel_reserve, engine, kId),    FIELD(aiaccel_reserve, id, kId),
    FIELD(aiaccel_reserve, bytes, kNumber), FIELD(aiaccel_reserve, __reserved, kNumber)};
void fill_reserve(Actor& actor, int index, void* argument) {
  auto& arg = *static_cast<aiaccel_reserve*>(argument);
  Random& random = actor.random;
  arg.bytes = random.percent(20) ? 0 : random.below(1 << 18);
  if (random.percent(50))
    arg.id = static_cast<uint32_t>(
        actor.world.contexts[static_cast<size_t>(index)].reservations.pick(random));
  if (!arg.id) arg.engine = actor.engine();
}
void learn_reserve(Actor& actor, int index, const void* argument) {
  actor.world.contexts[static_cast<size_t>(index)].reservations.put(
      actor.random, static_cast<const aiaccel_reserve*>(argument)->id);
}

// ---- turns ----

constexpr Field kQueueCreateFields[] = {
    FIELD(aiaccel_queue_create, size, kSize),     FIELD(aiaccel_queue_create, flags, kFlags),
    FIELD(aiaccel_queue_create, engine, kId),     FIELD(aiaccel_queue_create, class_, kNumber),
    FIELD(aiaccel_queue_create, weight, kNumber), FIELD(aiaccel_queue_create, budget_ns, kNumber),
    FIELD(aiaccel_queue_create, any_of, kId),     FIELD(aiaccel_queue_create, period_ns, kNumber),
    FIELD(aiaccel_queue_create, width, kNumber),  FIELD(aiaccel_queue_create, __reserved, kNumber),
    FIELD(aiaccel_queue_create, label, kBytes)};
void fill_queue_create(Actor& actor, int index, void* argument) {
  auto& arg = *static_cast<aiaccel_queue_create*>(argument);
  arg.engine = actor.engine();
  arg.class_ = actor.random.below(AIACCEL_NR_CLASSES);
  arg.weight = actor.random.below(AIACCEL_WEIGHT_MAX + 1);
  if (actor.random.percent(50))  // short ones, so that turns are revoked while others go on
    arg.budget_ns = AIACCEL_BUDGET_MIN_NS + actor.random.below(10000000);
  if (arg.class_ == AIACCEL_CLASS_REALTIME) {
    arg.width = 1 + actor.random.below(2);
    arg.budget_ns = AIACCEL_BUDGET_MIN_NS + actor.random.below(10000000);
    arg.period_ns = 200000000 + actor.random.below(2000000000);
  }
  if (arg.class_ <= AIACCEL_CLASS_LOW && actor.random.percent(50)) arg.flags = AIACCEL_QUEUE_FILL;
  if (actor.random.percent(30))
    arg.any_of = static_cast<uint32_t>(
        actor.world.contexts[static_cast<size_t>(index)].queues.pick(actor.random));
  for (uint32_t i = actor.random.below(AIACCEL_LABEL_LEN); i-- > 0;)
    arg.label[i] = static_cast<char>(' ' + actor.random.below('~' - ' ' + 1));
}
void learn_queue_create(Actor& actor, int index, const void* argument) {
  actor.world.contexts[static_cast<size_t>(index)].queues.put(
      actor.random, static_cast<const aiaccel_queue_create*>(argument)->id);
}

constexpr Field kEnterFields[] = {FIELD(aiaccel_enter, size, kSize),
                                  FIELD(aiaccel_enter, flags, kFlags),
                                  FIELD(aiaccel_enter, completions, kPointer),
                                  FIELD(aiaccel_enter, jobs, kPointer),
                                  FIELD(aiaccel_enter, nr_completions, kNumber),
                                  FIELD(aiaccel_enter, nr_jobs, kNumber),
                                  FIELD(aiaccel_enter, min_events, kNumber),
                                  FIELD(aiaccel_enter, timeout_ns, kNumber)};
constexpr Field kCompletionFields[] = {FIELD(aiaccel_completion, cookie, kNumber),
                                       FIELD(aiaccel_completion, generation, kNumber),
                                       FIELD(aiaccel_completion, flags, kFlags)};
constexpr Field kJobFields[] = {
    FIELD(aiaccel_job, cookie, kNumber),      FIELD(aiaccel_job, queue, kId),
    FIELD(aiaccel_job, flags, kFlags),        FIELD(aiaccel_job, width, kNumber),
    FIELD(aiaccel_job, group_size, kNumber),  FIELD(aiaccel_job, cost_ns, kNumber),
    FIELD(aiaccel_job, deadline_ns, kNumber), FIELD(aiaccel_job, group, kNumber),
    FIELD(aiaccel_job, after, kNumber),       FIELD(aiaccel_job, buffer, kId),
    FIELD(aiaccel_job, __reserved, kNumber)};

constexpr uint32_t kMostEntries = 64;

uint32_t fill_completions(Actor& actor, int index, aiaccel_completion* completions) {
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  Random& random = actor.random;
  uint32_t nr = 0;
  take_events(actor, index);
  // all that is known to be granted: a context that holds a turn gets no other
  for (uint64_t turn; nr < kMostEntries / 2 && (turn = context.turns.take()); nr++) {
    completions[nr].cookie = turn >> 32;
    completions[nr].generation = static_cast<uint32_t>(turn);
    if (random.percent(20)) completions[nr].flags = AIACCEL_COMPLETE_RENEW;
  }
  for (uint32_t cancels = random.percent(30) ? random.below(8) : 0; cancels > 0; cancels--, nr++) {
    const uint64_t known = random.percent(90) ? context.jobs.take() : 0;
    completions[nr].cookie = known ? known - 1 : random.below(kCookies);
    completions[nr].flags = AIACCEL_COMPLETE_CANCEL;
    if (!known) break;
  }
  if (nr && random.percent(10)) mutate(random, kCompletionFields, &completions[random.below(nr)]);
  return nr;
}

uint32_t fill_jobs(Actor& actor, int index, aiaccel_job* jobs) {
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  Random& random = actor.random;
  const uint64_t any = context.queues.pick(random);
  if (!any && random.percent(90)) return 0;
  const uint32_t nr = random.percent(5) ? random.below(kMostEntries) : random.below(5);
  for (uint32_t i = 0; i < nr; i++) {
    jobs[i].cookie = random.below(kCookies);
    jobs[i].queue = static_cast<uint32_t>(context.queues.pick(random));
    jobs[i].width = 1 + random.percent(20);
    jobs[i].cost_ns = random.percent(50) ? random.below(10'000'000) : 0;
    jobs[i].deadline_ns = random.percent(50) ? now_ns() + random.below(10'000'000) : 0;
    if (random.percent(10)) {
      jobs[i].group = 1 + random.below(3);
      jobs[i].group_size = 1 + random.below(3);
    } else if (random.percent(30)) {
      jobs[i].flags = AIACCEL_JOB_ANY;
      if (random.percent(30)) jobs[i].buffer = static_cast<uint32_t>(context.buffers.pick(random));
    }
    if (random.percent(25)) {
      jobs[i].flags |= AIACCEL_JOB_AFTER;
      jobs[i].after = i && random.percent(50) ? jobs[i - 1].cookie : random.below(kCookies);
    }
  }
  if (nr && random.percent(10)) mutate(random, kJobFields, &jobs[random.below(nr)]);
  return nr;
}

void fill_enter(Actor& actor, int index, void* argument) {
  auto& arg = *static_cast<aiaccel_enter*>(argument);
  auto* completions = reinterpret_cast<aiaccel_completion*>(actor.scratch);
  auto* jobs = reinterpret_cast<aiaccel_job*>(actor.scratch + sizeof(actor.scratch) / 2);
  Random& random = actor.random;
  memset(actor.scratch, 0, sizeof(actor.scratch));
  arg.completions = address(completions);
  arg.jobs = address(jobs);
  arg.nr_completions = fill_completions(actor, index, completions);
  arg.nr_jobs = fill_jobs(actor, index, jobs);
  arg.min_events = random.percent(40) ? random.below(3) : 0;
  // never: until a signal or the end of the process
  arg.timeout_ns = random.percent(2) ? AIACCEL_NEVER : now_ns() + random.below(3'000'000);
}
void learn_enter(Actor& actor, int index, const void* argument) {
  const auto* jobs =
      reinterpret_cast<const aiaccel_job*>(actor.scratch + sizeof(actor.scratch) / 2);
  const uint32_t taken = static_cast<const aiaccel_enter*>(argument)->nr_jobs;
  for (uint32_t i = 0; i < taken; i++)
    actor.world.contexts[static_cast<size_t>(index)].jobs.put(actor.random, jobs[i].cookie + 1);
  take_events(actor, index);
}

#define ROW(number, type, weight, fields, fill, learn)                       \
  Row {                                                                      \
    AIACCEL_IOC_##number, #number, sizeof(type), weight, fields, fill, learn \
  }

constexpr Row kRows[] = {
    ROW(QUERY, aiaccel_query, 3, kQueryFields, fill_nothing, learn_nothing),
    ROW(ENGINE_LIST, aiaccel_engine_list, 3, kEngineListFields, fill_engine_list, learn_nothing),
    ROW(ENGINE_INFO, aiaccel_engine_info, 3, kEngineInfoFields, fill_engine_info, learn_nothing),
    ROW(ENGINE_REGISTER, aiaccel_engine_register, 3, kEngineRegisterFields, fill_engine_register,
        learn_engine_register),
    ROW(ENGINE_UNREGISTER, aiaccel_engine_unregister, 2, kEngineUnregisterFields,
        fill_engine_unregister, learn_nothing),
    ROW(STATS, aiaccel_stats, 6, kStatsFields, fill_stats, learn_nothing),
    ROW(POLICY, aiaccel_policy, 2, kPolicyFields, fill_policy, learn_nothing),
    ROW(DESTROY, aiaccel_destroy, 16, kDestroyFields, fill_destroy, learn_destroy),
    ROW(CONTROL, aiaccel_control, 2, kControlFields, fill_control, learn_nothing),
    ROW(REVOKE, aiaccel_revoke, 2, kRevokeFields, fill_revoke, learn_nothing),
    ROW(ALLOC, aiaccel_alloc, 14, kAllocFields, fill_alloc, learn_alloc),
    ROW(PIN, aiaccel_pin, 14, kPinFields, fill_pin, learn_pin),
    ROW(BUFFER_INFO, aiaccel_buffer_info, 6, kBufferInfoFields, fill_buffer_info, learn_nothing),
    ROW(IMPORT, aiaccel_import, 6, kImportFields, fill_import, learn_import),
    ROW(EXPORT, aiaccel_export, 8, kExportFields, fill_export, learn_export),
    ROW(BUFFER_REVOKE, aiaccel_buffer_revoke, 3, kBufferRevokeFields, fill_buffer_revoke,
        learn_buffer_revoke),
    ROW(QUOTA, aiaccel_quota, 3, kQuotaFields, fill_quota, learn_nothing),
    ROW(RESERVE, aiaccel_reserve, 10, kReserveFields, fill_reserve, learn_reserve),
    ROW(QUEUE_CREATE, aiaccel_queue_create, 6, kQueueCreateFields, fill_queue_create,
        learn_queue_create),
    ROW(ENTER, aiaccel_enter, 29, kEnterFields, fill_enter, learn_enter),
};
constexpr int kNrRows = static_cast<int>(std::size(kRows));

constexpr uint32_t sum_of_weights() {
  uint32_t sum = 0;
  for (const Row& row : kRows) sum += row.weight;
  return sum;
}

// Mostly the actor's own struct; else one that lies where it cannot be read, or not wholly, or that
// other threads take away meanwhile.
void* place_argument(Actor& actor, const Row& row) {
  if (!actor.random.percent(4)) return actor.argument;
  const uint64_t at = actor.random.percent(50)
                          ? hostile_address(actor.random)
                          : any_window(actor.random) + actor.random.below(kWindowPages) * kPage -
                                actor.random.below(row.size);
  auto* to = reinterpret_cast<void*>(at);
  guarded([&] { memcpy(to, actor.argument, row.size); });
  return to;
}

void call_unknown(Actor& actor, int fd) {
  unsigned long number = actor.random.percent(50) ? _IO(AIACCEL_IOC_TYPE, actor.random.below(256))
                                                  : kRows[actor.random.below(kNrRows)].number ^
                                                        (1UL << actor.random.below(32));
  for (const Row& row : kRows)
    if (row.number == number) return;
  const int result = ioctl(fd, number, actor.argument);
  actor.tally().count(tally_unknown(), result < 0 ? errno : 0);
}

}  // namespace

std::span<const Row> rows() {
  return kRows;
}

int tally_unknown() {
  return kNrRows;
}
int tally_open() {
  return kNrRows + 1;
}
int tally_map_ring() {
  return kNrRows + 2;
}
int tally_map_consumed() {
  return kNrRows + 3;
}
int tally_map_buffer() {
  return kNrRows + 4;
}
int tally_map_export() {
  return kNrRows + 5;
}
int tally_copy() {
  return kNrRows + 6;
}

void call_number(Actor& actor, int fd, int index) {
  const Row& row = kRows[index];
  memset(actor.argument, 0, sizeof(actor.argument));
  memcpy(actor.argument, &row.size, sizeof(row.size));
  row.fill(actor, 0, actor.argument);
  const int result = ioctl(fd, row.number, actor.argument);
  actor.tally().count(index, result < 0 ? errno : 0);
}

void call_row(Actor& actor, int index, int context) {
  const Row& row = kRows[index];
  memset(actor.argument, 0, sizeof(actor.argument));
  memcpy(actor.argument, &row.size, sizeof(row.size));
  row.fill(actor, context, actor.argument);
  if (actor.random.percent(15)) mutate(actor.random, row.fields, actor.argument);
  void* argument = place_argument(actor, row);
  const int fd = actor.world.contexts[static_cast<size_t>(context)].fd;
  const int result = ioctl(fd, row.number, argument);
  actor.tally().count(index, result < 0 ? errno : 0);
  if (result >= 0 && argument == actor.argument) row.learn(actor, context, actor.argument);
}

void call_device(Actor& actor) {
  const int context = static_cast<int>(actor.random.below(kContexts));
  const int fd = actor.world.contexts[static_cast<size_t>(context)].fd;
  if (fd < 0) return;
  if (actor.random.percent(1)) return call_unknown(actor, fd);
  int row = 0;
  for (uint32_t left = actor.random.below(sum_of_weights()); left >= kRows[row].weight; row++)
    left -= kRows[row].weight;
  call_row(actor, row, context);
}

// ---- another module's ----

namespace {

constexpr Field kCopyFields[] = {
    FIELD(aiaccel_edu_copy, size, kSize),     FIELD(aiaccel_edu_copy, flags, kFlags),
    FIELD(aiaccel_edu_copy, device, kId),     FIELD(aiaccel_edu_copy, generation, kId),
    FIELD(aiaccel_edu_copy, buffer, kId),     FIELD(aiaccel_edu_copy, offset, kNumber),
    FIELD(aiaccel_edu_copy, length, kNumber), FIELD(aiaccel_edu_copy, device_offset, kNumber)};

// With what may well succeed, but for the ids.
int copy_once(Actor& actor, int device, uint32_t generation, uint32_t buffer) {
  Random& random = actor.random;
  auto& copy = *reinterpret_cast<aiaccel_edu_copy*>(actor.argument);
  memset(actor.argument, 0, sizeof(actor.argument));
  copy.size = sizeof copy;
  copy.flags = random.below(2);
  copy.device = device;
  copy.generation = generation;
  copy.buffer = buffer;
  copy.length = 1 + random.below(random.percent(20) ? AIACCEL_EDU_BYTES : 64);
  copy.offset = random.percent(50) ? 0 : random.below(2 * kPage);
  copy.device_offset = random.below(static_cast<uint32_t>(AIACCEL_EDU_BYTES + 1 - copy.length));
  if (random.percent(20)) mutate(random, kCopyFields, &copy);
  const int error = ioctl(actor.world.shared->edu, AIACCEL_EDU_IOC_COPY, &copy) < 0 ? errno : 0;
  actor.tally().count(tally_copy(), error);
  return error;
}

template <typename T>
bool good(int fd, unsigned long number, T& arg) {
  arg.size = sizeof arg;
  return ioctl(fd, number, &arg) == 0;
}

// Under a turn, as a program would, if its turn comes soon.
void copy_in_turn(Actor& actor) {
  const int fd = open(kDevice, O_RDWR | O_CLOEXEC);
  aiaccel_queue_create queue{};
  queue.engine = actor.world.shared->edu_engine;
  queue.class_ = AIACCEL_CLASS_NORMAL;
  queue.budget_ns = 1 + actor.random.below(500'000'000);
  aiaccel_alloc alloc{};
  alloc.length = 3 * kPage;
  aiaccel_job job{};
  job.width = 1;
  aiaccel_enter enter{};
  enter.jobs = address(&job);
  enter.nr_jobs = enter.min_events = 1;
  enter.timeout_ns = now_ns() + 500'000'000;
  if (good(fd, AIACCEL_IOC_QUEUE_CREATE, queue) && good(fd, AIACCEL_IOC_ALLOC, alloc)) {
    job.queue = queue.id;
    if (good(fd, AIACCEL_IOC_ENTER, enter) && enter.nr_events)
      for (int i = 0; i < 4; i++) copy_once(actor, fd, 1, alloc.id);  // its first turn
  }
  close(fd);
}

}  // namespace

void call_edu(Actor& actor) {
  const Context& context = actor.context();
  if (actor.random.percent(50))
    copy_in_turn(actor);
  else
    copy_once(actor, context.fd, static_cast<uint32_t>(context.turns.pick(actor.random)),
              static_cast<uint32_t>(context.buffers.pick(actor.random)));
}

}  // namespace fuzz
