// SPDX-License-Identifier: MIT
//
// ENTER: its arguments and those of its entries. Turns themselves are in kmod/turns.cpp and
// conformance/.
#include <climits>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(enter)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_enter, size, kIn),
    FIELD(aiaccel_enter, flags, kIn),
    FIELD(aiaccel_enter, completions, kIn),
    FIELD(aiaccel_enter, jobs, kIn),
    FIELD(aiaccel_enter, nr_completions, kInOut),
    FIELD(aiaccel_enter, nr_jobs, kInOut),
    FIELD(aiaccel_enter, min_events, kIn),
    FIELD(aiaccel_enter, nr_events, kOut),
    FIELD(aiaccel_enter, timeout_ns, kIn),
};
static_assert(fills(kFields, 48) && sizeof(aiaccel_enter) == 48);

constexpr Field kJob[] = {
    FIELD(aiaccel_job, cookie, kIn),       FIELD(aiaccel_job, queue, kIn),
    FIELD(aiaccel_job, flags, kIn),        FIELD(aiaccel_job, width, kIn),
    FIELD(aiaccel_job, group_size, kIn),   FIELD(aiaccel_job, cost_ns, kIn),
    FIELD(aiaccel_job, deadline_ns, kIn),  FIELD(aiaccel_job, group, kIn),
    FIELD(aiaccel_job, after, kIn),        FIELD(aiaccel_job, buffer, kIn),
    FIELD(aiaccel_job, __reserved, kZero),
};
static_assert(fills(kJob, 64) && sizeof(aiaccel_job) == 64);

constexpr Field kCompletion[] = {
    FIELD(aiaccel_completion, cookie, kIn),
    FIELD(aiaccel_completion, generation, kIn),
    FIELD(aiaccel_completion, flags, kIn),
};
static_assert(fills(kCompletion, 16) && sizeof(aiaccel_completion) == 16);

constexpr Field kRing[] = {
    FIELD(aiaccel_ring, produced, kOut),      FIELD(aiaccel_ring, entries, kOut),
    FIELD(aiaccel_ring, events_offset, kOut), FIELD(aiaccel_ring, yield_offset, kOut),
    FIELD(aiaccel_ring, __reserved, kOut),
};
static_assert(fills(kRing, 64) && sizeof(aiaccel_ring) == 64);

constexpr Field kEvent[] = {
    FIELD(aiaccel_event, cookie, kOut),     FIELD(aiaccel_event, events, kOut),
    FIELD(aiaccel_event, generation, kOut), FIELD(aiaccel_event, slot, kOut),
    FIELD(aiaccel_event, queue, kOut),      FIELD(aiaccel_event, time_ns, kOut),
};
static_assert(fills(kEvent, 32) && sizeof(aiaccel_event) == 32);

std::vector<Spoil> spoils_of(const Scene& scene) {
  const uint32_t max_jobs = scene.context.query().max_jobs;
  Spoils<aiaccel_enter> spoils;
  for (const uint32_t flags : {1u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
  for (const uint32_t many : {AIACCEL_ENTER_MAX + 1u, 0x04000001u, 0x80000000u, ~0u}) {
    spoils.add(EINVAL, "nr_completions", [=](auto& a) { a.nr_completions = many; });
    spoils.add(EINVAL, "nr_jobs", [=](auto& a) { a.nr_jobs = many; });
  }
  for (const uint32_t many : {max_jobs + 1, 0x80000000u, ~0u})
    spoils.add(EINVAL, "min_events", [=](auto& a) { a.min_events = many; });
  const U64s nowhere = {0, 1ULL << 47, ~0ULL};
  const auto counts = {1u, 5u};
  for (const uint64_t address : nowhere)
    for (const uint32_t many : counts)
      spoils.add(EFAULT, "completions",
                 [=](auto& a) { a.completions = address, a.nr_completions = many; });
  // entries in their order, completions first
  spoils.add(ENOENT, "a completion of nothing", [page = scene.page.address()](auto& a) {
    a.completions = page, a.nr_completions = 1;
  });
  for (const uint64_t address : nowhere)
    for (const uint32_t many : counts)
      spoils.add(EFAULT, "jobs", [=](auto& a) { a.jobs = address, a.nr_jobs = many; });
  return spoils;
}

const Register kRow({"ENTER", AIACCEL_IOC_ENTER, kFields,
                     [](const Scene&) {
                       aiaccel_enter arg{};
                       arg.size = sizeof(arg);
                       arg.completions = arg.jobs = 1;  // with no entries, any address is good
                       return bytes_of(arg);
                     },
                     spoils_of});

int complete_with(const Context& context, const Bytes& completion) {
  aiaccel_enter enter{};
  enter.completions = address(completion.data());
  enter.nr_completions = 1;
  return context(AIACCEL_IOC_ENTER, enter);
}

}  // namespace

BOOST_AUTO_TEST_CASE(jobs_are_refused_in_the_ladders_order) {
  NEED_DEVICE();
  const Scene scene;
  const Context& context = scene.context;
  const uint32_t slots = context.engine().slots;
  BOOST_REQUIRE_EQUAL(submit(context, job_of(scene.queue, 1, slots)), 0);
  Spoils<aiaccel_job> spoils;
  for (const uint32_t flags : {4u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& j) { j.flags = flags; });
  spoils.add(EINVAL, "buffer of a job of no set", [&](auto& j) { j.buffer = scene.buffer; });
  spoils.add(EINVAL, "group of any engine",
             [](auto& j) { j.flags = AIACCEL_JOB_ANY, j.group = j.group_size = 1; });
  for (const uint64_t value : U64s{1, 1ULL << 63}) {
    spoils.add(EINVAL, "after, without its flag", [=](auto& j) { j.after = value; });
    spoils.add(EINVAL, "group of none", [=](auto& j) { j.group = value, j.group_size = 0; });
  }
  spoils.add(EINVAL, "size of no group", [](auto& j) { j.group = 0, j.group_size = 1; });
  for (const uint32_t size : {AIACCEL_GROUP_MAX + 1u, ~0u})
    spoils.add(EINVAL, "too large a group", [=](auto& j) { j.group = 1, j.group_size = size; });
  spoils.add(EINVAL, "no width", [](auto& j) { j.width = 0; });
  for (const uint32_t value : {1u, 0x80000000u})
    spoils.add(EINVAL, "reserved", [=](auto& j) { j.__reserved = value; });
  for (const uint32_t id : {0u, scene.buffer, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "queue", [=](auto& j) { j.queue = id; });
  // only of a queue is it known how wide is too wide
  for (const uint32_t width : {slots + 1, 0x80000000u, ~0u})
    spoils.add(EINVAL, "too wide", [=](auto& j) { j.width = width; });
  for (const uint64_t cookie : U64s{0, 2, 1 | 1ULL << 32, ~0ULL})
    spoils.add(ENOENT, "after nothing",
               [=](auto& j) { j.flags = AIACCEL_JOB_AFTER, j.after = cookie; });
  for (const uint32_t id : {scene.queue, 999999u, 0x80000000u, ~0u})
    spoils.add(ENOENT, "a buffer that is none",
               [=](auto& j) { j.flags = AIACCEL_JOB_ANY, j.buffer = id; });
  const Use before(context);
  // of a job that would be refused with EDEADLK itself
  const auto call = [&](Bytes& bytes) { return submit(context, as<aiaccel_job>(bytes)); };
  Bytes good = bytes_of(job_of(scene.queue, 2, 1));
  spoil_one_and_two("job", good, spoils, call);
  BOOST_TEST(call(good) == EDEADLK);
  as<aiaccel_job>(good).cookie = 1;
  BOOST_TEST(call(good) == EEXIST);
  BOOST_TEST(Use(context) == before);
}

BOOST_AUTO_TEST_CASE(groups_refuse_in_the_ladders_order) {
  NEED_DEVICE();
  const Scene scene;
  const Context &holder = scene.context, member, other, late;
  const uint32_t slots = holder.engine().slots;
  if (slots < 2) SKIP("one slot: two jobs cannot run together");
  holder.take_turn(scene.queue, 1, slots);
  const auto one_of = [](const Context& context, uint64_t cookie) {
    aiaccel_job job = job_of(context.queue(), cookie);
    job.group = 5;
    job.group_size = 2;
    return job;
  };
  const aiaccel_job founder = one_of(member, 1);
  BOOST_REQUIRE_EQUAL(submit(member, founder), 0);
  Spoils<aiaccel_job> spoils;
  for (const uint32_t size : {1u, 3u, uint32_t{AIACCEL_GROUP_MAX}})
    spoils.add(EINVAL, "another size", [=](auto& j) { j.group_size = size; });
  spoils.add(EINVAL, "wider together than the engine", [=](auto& j) { j.width = slots; });
  for (const uint64_t cookie : U64s{0, 3, ~0ULL})
    spoils.add(ENOENT, "after nothing",
               [=](auto& j) { j.flags = AIACCEL_JOB_AFTER, j.after = cookie; });
  // of a job that would be refused with EDEADLK itself
  const auto call = [&](Bytes& bytes) { return submit(member, as<aiaccel_job>(bytes)); };
  aiaccel_job second = founder;
  second.cookie = 2;
  Bytes good = bytes_of(second);
  const Use before(member);
  spoil_one_and_two("job of a group", good, spoils, call);
  BOOST_TEST(call(good) == EDEADLK);
  as<aiaccel_job>(good).flags = AIACCEL_JOB_AFTER;
  as<aiaccel_job>(good).after = 1;
  BOOST_TEST(call(good) == EDEADLK);
  BOOST_TEST(Use(member) == before);
  BOOST_TEST(submit(other, one_of(other, 1)) == 0);
  BOOST_TEST(submit(late, one_of(late, 1)) == EBUSY);
}

BOOST_AUTO_TEST_CASE(completions_are_refused_in_the_ladders_order) {
  NEED_DEVICE();
  const Scene scene;
  const Context& context = scene.context;
  const uint32_t generation = context.take_turn(scene.queue, 7, context.engine().slots);
  const Context waiting;
  BOOST_REQUIRE_EQUAL(submit(waiting, job_of(waiting.queue(), 9)), 0);
  Spoils<aiaccel_completion> spoils;
  for (const uint32_t flags : {4u, 7u, 0x80000000u, ~0u})
    spoils.add(EOPNOTSUPP, "flags", [=](auto& c) { c.flags = flags; });
  spoils.add(EINVAL, "to renew and to cancel", [](auto& c) { c.flags = 3; });
  for (const uint64_t cookie : U64s{0, 8, 7 | 1ULL << 32, ~0ULL})
    spoils.add(ENOENT, "cookie", [=](auto& c) { c.cookie = cookie; });
  for (const uint32_t other : {0u, generation - 1, generation + 1, ~0u})
    spoils.add(ESTALE, "generation", [=](auto& c) { c.generation = other; });
  const Use before(context);
  const Bytes good = bytes_of(aiaccel_completion{7, generation, 0});
  spoil_one_and_two("completion", good, spoils,
                    [&](Bytes& bytes) { return complete_with(context, bytes); });
  BOOST_TEST(complete_with(waiting, bytes_of(aiaccel_completion{9, 0, 0})) == EBUSY);
  const uint32_t renew = AIACCEL_COMPLETE_RENEW;
  BOOST_TEST(complete_with(waiting, bytes_of(aiaccel_completion{9, 0, renew})) == EBUSY);
  BOOST_TEST(complete_with(context, bytes_of(aiaccel_completion{7, generation + 1, renew})) ==
             ESTALE);
  // who waits is a tenant's that had no less, so that the turn is not renewed
  BOOST_TEST(complete_with(context, bytes_of(aiaccel_completion{7, generation, renew})) == EAGAIN);
  BOOST_TEST(Use(context) == before);
  // cancelling looks at no generation
  BOOST_TEST(complete_with(waiting, bytes_of(aiaccel_completion{9, 77, AIACCEL_COMPLETE_CANCEL})) ==
             0);
  BOOST_TEST(complete_with(context, good) == 0);
  BOOST_TEST(complete_with(context, good) == ENOENT);
}

BOOST_AUTO_TEST_CASE(the_most_entries_and_the_most_events) {
  NEED_DEVICE();
  const Context context;
  const uint32_t queue = context.queue(), max_jobs = context.query().max_jobs;
  std::vector<aiaccel_job> jobs;
  std::vector<aiaccel_completion> cancels;
  for (uint32_t i = 0; i < AIACCEL_ENTER_MAX; i++) {
    jobs.push_back(job_of(queue, i));
    cancels.push_back({i, 0, AIACCEL_COMPLETE_CANCEL});
  }
  BOOST_REQUIRE(max_jobs >= AIACCEL_ENTER_MAX);
  aiaccel_enter enter{};
  enter.jobs = address(jobs.data());
  enter.nr_jobs = AIACCEL_ENTER_MAX;
  BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_TEST(enter.nr_jobs == uint32_t{AIACCEL_ENTER_MAX});
  enter = {};
  enter.completions = address(cancels.data());
  enter.nr_completions = AIACCEL_ENTER_MAX;
  BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_TEST(enter.nr_completions == uint32_t{AIACCEL_ENTER_MAX});
  enter = {};
  enter.min_events = max_jobs;
  BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == ETIMEDOUT);
}

BOOST_AUTO_TEST_CASE(times_at_their_edges) {
  NEED_DEVICE();
  const Context context;
  aiaccel_enter enter{};
  enter.min_events = 1;
  for (const uint64_t gone_by : U64s{0, 1, now_ns()}) {
    enter.timeout_ns = gone_by;
    BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == ETIMEDOUT);
  }
  // with enough events no time is waited for, however far
  context.take_turn(context.queue(), 1);
  const Map consumed = context.map(kPage, AIACCEL_CONSUMED_OFFSET);
  auto* word = reinterpret_cast<volatile uint32_t*>(consumed.data());
  *word = *word - 1;
  for (const uint64_t far : U64s{0, LLONG_MAX, LLONG_MAX + 1ULL, AIACCEL_NEVER}) {
    enter.timeout_ns = far;
    BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == 0);
  }
  // deadlines as well
  const Context other;
  const uint32_t queue = other.queue();
  for (const uint64_t deadline : U64s{1, LLONG_MAX, LLONG_MAX + 1ULL, ~0ULL}) {
    aiaccel_job job = job_of(queue, deadline);
    job.deadline_ns = deadline;
    job.cost_ns = deadline;
    BOOST_TEST(submit(other, job) == 0);
    const Bytes cancel = bytes_of(aiaccel_completion{deadline, 0, AIACCEL_COMPLETE_CANCEL});
    BOOST_TEST(complete_with(other, cancel) == 0);
  }
}

BOOST_AUTO_TEST_CASE(arrays_that_end_in_unreadable_memory_are_taken_up_to_there) {
  NEED_DEVICE();
  const Context context;
  const uint32_t queue = context.queue();
  for (const uint32_t readable : {1u, 3u, 8u}) {
    const Map page = anonymous(2 * kPage);
    BOOST_REQUIRE_EQUAL(mprotect(page.data() + kPage, kPage, PROT_NONE), 0);
    auto* jobs = reinterpret_cast<aiaccel_job*>(page.data() + kPage) - readable;
    auto* cancels = reinterpret_cast<aiaccel_completion*>(page.data() + kPage) - readable;
    for (uint32_t i = 0; i < readable; i++) jobs[i] = job_of(queue, i);
    aiaccel_enter enter{};
    enter.jobs = address(jobs);
    enter.nr_jobs = readable + 4;
    BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == 0);
    BOOST_TEST(enter.nr_jobs == readable);
    enter.jobs = address(jobs + readable) - 1;  // a part of an entry is none
    enter.nr_jobs = 1;
    BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == EFAULT);
    for (uint32_t i = 0; i < readable; i++) cancels[i] = {i, 0, AIACCEL_COMPLETE_CANCEL};
    enter = {};
    enter.completions = address(cancels);
    enter.nr_completions = readable + 4;
    BOOST_TEST(context(AIACCEL_IOC_ENTER, enter) == 0);
    BOOST_TEST(enter.nr_completions == readable);
  }
}

// A reply that could not be written must be found out before anything is taken.
BOOST_AUTO_TEST_CASE(nothing_is_taken_that_cannot_be_told) {
  NEED_DEVICE();
  const Scene scene;
  const Use before(scene.context);
  const aiaccel_job job = job_of(scene.queue, 1);
  const Map page = anonymous(kPage);
  auto* enter = reinterpret_cast<aiaccel_enter*>(page.data());
  enter->size = sizeof(*enter);
  enter->jobs = address(&job);
  enter->nr_jobs = 1;
  BOOST_REQUIRE_EQUAL(mprotect(page.data(), kPage, PROT_READ), 0);
  BOOST_TEST(scene.context.call(AIACCEL_IOC_ENTER, enter) == EFAULT);
  BOOST_TEST(Use(scene.context) == before);
}

BOOST_AUTO_TEST_SUITE_END()
