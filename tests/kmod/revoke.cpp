// SPDX-License-Identifier: MIT
//
// BUFFER_REVOKE: nobody reaches the memory any more by a mapping, in whatever process and however
// it was made, nor begins to; what a device has stays until its driver lets go, and is paid for.
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "account.hpp"
#include "dma_buf.hpp"
#include "handed.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(revoke_buffer)

namespace {

constexpr size_t kLength = 600 * kPage;  // more than one fault puts in

uint64_t used(const Context& context) {
  return context.query().pinned_bytes;
}

bool is_revoked(const Context& context, uint32_t id) {
  return info_of(context, id).state & AIACCEL_BUFFER_REVOKED;
}

// Both ends, where it was touched before and where not, read and written.
bool raises_sigbus(const Map& map) {
  for (const size_t at : {size_t{0}, kPage, map.size() / 2, map.size() - 1})
    if (touch(map.data() + at) != SIGBUS || touch(map.data() + at, true) != SIGBUS) return false;
  return true;
}

int sync_errno(const Fd& dma_buf, uint64_t flags) {
  dma_buf_sync sync{flags};
  return ioctl(dma_buf.get(), DMA_BUF_IOCTL_SYNC, &sync) ? errno : 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_mapping_is_left_in_any_process) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc alloc = context.alloc(kLength);
  const Map own = context.map(kLength, alloc.mmap_offset);
  const Fd dma_buf = export_of(context, alloc.id);
  const Map exported = map_shared(dma_buf, kLength);
  int up[2], down[2];
  BOOST_REQUIRE_EQUAL(pipe(up), 0);
  BOOST_REQUIRE_EQUAL(pipe(down), 0);
  own.data()[0] = 'a';
  const pid_t child = fork();
  if (!child) {
    // What it inherited, what it imported, and what it mapped of the dma-buf.
    const Context other;
    const aiaccel_buffer_info info = info_of(other, import_of(other, dma_buf).id);
    const Map imported = other.map(kLength, info.mmap_offset),
              mapped = map_shared(dma_buf, kLength);
    char byte;
    if (imported.data()[0] != 'a' || mapped.data()[0] != 'a' || own.data()[0] != 'a') _exit(1);
    imported.data()[kLength - 1] = 'z';
    if (write(up[1], "", 1) != 1 || read(down[0], &byte, 1) != 1) _exit(2);
    for (const Map* map : {&own, &exported, &imported, &mapped})
      if (!raises_sigbus(*map)) _exit(3);
    _exit(is_revoked(other, info.id) ? 0 : 4);
  }
  char byte;
  close(up[1]);
  BOOST_REQUIRE_EQUAL(read(up[0], &byte, 1), 1);
  const Map imported =
      context.map(kLength, info_of(context, import_of(context, dma_buf).id).mmap_offset);
  BOOST_TEST(own.data()[kLength - 1] == 'z');
  BOOST_TEST(exported.data()[0] == 'a');
  BOOST_TEST(imported.data()[0] == 'a');
  BOOST_TEST(!is_revoked(context, alloc.id));
  BOOST_TEST(revoke(context, alloc.id) == 0u);
  BOOST_TEST(is_revoked(context, alloc.id));
  BOOST_TEST(raises_sigbus(own));
  BOOST_TEST(raises_sigbus(exported));
  BOOST_TEST(raises_sigbus(imported));
  BOOST_REQUIRE_EQUAL(write(down[1], "", 1), 1);
  int status;
  BOOST_REQUIRE_EQUAL(waitpid(child, &status, 0), child);
  BOOST_TEST(status == 0);
  for (const int fd : {up[0], down[0], down[1]}) close(fd);
}

// Split, moved and inherited ones, and one that was never touched.
BOOST_AUTO_TEST_CASE(mappings_that_were_changed_are_found) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc alloc = context.alloc(kLength);
  Map split = context.map(kLength, alloc.mmap_offset),
      moved = context.map(kPage, alloc.mmap_offset);
  const Map untouched = context.map(kLength, alloc.mmap_offset);
  const Map part = context.map(2 * kPage, alloc.mmap_offset + 3 * kPage);
  memset(split.data(), 1, kLength);
  part.data()[0] = 2;
  BOOST_REQUIRE_EQUAL(munmap(split.data() + 10 * kPage, kPage), 0);
  BOOST_REQUIRE_EQUAL(mprotect(split.data() + 20 * kPage, kPage, PROT_READ), 0);
  const Map place = anonymous(kPage);
  moved.data()[0] = 3;
  BOOST_REQUIRE(mremap(moved.data(), kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, place.data()) ==
                place.data());
  revoke(context, alloc.id);
  for (const size_t page : {0, 9, 11, 19, 20, 21, 599})
    BOOST_TEST(touch(split.data() + page * kPage) == SIGBUS);
  BOOST_TEST(touch(place.data()) == SIGBUS);
  BOOST_TEST(raises_sigbus(untouched));
  BOOST_TEST(raises_sigbus(part));
  // The kernel's own accesses fail as well.
  char byte = 0;
  const iovec here{&byte, 1}, there{split.data(), 1};
  BOOST_TEST(process_vm_readv(getpid(), &here, 1, &there, 1, 0) == -1);
  BOOST_TEST(madvise(split.data(), kPage, MADV_POPULATE_READ) == -1);
  Fd null(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  BOOST_TEST((read(null.get(), split.data(), 1) == -1 && errno == EFAULT));
}

BOOST_AUTO_TEST_CASE(nobody_begins_to_use_it) {
  NEED_DEVICE();
  Driver driver;
  const Context context, other;
  const aiaccel_alloc alloc = context.alloc(kLength);
  const Fd dma_buf = export_of(context, alloc.id);
  const uint32_t import = import_of(other, dma_buf).id;
  const Importer attached, late;
  BOOST_REQUIRE_EQUAL(attached.attach(dma_buf), 0);
  BOOST_TEST(revoke(context, alloc.id) == 1u);
  const uint64_t offset = info_of(other, import).mmap_offset;
  for (int i = 0; i < 2; i++) {
    BOOST_TEST(context.map(kPage, alloc.mmap_offset).error() == ENODEV);
    BOOST_TEST(other.map(kPage, offset).error() == ENODEV);
    BOOST_TEST(map_shared(dma_buf, kPage).error() == ENODEV);
    Fd made;
    aiaccel_import imported;
    BOOST_TEST(export_errno(context, alloc.id, &made) == ENODEV);
    BOOST_TEST(export_errno(other, import, &made) == ENODEV);
    BOOST_TEST(import_errno(other, dma_buf, &imported) == ENODEV);
    BOOST_TEST(late.attach(dma_buf) == ENODEV);
    BOOST_TEST(attached.map(IMPORTER_BIDIRECTIONAL) == ENODEV);
    BOOST_TEST(attached.map(IMPORTER_TO_DEVICE) == ENODEV);
    BOOST_TEST(sync_errno(dma_buf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW) == ENODEV);
    BOOST_TEST(sync_errno(dma_buf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW) == 0);
    BOOST_TEST(info_of(context, alloc.id).importers == 1u);
    BOOST_TEST(info_of(context, alloc.id).handles == 2u);
    BOOST_TEST(info_of(context, alloc.id).exports == 1u);
    BOOST_TEST(info_of(context, alloc.id).mappings == 0u);
    BOOST_TEST(revoke(context, alloc.id) == 1u);  // once more does nothing
  }
  BOOST_TEST(destroy_errno(other, import) == 0);
  BOOST_TEST(destroy_errno(context, alloc.id) == 0);
}

BOOST_AUTO_TEST_CASE(what_devices_have_stays_and_is_paid_for) {
  NEED_DEVICE();
  Driver driver;
  const Context watcher;
  const uint64_t before = used(watcher);
  Context context;
  const aiaccel_alloc alloc = context.alloc(kLength);
  Map map = context.map(kLength, alloc.mmap_offset);
  map.data()[5] = 'd';
  Fd first = export_of(context, alloc.id), second = export_of(context, alloc.id);
  Importer listener, other, deaf, gone;
  BOOST_REQUIRE_EQUAL(listener.attach(first, true), 0);
  BOOST_REQUIRE_EQUAL(other.attach(second, true), 0);
  BOOST_REQUIRE_EQUAL(deaf.attach(first), 0);
  BOOST_REQUIRE_EQUAL(deaf.map(IMPORTER_BIDIRECTIONAL), 0);
  BOOST_REQUIRE_EQUAL(deaf.call(IMPORTER_VMAP), 0);
  BOOST_REQUIRE_EQUAL(gone.attach(first, true), 0);
  BOOST_REQUIRE_EQUAL(gone.call(IMPORTER_DETACH), 0);
  BOOST_TEST(revoke(context, alloc.id) == 3u);
  BOOST_TEST(listener.told() == 1u);
  BOOST_TEST(other.told() == 1u);
  BOOST_TEST(deaf.told() == 0u);
  BOOST_TEST(gone.told() == 0u);
  BOOST_TEST(raises_sigbus(map));
  BOOST_TEST(deaf.get(5) == 'd');
  BOOST_TEST(deaf.get(5, true) == 'd');
  deaf.put(6, 'D');
  listener.close();
  other.close();
  BOOST_TEST(eventually([&] { return info_of(context, alloc.id).importers == 1; }));
  BOOST_TEST(destroy_errno(context, alloc.id) == 0);
  context.close();
  first.close();
  second.close();
  map.unmap();
  usleep(100'000);
  BOOST_TEST(deaf.get(6) == 'D');
  BOOST_TEST(used(watcher) == before + kLength);
  gone.close();
  deaf.close();
  BOOST_TEST(eventually([&] { return used(watcher) == before; }));
}

BOOST_AUTO_TEST_CASE(only_its_maker_does) {
  NEED_DEVICE();
  const Context context, other;
  const aiaccel_alloc alloc = context.alloc(kPage);
  const Map map = context.map(kPage, alloc.mmap_offset);
  const Fd dma_buf = export_of(context, alloc.id);
  const uint32_t theirs = import_of(other, dma_buf).id, again = import_of(context, dma_buf).id;
  BOOST_TEST(revoke_errno(other, theirs) == EPERM);
  BOOST_TEST(revoke_errno(context, again) == EPERM);
  BOOST_TEST(revoke_errno(other, theirs + 100) == ENOENT);
  BOOST_TEST(revoke_errno(context, context.queue()) == ENOENT);
  BOOST_TEST(touch(map.data(), true) == 0);
  BOOST_TEST(!is_revoked(context, alloc.id));
  revoke(context, alloc.id);
  BOOST_TEST(is_revoked(other, theirs));
  BOOST_TEST(is_revoked(context, again));
  BOOST_TEST(revoke_errno(other, theirs) == EPERM);
}

BOOST_AUTO_TEST_CASE(pinned_memory_stays_the_callers) {
  NEED_DEVICE();
  Driver driver;
  const int64_t pinned = pinned_pages();
  const Map memory = anonymous(4 * kPage);
  {
    const Context context;
    const uint32_t id = pin(context, memory, AIACCEL_PIN_WRITE);
    const Fd dma_buf = export_of(context, id);
    const Importer importer;
    BOOST_REQUIRE_EQUAL(importer.attach(dma_buf, true), 0);
    memory.data()[0] = 'p';
    BOOST_TEST(revoke(context, id) == 1u);
    BOOST_TEST(importer.told() == 1u);
    BOOST_TEST(touch(memory.data(), true) == 0);
    BOOST_TEST(memory.data()[0] == 'p');
    BOOST_TEST(importer.call(IMPORTER_DETACH) == 0);
    BOOST_TEST(info_of(context, id).importers == 0u);
    BOOST_TEST(pinned_pages() == pinned + 4);
  }
  BOOST_TEST(eventually([&] { return pinned_pages() == pinned; }));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_told_is_not_done) {
  NEED_DEVICE();
  const Context context;
  const aiaccel_alloc alloc = context.alloc(kPage);
  const Map map = context.map(kPage, alloc.mmap_offset), page = anonymous(kPage);
  auto* arg = reinterpret_cast<aiaccel_buffer_revoke*>(page.data());
  arg->size = sizeof(*arg);
  arg->id = alloc.id;
  BOOST_REQUIRE_EQUAL(mprotect(page.data(), kPage, PROT_READ), 0);
  BOOST_TEST(context.call(AIACCEL_IOC_BUFFER_REVOKE, arg) == EFAULT);
  BOOST_TEST(!is_revoked(context, alloc.id));
  BOOST_TEST(touch(map.data(), true) == 0);
}

// Threads that touch it, map it anew, drop its pages, fork and read by the kernel, while it is
// taken back: once the call has returned, nobody reaches a byte.
BOOST_AUTO_TEST_CASE(in_a_storm_of_faults) {
  NEED_DEVICE();
  const Context watcher;
  const uint64_t before = used(watcher);
  {
    const Context context, other;
    const int rounds = 15;
    int touched = 0;
    for (int round = 0; round < rounds; round++) {
      const aiaccel_alloc alloc = context.alloc(kLength);
      const Fd dma_buf = export_of(context, alloc.id);
      const uint64_t offset = info_of(other, import_of(other, dma_buf).id).mmap_offset;
      const Map own = context.map(kLength, alloc.mmap_offset);
      const Map imported = other.map(kLength, offset);
      std::atomic<bool> revoked = false, stop = false;
      std::atomic<int> ready = 0, reached = 0, before_it = 0;
      const auto storm = [&](int thread) {
        ready++;
        for (unsigned i = 0; !stop; i++) {
          const bool after = revoked;
          const size_t at = i * 7919 % kLength;
          const Map anew = thread & 1 ? map_shared(dma_buf, kLength) : Map();
          const Map& map = anew.error() == 0 && (thread & 1) ? anew : thread & 2 ? own : imported;
          const int signal = touch(map.data() + at, i & 1);
          if (after && (signal != SIGBUS || ((thread & 1) && !anew.error()))) reached++;
          if (!after && !signal) before_it++;
          if (i % 16 == 0) madvise(own.data(), kLength, MADV_DONTNEED);
        }
      };
      std::vector<std::thread> threads;
      for (int thread = 0; thread < 3; thread++) threads.emplace_back(storm, thread);
      const bool begun = eventually([&] { return ready == 3 && before_it; });
      BOOST_TEST(begun);
      revoke(context, alloc.id);
      revoked = true;
      for (size_t page = 0; page < kLength / kPage; page += 7)
        if (!touch(own.data() + page * kPage) || !touch(imported.data() + page * kPage)) reached++;
      stop = true;
      for (std::thread& thread : threads) thread.join();
      BOOST_TEST(reached == 0);
      touched += before_it;
      BOOST_TEST(destroy_errno(context, alloc.id) == 0);
      if (!begun) break;  // once is told, and took a minute
    }
    BOOST_TEST(touched >= rounds);
  }
  BOOST_TEST(eventually([&] { return used(watcher) == before; }));
}

// Drivers that attach, map and let go meanwhile: each that has it mapped is told, others come too
// late.
BOOST_AUTO_TEST_CASE(while_drivers_come_and_go) {
  NEED_DEVICE();
  Driver driver;
  const Context watcher;
  const uint64_t before = used(watcher);
  {
    const Context context;
    std::atomic<int> told = 0, missed = 0;
    for (int round = 0; round < 30; round++) {
      const aiaccel_alloc alloc = context.alloc(4 * kPage);
      const Fd dma_buf = export_of(context, alloc.id);
      std::atomic<int> attached = 0, late = 0;
      std::atomic<bool> revoked = false;
      // In threads: no assertions. Some let go at once, some stay until it is taken back.
      const auto drive = [&] {
        for (int i = 0; !revoked; i++) {
          const Fd file(open("/dev/aiaccel-importer", O_RDWR | O_CLOEXEC));
          importer_attach attach{dma_buf.get(), 1};
          importer_map map{};
          map.max_segment = 1 << 16;
          if (ioctl(file.get(), IMPORTER_ATTACH, &attach)) {
            late++;
            continue;
          }
          attached++;
          if (ioctl(file.get(), IMPORTER_MAP, &map) || i % 4 != 3) continue;
          uint32_t count = 0;
          while (!revoked) usleep(100);
          if (ioctl(file.get(), IMPORTER_TOLD, &count) || !count)
            missed++;
          else
            told++;
        }
      };
      std::thread threads[] = {std::thread(drive), std::thread(drive)};
      const bool begun = eventually([&] { return attached >= 3 + round % 6; });
      BOOST_TEST(begun);
      revoke(context, alloc.id);
      revoked = true;
      for (std::thread& thread : threads) thread.join();
      BOOST_TEST(eventually([&] { return info_of(context, alloc.id).importers == 0; }));
      BOOST_TEST(destroy_errno(context, alloc.id) == 0);
      if (!begun) break;
    }
    BOOST_TEST(missed == 0);
    BOOST_TEST(told > 0);
  }
  BOOST_TEST(eventually([&] { return used(watcher) == before; }));
}

BOOST_AUTO_TEST_SUITE_END()
