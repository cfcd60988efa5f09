// SPDX-License-Identifier: MIT
//
// Every allocation and every copy from and to user memory that a call makes is made to fail once, in
// turn. A call that fails must leave nothing behind. Needs a kernel with fault injection; the stock
// ones have none.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(fail_nth)

namespace {

constexpr const char* kNth = "/proc/thread-self/fail-nth";
constexpr int kMostFaults = 2000;

void set_up_faults() {
  const std::string debug = "/sys/kernel/debug/";
  for (const char* kind : {"failslab", "fail_page_alloc", "fail_usercopy"}) {
    std::ofstream(debug + kind + "/ignore-gfp-wait") << "N" << std::flush;
    std::ofstream(debug + kind + "/verbose") << "0" << std::flush;
    std::ofstream(debug + kind + "/min-order") << "0" << std::flush;
  }
}

// What of the arbiter is in use; equal before and after when nothing was left behind.
struct Use {
  uint64_t bytes = 0;
  uint32_t contexts = 0, queues = 0, jobs = 0, slots = 0;

  explicit Use(const Context& watcher) {
    aiaccel_stats_tenant tenants[16] = {};
    aiaccel_stats stats{};
    stats.kind = AIACCEL_STATS_TENANTS;
    stats.records = reinterpret_cast<uint64_t>(tenants);
    stats.count = 16;
    stats.record_size = sizeof(tenants[0]);
    BOOST_REQUIRE_EQUAL(watcher(AIACCEL_IOC_STATS, stats), 0);
    for (uint32_t i = 0; i < stats.count && i < 16; i++) {
      contexts += tenants[i].contexts;
      if (tenants[i].kind == AIACCEL_TENANT_ROOT)
        bytes = tenants[i].allocated_bytes + tenants[i].pinned_bytes;
    }
    const aiaccel_stats_engine engine = watcher.engine_stats();
    queues = engine.queues;
    jobs = engine.jobs_waiting;
    slots = engine.slots_used;
  }
  bool operator==(const Use&) const = default;
};

// Whether the fault was met. One that was not may be met in here: hence the second try.
bool disarm(const Fd& nth) {
  char left[32] = {};
  const bool read_it = pread(nth.get(), left, sizeof(left) - 1, 0) > 0;
  if (write(nth.get(), "0", 1) != 1) BOOST_REQUIRE(write(nth.get(), "0", 1) == 1);
  return read_it && strtol(left, nullptr, 10) == 0;
}

// Runs `body` again and again, the Nth time with its Nth possible fault, until it makes no more.
void sweep(const std::function<void()>& body) {
  if (access(kNth, F_OK)) SKIP("this kernel injects no faults");
  set_up_faults();
  const Context watcher;
  const Fd nth(open(kNth, O_RDWR | O_CLOEXEC));
  BOOST_REQUIRE(nth.get() >= 0);
  body();  // what is allocated once and kept
  const Use before(watcher);
  for (int n = 1; n < kMostFaults; n++) {
    const std::string text = std::to_string(n);
    BOOST_REQUIRE(write(nth.get(), text.c_str(), text.size()) > 0);
    body();
    const bool used_up = disarm(nth);
    BOOST_REQUIRE_MESSAGE(eventually([&] { return Use(watcher) == before; }), "fault " << n);
    if (!used_up) {  // the body has fewer
      BOOST_TEST(n > 1);
      BOOST_TEST_MESSAGE(n - 1 << " faults");
      return;
    }
  }
  BOOST_ERROR("no end of faults");
}

// With the plain calls: nothing here may assert, as any of them may fail.
template <typename T>
bool call(int fd, unsigned long number, T& arg) {
  arg.size = sizeof(T);
  return ioctl(fd, number, &arg) == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(opening_and_asking) {
  NEED_DEVICE();
  sweep([] {
    const Fd fd(open(kDevice, O_RDWR));
    aiaccel_query query{};
    uint32_t ids[4];
    aiaccel_engine_list list{};
    list.count = 4;
    list.ids = reinterpret_cast<uint64_t>(ids);
    aiaccel_engine_info info{};
    info.id = 1;
    std::vector<char> records(16384);
    if (!call(fd.get(), AIACCEL_IOC_QUERY, query)) return;
    if (!call(fd.get(), AIACCEL_IOC_ENGINE_LIST, list)) return;
    if (!call(fd.get(), AIACCEL_IOC_ENGINE_INFO, info)) return;
    for (uint32_t kind = 1; kind <= 3; kind++) {
      aiaccel_stats stats{};
      stats.kind = kind;
      stats.records = reinterpret_cast<uint64_t>(records.data());
      stats.count = 16;
      stats.record_size = 512;
      if (!call(fd.get(), AIACCEL_IOC_STATS, stats)) return;
    }
  });
}

BOOST_AUTO_TEST_CASE(allocating_and_mapping) {
  NEED_DEVICE();
  sweep([] {
    const Fd fd(open(kDevice, O_RDWR));
    aiaccel_alloc alloc{};
    alloc.length = 20 * kPage;
    if (!call(fd.get(), AIACCEL_IOC_ALLOC, alloc)) return;
    const Map map(20 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), alloc.mmap_offset);
    aiaccel_buffer_info info{};
    info.id = alloc.id;
    if (!call(fd.get(), AIACCEL_IOC_BUFFER_INFO, info)) return;
    const Map ring(kPage, PROT_READ, MAP_SHARED, fd.get(), AIACCEL_RING_OFFSET);
    const Map word(kPage, PROT_READ, MAP_SHARED, fd.get(), AIACCEL_CONSUMED_OFFSET);
  });
}

BOOST_AUTO_TEST_CASE(pinning) {
  NEED_DEVICE();
  sweep([] {
    const Fd fd(open(kDevice, O_RDWR));
    const Map map(600 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map.error()) return;
    madvise(map.data(), map.size(), MADV_NOHUGEPAGE);
    // most pages are there: faulting in is the kernel's own matter
    memset(map.data(), 1, 590 * kPage);
    aiaccel_pin pin = pin_of(map, AIACCEL_PIN_WRITE);
    call(fd.get(), AIACCEL_IOC_PIN, pin);
  });
}

BOOST_AUTO_TEST_CASE(queues_and_turns) {
  NEED_DEVICE();
  sweep([] {
    const Fd fd(open(kDevice, O_RDWR));
    aiaccel_queue_create create{};
    create.engine = 1;
    create.class_ = AIACCEL_CLASS_NORMAL;
    if (!call(fd.get(), AIACCEL_IOC_QUEUE_CREATE, create)) return;
    aiaccel_job jobs[10] = {};
    aiaccel_completion cancels[10] = {};
    for (uint64_t i = 0; i < 10; i++) {
      jobs[i].cookie = cancels[i].cookie = i;
      jobs[i].queue = create.id;
      jobs[i].width = 1;
      cancels[i].flags = AIACCEL_COMPLETE_CANCEL;
    }
    aiaccel_enter enter{};
    enter.jobs = reinterpret_cast<uint64_t>(jobs);
    enter.nr_jobs = 10;
    enter.min_events = 1;
    enter.timeout_ns = AIACCEL_NEVER;
    if (!call(fd.get(), AIACCEL_IOC_ENTER, enter)) return;
    enter = {};
    enter.completions = reinterpret_cast<uint64_t>(cancels);
    enter.nr_completions = 5;
    if (!call(fd.get(), AIACCEL_IOC_ENTER, enter)) return;
    aiaccel_destroy destroy{};
    destroy.id = create.id;
    call(fd.get(), AIACCEL_IOC_DESTROY, destroy);
  });
}

BOOST_AUTO_TEST_SUITE_END()
