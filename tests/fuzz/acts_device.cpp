// SPDX-License-Identifier: MIT
//
// The device as a file: opened, closed, mapped, polled, handed about; and what it exports.
#include <fcntl.h>
#include <libdrm/drm.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "broker/fds.h"
#include "fuzz/acts.hpp"
#include "fuzz/calls.hpp"
#include "kmod/dma_buf.hpp"

namespace fuzz {

namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;

void map_at(Actor& actor, int tally, uint64_t at, uint64_t bytes, int protection, int flags, int fd,
            uint64_t offset) {
  const void* got = mmap(reinterpret_cast<void*>(at), bytes, protection, flags | MAP_FIXED, fd,
                         static_cast<off_t>(offset));
  actor.tally().count(tally, got == MAP_FAILED ? errno : 0);
}

void map_ring_of(Actor& actor, int index) {
  const int fd = actor.world.contexts[static_cast<size_t>(index)].fd;
  map_at(actor, tally_map_ring(), window(kRingWindow + 2 * index), actor.world.shared->ring_bytes,
         PROT_READ, MAP_SHARED, fd, AIACCEL_RING_OFFSET);
  map_at(actor, tally_map_consumed(), window(kRingWindow + 2 * index + 1), kPage, kReadWrite,
         MAP_SHARED, fd, AIACCEL_CONSUMED_OFFSET);
}

void take_place(Actor& actor, int index, int fd) {
  Context& context = actor.world.contexts[static_cast<size_t>(index)];
  const int old = context.fd.exchange(fd);
  if (old >= 0) close(old);
  if (actor.random.percent(80)) {
    context.buffers.clear();
    context.queues.clear();
    context.offsets.clear();
    context.turns.clear();
    context.jobs.clear();
  }
}

}  // namespace

void open_context(Actor& actor) {
  const int index = static_cast<int>(actor.random.below(kContexts));
  const int access = actor.random.percent(90) ? O_RDWR : O_RDONLY;
  const int fd = open(kDevice, access | (actor.random.percent(50) ? O_CLOEXEC : 0));
  actor.tally().count(tally_open(), fd < 0 ? errno : 0);
  if (fd < 0) return;
  take_place(actor, index, fd);
  map_ring_of(actor, index);
  // most of what can be done wants a queue
  for (int row = 0; const Row& each : rows()) {
    if (each.number == AIACCEL_IOC_QUEUE_CREATE) call_row(actor, row, index);
    row++;
  }
}

void close_context(Actor& actor) {
  take_place(actor, static_cast<int>(actor.random.below(kContexts)), -1);
}

void duplicate(Actor& actor) {
  const int from = actor.context().fd;
  if (from < 0) return;
  const int to = static_cast<int>(actor.random.below(kContexts));
  const int over = actor.world.contexts[static_cast<size_t>(to)].fd;
  const int fd = actor.random.percent(50) && over >= 0 ? dup2(from, over) : dup(from);
  if (fd >= 0 && fd != over) take_place(actor, to, fd);
}

void map_buffer(Actor& actor) {
  Random& random = actor.random;
  Context& context = actor.context();
  const uint64_t offer = context.offsets.pick(random);
  if (!offer && random.percent(90)) return;
  const uint64_t pages = offer % kPage;
  uint64_t first = pages ? random.below(pages) : 0;
  uint64_t nr = pages > first ? 1 + random.below(pages - first) : 1;
  int protection = random.percent(80) ? kReadWrite : static_cast<int>(random.below(8));
  int flags = random.percent(20) ? MAP_SHARED | MAP_POPULATE : MAP_SHARED;
  uint64_t offset = offer / kPage * kPage;
  if (random.percent(15)) switch (random.below(4)) {
      case 0:
        nr += random.below(64);
        break;
      case 1:
        flags = random.percent(50) ? MAP_PRIVATE : MAP_SHARED_VALIDATE | MAP_SYNC;
        break;
      case 2:
        offset = random.next() & ~(kPage - 1) & ~(1ULL << 63);
        break;
      default:  // of another context
        offset = actor.context().offsets.pick(random) / kPage * kPage;
    }
  if (nr > kWindowPages) nr = kWindowPages;
  map_at(actor, tally_map_buffer(), busy_window(random), nr * kPage, protection, flags, context.fd,
         offset + first * kPage);
}

void map_export(Actor& actor) {
  Random& random = actor.random;
  const int fd = actor.pick_export();
  if (fd < 0) return;
  const auto pages = static_cast<uint64_t>(lseek(fd, 0, SEEK_END)) / kPage;
  const uint64_t first = pages < kWindowPages ? random.below(pages + 1) : 0;
  uint64_t nr = pages - first + (random.percent(10) ? random.below(3) : 0);
  if (nr > kWindowPages) nr = kWindowPages;
  map_at(actor, tally_map_export(), busy_window(random), nr * kPage,
         random.percent(80) ? kReadWrite : static_cast<int>(random.below(8)),
         random.percent(90) ? MAP_SHARED : MAP_PRIVATE, fd, first * kPage);
}

void sync_export(Actor& actor) {
  const int fd = actor.pick_export();
  if (fd < 0) return;
  dma_buf_sync sync{};
  sync.flags = actor.random.percent(90) ? actor.random.below(8) : actor.random.next();
  ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
}

// It attaches and maps for a device, and lets go of all when it is closed.
void give_to_vgem(Actor& actor) {
  const int card = raw::open_vgem();
  drm_prime_handle prime{};
  prime.fd = actor.pick_export();
  if (card >= 0 && prime.fd >= 0 && !ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime)) {
    for (uint32_t calls = actor.random.below(4); calls > 0; calls--) call_device(actor);
    prime.flags = DRM_CLOEXEC;
    if (!ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime)) actor.keep_export(prime.fd);
  }
  if (card >= 0) close(card);
}

void map_ring(Actor& actor) {
  Random& random = actor.random;
  const int index = static_cast<int>(random.below(kContexts));
  const Context& context = actor.world.contexts[static_cast<size_t>(index)];
  if (context.fd < 0) return;
  if (random.percent(70)) return map_ring_of(actor, index);
  // in a window, where the other acts take it for memory like any other
  const bool ring = random.percent(50);
  map_at(actor, ring ? tally_map_ring() : tally_map_consumed(), busy_window(random),
         (1 + random.below(16)) * kPage,
         random.percent(50) ? PROT_READ : static_cast<int>(random.below(8)),
         random.percent(80) ? MAP_SHARED : MAP_PRIVATE, context.fd,
         ring ? AIACCEL_RING_OFFSET : AIACCEL_CONSUMED_OFFSET);
}

void spoil_consumed(Actor& actor) {
  auto* word = reinterpret_cast<uint32_t*>(
      window(kRingWindow + 2 * static_cast<int>(actor.random.below(kContexts)) + 1));
  const auto value = static_cast<uint32_t>(actor.random.next());
  guarded([&] { __atomic_store_n(word, value, __ATOMIC_RELAXED); });
}

void poll_context(Actor& actor) {
  const int fd = actor.context().fd;
  if (fd < 0) return;
  if (actor.random.percent(50)) {
    pollfd one{fd, POLLIN, 0};
    poll(&one, 1, static_cast<int>(actor.random.below(3)));
    return;
  }
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return;
  epoll_event event{};
  event.events = actor.random.percent(50) ? EPOLLIN : EPOLLIN | EPOLLET;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  if (actor.random.percent(10)) close_context(actor);
  epoll_wait(epoll, &event, 1, static_cast<int>(actor.random.below(3)));
  close(epoll);
}

void send_context(Actor& actor) {
  const bool exported = actor.random.percent(50);
  const int fd = exported ? actor.pick_export() : actor.context().fd.load();
  if (fd < 0) return;
  aiaccel::send_with_fds(actor.world.shared->mail[0], exported ? "e" : "", 1, {fd}, MSG_DONTWAIT);
}

void receive_context(Actor& actor) {
  char byte = 0;
  iovec vector{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(actor.world.shared->mail[1], &message, MSG_DONTWAIT) < 0) return;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_len != CMSG_LEN(sizeof(int))) return;
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  if (byte == 'e') return actor.keep_export(fd);
  if (actor.random.percent(20))
    return take_place(actor, static_cast<int>(actor.random.below(kContexts)), fd);
  // worth nothing to its receiver: each call is EPERM, unless the sender was a thread beside
  call_number(actor, fd, static_cast<int>(actor.random.below(rows().size())));
  close(fd);
}

void exhaust_descriptors(Actor& actor) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = actor.random.below(40);
  setrlimit(RLIMIT_NOFILE, &few);
  open_context(actor);
  for (int i = 0; i < 4; i++) map_buffer(actor);
  for (int i = 0; i < 8; i++) call_device(actor);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace fuzz
