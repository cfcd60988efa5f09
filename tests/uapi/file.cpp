// SPDX-License-Identifier: MIT
//
// The file itself: open, mmap, poll, close, and what it does not do. What buffers' mappings promise
// is in kmod/memory.cpp, what the ring's do in kmod/turns.cpp.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(file)

namespace {

int events_of(const Context& context) {
  pollfd poll_fd{context.fd(), POLLIN | POLLOUT | POLLPRI, 0};
  return poll(&poll_fd, 1, 0) < 0 ? -1 : poll_fd.revents;
}

int lowest_free() {
  const Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return fd.get();
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_descriptor_left_no_context) {
  NEED_DEVICE();
  const Context watcher;
  const Use before(watcher);
  rlimit old{};
  BOOST_REQUIRE_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit full{static_cast<rlim_t>(lowest_free()), old.rlim_max};
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &full), 0);
  const Fd fd(open(kDevice, O_RDWR | O_CLOEXEC));
  const int error = errno;
  // a mapping has a file and needs no descriptor
  const Map map = watcher.map(kPage, watcher.alloc(kPage).mmap_offset);
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
  BOOST_TEST(fd.get() == -1);
  BOOST_TEST(error == EMFILE);
  BOOST_TEST(map.error() == 0);
  BOOST_TEST(Use(watcher).contexts == before.contexts);
  const Context another;
  BOOST_TEST(Use(watcher).contexts == before.contexts + 1);
}

BOOST_AUTO_TEST_CASE(a_duplicate_keeps_the_context) {
  NEED_DEVICE();
  const Context watcher;
  const Use before(watcher);
  Context context;
  const Fd copy(dup(context.fd()));
  context.queue();
  context.close();
  BOOST_TEST(Use(watcher).queues == before.queues + 1);
  aiaccel_query query{};
  query.size = sizeof(query);
  BOOST_TEST(ioctl(copy.get(), AIACCEL_IOC_QUERY, &query) == 0);
}

BOOST_AUTO_TEST_CASE(it_is_no_stream) {
  NEED_DEVICE();
  const Context context;
  char bytes[16] = {};
  BOOST_TEST((read(context.fd(), bytes, sizeof(bytes)) == -1 && errno == EINVAL));
  BOOST_TEST((write(context.fd(), bytes, sizeof(bytes)) == -1 && errno == EINVAL));
  BOOST_TEST((lseek(context.fd(), 0, SEEK_SET) == -1 && errno == ESPIPE));
  BOOST_TEST((ftruncate(context.fd(), 0) == -1 && errno == EINVAL));
}

BOOST_AUTO_TEST_CASE(polls_readable_while_events_are_unread_and_nothing_else) {
  NEED_DEVICE();
  const Context context;
  const uint32_t queue = context.queue();
  BOOST_TEST(events_of(context) == 0);
  BOOST_REQUIRE_EQUAL(submit(context, job_of(queue, 1)), 0);
  BOOST_TEST(events_of(context) == POLLIN);
  const Map consumed = context.map(kPage, AIACCEL_CONSUMED_OFFSET);
  *reinterpret_cast<volatile uint32_t*>(consumed.data()) = 1;
  BOOST_TEST(events_of(context) == 0);
}

BOOST_AUTO_TEST_CASE(offsets_that_name_nothing) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc alloc = context.alloc(2 * kPage);
  const uint64_t ring_end = context.query().ring_bytes;
  for (const uint64_t offset :
       U64s{kPage, ring_end, AIACCEL_CONSUMED_OFFSET + kPage, alloc.mmap_offset - kPage,
            alloc.mmap_offset + 2 * kPage, alloc.mmap_offset + (1ULL << 32), (1ULL << 43)})
    BOOST_TEST(context.map(kPage, offset, PROT_READ).error() == EINVAL, "offset " << offset);
  BOOST_TEST(context.map(3 * kPage, alloc.mmap_offset).error() == EINVAL);
  BOOST_TEST(context.map(2 * kPage, alloc.mmap_offset + kPage).error() == EINVAL);
}

// Table entries that were dropped come back from the same pages, the last one too, in a mapping
// that does not begin with the buffer.
BOOST_AUTO_TEST_CASE(each_page_faults_in_as_itself) {
  NEED_DEVICE();
  constexpr size_t kPages = 7, kFirst = 3;
  const Context context;
  const aiaccel_alloc alloc = context.alloc(kPages * kPage);
  const Map whole = context.map(kPages * kPage, alloc.mmap_offset);
  BOOST_REQUIRE_EQUAL(whole.error(), 0);
  for (size_t i = 0; i < kPages; i++) whole.data()[i * kPage] = static_cast<char>('a' + i);
  const Map part = context.map((kPages - kFirst) * kPage, alloc.mmap_offset + kFirst * kPage);
  BOOST_REQUIRE_EQUAL(part.error(), 0);
  BOOST_REQUIRE_EQUAL(madvise(part.data(), part.size(), MADV_DONTNEED), 0);
  for (size_t i = kPages; i-- > kFirst;)
    BOOST_TEST(part.data()[(i - kFirst) * kPage] == static_cast<char>('a' + i), "page " << i);
}

// Memory that others filled and gave back is zeroed wherever a context shows some.
BOOST_AUTO_TEST_CASE(a_new_ring_shows_nothing_of_what_its_pages_held) {
  NEED_DEVICE();
  {
    const Map filled = anonymous(16 << 20);
    memset(filled.data(), 0xff, filled.size());
  }
  std::vector<Context> contexts(4);
  for (const Context& context : contexts) {
    const Map ring = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
    const Map consumed = context.map(kPage, AIACCEL_CONSUMED_OFFSET);
    BOOST_REQUIRE_EQUAL(ring.error(), 0);
    const auto zero = [](char byte) { return byte == 0; };
    BOOST_TEST(std::all_of(ring.data() + sizeof(aiaccel_ring), ring.data() + ring.size(), zero));
    BOOST_TEST(std::all_of(consumed.data(), consumed.data() + kPage, zero));
    const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
    BOOST_TEST(head->produced == 0u);
    for (const uint32_t word : head->__reserved) BOOST_TEST(word == 0u);
    // nor what events add
    BOOST_TEST(complete(context, 1, context.take_turn(context.queue(), 1)) == 0);
    BOOST_TEST(!has_kernel_address(ring.data(), ring.size()));
    BOOST_TEST(!has_kernel_address(consumed.data(), kPage));
  }
}

BOOST_AUTO_TEST_SUITE_END()
