// SPDX-License-Identifier: MIT
//
// ALLOC, its placement, and mmap.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include "account.hpp"
#include "handed.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(memory)

namespace {

bool all_zero(const Map& map) {
  for (size_t i = 0; i < map.size(); i++)
    if (map.data()[i]) return false;
  return true;
}

void destroy(const Context& context, uint32_t id) {
  aiaccel_destroy destroy{};
  destroy.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_DESTROY, destroy), 0);
}

uint64_t used(const Context& context) {
  return context.query().pinned_bytes;
}

// What a line of a file of the kernel says, such as `MemFree:` of /proc/meminfo.
int64_t number_in(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  int64_t value = -1;
  while (file >> word)
    if (word == name) file >> value;
  BOOST_REQUIRE_MESSAGE(value >= 0, path << " has no " << name);
  return value;
}

int64_t free_bytes() { return number_in("/proc/meminfo", "MemFree:") * 1024; }
int64_t available_bytes() { return number_in("/proc/meminfo", "MemAvailable:") * 1024; }
int64_t killed_for_memory() { return number_in("/proc/vmstat", "oom_kill"); }

}  // namespace

BOOST_AUTO_TEST_CASE(zeroed_charged_and_returned) {
  NEED_DEVICE();
  const Context context;
  const uint64_t before = used(context);
  for (const uint64_t length : {uint64_t{1}, uint64_t{kPage}, uint64_t{kPage + 1},
                                uint64_t{(4 << 20) + 5}, uint64_t{64 << 20}}) {
    const uint64_t whole = (length + kPage - 1) / kPage * kPage;
    const aiaccel_alloc alloc = context.alloc(length);
    BOOST_TEST(used(context) == before + whole);
    const aiaccel_buffer_info info = info_of(context, alloc.id);
    BOOST_TEST(info.kind == AIACCEL_BUFFER_ALLOCATED);
    BOOST_TEST(info.length == length);
    BOOST_TEST(info.charged_bytes == whole);
    BOOST_TEST(info.mmap_offset == alloc.mmap_offset);
    BOOST_TEST(info.nr_runs >= 1u);
    BOOST_TEST(info.largest_run_bytes >= kPage);
    BOOST_TEST(info.largest_run_bytes <= whole);
    Map map = context.map(whole, alloc.mmap_offset);
    BOOST_REQUIRE_EQUAL(map.error(), 0);
    BOOST_TEST(all_zero(map));
    memset(map.data(), 0xff, map.size());  // the next buffer must not show it
    map.unmap();
    destroy(context, alloc.id);
    BOOST_TEST(eventually([&] { return used(context) == before; }));
  }
}

BOOST_AUTO_TEST_CASE(large_buffers_come_in_large_runs) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_buffer_info info = info_of(context, context.alloc(32 << 20).id);
  BOOST_TEST(info.largest_run_bytes >= 2u << 20);
}

BOOST_AUTO_TEST_CASE(parts_can_be_mapped_and_nothing_beyond) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc first = context.alloc(4 * kPage), second = context.alloc(4 * kPage);
  BOOST_TEST(second.mmap_offset >= first.mmap_offset + 4 * kPage);
  Map whole = context.map(4 * kPage, first.mmap_offset);
  BOOST_REQUIRE_EQUAL(whole.error(), 0);
  strcpy(whole.data() + 2 * kPage, "third page");
  const Map part = context.map(2 * kPage, first.mmap_offset + 2 * kPage);
  BOOST_REQUIRE_EQUAL(part.error(), 0);
  BOOST_TEST(!strcmp(part.data(), "third page"));
  BOOST_TEST(context.map(5 * kPage, first.mmap_offset).error() == EINVAL);
  BOOST_TEST(context.map(kPage, first.mmap_offset - kPage).error() == EINVAL);
  BOOST_TEST(context.map(3 * kPage, first.mmap_offset + 2 * kPage).error() == EINVAL);
  BOOST_TEST(context.map(kPage, second.mmap_offset + 4 * kPage).error() == EINVAL);
  BOOST_TEST(context.map(kPage, ~0ULL << 40).error() != 0);
  destroy(context, first.id);
  BOOST_TEST(context.map(kPage, first.mmap_offset).error() == EINVAL);
  const Context other;
  BOOST_TEST(other.map(kPage, second.mmap_offset).error() == EINVAL);
}

BOOST_AUTO_TEST_CASE(private_mappings_are_refused) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc alloc = context.alloc(kPage);
  for (const uint64_t offset : {uint64_t{alloc.mmap_offset}, uint64_t{AIACCEL_RING_OFFSET},
                                uint64_t{AIACCEL_CONSUMED_OFFSET}}) {
    BOOST_TEST(Map(kPage, PROT_READ, MAP_PRIVATE, context.fd(), offset).error() == EINVAL);
    BOOST_TEST(Map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, context.fd(), offset).error() ==
               EINVAL);
  }
}

BOOST_AUTO_TEST_CASE(mremap_cannot_grow_but_can_move) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc alloc = context.alloc(4 * kPage);
  Map map = context.map(2 * kPage, alloc.mmap_offset);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  strcpy(map.data() + kPage, "moved");
  BOOST_TEST(mremap(map.data(), 2 * kPage, 3 * kPage, MREMAP_MAYMOVE) == MAP_FAILED);
  const Map place = anonymous(2 * kPage);
  const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  void* moved = mremap(map.data(), 2 * kPage, 2 * kPage, flags, place.data());
  BOOST_REQUIRE(moved == place.data());
  BOOST_TEST(!strcmp(place.data() + kPage, "moved"));
}

BOOST_AUTO_TEST_CASE(a_mapping_outlives_the_id_and_the_file) {
  NEED_DEVICE();
  const Context watcher;
  const uint64_t before = used(watcher);
  Map map;
  {
    const Context context;
    const aiaccel_alloc alloc = context.alloc(8 * kPage);
    map = context.map(8 * kPage, alloc.mmap_offset);
    BOOST_REQUIRE_EQUAL(map.error(), 0);
    strcpy(map.data(), "still here");
    destroy(context, alloc.id);
  }
  BOOST_TEST(!strcmp(map.data(), "still here"));
  BOOST_TEST(used(watcher) == before + 8 * kPage);
  // a hole in it, and half of it gone: still charged
  munmap(map.data() + 2 * kPage, kPage);
  BOOST_TEST(!strcmp(map.data(), "still here"));
  map.data()[7 * kPage] = 1;
  BOOST_TEST(used(watcher) == before + 8 * kPage);
  map.unmap();
  BOOST_TEST(eventually([&] { return used(watcher) == before; }));
}

BOOST_AUTO_TEST_CASE(a_closed_context_ends_although_its_buffer_is_mapped) {
  NEED_DEVICE();
  const Context watcher;
  const uint32_t busy = watcher.engine_stats().slots_used;
  Map map;
  {
    const Context context;
    map = context.map(kPage, context.alloc(kPage).mmap_offset);
    BOOST_REQUIRE_EQUAL(map.error(), 0);
    context.take_turn(context.queue(), 1);
    BOOST_TEST(watcher.engine_stats().slots_used == busy + 1);
  }
  BOOST_TEST(eventually([&] { return watcher.engine_stats().slots_used == busy; }));
  map.data()[0] = 1;
}

BOOST_AUTO_TEST_CASE(a_child_inherits_mapped_memory_and_keeps_it) {
  NEED_DEVICE();
  const Context context;
  const uint64_t before = used(context);
  const aiaccel_alloc alloc = context.alloc(3 * kPage);
  Map map = context.map(3 * kPage, alloc.mmap_offset);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  int gate[2];
  BOOST_REQUIRE_EQUAL(pipe(gate), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    ::close(gate[1]);
    strcpy(map.data(), "from the child");
    if (read(gate[0], &byte, 1) != 0) _exit(1);  // the end of the file
    _exit(strcmp(map.data() + kPage, "from the parent") ? 2 : 0);
  }
  ::close(gate[0]);
  BOOST_TEST(eventually([&] { return !strcmp(map.data(), "from the child"); }));
  strcpy(map.data() + kPage, "from the parent");
  map.unmap();
  destroy(context, alloc.id);
  BOOST_TEST(used(context) == before + 3 * kPage);
  ::close(gate[1]);
  int status = 0;
  BOOST_REQUIRE_EQUAL(waitpid(child, &status, 0), child);
  BOOST_TEST(status == 0);
  BOOST_TEST(eventually([&] { return used(context) == before; }));
}

BOOST_AUTO_TEST_CASE(a_page_that_a_pipe_refers_to_keeps_only_itself) {
  NEED_DEVICE();
  constexpr size_t kStep = 2 << 20, kLength = 64 * kStep;
  const Context context;
  int ends[2];
  BOOST_REQUIRE_EQUAL(pipe2(ends, O_CLOEXEC), 0);
  const Fd reader(ends[0]), writer(ends[1]);
  BOOST_REQUIRE(fcntl(writer.get(), F_SETPIPE_SZ, 64 * kPage) >= 0);
  const aiaccel_alloc alloc = context.alloc(kLength);
  Map map = context.map(kLength, alloc.mmap_offset);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  for (size_t at = 0; at < kLength; at += kStep) {
    const iovec page{map.data() + at, kPage};
    BOOST_REQUIRE_EQUAL(vmsplice(writer.get(), &page, 1, SPLICE_F_NONBLOCK),
                        static_cast<ssize_t>(kPage));
  }
  const int64_t before = free_bytes();
  map.unmap();
  destroy(context, alloc.id);
  int64_t got = 0;
  const bool enough = eventually([&] {  // the kernel keeps some freed pages on lists of its own
    got = free_bytes() - before;
    return got >= static_cast<int64_t>(kLength / 2);
  });
  BOOST_TEST(enough, "of " << kLength << " bytes only " << got << " came back");
}

BOOST_AUTO_TEST_CASE(offsets_tell_nothing_of_others_and_are_not_used_again) {
  NEED_DEVICE();
  const Context one, other;
  const aiaccel_alloc first = one.alloc(5 * kPage);
  BOOST_TEST(other.alloc(kPage).mmap_offset == first.mmap_offset);
  destroy(one, first.id);
  BOOST_TEST(one.alloc(kPage).mmap_offset == first.mmap_offset + 5 * kPage);
  BOOST_TEST(one.map(kPage, first.mmap_offset).error() == EINVAL);
}

BOOST_AUTO_TEST_CASE(read_only_mappings_stay_so_when_the_device_was_opened_so) {
  NEED_DEVICE();
  const Fd fd(open(kDevice, O_RDONLY | O_CLOEXEC));
  BOOST_REQUIRE(fd.get() >= 0);
  aiaccel_alloc alloc{};
  alloc.size = sizeof(alloc);
  alloc.length = kPage;
  BOOST_REQUIRE_EQUAL(ioctl(fd.get(), AIACCEL_IOC_ALLOC, &alloc), 0);
  const Map map(kPage, PROT_READ, MAP_SHARED, fd.get(), alloc.mmap_offset);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  BOOST_TEST(mprotect(map.data(), kPage, PROT_READ | PROT_WRITE) == -1);
  BOOST_TEST(errno == EACCES);
}

BOOST_AUTO_TEST_CASE(more_than_the_host_has_is_refused) {
  NEED_DEVICE();
  const Context context;
  const uint64_t before = used(context);
  aiaccel_alloc alloc{};
  alloc.length = context.query().max_pinned_bytes + kPage;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EDQUOT);
  BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_TENANT);
  alloc.length = ~0ULL;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EOVERFLOW);
  BOOST_TEST(used(context) == before);
}

// The ceiling allows it, but half of it is another's, whose pages cannot be swapped out here.
BOOST_AUTO_TEST_CASE(nobody_is_killed_to_make_room) {
  NEED_DEVICE();
  const Context context;
  const uint64_t most = context.query().max_pinned_bytes & ~(kPage - 1);
  const int64_t killed = killed_for_memory();
  const int64_t wanted = available_bytes() - static_cast<int64_t>(most / 2);
  BOOST_REQUIRE(wanted > 0);
  int ready[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  const Fd out(ready[0]), in(ready[1]);
  const pid_t other = fork();
  if (other == 0) {
    const Map map = anonymous(wanted);
    if (madvise(map.data(), map.size(), MADV_POPULATE_WRITE) || write(in.get(), "x", 1) != 1)
      _exit(1);
    for (;;) pause();
  }
  BOOST_REQUIRE(other > 0);
  char byte;
  BOOST_REQUIRE_EQUAL(read(out.get(), &byte, 1), 1);
  for (uint64_t length = most; length > most / 4; length -= most / 8 & ~(kPage - 1)) {
    aiaccel_alloc alloc{};
    alloc.length = length;
    const int error = context(AIACCEL_IOC_ALLOC, alloc);
    if (length >= most / 8 * 5) {
      BOOST_TEST(error == ENOMEM);
      BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_MEMORY);
    }
    if (!error) destroy(context, alloc.id);
  }
  BOOST_TEST(killed_for_memory() == killed);
  BOOST_TEST(waitpid(other, nullptr, WNOHANG) == 0);  // it is there
  kill(other, SIGKILL);
  BOOST_REQUIRE_EQUAL(waitpid(other, nullptr, 0), other);
}

BOOST_AUTO_TEST_CASE(a_context_holds_so_many_buffers) {
  NEED_DEVICE();
  const Context context;
  const uint32_t max = context.query().max_buffers;
  const uint64_t before = used(context);
  for (uint32_t i = 0; i < max; i++) context.alloc(1);
  aiaccel_alloc alloc{};
  alloc.length = 1;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EDQUOT);
  BOOST_TEST(alloc.refused_by == AIACCEL_REFUSED_CONTEXT);
  BOOST_TEST(used(context) == before + uint64_t{max} * kPage);
}

BOOST_AUTO_TEST_CASE(nodes) {
  NEED_DEVICE();
  const Context context;
  aiaccel_alloc alloc{};
  alloc.length = 8 << 20;
  alloc.placement = AIACCEL_PLACE_STRICT;
  for (const int node : {2, 1023, 1024, 0x7fffffff}) {
    alloc.node = node;
    BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == EINVAL, "node " << node);
  }
  for (int node = 0; has_node(node); node++)
    for (const uint32_t placement : {AIACCEL_PLACE_STRICT, AIACCEL_PLACE_PREFER}) {
      alloc.node = node;
      alloc.placement = placement;
      BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
      BOOST_TEST(info_of(context, alloc.id).numa_node == node);
    }
  alloc.node = 0;
  alloc.placement = AIACCEL_PLACE_NEAR;
  alloc.engine = 1000;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, alloc) == ENOENT);
  alloc.engine = context.engine().id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
  BOOST_TEST(info_of(context, alloc.id).numa_node == context.engine().numa_node);
}

BOOST_AUTO_TEST_CASE(interleaved_over_two_nodes) {
  NEED_DEVICE();
  if (!has_node(1)) SKIP("one NUMA node; tests/vm/run --numa has two");
  const Context context;
  aiaccel_alloc alloc{};
  alloc.length = 16 << 20;
  alloc.placement = AIACCEL_PLACE_INTERLEAVE;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
  BOOST_TEST(info_of(context, alloc.id).numa_node == -1);
  alloc.length = 2 * kPage;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
  BOOST_TEST(info_of(context, alloc.id).numa_node == -1);
}

BOOST_AUTO_TEST_CASE(info_tells_what_it_is_made_of) {
  NEED_DEVICE();
  const Context context;
  std::vector<uint64_t> nodes(64, ~0ULL);
  for (const uint32_t placement : {AIACCEL_PLACE_LOCAL, AIACCEL_PLACE_INTERLEAVE}) {
    aiaccel_alloc alloc{};
    alloc.length = (8 << 20) + 1;
    alloc.placement = placement;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
    aiaccel_buffer_info info{};
    info.id = alloc.id;
    info.node_bytes = address(nodes.data());
    info.nr_nodes = nodes.size();
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
    BOOST_TEST(info.charged_bytes == (8 << 20) + kPage);
    // Single pages, so that who keeps one keeps no more; side by side all the same.
    BOOST_TEST(info.folio_bytes[0] == info.charged_bytes);
    for (int order = 1; order < AIACCEL_FOLIO_ORDERS; order++)
      BOOST_TEST(info.folio_bytes[order] == 0u);
    BOOST_TEST(info.nr_runs < 64u);
    BOOST_TEST(info.tenant == context.query().tenant);
    BOOST_TEST(info.uid == AIACCEL_UID_NONE);
    BOOST_TEST(info.state == 0u);
    BOOST_TEST(info.handles == 1u);
    BOOST_TEST(info.exports == 0u);
    BOOST_TEST(info.importers == 0u);
    BOOST_TEST(info.mappings == 0u);
    BOOST_REQUIRE(info.nr_nodes <= nodes.size());
    uint64_t sum = 0;
    for (uint32_t node = 0; node < info.nr_nodes; node++) {
      sum += nodes[node];
      if (placement == AIACCEL_PLACE_INTERLEAVE && has_node(static_cast<int>(node)))
        BOOST_TEST(nodes[node] > 0u);
    }
    BOOST_TEST(sum == info.charged_bytes);
    BOOST_TEST(nodes[info.nr_nodes] == ~0ULL);  // no more is written
    if (info.numa_node >= 0)
      BOOST_TEST(nodes[static_cast<size_t>(info.numa_node)] == info.charged_bytes);

    Map whole = context.map(alloc.length, alloc.mmap_offset);
    const Map part = context.map(kPage, alloc.mmap_offset + kPage, PROT_READ);
    BOOST_TEST(info_of(context, alloc.id).mappings == 2u);
    whole.unmap();
    BOOST_TEST(info_of(context, alloc.id).mappings == 1u);
  }
}

BOOST_AUTO_TEST_CASE(info_of_programs_from_before_it_grew) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc alloc = context.alloc(kPage);
  aiaccel_buffer_info info{};
  memset(&info, 0x5a, sizeof(info));
  info.size = offsetof(aiaccel_buffer_info, tenant);
  info.id = alloc.id;
  BOOST_TEST(context.call(AIACCEL_IOC_BUFFER_INFO, &info) == 0);
  BOOST_TEST(info.largest_run_bytes == kPage);
  BOOST_TEST(info.tenant == 0x5a5a5a5a5a5a5a5aULL);  // nothing beyond its size
  info.size -= 8;
  BOOST_TEST(context.call(AIACCEL_IOC_BUFFER_INFO, &info) == EINVAL);
}

// It takes a while, page by page. Who is killed meanwhile is never told, and does not stay for it.
BOOST_AUTO_TEST_CASE(a_fatal_signal_ends_the_look_at_the_pages) {
  NEED_DEVICE();
  constexpr int kRounds = 10;
  struct Asked {
    volatile uint32_t times;
    aiaccel_buffer_info info;
  };
  const Map shared(kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* const asked = reinterpret_cast<Asked*>(shared.data());
  const Context context;
  const Fd dma_buf = export_of(context, context.alloc(256 << 20).id);
  int ended = 0;
  for (int round = 0; round < kRounds; round++) {
    asked->times = 0;
    const pid_t child = fork();
    BOOST_REQUIRE(child >= 0);
    if (!child) {
      const Context own;
      const uint32_t id = import_of(own, dma_buf).id;
      for (;;) {
        asked->info = {};
        asked->info.id = id;
        asked->times = asked->times + 1;
        if (own(AIACCEL_IOC_BUFFER_INFO, asked->info)) _exit(1);
      }
    }
    BOOST_TEST(eventually([&] { return asked->times >= 2; }));
    usleep(static_cast<useconds_t>(1000 * round));
    kill(child, SIGKILL);
    int status = 0;
    BOOST_REQUIRE_EQUAL(waitpid(child, &status, 0), child);
    BOOST_TEST(WIFSIGNALED(status));
    ended += asked->info.charged_bytes == 0;
  }
  // Between two calls, or at their beginning and end, it is hardly ever; on a busy machine more often.
  BOOST_TEST(ended >= kRounds / 2);
}

// What an engine keeps of its turns takes memory from its first queue on.
BOOST_AUTO_TEST_CASE(engines_that_nobody_uses_take_little) {
  NEED_DEVICE();
  const Context context;
  const int64_t before = free_bytes();
  std::vector<std::unique_ptr<Engine>> engines;
  for (int i = 0; i < 200; i++) engines.push_back(std::make_unique<Engine>(context));
  const int64_t each = (before - free_bytes()) / 200;
  BOOST_TEST(each < 64 * 1024);  // their records would be 184 KiB at least
  aiaccel_queue_create create{};
  create.engine = engines.back()->id();
  create.class_ = AIACCEL_CLASS_NORMAL;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
  BOOST_TEST(complete(context, 1, context.take_turn(create.id, 1)) == 0);
  int recorded = 0;
  for (const auto& turn : list<aiaccel_stats_turn>(context, AIACCEL_STATS_TURNS))
    recorded += turn.engine == create.engine;
  BOOST_TEST(recorded == 1);
}

BOOST_AUTO_TEST_SUITE_END()
