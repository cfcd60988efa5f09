// SPDX-License-Identifier: MIT
//
// Buffers as dma-bufs: the same memory for whoever has one, in the directions that were allowed,
// for as long as anybody has one, paid for by its maker, and nothing left behind.
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "account.hpp"
#include "broker/fds.h"
#include "dma_buf.hpp"
#include "handed.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(export_dma_buf)

namespace {

constexpr size_t kLength = 5 * kPage;

uint64_t used(const Context& context) {
  return context.query().pinned_bytes;
}

ino_t inode_of(const Fd& fd) {
  struct stat status {};
  BOOST_REQUIRE_EQUAL(fstat(fd.get(), &status), 0);
  return status.st_ino;
}

int sync_errno(const Fd& dma_buf, uint64_t flags) {
  dma_buf_sync sync{flags};
  return ioctl(dma_buf.get(), DMA_BUF_IOCTL_SYNC, &sync) ? errno : 0;
}

// An allocated buffer, mapped, with a different byte in each page.
struct Made {
  explicit Made(const Context& context, size_t length = kLength)
      : alloc(context.alloc(length)), map(context.map(length, alloc.mmap_offset)) {
    BOOST_REQUIRE_EQUAL(map.error(), 0);
    for (size_t page = 0; page < length / kPage; page++) map.data()[page * kPage] = byte_of(page);
  }
  static char byte_of(size_t page) { return static_cast<char>(page * 7 + 1); }

  aiaccel_alloc alloc;
  Map map;
};

}  // namespace

BOOST_AUTO_TEST_CASE(is_the_same_memory_in_other_contexts) {
  NEED_DEVICE();
  const Context context, other;
  const uint64_t before = used(context);
  const Made made(context);
  const Fd dma_buf = export_of(context, made.alloc.id);
  BOOST_TEST(lseek(dma_buf.get(), 0, SEEK_END) == static_cast<off_t>(kLength));
  const Map mapped = map_shared(dma_buf, kLength);
  BOOST_REQUIRE_EQUAL(mapped.error(), 0);
  const aiaccel_import import = import_of(other, dma_buf);
  BOOST_TEST(import.length == kLength);
  const aiaccel_buffer_info info = info_of(other, import.id);
  const Map there = other.map(kLength, info.mmap_offset);
  BOOST_REQUIRE_EQUAL(there.error(), 0);
  BOOST_TEST(!memcmp(made.map.data(), mapped.data(), kLength));
  BOOST_TEST(!memcmp(made.map.data(), there.data(), kLength));
  strcpy(there.data() + kLength - 6, "there");
  BOOST_TEST(!strcmp(made.map.data() + kLength - 6, "there"));
  strcpy(mapped.data() + 2 * kPage, "mapped");
  BOOST_TEST(!strcmp(there.data() + 2 * kPage, "mapped"));

  BOOST_TEST(info.kind == AIACCEL_BUFFER_ALLOCATED);
  BOOST_TEST(info.state == AIACCEL_BUFFER_FOREIGN);
  const aiaccel_buffer_info first = info_of(context, made.alloc.id);
  BOOST_TEST(first.state == 0u);
  BOOST_TEST(first.handles == 2u);
  BOOST_TEST(first.exports == 1u);
  BOOST_TEST(first.importers == 0u);
  BOOST_TEST(first.mappings == 3u);
  BOOST_TEST(first.mmap_offset == made.alloc.mmap_offset);
  BOOST_TEST(used(context) == before + kLength);  // once
}

BOOST_AUTO_TEST_CASE(a_descriptor_is_closed_on_exec_and_as_writable_as_the_buffer) {
  NEED_DEVICE();
  const Context context;
  const Map memory = anonymous(kPage);
  const Fd allocated = export_of(context, context.alloc(kPage).id);
  const Fd pinned = export_of(context, pin(context, memory, AIACCEL_PIN_WRITE));
  const Fd read_only = export_of(context, pin(context, memory));
  for (const Fd* fd : {&allocated, &pinned, &read_only})
    BOOST_TEST(fcntl(fd->get(), F_GETFD) == FD_CLOEXEC);
  BOOST_TEST((fcntl(allocated.get(), F_GETFL) & O_ACCMODE) == O_RDWR);
  BOOST_TEST((fcntl(pinned.get(), F_GETFL) & O_ACCMODE) == O_RDWR);
  BOOST_TEST((fcntl(read_only.get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
}

BOOST_AUTO_TEST_CASE(each_is_one_of_its_own) {
  NEED_DEVICE();
  const Context context;
  const uint32_t id = context.alloc(kPage).id;
  Fd first = export_of(context, id);
  const Fd second = export_of(context, id);
  BOOST_TEST(inode_of(first) != inode_of(second));
  BOOST_TEST(info_of(context, id).exports == 2u);
  first.close();
  BOOST_TEST(info_of(context, id).exports == 1u);
  // An export of an import is one of the same buffer.
  const Context other;
  const uint32_t import = import_of(other, second).id;
  const Fd third = export_of(other, import);
  BOOST_TEST(info_of(context, id).exports == 2u);
  BOOST_TEST(info_of(context, import_of(context, third).id).handles == 3u);
}

BOOST_AUTO_TEST_CASE(outlives_its_context_and_process) {
  NEED_DEVICE();
  const Context watcher;
  const uint64_t before = used(watcher);
  int pair[2];
  BOOST_REQUIRE_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  BOOST_TEST(in_child([&] {
               const Context context;
               const Made made(context);
               const Fd dma_buf = export_of(context, made.alloc.id);
               return aiaccel::send_with_fds(pair[0], "", 1, {dma_buf.get()}, 0) == 1 ? 0 : 1;
             }) == 0);
  char byte;
  std::vector<aiaccel::Fd> fds;
  BOOST_REQUIRE_EQUAL(aiaccel::receive_with_fds(pair[1], &byte, 1, &fds), 1);
  BOOST_REQUIRE_EQUAL(fds.size(), 1u);
  Fd dma_buf(dup(fds[0].get()));
  fds.clear();
  Context context;
  const aiaccel_import import = import_of(context, dma_buf);
  Map map = map_shared(dma_buf, kLength);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  dma_buf.close();
  for (size_t page = 0; page < kLength / kPage; page++)
    BOOST_TEST(map.data()[page * kPage] == Made::byte_of(page));
  BOOST_TEST(info_of(context, import.id).exports == 0u);
  // The maker's tenant, which is this one's, pays until the last of the two goes.
  BOOST_TEST(used(watcher) == before + kLength);
  context.close();
  usleep(100'000);
  BOOST_TEST(used(watcher) == before + kLength);
  map.unmap();
  BOOST_TEST(eventually([&] { return used(watcher) == before; }));
  close(pair[0]);
  close(pair[1]);
}

BOOST_AUTO_TEST_CASE(alone_keeps_the_memory) {
  NEED_DEVICE();
  const Context watcher;
  const uint64_t before = used(watcher);
  Context context;
  const Made made(context);
  Fd dma_buf = export_of(context, made.alloc.id);
  BOOST_TEST(destroy_errno(context, made.alloc.id) == 0);
  context.close();
  usleep(100'000);
  const Map map = map_shared(dma_buf, kLength);
  BOOST_TEST(!memcmp(map.data(), made.map.data(), kLength));
  BOOST_TEST(used(watcher) == before + kLength);
}

BOOST_AUTO_TEST_CASE(without_a_free_descriptor_nothing_is_left) {
  NEED_DEVICE();
  const Context context;
  const uint32_t id = context.alloc(kPage).id;
  const Use before(context);
  rlimit limit{};
  BOOST_REQUIRE_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const Fd next(dup(0));
  const rlimit none{static_cast<rlim_t>(next.get()), limit.rlim_max};
  std::vector<Fd> holes;  // of lower numbers
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int fd; (fd = dup(0)) >= 0;) holes.emplace_back(fd);
  Fd made;
  for (int i = 0; i < 100; i++) BOOST_TEST(export_errno(context, id, &made) == EMFILE);
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
  holes.clear();
  BOOST_TEST(info_of(context, id).exports == 0u);
  BOOST_TEST(export_errno(context, id, &made) == 0);
  BOOST_TEST(info_of(context, id).exports == 1u);
  BOOST_TEST(destroy_errno(context, id) == 0);
  made.close();
  BOOST_TEST(eventually([&] { return Use(context).bytes == before.bytes - kPage; }));
}

// Nobody may have a descriptor that the caller was not told of.
BOOST_AUTO_TEST_CASE(with_an_unwritable_answer_nothing_is_left) {
  NEED_DEVICE();
  const Context context;
  const uint32_t id = context.alloc(kPage).id;
  const Map page = anonymous(kPage);
  auto* arg = reinterpret_cast<aiaccel_export*>(page.data());
  arg->size = sizeof(*arg);
  arg->id = id;
  BOOST_REQUIRE_EQUAL(mprotect(page.data(), kPage, PROT_READ), 0);
  const size_t files = Use(context).files;
  std::atomic<bool> stop = false;
  int found = 0;
  const int free_number = Fd(dup(0)).get();
  // The number that it would have is looked at meanwhile.
  std::thread looker([&] {
    while (!stop)
      if (fcntl(free_number, F_GETFD) >= 0) found++;
  });
  for (int i = 0; i < 200; i++) BOOST_TEST(context.call(AIACCEL_IOC_EXPORT, arg) == EFAULT);
  stop = true;
  looker.join();
  BOOST_TEST(found == 0);
  BOOST_TEST(Use(context).files == files);
  BOOST_TEST(info_of(context, id).exports == 0u);
}

BOOST_AUTO_TEST_CASE(mapping_has_bounds) {
  NEED_DEVICE();
  const Context context;
  const Made made(context, 4 * kPage);
  const Fd dma_buf = export_of(context, made.alloc.id);
  const Map part = map_shared(dma_buf, 2 * kPage, 2 * kPage);
  BOOST_REQUIRE_EQUAL(part.error(), 0);
  BOOST_TEST(part.data()[0] == Made::byte_of(2));
  BOOST_TEST(part.data()[kPage] == Made::byte_of(3));
  BOOST_TEST(map_shared(dma_buf, 5 * kPage).error() == EINVAL);
  BOOST_TEST(map_shared(dma_buf, 3 * kPage, 2 * kPage).error() == EINVAL);
  BOOST_TEST(map_shared(dma_buf, kPage, 4 * kPage).error() == EINVAL);
  BOOST_TEST(map_shared(dma_buf, kPage, 1ULL << 40).error() == EINVAL);
  BOOST_TEST(map_shared(dma_buf, kPage, ~0ULL << 12).error() != 0);
  BOOST_TEST(mremap(part.data(), 2 * kPage, 3 * kPage, MREMAP_MAYMOVE) == MAP_FAILED);
  const int copy = PROT_READ | PROT_WRITE;
  BOOST_TEST(Map(kPage, PROT_READ, MAP_PRIVATE, dma_buf.get(), 0).error() == EINVAL);
  BOOST_TEST(Map(kPage, copy, MAP_PRIVATE, dma_buf.get(), 0).error() == EINVAL);
  Driver driver;
  const Importer importer;
  BOOST_TEST(Map(kPage, copy, MAP_SHARED, importer.fd(), 0).error() == ENXIO);
  BOOST_REQUIRE_EQUAL(importer.attach(dma_buf), 0);
  BOOST_TEST(Map(5 * kPage, copy, MAP_SHARED, importer.fd(), 0).error() == EINVAL);
  BOOST_TEST(Map(kPage, PROT_READ, MAP_PRIVATE, importer.fd(), 0).error() == EINVAL);
}

// ---- who imports ----

BOOST_AUTO_TEST_CASE(devices_get_segments_that_they_take) {
  NEED_DEVICE();
  Driver driver;
  const Context context;
  constexpr size_t kPages = 1500;
  const Made made(context, kPages * kPage);
  const Fd dma_buf = export_of(context, made.alloc.id);
  const Importer importer;
  BOOST_REQUIRE_EQUAL(importer.attach(dma_buf), 0);
  BOOST_TEST(info_of(context, made.alloc.id).importers == 1u);
  importer_map got;
  for (const uint32_t most : {1U << 30, 1U << 16, 3U * 4096, 4096U + 5}) {
    BOOST_REQUIRE_EQUAL(importer.map(IMPORTER_BIDIRECTIONAL, &got, most), 0);
    BOOST_TEST(got.bytes == kPages * kPage);
    BOOST_TEST(got.longest <= most);
    for (const size_t page : {0, 1, 2, 3, 511, 512, 513, 1499})
      BOOST_TEST(importer.get(page * kPage) == Made::byte_of(page));
    importer.put(kPages * kPage - 1, static_cast<char>(most >> 12));
    BOOST_TEST(made.map.data()[kPages * kPage - 1] == static_cast<char>(most >> 12));
    BOOST_REQUIRE_EQUAL(importer.call(IMPORTER_UNMAP), 0);
  }
  BOOST_TEST(got.segments == kPages);
  BOOST_TEST(importer.map(IMPORTER_BIDIRECTIONAL, &got, 4095) == EINVAL);
  BOOST_TEST(info_of(context, made.alloc.id).importers == 1u);
  BOOST_REQUIRE_EQUAL(importer.call(IMPORTER_DETACH), 0);
  BOOST_TEST(info_of(context, made.alloc.id).importers == 0u);
}

BOOST_AUTO_TEST_CASE(drivers_map_it_for_themselves) {
  NEED_DEVICE();
  Driver driver;
  const Context context;
  const Made made(context, 600 * kPage);
  const Fd dma_buf = export_of(context, made.alloc.id);
  const Importer importer;
  BOOST_REQUIRE_EQUAL(importer.attach(dma_buf), 0);
  BOOST_REQUIRE_EQUAL(importer.call(IMPORTER_VMAP), 0);
  for (size_t page = 0; page < 600; page++)
    BOOST_TEST(importer.get(page * kPage, true) == Made::byte_of(page));
  importer.put(599 * kPage + 7, 'v', true);
  BOOST_TEST(made.map.data()[599 * kPage + 7] == 'v');
  const Map through(2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, importer.fd(), 3 * kPage);
  BOOST_REQUIRE_EQUAL(through.error(), 0);
  BOOST_TEST(through.data()[kPage] == Made::byte_of(4));
  through.data()[1] = 't';
  BOOST_TEST(made.map.data()[3 * kPage + 1] == 't');
  BOOST_REQUIRE_EQUAL(importer.call(IMPORTER_VUNMAP), 0);
}

BOOST_AUTO_TEST_CASE(caches_are_synchronised_for_those_who_have_it) {
  NEED_DEVICE();
  Driver driver;
  const Context context;
  const Made made(context);
  const Fd first = export_of(context, made.alloc.id), second = export_of(context, made.alloc.id);
  const Importer writer, reader;
  for (const Fd* fd : {&first, &second}) {
    BOOST_TEST(sync_errno(*fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW) == 0);
    BOOST_TEST(sync_errno(*fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW) == 0);
  }
  BOOST_REQUIRE_EQUAL(writer.attach(first), 0);
  BOOST_REQUIRE_EQUAL(reader.attach(second), 0);
  BOOST_REQUIRE_EQUAL(writer.map(IMPORTER_FROM_DEVICE), 0);
  BOOST_REQUIRE_EQUAL(reader.map(IMPORTER_TO_DEVICE), 0);
  BOOST_TEST(sync_errno(first, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ) == 0);
  BOOST_TEST(sync_errno(first, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ) == 0);
  BOOST_TEST(sync_errno(second, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE) == 0);
  BOOST_TEST(sync_errno(second, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE) == 0);
  BOOST_TEST(sync_errno(first, ~0ULL) == EINVAL);
}

BOOST_AUTO_TEST_CASE(a_read_only_pin_is_read_only_to_devices) {
  NEED_DEVICE();
  Driver driver;
  const Context context;
  const int64_t pinned = pinned_pages();
  Map memory = anonymous(3 * kPage);
  strcpy(memory.data() + kPage, "read only");
  aiaccel_pin arg = pin_of(memory);
  arg.addr += 100;
  arg.length = kPage + 200;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, arg), 0);
  const Fd dma_buf = export_of(context, arg.id);
  BOOST_TEST(lseek(dma_buf.get(), 0, SEEK_END) == static_cast<off_t>(2 * kPage));
  const Importer importer;
  BOOST_REQUIRE_EQUAL(importer.attach(dma_buf), 0);
  BOOST_TEST(importer.map(IMPORTER_FROM_DEVICE) == EACCES);
  BOOST_TEST(importer.map(IMPORTER_BIDIRECTIONAL) == EACCES);
  importer_map got;
  BOOST_REQUIRE_EQUAL(importer.map(IMPORTER_TO_DEVICE, &got), 0);
  BOOST_TEST(got.bytes == 2 * kPage);
  BOOST_TEST(importer.get(kPage) == 'r');
  // CPUs reach it where it was pinned.
  BOOST_TEST(map_shared(dma_buf, kPage, 0, PROT_READ).error() == EOPNOTSUPP);
  BOOST_TEST(importer.call(IMPORTER_VMAP) == EINVAL);
  BOOST_TEST(destroy_errno(context, arg.id) == 0);
  memory.unmap();
  BOOST_TEST(importer.get(kPage) == 'r');  // it keeps the pages
  BOOST_TEST(pinned_pages() == pinned + 2);
}

BOOST_AUTO_TEST_CASE(devices_write_to_memory_pinned_for_that) {
  NEED_DEVICE();
  Driver driver;
  const int64_t pinned = pinned_pages();
  {
    const Context context;
    const Map memory = anonymous(40 * kPage);
    const uint32_t id = pin(context, memory, AIACCEL_PIN_WRITE);
    const Fd dma_buf = export_of(context, id);
    BOOST_TEST(destroy_errno(context, id) == 0);
    BOOST_TEST(pinned_pages() == pinned + 40);
    const Importer importer;
    BOOST_REQUIRE_EQUAL(importer.attach(dma_buf), 0);
    BOOST_REQUIRE_EQUAL(importer.map(IMPORTER_FROM_DEVICE), 0);
    importer.put(39 * kPage + 9, 'w');
    BOOST_TEST(memory.data()[39 * kPage + 9] == 'w');
  }
  BOOST_TEST(eventually([&] { return pinned_pages() == pinned; }));
}

BOOST_AUTO_TEST_CASE(vgem_takes_it_and_gives_it_back) {
  NEED_DEVICE();
  const Vgem vgem;
  if (vgem.fd() < 0) SKIP("this kernel has no vgem");
  const Context context, other;
  const Made made(context);
  Fd dma_buf = export_of(context, made.alloc.id);
  uint32_t handle;
  BOOST_REQUIRE_EQUAL(vgem.import_errno(dma_buf, &handle), 0);
  dma_buf.close();
  BOOST_TEST(info_of(context, made.alloc.id).importers == 1u);
  Fd back = vgem.export_of(handle);
  const Map map = map_shared(back, kLength);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  BOOST_TEST(!memcmp(map.data(), made.map.data(), kLength));
  const aiaccel_import import = import_of(other, back);
  BOOST_TEST(import.length == kLength);
  BOOST_TEST(info_of(other, import.id).kind == AIACCEL_BUFFER_ALLOCATED);
  BOOST_TEST(info_of(context, made.alloc.id).handles == 2u);
  back.close();
  BOOST_TEST(info_of(context, made.alloc.id).exports == 1u);
  vgem.close(handle);
  BOOST_TEST(eventually([&] { return info_of(context, made.alloc.id).importers == 0; }));
  BOOST_TEST(eventually([&] { return info_of(context, made.alloc.id).exports == 0; }));
}

// It maps all that it takes to be written as well.
BOOST_AUTO_TEST_CASE(vgem_is_refused_a_read_only_pin) {
  NEED_DEVICE();
  const Vgem vgem;
  if (vgem.fd() < 0) SKIP("this kernel has no vgem");
  const Context context;
  const Map memory = anonymous(kLength);
  const uint32_t read_only = pin(context, memory),
                 written = pin(context, memory, AIACCEL_PIN_WRITE);
  uint32_t handle;
  const int err = vgem.import_errno(export_of(context, read_only), &handle);
  if (!err) {
    vgem.close(handle);
    SKIP("vgem of this kernel takes a dma-buf without mapping it");
  }
  BOOST_TEST(err == EACCES);
  BOOST_TEST(info_of(context, read_only).importers == 0u);
  BOOST_TEST(info_of(context, read_only).exports == 0u);
  BOOST_REQUIRE_EQUAL(vgem.import_errno(export_of(context, written), &handle), 0);
  BOOST_TEST(info_of(context, written).importers == 1u);
  vgem.close(handle);
}

// ---- those of other drivers ----

namespace {

void passes_on(int (*make)(size_t)) {
  const Fd theirs(make(kLength));
  BOOST_REQUIRE(theirs.get() >= 0);
  const Context context, other;
  const uint32_t id = import_of(context, theirs).id;
  Fd again = export_of(context, id);
  BOOST_TEST(inode_of(again) == inode_of(theirs));
  const Map here = map_shared(theirs, kLength), there = map_shared(again, kLength);
  BOOST_REQUIRE_EQUAL(here.error(), 0);
  BOOST_REQUIRE_EQUAL(there.error(), 0);
  strcpy(here.data() + 3 * kPage, "theirs");
  BOOST_TEST(!strcmp(there.data() + 3 * kPage, "theirs"));
  BOOST_TEST(import_of(other, again).length == kLength);
  BOOST_TEST(revoke_errno(context, id) == EPERM);
}

}  // namespace

BOOST_AUTO_TEST_CASE(of_vgem_is_vgems) {
  NEED_DEVICE();
  if (const Fd card(open_vgem()); card.get() < 0) SKIP("this kernel has no vgem");
  passes_on(vgem_buffer);
}

BOOST_AUTO_TEST_CASE(of_udmabuf_is_udmabufs) {
  NEED_DEVICE();
  if (access("/dev/udmabuf", F_OK)) SKIP("this kernel has no udmabuf");
  passes_on(udmabuf);
}

BOOST_AUTO_TEST_CASE(of_a_heap_is_the_heaps) {
  NEED_DEVICE();
  if (access("/dev/dma_heap/system", F_OK)) SKIP("this kernel has no heap for dma-bufs");
  passes_on(heap_buffer);
}

// ---- the end ----

BOOST_AUTO_TEST_CASE(holds_the_module) {
  NEED_DEVICE();
  Fd dma_buf;
  {
    const Context context;
    dma_buf = export_of(context, context.alloc(kPage).id);
  }
  usleep(100'000);
  BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
  const Map map = map_shared(dma_buf, kPage);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  BOOST_TEST(map.data()[0] == 0);
  dma_buf.close();
  BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
}

BOOST_AUTO_TEST_CASE(a_driver_that_has_it_holds_the_module) {
  NEED_DEVICE();
  {
    Driver driver;
    const Importer importer;
    {
      const Context context;
      BOOST_REQUIRE_EQUAL(importer.attach(export_of(context, context.alloc(kPage).id)), 0);
      BOOST_REQUIRE_EQUAL(importer.map(IMPORTER_BIDIRECTIONAL), 0);
    }
    usleep(100'000);
    BOOST_TEST(unload_module("aiaccel") == EWOULDBLOCK);
    importer.put(5, 'x');
    BOOST_TEST(importer.get(5) == 'x');
  }
  const Reloaded module("");
  BOOST_TEST(module.error() == 0);
}

BOOST_AUTO_TEST_CASE(what_a_killed_process_had_goes) {
  NEED_DEVICE();
  const Context watcher;
  Driver driver;
  const Use before(watcher);
  const int64_t pinned = pinned_pages();
  int ready[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  const pid_t child = fork();
  if (!child) {
    const Context context;
    const Map memory = anonymous(kLength);
    const Made made(context);
    const Importer first, second;
    const Fd exported = export_of(context, made.alloc.id),
             again = export_of(context, made.alloc.id);
    const Map map = map_shared(exported, kLength);
    if (first.attach(exported) || first.map(IMPORTER_BIDIRECTIONAL) || first.call(IMPORTER_VMAP) ||
        second.attach(export_of(context, pin(context, memory, AIACCEL_PIN_WRITE)), true) ||
        import_of(context, again).length != kLength || write(ready[1], "", 1) != 1)
      _exit(1);
    pause();
    _exit(2);
  }
  close(ready[1]);
  char byte;
  BOOST_TEST(read(ready[0], &byte, 1) == 1);
  BOOST_REQUIRE_EQUAL(kill(child, SIGKILL), 0);
  BOOST_REQUIRE_EQUAL(waitpid(child, nullptr, 0), child);
  close(ready[0]);
  BOOST_TEST(eventually([&] { return Use(watcher).bytes == before.bytes; }));
  BOOST_TEST(eventually([&] { return Use(watcher).contexts == before.contexts; }));
  BOOST_TEST(eventually([&] { return pinned_pages() == pinned; }));
}

// Exports, imports and their ends of the same buffer, by several threads.
BOOST_AUTO_TEST_CASE(many_at_once) {
  NEED_DEVICE();
  Driver driver;
  const Context watcher;
  const uint64_t before = used(watcher);
  {
    const Context context;
    const Made made(context);
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int thread = 0; thread < 4; thread++)
      threads.emplace_back([&] {
        for (int i = 0; i < 100; i++) {
          Fd dma_buf;
          aiaccel_import import;
          if (export_errno(context, made.alloc.id, &dma_buf) ||
              import_errno(context, dma_buf, &import)) {
            wrong++;
            continue;
          }
          const Map map = map_shared(dma_buf, kLength);
          if (map.error() || map.data()[kPage] != Made::byte_of(1)) wrong++;
          const Fd driven(open("/dev/aiaccel-importer", O_RDWR | O_CLOEXEC));
          importer_attach attach{dma_buf.get(), 1};
          if (ioctl(driven.get(), IMPORTER_ATTACH, &attach)) wrong++;
          dma_buf.close();
          if (destroy_errno(context, import.id)) wrong++;
        }
      });
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(wrong == 0);
    const auto alone = [&] {
      const aiaccel_buffer_info info = info_of(context, made.alloc.id);
      return info.handles == 1 && !info.exports && !info.importers && info.mappings == 1;
    };
    BOOST_TEST(eventually(alone));
  }
  BOOST_TEST(eventually([&] { return used(watcher) == before; }));
}

BOOST_AUTO_TEST_SUITE_END()
