// SPDX-License-Identifier: MIT
//
// Engines of other modules come and go while contexts use them.
#include <cerrno>
#include <cstring>

#include "module.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(provider)

namespace {

// The tests' provider, loaded until told otherwise.
class Provider {
 public:
  Provider() { BOOST_REQUIRE_EQUAL(load_module("provider/aiaccel_provider.ko", ""), 0); }
  ~Provider() { unload(); }
  void unload() {
    if (loaded_) BOOST_TEST(unload_module("aiaccel_provider") == 0);
    loaded_ = false;
  }

 private:
  bool loaded_ = true;
};

// 0 when it is not there.
uint32_t find_engine(const Context& context) {
  uint32_t ids[64] = {};
  aiaccel_engine_list list{};
  list.count = 64;
  list.ids = reinterpret_cast<uint64_t>(ids);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_LIST, list), 0);
  for (uint32_t i = 0; i < list.count; i++) {
    aiaccel_engine_info info{};
    info.id = ids[i];
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_INFO, info), 0);
    if (!strcmp(info.name, "test-engine")) return info.id;
  }
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_engine_is_described_as_registered) {
  NEED_DEVICE();
  const Context context;
  const uint32_t before = context.query().nr_engines;
  Provider provider;
  aiaccel_engine_info info{};
  info.id = find_engine(context);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_INFO, info), 0);
  BOOST_TEST(info.kind == AIACCEL_ENGINE_OTHER);
  BOOST_TEST(info.enforcement == AIACCEL_GATED);
  BOOST_TEST(info.state == AIACCEL_ENGINE_ACTIVE);
  BOOST_TEST(info.slots == 4u);
  BOOST_TEST(info.numa_node == -1);
  BOOST_TEST(info.device_bytes == 1u << 20);
  BOOST_TEST(!strcmp(info.provider, "aiaccel_provider"));
  provider.unload();
  BOOST_TEST(find_engine(context) == 0u);
  BOOST_TEST(context(AIACCEL_IOC_ENGINE_INFO, info) == ENOENT);
  BOOST_TEST(context.query().nr_engines == before);
  const Provider again;
  BOOST_TEST(find_engine(context) > info.id);  // ids are not used again
}

BOOST_AUTO_TEST_CASE(its_end_fails_jobs_and_revokes_turns) {
  NEED_DEVICE();
  Provider provider;
  const Context context;
  const uint32_t engine = find_engine(context);
  const uint32_t queue = context.queue_at(engine);
  const uint32_t elsewhere = context.take_turn(context.queue(), 2);
  const uint32_t generation = context.take_turn(queue, 1);
  // A second queue of the context is in line behind its own turn only: another context waits.
  const Context waiting;
  const uint32_t wide = waiting.queue_at(engine);
  aiaccel_job job{};
  job.cookie = 7;
  job.queue = wide;
  job.width = 4;
  aiaccel_enter enter{};
  enter.jobs = reinterpret_cast<uint64_t>(&job);
  enter.nr_jobs = 1;
  BOOST_REQUIRE_EQUAL(waiting(AIACCEL_IOC_ENTER, enter), 0);
  BOOST_TEST(enter.nr_events == 0u);
  provider.unload();

  const Map ring = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
  const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
  const auto* events = reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset);
  BOOST_REQUIRE_EQUAL(head->produced, 3u);
  BOOST_TEST(events[2].cookie == 1u);
  BOOST_TEST(events[2].events & AIACCEL_EVENT_REVOKED);
  // What was taken before it hides the error, which asking again still gives.
  const aiaccel_completion both[] = {{2, elsewhere, 0}, {1, generation, 0}};
  aiaccel_enter ends{};
  ends.completions = reinterpret_cast<uint64_t>(both);
  ends.nr_completions = 2;
  BOOST_TEST(context(AIACCEL_IOC_ENTER, ends) == 0);
  BOOST_TEST(ends.nr_completions == 1u);
  BOOST_TEST(complete(context, 1, generation) == ESTALE);
  BOOST_TEST(complete(context, 1, generation) == ENOENT);

  const Map other = waiting.map(waiting.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
  const auto* other_head = reinterpret_cast<const aiaccel_ring*>(other.data());
  const auto* event =
      reinterpret_cast<const aiaccel_event*>(other.data() + other_head->events_offset);
  BOOST_REQUIRE_EQUAL(other_head->produced, 1u);
  BOOST_TEST(event->cookie == 7u);
  BOOST_TEST(event->events == uint32_t{AIACCEL_EVENT_FAILED});
  BOOST_TEST(complete(waiting, 7, 0) == ENOENT);

  // The queue stays as a dead object until it is destroyed.
  BOOST_TEST(submit(context, job_of(queue, 2)) == ESHUTDOWN);
  aiaccel_queue_create create{};
  create.engine = engine;
  BOOST_TEST(context(AIACCEL_IOC_QUEUE_CREATE, create) == ENOENT);
  aiaccel_destroy destroy{};
  destroy.id = queue;
  BOOST_TEST(context(AIACCEL_IOC_DESTROY, destroy) == 0);
}

// Failures that cannot be told for want of room must not be lost nor leak.
BOOST_AUTO_TEST_CASE(its_end_while_the_ring_is_full) {
  NEED_DEVICE();
  Provider provider;
  const Context holder, context;
  const uint32_t engine = find_engine(context);
  const uint32_t max = context.query().max_jobs;
  // Fill the ring with turns that were had.
  const uint32_t own = context.queue_at(engine);
  const Map ring = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
  const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
  const auto* events = reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset);
  for (uint32_t i = 0; i < max; i++) {
    BOOST_REQUIRE_EQUAL(submit(context, job_of(own, i)), 0);
    BOOST_REQUIRE_EQUAL(complete(context, i, events[i].generation), 0);
  }
  const uint32_t generation = holder.take_turn(holder.queue_at(engine), 1);
  (void)generation;
  // Four slots, one held: three jobs of width 4 wait.
  for (uint64_t cookie = 1000; cookie < 1003; cookie++) {
    aiaccel_job job{};
    job.cookie = cookie;
    job.queue = own;
    job.width = 4;
    aiaccel_enter enter{};
    enter.jobs = reinterpret_cast<uint64_t>(&job);
    enter.nr_jobs = 1;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENTER, enter), 0);
  }
  provider.unload();
  BOOST_TEST(head->produced == max);
  const Map consumed = context.map(kPage, AIACCEL_CONSUMED_OFFSET);
  *reinterpret_cast<volatile uint32_t*>(consumed.data()) = 1;  // room for one
  aiaccel_enter enter{};
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENTER, enter), 0);
  BOOST_TEST(head->produced == max + 1);
  *reinterpret_cast<volatile uint32_t*>(consumed.data()) = max + 1;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENTER, enter), 0);
  BOOST_TEST(head->produced == max + 3);
}

BOOST_AUTO_TEST_CASE(contexts_close_after_the_engine) {
  NEED_DEVICE();
  Provider provider;
  {
    const Context context;
    const uint32_t queue = context.queue_at(find_engine(context));
    context.take_turn(queue, 1);
    BOOST_REQUIRE_EQUAL(submit(context, job_of(queue, 2)), EDEADLK);
    provider.unload();
  }
  const Provider again;  // with nothing of the first left behind
  const Context context;
  context.take_turn(context.queue_at(find_engine(context)), 1, 4);
}

BOOST_AUTO_TEST_SUITE_END()
