// SPDX-License-Identifier: MIT
//
// The errno ladder that all ioctls share: unknown numbers, sizes, tails, unreadable memory, and
// that a refused call changes nothing.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(ladder)

namespace {

struct Row {
  const char* name;
  unsigned long number;
  uint32_t size;
};

const Row kRows[] = {
    {"QUERY", AIACCEL_IOC_QUERY, sizeof(aiaccel_query)},
    {"ENGINE_LIST", AIACCEL_IOC_ENGINE_LIST, sizeof(aiaccel_engine_list)},
    {"ENGINE_INFO", AIACCEL_IOC_ENGINE_INFO, sizeof(aiaccel_engine_info)},
    {"STATS", AIACCEL_IOC_STATS, sizeof(aiaccel_stats)},
    {"DESTROY", AIACCEL_IOC_DESTROY, sizeof(aiaccel_destroy)},
    {"ALLOC", AIACCEL_IOC_ALLOC, sizeof(aiaccel_alloc)},
    {"PIN", AIACCEL_IOC_PIN, sizeof(aiaccel_pin)},
    {"BUFFER_INFO", AIACCEL_IOC_BUFFER_INFO, sizeof(aiaccel_buffer_info)},
    {"QUEUE_CREATE", AIACCEL_IOC_QUEUE_CREATE, sizeof(aiaccel_queue_create)},
    {"ENTER", AIACCEL_IOC_ENTER, sizeof(aiaccel_enter)},
};

// Arguments that are good for each call, so that only what a test spoils can be refused.
struct Argument {
  explicit Argument(const Context& context, const Row& row) {
    memset(bytes, 0, sizeof(bytes));
    size(row.size);
    const uint32_t engine = context.engine().id;
    switch (row.number) {
      case AIACCEL_IOC_ENGINE_INFO: as<aiaccel_engine_info>().id = engine; break;
      case AIACCEL_IOC_STATS:
        as<aiaccel_stats>().kind = AIACCEL_STATS_ENGINES;
        as<aiaccel_stats>().record_size = 8;
        break;
      case AIACCEL_IOC_DESTROY: as<aiaccel_destroy>().id = context.alloc(1).id; break;
      case AIACCEL_IOC_ALLOC: as<aiaccel_alloc>().length = 1; break;
      case AIACCEL_IOC_PIN:
        as<aiaccel_pin>().addr = reinterpret_cast<uint64_t>(page);
        as<aiaccel_pin>().length = 1;
        break;
      case AIACCEL_IOC_BUFFER_INFO: as<aiaccel_buffer_info>().id = context.alloc(1).id; break;
      case AIACCEL_IOC_QUEUE_CREATE:
        as<aiaccel_queue_create>().engine = engine;
        as<aiaccel_queue_create>().class_ = AIACCEL_CLASS_NORMAL;
        break;
    }
  }
  template <typename T>
  T& as() {
    return *reinterpret_cast<T*>(bytes);
  }
  void size(uint32_t size) { memcpy(bytes, &size, sizeof(size)); }

  alignas(8) char bytes[2 * kPage];
  alignas(kPage) static char page[kPage];
};

alignas(kPage) char Argument::page[kPage];

}  // namespace

BOOST_AUTO_TEST_CASE(unknown_numbers_are_enotty) {
  NEED_DEVICE();
  const Context context;
  const std::vector<uint8_t> known = {0x00, 0x01, 0x02, 0x03, 0x08, 0x10, 0x11, 0x12, 0x20, 0x21};
  aiaccel_query query{};
  for (unsigned nr = 0; nr < 256; nr++) {
    query.size = 0;  // known numbers answer EINVAL, and do nothing
    const int want = std::find(known.begin(), known.end(), nr) == known.end() ? ENOTTY : EINVAL;
    BOOST_TEST(context.call(_IO(AIACCEL_IOC_TYPE, nr), &query) == want, "number " << nr);
  }
  query.size = sizeof(query);
  BOOST_TEST(context.call(_IOWR(AIACCEL_IOC_TYPE, 0, aiaccel_query), &query) == ENOTTY);
  BOOST_TEST(context.call(_IO('x', 0), &query) == ENOTTY);
}

BOOST_AUTO_TEST_CASE(sizes) {
  NEED_DEVICE();
  const Context context;
  for (const Row& row : kRows) {
    Argument arg(context, row);
    for (const uint32_t size : {0u, 4u, row.size - 1}) {
      arg.size(size);
      BOOST_TEST(context.call(row.number, arg.bytes) == EINVAL, row.name << " size " << size);
    }
    arg.size(row.size + 8);
    arg.bytes[row.size + 7] = 1;
    BOOST_TEST(context.call(row.number, arg.bytes) == E2BIG, row.name << " with a tail");
    arg.size(kPage + 1);
    BOOST_TEST(context.call(row.number, arg.bytes) == E2BIG, row.name << " size > page");
    arg.bytes[row.size + 7] = 0;
    arg.size(row.size + 8);
    BOOST_TEST(context.call(row.number, arg.bytes) == 0, row.name << " with a zero tail");
    BOOST_TEST(arg.as<uint32_t>() == row.size + 8, row.name << " keeps the caller's size");
  }
}

BOOST_AUTO_TEST_CASE(nothing_is_written_past_the_callers_size) {
  NEED_DEVICE();
  const Context context;
  for (const Row& row : kRows) {
    Argument arg(context, row);
    memset(arg.bytes + row.size, 0x5a, 64);
    BOOST_TEST(context.call(row.number, arg.bytes) == 0, row.name);
    for (unsigned i = 0; i < 64; i++)
      BOOST_REQUIRE_MESSAGE(arg.bytes[row.size + i] == 0x5a, row.name << " wrote past its end");
  }
}

BOOST_AUTO_TEST_CASE(unreadable_memory_is_efault) {
  NEED_DEVICE();
  const Context context;
  Map page = anonymous(2 * kPage);
  BOOST_REQUIRE_EQUAL(mprotect(page.data() + kPage, kPage, PROT_NONE), 0);
  for (const Row& row : kRows) {
    BOOST_TEST(context.call(row.number, nullptr) == EFAULT, row.name << " NULL");
    BOOST_TEST(context.call(row.number, page.data() + kPage) == EFAULT, row.name);
    // only the size can be read
    char* split = page.data() + kPage - 4;
    memcpy(split, &row.size, 4);
    BOOST_TEST(context.call(row.number, split) == EFAULT, row.name << " cut off");
    BOOST_TEST(context.call(row.number, reinterpret_cast<void*>(~0ULL << 47)) == EFAULT,
               row.name << " kernel address");
  }
}

BOOST_AUTO_TEST_CASE(a_reply_that_cannot_be_written_leaves_nothing_behind) {
  NEED_DEVICE();
  const Context context;
  const uint64_t before = context.query().pinned_bytes;
  const uint32_t queues = context.engine_stats().queues;
  for (const Row& row : kRows) {
    if (row.number == AIACCEL_IOC_DESTROY) continue;  // it has no reply
    Argument arg(context, row);
    Map page = anonymous(kPage);
    memcpy(page.data(), arg.bytes, row.size);
    BOOST_REQUIRE_EQUAL(mprotect(page.data(), kPage, PROT_READ), 0);
    BOOST_TEST(context.call(row.number, page.data()) == EFAULT, row.name);
  }
  // what the arguments themselves allocated: one page for BUFFER_INFO
  BOOST_TEST(context.query().pinned_bytes == before + kPage);
  BOOST_TEST(context.engine_stats().queues == queues);
}

BOOST_AUTO_TEST_CASE(refused_by_is_written_on_errors_and_only_it) {
  NEED_DEVICE();
  const Context context;
  aiaccel_alloc alloc{};
  alloc.length = 1ULL << 60;
  alloc.id = 77;
  alloc.mmap_offset = 78;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EDQUOT);
  BOOST_TEST(alloc.refused_by != AIACCEL_REFUSED_NOT);
  BOOST_TEST(alloc.id == 77u);
  BOOST_TEST(alloc.mmap_offset == 78u);
  alloc.length = 0;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EINVAL);
  BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_NOT);
}

BOOST_AUTO_TEST_CASE(ids_name_only_their_kind) {
  NEED_DEVICE();
  const Context context, other;
  const uint32_t buffer = context.alloc(kPage).id;
  const uint32_t queue = context.queue();
  aiaccel_buffer_info info{};
  for (const uint32_t id : {0u, queue, buffer + 1000, ~0u}) {
    info.id = id;
    BOOST_TEST(context(AIACCEL_IOC_BUFFER_INFO, info) == ENOENT, "id " << id);
  }
  aiaccel_destroy destroy{};
  for (const uint32_t id : {0u, buffer + 1000, ~0u}) {
    destroy.id = id;
    BOOST_TEST(context(AIACCEL_IOC_DESTROY, destroy) == ENOENT, "id " << id);
  }
  destroy.id = buffer;
  BOOST_TEST(other(AIACCEL_IOC_DESTROY, destroy) == ENOENT);
  BOOST_TEST(context(AIACCEL_IOC_DESTROY, destroy) == 0);
  BOOST_TEST(context(AIACCEL_IOC_DESTROY, destroy) == ENOENT);
  aiaccel_engine_info engine{};
  for (const uint32_t id : {0u, 1000u, ~0u}) {
    engine.id = id;
    BOOST_TEST(context(AIACCEL_IOC_ENGINE_INFO, engine) == ENOENT);
  }
}

BOOST_AUTO_TEST_SUITE_END()
