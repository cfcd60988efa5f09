// SPDX-License-Identifier: MIT
//
// Each rule of the errno ladder that an argument shows by itself: a good argument, then that
// argument with one thing wrong; and where two things are wrong, the one higher on the ladder.

#include <tap/tap.hpp>

#include <cerrno>
#include <cstring>

#include "core/core.hpp"

namespace {

// What `check` says of `good` after `spoil` changed it.
template <typename Arg, typename Spoil>
int after(int (*check)(const Arg*), Arg arg, Spoil spoil) {
  spoil(arg);
  return check(&arg);
}

aiaccel_alloc alloc_arg() {
  aiaccel_alloc arg{};
  arg.size = sizeof arg;
  arg.length = 4096;
  return arg;
}

aiaccel_job job_arg() {
  aiaccel_job arg{};
  arg.cookie = ~0ULL;
  arg.queue = ~0U;
  arg.width = ~0U;
  arg.cost_ns = ~0ULL;
  arg.deadline_ns = ~0ULL;
  return arg;
}

aiaccel_queue_create queue_arg(const char* label = "silero-vad@v5.0.0") {
  aiaccel_queue_create arg{};
  arg.size = sizeof arg;
  arg.class_ = AIACCEL_CLASS_HIGH;
  std::strncpy(arg.label, label, sizeof arg.label - 1);
  return arg;
}

aiaccel_engine_register register_arg() {
  aiaccel_engine_register arg{};
  arg.size = sizeof arg;
  arg.kind = AIACCEL_ENGINE_GPU;
  arg.enforcement = AIACCEL_ADVISORY;
  arg.slots = 1;
  arg.numa_node = -1;
  arg.device_bytes = ~0ULL;
  std::strcpy(arg.name, "0000:01:00.0");
  std::strcpy(arg.provider, "nvml");
  arg.id = 9;  // out
  return arg;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(check)

BOOST_AUTO_TEST_CASE(engine_info) {
  aiaccel_engine_info good{};
  good.id = ~0U;
  good.state = 77;  // out: ignored
  BOOST_TEST(aia_check_engine_info(&good) == 0);
  BOOST_TEST(after(aia_check_engine_info, good, [](auto& a) { a.__reserved = 1; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(calls_that_any_number_suits) {
  aiaccel_engine_list list{sizeof list, ~0U, ~0ULL};
  aiaccel_destroy destroy{sizeof destroy, ~0U};
  aiaccel_buffer_info info{};
  info.id = ~0U;
  aiaccel_engine_unregister unregister{sizeof unregister, ~0U};
  BOOST_TEST(aia_check_engine_list(&list) == 0);
  BOOST_TEST(aia_check_destroy(&destroy) == 0);
  BOOST_TEST(aia_check_buffer_info(&info) == 0);
  BOOST_TEST(aia_check_engine_unregister(&unregister) == 0);
}

BOOST_AUTO_TEST_CASE(engine_register) {
  const aiaccel_engine_register good = register_arg();
  auto with = [&](auto spoil) { return after(aia_check_engine_register, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_REGISTER_BOUND; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = 2; }) == -EOPNOTSUPP);
  for (__u32 kind : {0U, __u32{AIACCEL_ENGINE_CPU}, AIACCEL_ENGINE_OTHER + 1U, ~0U})
    BOOST_TEST(with([=](auto& a) { a.kind = kind; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.kind = AIACCEL_ENGINE_OTHER; }) == 0);
  for (__u32 enforcement : {0U, __u32{AIACCEL_PREEMPTIBLE}, ~0U})
    BOOST_TEST(with([=](auto& a) { a.enforcement = enforcement; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.enforcement = AIACCEL_GATED; }) == 0);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.slots = 0; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.slots = AIA_MAX_SLOTS; }) == 0);
  BOOST_TEST(with([](auto& a) { a.slots = AIA_MAX_SLOTS + 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.numa_node = -2; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.alias[0] = 'x'; }) == 0);
  BOOST_TEST(with([](auto& a) { a.alias[1] = 'x'; }) == -EINVAL);  // after its NUL
  BOOST_TEST(with([](auto& a) { a.name[0] = 0; }) == -EINVAL);
  for (char c : {'', ' ', '', 'é'}) {
    BOOST_TEST(with([=](auto& a) { a.name[1] = c; }) == -EINVAL);
    BOOST_TEST(with([=](auto& a) { a.alias[0] = c; }) == -EINVAL);
    BOOST_TEST(with([=](auto& a) { a.provider[1] = c; }) == -EINVAL);
  }
  BOOST_TEST(with([](auto& a) { std::memset(a.name, 'x', sizeof a.name - 1); }) == 0);
  BOOST_TEST(with([](auto& a) { std::memset(a.name, 'x', sizeof a.name); }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { std::memset(a.provider, 0, sizeof a.provider); }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.kind = a.slots = 0; }) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(stats) {
  aiaccel_stats good{};
  good.kind = AIACCEL_STATS_QUEUES;
  good.record_size = 8;
  good.count = ~0U;
  BOOST_TEST(aia_check_stats(&good) == 0);
  for (__u32 kind : {AIACCEL_STATS_ENGINES, AIACCEL_STATS_TENANTS, AIACCEL_STATS_TURNS,
                     AIACCEL_STATS_RESERVATIONS, AIACCEL_STATS_CONTEXTS})
    BOOST_TEST(after(aia_check_stats, good, [=](auto& a) { a.kind = kind; }) == 0);
  for (__u32 kind : {0U, AIACCEL_STATS_SNAPSHOT + 1U, ~0U})
    BOOST_TEST(after(aia_check_stats, good, [=](auto& a) { a.kind = kind; }) == -EOPNOTSUPP);
  for (__u32 size : {0U, 4U, 7U, 12U, 4097U, 4104U, ~0U - 7})
    BOOST_TEST(after(aia_check_stats, good, [=](auto& a) { a.record_size = size; }) == -EINVAL);
  BOOST_TEST(after(aia_check_stats, good, [](auto& a) { a.record_size = 4096; }) == 0);
  BOOST_TEST(after(aia_check_stats, good, [](auto& a) { a.kind = a.record_size = 0; }) ==
             -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(control) {
  aiaccel_control good{};
  good.engine = ~0U;
  good.state = AIACCEL_ENGINE_DRAINING;
  auto with = [&](auto spoil) { return after(aia_check_control, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.state = AIACCEL_ENGINE_ACTIVE; }) == 0);
  BOOST_TEST(with([](auto& a) { a.engine = 0; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = 1; }) == -EOPNOTSUPP);
  for (__u32 state : {0U, 0U + AIACCEL_ENGINE_FAULTED, AIACCEL_ENGINE_LEAVING + 1U, ~0U})
    BOOST_TEST(with([=](auto& a) { a.state = state; }) == -EOPNOTSUPP);
  for (__u32 order = AIACCEL_ORDER_FAIR; order <= AIACCEL_ORDER_FIFO; order++) {
    BOOST_TEST(with([=](auto& a) { a.order = order; }) == 0);
    BOOST_TEST(with([=](auto& a) { a.order = order, a.state = 0; }) == 0);
  }
  for (__u32 order : {AIACCEL_ORDER_FIFO + 1U, 1U << 31, ~0U})
    BOOST_TEST(with([=](auto& a) { a.order = order; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.state = AIACCEL_ENGINE_LEAVING; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.state = AIACCEL_ENGINE_LEAVING, a.engine = 0; }) == 0);
}

BOOST_AUTO_TEST_CASE(revoke) {
  aiaccel_revoke good{};
  good.context = ~0ULL;
  good.engine = good.count = ~0U;
  auto with = [&](auto spoil) { return after(aia_check_revoke, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_REVOKE_WAITING; }) == 0);
  BOOST_TEST(with([](auto& a) { a.context = 0, a.tenant = 1ULL << 40; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_REVOKE_WAITING << 1; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.tenant = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.context = 0; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.context = 0, a.flags = 2; }) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(alloc) {
  const aiaccel_alloc good = alloc_arg();
  auto with = [&](auto spoil) { return after(aia_check_alloc, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.id = a.refused_by = 9, a.mmap_offset = 9; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = 1; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.flags = 1u << 31; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.placement = AIACCEL_PLACE_NEAR + 1; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.placement = ~0U; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.length = 0; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.length = 1; }) == 0);
  BOOST_TEST(with([](auto& a) { a.length = ~0ULL; }) == -EOVERFLOW);
  BOOST_TEST(with([](auto& a) { a.length = ~0ULL - 4094; }) == -EOVERFLOW);
  BOOST_TEST(with([](auto& a) { a.length = ~0ULL >> 1; }) == 0);  // refused later, by a limit
  for (__u32 placement : {AIACCEL_PLACE_PREFER, AIACCEL_PLACE_STRICT}) {
    BOOST_TEST(with([=](auto& a) { a.placement = placement; }) == 0);
    BOOST_TEST(with([=](auto& a) { a.placement = placement, a.node = 1 << 30; }) == 0);
    BOOST_TEST(with([=](auto& a) { a.placement = placement, a.node = -1; }) == -EINVAL);
    BOOST_TEST(with([=](auto& a) { a.placement = placement, a.engine = 1; }) == -EINVAL);
  }
  for (__u32 placement : {AIACCEL_PLACE_LOCAL, AIACCEL_PLACE_INTERLEAVE}) {
    BOOST_TEST(with([=](auto& a) { a.placement = placement; }) == 0);
    BOOST_TEST(with([=](auto& a) { a.placement = placement, a.node = 1; }) == -EINVAL);
    BOOST_TEST(with([=](auto& a) { a.placement = placement, a.node = -1; }) == -EINVAL);
    BOOST_TEST(with([=](auto& a) { a.placement = placement, a.engine = 1; }) == -EINVAL);
  }
  BOOST_TEST(with([](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.engine = 7; }) == 0);
  BOOST_TEST(with([](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.node = 1; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(the_ladder_has_one_order) {
  const aiaccel_alloc good = alloc_arg();
  auto with = [&](auto spoil) { return after(aia_check_alloc, good, spoil); };
  BOOST_TEST(with([](auto& a) { a.flags = 1, a.__reserved = 1, a.length = ~0ULL; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.placement = 99, a.length = 0; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1, a.length = ~0ULL; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.node = 3, a.length = ~0ULL; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(pin) {
  aiaccel_pin good{};
  good.addr = 0x1001;
  good.length = 1;
  auto with = [&](auto spoil) { return after(aia_check_pin, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_PIN_WRITE; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_PIN_WRITE | AIACCEL_PIN_CACHED; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_PIN_CACHED << 1; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.flags = ~0U, a.length = 0; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.length = 0; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.length = 0 - a.addr; }) == -EOVERFLOW);
  BOOST_TEST(with([](auto& a) { a.length = ~0ULL; }) == -EOVERFLOW);
  BOOST_TEST(with([](auto& a) { a.addr = ~0ULL; }) == -EOVERFLOW);
  BOOST_TEST(with([](auto& a) { a.addr = ~0ULL - 4095, a.length = 4095; }) == -EOVERFLOW);
  BOOST_TEST(with([](auto& a) { a.addr = 1ULL << 63, a.length = 1ULL << 62; }) == 0);
}

BOOST_AUTO_TEST_CASE(quota) {
  aiaccel_quota good{};
  good.kind = AIACCEL_BUFFER_ALLOCATED;
  good.length = 1;
  good.refused_by = 9;
  good.tenant_bytes = good.module_bytes = good.rlimit_bytes = ~0ULL;
  good.memory_bytes = good.memcg_bytes = ~0ULL;
  auto with = [&](auto spoil) { return after(aia_check_quota, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.length = 0; }) == 0);
  BOOST_TEST(with([](auto& a) { a.kind = AIACCEL_BUFFER_PINNED; }) == 0);
  for (__u32 kind : {0U, __u32{AIACCEL_BUFFER_IMPORTED}, ~0U})
    BOOST_TEST(with([=](auto& a) { a.kind = kind; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.placement = AIACCEL_PLACE_NEAR + 1; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.placement = AIACCEL_PLACE_STRICT, a.node = 3; }) == 0);
  BOOST_TEST(with([](auto& a) { a.placement = AIACCEL_PLACE_STRICT, a.node = -1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.node = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.engine = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.placement = AIACCEL_PLACE_NEAR, a.engine = 1; }) == 0);
  for (__u32 placement : {AIACCEL_PLACE_PREFER, AIACCEL_PLACE_INTERLEAVE, AIACCEL_PLACE_NEAR})
    BOOST_TEST(with([=](auto& a) {
                 a.kind = AIACCEL_BUFFER_PINNED, a.placement = placement;
               }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.length = ~0ULL; }) == -EOVERFLOW);
  BOOST_TEST(with([](auto& a) { a.length = ~0ULL, a.node = 1; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(what_is_handed_on) {
  aiaccel_export give{};
  give.fd = -1;
  auto exported = [&](auto spoil) { return after(aia_check_export, give, spoil); };
  BOOST_TEST(exported([](auto&) {}) == 0);
  BOOST_TEST(exported([](auto& a) { a.flags = 1; }) == -EOPNOTSUPP);
  aiaccel_buffer_revoke take{};
  take.importers = 9;
  auto revoked = [&](auto spoil) { return after(aia_check_buffer_revoke, take, spoil); };
  BOOST_TEST(revoked([](auto&) {}) == 0);
  BOOST_TEST(revoked([](auto& a) { a.__reserved = 1; }) == -EINVAL);
  aiaccel_buffer_info ask{};
  auto asked = [&](auto spoil) { return after(aia_check_buffer_info, ask, spoil); };
  BOOST_TEST(asked([](auto& a) { a.nr_nodes = ~0U, a.node_bytes = 1; }) == 0);
  BOOST_TEST(asked([](auto& a) { a.__reserved = 1; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(import) {
  aiaccel_import good{};
  good.fd = -1;  // looked at later
  auto with = [&](auto spoil) { return after(aia_check_import, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = a.__reserved = 1; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(reserve) {
  aiaccel_reserve good{};
  good.engine = ~0U;
  good.bytes = ~0ULL;
  auto with = [&](auto spoil) { return after(aia_check_reserve, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.engine = 0, a.id = 7, a.bytes = 0; }) == 0);
  BOOST_TEST(with([](auto& a) { a.engine = 0; }) == 0);  // names nothing: ENOENT, later
  BOOST_TEST(with([](auto& a) { a.id = 7; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.flags = a.__reserved = 1; }) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(queue_create) {
  const aiaccel_queue_create good = queue_arg();
  auto with = [&](auto spoil) { return after(aia_check_queue_create, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  for (__u32 c : {AIACCEL_CLASS_IDLE, AIACCEL_CLASS_LOW, AIACCEL_CLASS_NORMAL})
    BOOST_TEST(with([=](auto& a) { a.class_ = c; }) == 0);
  BOOST_TEST(with([](auto& a) { a.class_ = AIACCEL_CLASS_REALTIME; }) == -EINVAL);
  aiaccel_queue_create promised = good;
  promised.class_ = AIACCEL_CLASS_REALTIME;
  promised.budget_ns = promised.period_ns = 1000000;
  promised.width = ~0U;
  auto promise = [&](auto spoil) { return after(aia_check_queue_create, promised, spoil); };
  BOOST_TEST(promise([](auto&) {}) == 0);
  BOOST_TEST(promise([](auto& a) { a.period_ns = AIACCEL_PERIOD_MAX_NS; }) == 0);
  for (__u64 ns : {0ULL, 999999ULL, AIACCEL_PERIOD_MAX_NS + 1, ~0ULL})
    BOOST_TEST(promise([=](auto& a) { a.period_ns = ns; }) == -EINVAL);
  BOOST_TEST(promise([](auto& a) { a.width = 0; }) == -EINVAL);
  BOOST_TEST(promise([](auto& a) { a.any_of = 1; }) == -EINVAL);
  BOOST_TEST(promise([](auto& a) { a.budget_ns = 0; }) == -EINVAL);
  BOOST_TEST(promise([](auto& a) { a.class_ = AIACCEL_CLASS_HIGH; }) == -EINVAL);
  BOOST_TEST(promise([](auto& a) { a.flags = AIACCEL_QUEUE_FILL; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.class_ = AIACCEL_NR_CLASSES; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.class_ = ~0U; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_QUEUE_FILL << 1; }) == -EOPNOTSUPP);
  for (__u32 c : {AIACCEL_CLASS_IDLE, AIACCEL_CLASS_LOW})
    BOOST_TEST(with([=](auto& a) { a.flags = AIACCEL_QUEUE_FILL, a.class_ = c; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_QUEUE_FILL; }) == -EINVAL);
  for (__u64 ns : {AIACCEL_BUDGET_MIN_NS, AIACCEL_BUDGET_MAX_NS})
    BOOST_TEST(with([=](auto& a) { a.budget_ns = ns; }) == 0);
  for (__u64 ns : {1ULL, AIACCEL_BUDGET_MIN_NS - 1, AIACCEL_BUDGET_MAX_NS + 1, ~0ULL})
    BOOST_TEST(with([=](auto& a) { a.budget_ns = ns; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.any_of = 1; }) == 0);
  BOOST_TEST(with([](auto& a) { a.period_ns = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.width = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.weight = AIACCEL_WEIGHT_MIN; }) == 0);
  BOOST_TEST(with([](auto& a) { a.weight = AIACCEL_WEIGHT_MAX; }) == 0);
  BOOST_TEST(with([](auto& a) { a.weight = AIACCEL_WEIGHT_MAX + 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.label[0] = '\n'; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(label) {
  auto ok = [](const char* text) { return aia_check_label(queue_arg(text).label); };
  BOOST_TEST(ok(""));
  BOOST_TEST(ok(" !~"));
  BOOST_TEST(!ok("tab\t"));
  BOOST_TEST(!ok("\x1b[2J"));
  BOOST_TEST(!ok("\x7f"));
  BOOST_TEST(!ok("caf\xc3\xa9"));
  char label[AIACCEL_LABEL_LEN];
  std::memset(label, 'a', sizeof label);
  BOOST_TEST(!aia_check_label(label));  // no NUL
  label[AIACCEL_LABEL_LEN - 1] = 0;
  BOOST_TEST(aia_check_label(label));
  label[10] = 0;
  BOOST_TEST(!aia_check_label(label));  // something after the NUL
}

BOOST_AUTO_TEST_CASE(enter) {
  aiaccel_enter good{};
  good.nr_completions = good.nr_jobs = AIACCEL_ENTER_MAX;
  good.min_events = AIA_TURNS_MAX;
  good.timeout_ns = AIACCEL_NEVER;
  auto with = [&](auto spoil) { return after(aia_check_enter, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = 1; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.flags = 1, a.nr_jobs = ~0U; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.nr_completions++; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.nr_jobs++; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.min_events++; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(job) {
  const aiaccel_job good = job_arg();
  auto with = [&](auto spoil) { return after(aia_check_job, good, spoil); };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = 4; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.flags = 4, a.width = 0; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_JOB_AFTER; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_JOB_ANY | AIACCEL_JOB_AFTER; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_JOB_ANY, a.buffer = ~0U; }) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_JOB_ANY, a.group = a.group_size = 1; }) ==
             -EINVAL);
  BOOST_TEST(with([](auto& a) { a.flags = AIACCEL_JOB_AFTER, a.after = ~0ULL; }) == 0);
  BOOST_TEST(with([](auto& a) { a.group = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.group = 1, a.group_size = AIACCEL_GROUP_MAX; }) == 0);
  BOOST_TEST(with([](auto& a) { a.group = 1, a.group_size = AIACCEL_GROUP_MAX + 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.group_size = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.after = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.buffer = 1; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.width = 0; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.__reserved = 1; }) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(completion) {
  aiaccel_completion good{~0ULL, ~0U, 0};
  BOOST_TEST(aia_check_completion(&good) == 0);
  good.flags = AIACCEL_COMPLETE_CANCEL;
  BOOST_TEST(aia_check_completion(&good) == 0);
  good.flags = AIACCEL_COMPLETE_RENEW;
  BOOST_TEST(aia_check_completion(&good) == 0);
  good.flags |= AIACCEL_COMPLETE_CANCEL;
  BOOST_TEST(aia_check_completion(&good) == -EINVAL);
  good.flags = AIACCEL_COMPLETE_RENEW << 1;
  BOOST_TEST(aia_check_completion(&good) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_SUITE_END()
