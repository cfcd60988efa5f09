// SPDX-License-Identifier: MIT
//
// Two threads at one call: arguments that change while they are read, ids that are guessed before
// they are told, and a large pin beside which the process's other threads go on.
//
// Who is first is chance; what is asserted holds whoever is. Assertions are made by the main
// thread.
#include <algorithm>
#include <atomic>
#include <thread>

#include "kmod/beside.hpp"
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(races)

namespace {

constexpr int kRounds = 2000;  // threads of a busy machine seldom run side by side

// Writes one value and the other there, in turn. They may differ in one byte where a mixture of
// them would be wrong: the kernel copies byte by byte.
template <typename T>
std::function<void()> flip(T& where, T one, T other) {
  auto* at = const_cast<volatile T*>(&where);
  return [=, first = false]() mutable {
    first = !first;
    *at = first ? one : other;
  };
}

void destroy(const Context& context, uint32_t id) {
  aiaccel_destroy arg{};
  arg.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_DESTROY, arg), 0);
}

aiaccel_buffer_info info_of(const Context& context, uint32_t id) {
  aiaccel_buffer_info info{};
  info.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  return info;
}

}  // namespace

BOOST_AUTO_TEST_CASE(sizes_that_change) {
  NEED_DEVICE();
  const Scene scene;
  for (const uint32_t other : {4u, 4096u, 4097u, ~0u}) {
    alignas(8) char bytes[8192] = {};
    auto& size = *reinterpret_cast<uint32_t*>(bytes);
    auto& query = *reinterpret_cast<aiaccel_query*>(bytes);
    size = sizeof(query);
    const Beside changing(flip(size, uint32_t{sizeof(query)}, other));
    for (int i = 0; i < kRounds; i++) {
      const int error = scene.context.call(AIACCEL_IOC_QUERY, bytes);
      BOOST_REQUIRE((error == 0 || error == (other < sizeof(query) ? EINVAL : E2BIG)));
      BOOST_REQUIRE(std::all_of(bytes + sizeof(query), std::end(bytes), [](char b) { return !b; }));
    }
  }
}

BOOST_AUTO_TEST_CASE(lengths_that_change) {
  NEED_DEVICE();
  const Scene scene;
  const Context& context = scene.context;
  const Use before(context);
  const uint64_t one = kPage, many = 5 * kPage;
  const Map map = anonymous(many);
  for (int i = 0; i < 2; i++) {
    aiaccel_alloc alloc{};
    aiaccel_pin pin{};
    const Beside changing([alloc_length = flip<__u64>(alloc.length, one, many),
                           pin_length = flip<__u64>(pin.length, one, i ? many : one | 1ULL << 62)] {
      alloc_length();
      pin_length();
    });
    for (int round = 0; round < kRounds; round++) {
      pin.addr = map.address();
      const int allocated = context(AIACCEL_IOC_ALLOC, alloc);
      const int pinned = context(AIACCEL_IOC_PIN, pin);
      BOOST_REQUIRE((allocated == 0 || allocated == EINVAL));  // before the first change
      BOOST_REQUIRE((pinned == 0 || pinned == EINVAL || (pinned == EFAULT && !i)));
      for (const auto& [error, id] : {std::pair(allocated, alloc.id), std::pair(pinned, pin.id)}) {
        if (error) continue;
        const aiaccel_buffer_info info = info_of(context, id);
        BOOST_REQUIRE((info.length == one || info.length == many));
        BOOST_REQUIRE_EQUAL(info.charged_bytes, info.length);
        destroy(context, id);
      }
    }
  }
  BOOST_TEST(Use(context) == before);
}

BOOST_AUTO_TEST_CASE(classes_weights_and_labels_that_change) {
  NEED_DEVICE();
  const Context context;
  const Use before(context);
  aiaccel_queue_create create{};
  create.engine = context.engine().id;
  const Beside changing([class_ = flip<__u32>(create.class_, AIACCEL_CLASS_LOW, 0x80u),
                         weight = flip<__u32>(create.weight, 7, 0x80000007u),
                         label = flip(create.label[63], '\0', 'x')] {
    class_();
    weight();
    label();
  });
  int taken = 0;
  for (int round = 0; round < kRounds; round++) {
    const int error = context(AIACCEL_IOC_QUEUE_CREATE, create);
    BOOST_REQUIRE((error == 0 || error == EOPNOTSUPP || error == EINVAL));
    if (error) continue;
    taken++;
    const aiaccel_stats_queue record = only_queue(context);
    BOOST_REQUIRE((record.class_ == AIACCEL_CLASS_IDLE || record.class_ == AIACCEL_CLASS_LOW));
    BOOST_REQUIRE((record.weight == 7 || record.weight == AIACCEL_WEIGHT_DEFAULT));
    BOOST_REQUIRE_EQUAL(record.label[63], 0);
    destroy(context, create.id);
  }
  BOOST_TEST_MESSAGE(taken << " of " << kRounds << " were taken");
  BOOST_TEST(Use(context) == before);
}

BOOST_AUTO_TEST_CASE(entries_that_change) {
  NEED_DEVICE();
  const Context context;
  const Use before(context);
  const uint32_t queue = context.queue();
  const Use with_queue(context);
  aiaccel_job job = job_of(queue, 1);
  aiaccel_completion cancel{1, 0, AIACCEL_COMPLETE_CANCEL};
  volatile uint32_t count = 1;
  const Beside changing(
      [&, width = flip<__u32>(job.width, 1, ~0u), of = flip<__u32>(job.queue, queue, ~0u)] {
        width();
        of();
        count = AIACCEL_ENTER_MAX + 1;
        count = 1;
      });
  for (int round = 0; round < kRounds; round++) {
    aiaccel_enter enter{};
    enter.jobs = address(&job);
    enter.nr_jobs = count;
    const int error = context(AIACCEL_IOC_ENTER, enter);
    BOOST_REQUIRE((error == 0 || error == EINVAL || error == ENOENT));
    if (error) continue;
    BOOST_REQUIRE_EQUAL(enter.nr_jobs, 1u);
    const aiaccel_stats_engine engine = context.engine_stats();
    BOOST_REQUIRE_EQUAL(engine.slots_used, 1u);  // never as wide as was checked against
    enter = {};
    enter.completions = address(&cancel);
    enter.nr_completions = 1;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENTER, enter), 0);
  }
  BOOST_TEST(Use(context) == with_queue);
  destroy(context, queue);
  BOOST_TEST(Use(context) == before);
}

BOOST_AUTO_TEST_CASE(counts_and_record_sizes_that_change) {
  NEED_DEVICE();
  const Scene scene;
  BOOST_REQUIRE_EQUAL(mprotect(scene.page.data() + kPage, kPage, PROT_NONE), 0);
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_TENANTS;
  const Beside changing([record_size = flip<__u32>(stats.record_size, 8, 4096),
                         count = flip<__u32>(stats.count, 1, ~0u),
                         kind = flip<__u32>(stats.kind, AIACCEL_STATS_TENANTS, ~0u)] {
    record_size();
    count();
    kind();
  });
  for (int round = 0; round < kRounds; round++) {
    stats.records = scene.page.address();
    const int error = scene.context(AIACCEL_IOC_STATS, stats);
    BOOST_REQUIRE((error == 0 || error == EFAULT || error == EOPNOTSUPP || error == EINVAL));
  }
}

// An id names a whole object or nothing, however early it is asked for; and what is destroyed by a
// guess is destroyed once.
BOOST_AUTO_TEST_CASE(ids_that_are_guessed) {
  NEED_DEVICE();
  const Scene scene;
  const Context& context = scene.context;
  const Use before(context);
  std::atomic<uint32_t> next{context.alloc(1).id + 1}, half_made{0}, hits{0};
  const uint32_t engine = scene.engine;
  {
    const Beside guessing([&] {
      const uint32_t id = next.load();
      for (uint32_t guess = id; guess < id + 3; guess++) {
        aiaccel_buffer_info info{};
        info.id = guess;
        if (context(AIACCEL_IOC_BUFFER_INFO, info) == 0 &&
            (info.length != 3 * kPage || info.charged_bytes != 3 * kPage || !info.mmap_offset))
          half_made++;
        (void)submit(context, job_of(guess, guess));
        aiaccel_destroy destroy{};
        destroy.id = guess;
        if (context(AIACCEL_IOC_DESTROY, destroy) == 0) hits++;
      }
    });
    for (int round = 0; round < kRounds / 10; round++) {
      aiaccel_alloc alloc{};
      alloc.length = 3 * kPage;
      BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
      aiaccel_queue_create create{};
      create.engine = engine;
      create.class_ = AIACCEL_CLASS_NORMAL;
      BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
      for (const uint32_t id : {alloc.id, create.id}) {
        aiaccel_destroy destroy{};
        destroy.id = id;
        const int error = context(AIACCEL_IOC_DESTROY, destroy);
        BOOST_REQUIRE((error == 0 || error == ENOENT));
      }
      next = create.id + 1;
    }
  }
  BOOST_TEST(half_made == 0u);
  BOOST_TEST_MESSAGE(hits << " guesses hit");
  BOOST_TEST(Use(context).queues == before.queues);
  BOOST_TEST(Use(context).bytes == before.bytes + kPage);  // the one that told the first id
  BOOST_TEST(Use(context).jobs == 0u);
}

// mmap and munmap want the lock that a pin holds, and get it between its batches.
BOOST_AUTO_TEST_CASE(a_large_pin_lets_other_threads_go_on) {
  NEED_DEVICE();
  const Context context;
  const Map map = anonymous(64 << 20);
  madvise(map.data(), map.size(), MADV_NOHUGEPAGE);
  const auto resident = [&](size_t at) {
    unsigned char in_core = 0;
    BOOST_REQUIRE_EQUAL(mincore(map.data() + at, kPage, &in_core), 0);
    return (in_core & 1) != 0;
  };
  std::atomic<int> error{-1};
  std::thread pinning([&] {
    aiaccel_pin pin = pin_of(map, AIACCEL_PIN_WRITE);
    error = context(AIACCEL_IOC_PIN, pin);
  });
  int mapped = 0;
  while (!resident(map.size() / 4) && error < 0) std::this_thread::yield();
  for (; !resident(map.size() - kPage) && error < 0; mapped++) anonymous(kPage);
  pinning.join();
  BOOST_TEST(error == 0);
  // were it held all the time, it could be one
  BOOST_TEST(mapped > 1, "mapped " << mapped << " times");
  BOOST_TEST_MESSAGE("mapped " << mapped << " times");
}

BOOST_AUTO_TEST_SUITE_END()
