// SPDX-License-Identifier: MIT
//
// The event ring as it is mapped: who may write it, what happens when nobody reads, and poll.
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <vector>

#include "device.hpp"

using namespace conformance;

namespace {

// Our own mappings, beside those that the library has.
class Ring {
 public:
  explicit Ring(Device& device) : bytes_(device.query().ring_bytes) {
    BOOST_REQUIRE(aiaccel_map(device.handle(), AIACCEL_RING_OFFSET, bytes_, PROT_READ, &ring_) ==
                  0);
    BOOST_REQUIRE(aiaccel_map(device.handle(), AIACCEL_CONSUMED_OFFSET, page_,
                              PROT_READ | PROT_WRITE, &consumed_) == 0);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    munmap(ring_, bytes_);
    munmap(consumed_, page_);
  }

  const aiaccel_ring& head() const { return *static_cast<const aiaccel_ring*>(ring_); }
  uint32_t produced() const { return __atomic_load_n(&head().produced, __ATOMIC_ACQUIRE); }
  uint32_t consumed() const { return *static_cast<uint32_t*>(consumed_); }
  void set_consumed(uint32_t value) {
    __atomic_store_n(static_cast<uint32_t*>(consumed_), value, __ATOMIC_RELEASE);
  }
  aiaccel_event event(uint32_t number) const {
    const auto* events = reinterpret_cast<const aiaccel_event*>(static_cast<const char*>(ring_) +
                                                                head().events_offset);
    return events[number % head().entries];
  }
  void* address() const { return ring_; }
  size_t bytes() const { return bytes_; }

 private:
  const size_t page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t bytes_;
  void* ring_ = nullptr;
  void* consumed_ = nullptr;
};

bool readable(Device& device, int timeout_ms = 0) {
  pollfd fd{aiaccel_fd(device.handle()), POLLIN, 0};
  BOOST_REQUIRE(fd.fd >= 0);
  return poll(&fd, 1, timeout_ms) == 1 && (fd.revents & POLLIN);
}

uint32_t unread(Device& device) {
  aiaccel_enter arg{};
  BOOST_REQUIRE(device.enter(arg) == 0);
  return arg.nr_events;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ring)

BOOST_AUTO_TEST_CASE(it_is_as_the_header_says) {
  Device device;
  Ring ring(device);
  const aiaccel_query query = device.query();
  BOOST_TEST(ring.head().entries == query.max_jobs);
  const uint64_t events_end =
      ring.head().events_offset + uint64_t{ring.head().entries} * sizeof(aiaccel_event);
  const uint64_t yield_end = ring.head().yield_offset + uint64_t{ring.head().entries} * 4;
  BOOST_TEST(ring.head().events_offset >= sizeof(aiaccel_ring));
  BOOST_TEST(ring.head().events_offset % 8 == 0u);
  BOOST_TEST(events_end <= query.ring_bytes);
  BOOST_TEST(yield_end <= query.ring_bytes);
  for (uint32_t reserved : ring.head().__reserved) BOOST_TEST(reserved == 0u);
  BOOST_TEST(ring.produced() == ring.consumed());

  const uint32_t queue = device.must_queue();
  device.must_hold(0x1234567890ULL, queue, 1);
  BOOST_TEST(ring.produced() == 1u);
  BOOST_TEST(ring.consumed() == 1u);
  BOOST_TEST(ring.event(0).cookie == 0x1234567890ULL);
  BOOST_TEST(ring.event(0).queue == queue);
}

BOOST_AUTO_TEST_CASE(nobody_else_can_write_it) {
  Device device;
  Ring ring(device);
  void* address = nullptr;
  const int result = aiaccel_map(device.handle(), AIACCEL_RING_OFFSET, ring.bytes(),
                                 PROT_READ | PROT_WRITE, &address);
  BOOST_TEST((result == -EPERM || result == -EACCES));
  BOOST_TEST(mprotect(ring.address(), ring.bytes(), PROT_READ | PROT_WRITE) == -1);
  BOOST_TEST(aiaccel_map(device.handle(), AIACCEL_RING_OFFSET, ring.bytes() + (1 << 20), PROT_READ,
                         &address) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_when_nobody_reads) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint32_t max = device.query().max_jobs;
  // Turns that end before their event was read leave it in the ring until it is full.
  const uint64_t turns = max + 10;
  for (uint64_t cookie = 1; cookie <= turns; ++cookie) {
    BOOST_REQUIRE(device.submit(job(cookie, queue)) == 0);
    if (cookie < turns) BOOST_REQUIRE(device.cancel(cookie) == 0);
  }
  BOOST_TEST(unread(device) == max);
  const std::vector<aiaccel_event> first = device.events();
  BOOST_TEST(first.size() >= max);
  // The last turn is held: its event must come, whatever the ring was like.
  uint32_t generation = 0;
  for (const aiaccel_event& event : first)
    if (event.cookie == turns) generation = event.generation;
  if (!generation) generation = device.must_event(turns, AIACCEL_EVENT_GRANTED).generation;
  BOOST_TEST(device.complete(turns, generation) == 0);
  BOOST_TEST(unread(device) == 0u);
}

BOOST_AUTO_TEST_CASE(what_happens_meanwhile_is_one_event) {
  Device device;
  Device high;
  const uint32_t queue = device.must_queue();
  const uint32_t max = device.query().max_jobs;
  const uint32_t slots = device.slots();
  for (uint64_t cookie = 1; cookie <= max; ++cookie) {
    BOOST_REQUIRE(device.submit(job(cookie, queue)) == 0);
    BOOST_REQUIRE(device.cancel(cookie) == 0);
  }
  BOOST_REQUIRE(unread(device) == max);
  // The ring is full: the grant and the wish for it to end are told together.
  BOOST_REQUIRE(device.submit(job(5000, queue, {.width = slots})) == 0);
  BOOST_REQUIRE(high.submit(job(1, high.must_queue(AIACCEL_CLASS_HIGH))) == 0);
  device.events();
  aiaccel_event event = device.must_event();
  BOOST_TEST(event.cookie == 5000u);
  BOOST_TEST(event.events == static_cast<uint32_t>(AIACCEL_EVENT_GRANTED | AIACCEL_EVENT_YIELD));
  BOOST_TEST(device.complete(5000, event.generation) == 0);
  high.must_event(1, AIACCEL_EVENT_GRANTED);
}

BOOST_AUTO_TEST_CASE(nonsense_in_the_consumed_word_misleads_only_its_writer) {
  Device device;
  Device other;
  const uint32_t queue = device.must_queue();
  Ring ring(device);
  for (uint32_t nonsense : {1u, 0x80000000u, 77777u}) {
    ring.set_consumed(nonsense);
    BOOST_TEST(unread(device) == ring.head().entries);
    BOOST_REQUIRE(device.submit(job(1, queue)) == 0);
    BOOST_REQUIRE(device.cancel(1) == 0);
    const uint32_t generation = other.must_hold(1, other.must_queue(), other.slots());
    BOOST_REQUIRE(other.complete(1, generation) == 0);
  }
  // Once it is put right, all is well.
  ring.set_consumed(ring.produced());
  const uint32_t generation = device.must_hold(2, queue, 1);
  BOOST_TEST(device.complete(2, generation) == 0);
}

BOOST_AUTO_TEST_CASE(it_goes_round) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint32_t max = device.query().max_jobs;
  std::set<uint32_t> generations;
  for (uint64_t cookie = 1; cookie <= 3 * max; ++cookie) {
    const uint32_t generation = device.must_hold(cookie, queue, 1);
    BOOST_REQUIRE(generations.insert(generation).second);
    BOOST_REQUIRE(device.complete(cookie, generation) == 0);
  }
}

BOOST_AUTO_TEST_CASE(the_descriptor_polls_readable_while_events_are_unread) {
  Device device;
  Device other;
  const uint32_t queue = device.must_queue();
  const uint32_t slots = device.slots();
  BOOST_TEST(!readable(device));
  BOOST_REQUIRE(device.submit(job(1, queue, {.width = slots})) == 0);
  BOOST_TEST(readable(device, 30'000));
  BOOST_TEST(readable(device));
  const uint32_t generation = device.must_event(1, AIACCEL_EVENT_GRANTED).generation;
  BOOST_TEST(device.events().empty());
  BOOST_TEST(!readable(device));

  // From another context, more than once, with a wait in between.
  BOOST_REQUIRE(other.submit(job(7, other.must_queue(), {.width = slots})) == 0);
  BOOST_TEST(!readable(other));
  BOOST_REQUIRE(device.complete(1, generation) == 0);
  BOOST_TEST(readable(other, 30'000));
  aiaccel_enter arg{};
  arg.min_events = 1;
  arg.timeout_ns = late();
  BOOST_REQUIRE(other.enter(arg) == 0);
  BOOST_TEST(readable(other));
  other.must_event(7, AIACCEL_EVENT_GRANTED);
  BOOST_TEST(other.events().empty());
  BOOST_TEST(!readable(other));
}

BOOST_AUTO_TEST_CASE(a_descriptor_asked_for_late_is_readable_at_once) {
  Device device;
  BOOST_REQUIRE(device.submit(job(1, device.must_queue())) == 0);
  BOOST_REQUIRE(eventually([&] { return unread(device) == 1; }));
  BOOST_TEST(readable(device, 30'000));
}

BOOST_AUTO_TEST_CASE(room_in_the_ring_is_looked_for) {
  Device device;
  const uint32_t queue = device.must_queue();
  const uint32_t max = device.query().max_jobs;
  BOOST_TEST(!readable(device));
  for (uint64_t cookie = 1; cookie <= max; ++cookie) {
    BOOST_REQUIRE(device.submit(job(cookie, queue)) == 0);
    BOOST_REQUIRE(device.cancel(cookie) == 0);
  }
  BOOST_REQUIRE(device.submit(job(5000, queue)) == 0);  // its event waits for room
  std::vector<aiaccel_event> events(max);
  BOOST_REQUIRE(aiaccel_read_events(device.handle(), events.data(), max) == max);
  // Found by polling alone, once the reader says that it found nothing more.
  aiaccel_event event{};
  if (aiaccel_read_events(device.handle(), &event, 1) == 0) {
    BOOST_REQUIRE(readable(device, 30'000));
    BOOST_REQUIRE(aiaccel_read_events(device.handle(), &event, 1) == 1);
  }
  BOOST_TEST(event.cookie == 5000u);
}

BOOST_AUTO_TEST_SUITE_END()
