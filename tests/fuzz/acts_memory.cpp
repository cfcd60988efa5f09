// SPDX-License-Identifier: MIT
//
// What can be done to memory that the device has mapped or pinned, or reads and writes just now.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz/acts.hpp"

namespace fuzz {

namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;

// Some pages of a window.
struct Part {
  explicit Part(Random& random)
      : first(random.percent(50) ? 0 : random.below(64)),
        pages(1 + random.below(random.percent(20) ? kWindowPages - 64 : 64)),
        at(busy_window(random) + first * kPage) {}
  void* address() const { return reinterpret_cast<void*>(at); }
  uint64_t bytes() const { return pages * kPage; }

  uint64_t first, pages, at;
};

// A new memfd that nobody may write to or shrink, mapped.
void map_sealed(const Part& part) {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return;
  if (ftruncate(fd, static_cast<off_t>(part.bytes())) == 0) {
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE);
    mmap(part.address(), part.bytes(), PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
  }
  close(fd);
}

void map_program(const Part& part) {
  const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  mmap(part.address(), part.bytes(), PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
  close(fd);
}

void touch_part(Actor& actor, const Part& part) {
  const bool write = actor.random.percent(60);
  const auto value = static_cast<uint8_t>(actor.random.next());
  guarded([&] {
    for (uint64_t page = 0; page < part.pages; page++) {
      auto* byte = reinterpret_cast<volatile uint8_t*>(part.at + page * kPage);
      if (write)
        *byte = value;
      else
        (void)*byte;
    }
  });
}

}  // namespace

void remap(Actor& actor) {
  Random& random = actor.random;
  const Part part(random);
  const int memfd = actor.world.shared->memfd;
  switch (random.below(16)) {
    case 0:
      mmap(part.address(), part.bytes(), kReadWrite, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      break;
    case 1:
      mmap(part.address(), part.bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      break;
    case 2:
      mmap(part.address(), part.bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      break;
    case 3:
    case 4:
    case 5:
      mmap(part.address(), part.bytes(), kReadWrite, MAP_SHARED | MAP_FIXED, memfd, 0);
      break;
    case 6:
      mmap(part.address(), part.bytes(), kReadWrite, MAP_PRIVATE | MAP_FIXED, memfd, 0);
      break;
    case 7:
      map_sealed(part);
      break;
    case 8:
      map_program(part);
      break;
    case 9:
      mmap(part.address(), 2 << 20, kReadWrite,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0);
      break;
    case 10:
      mmap(part.address(), part.bytes(), kReadWrite,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
      break;
    default:
      mmap(part.address(), kWindowPages * kPage, kReadWrite,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
}

void unmap(Actor& actor) {
  const Part part(actor.random);
  munmap(part.address(), part.bytes());
}

void protect(Actor& actor) {
  const Part part(actor.random);
  mprotect(part.address(), part.bytes(),
           actor.random.percent(60) ? kReadWrite : static_cast<int>(actor.random.below(8)));
}

void move(Actor& actor) {
  Random& random = actor.random;
  const Part from(random), to(random);
  uint64_t bytes = random.percent(60) ? from.bytes() : to.bytes();
  switch (random.below(4)) {
    case 0:  // in place, often larger
      mremap(from.address(), from.bytes(), bytes, 0);
      break;
    case 1:
      mremap(from.address(), from.bytes(), from.bytes(),
             MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to.address());
      break;
    case 2:  // a second mapping of the same, where it is shared
      mremap(from.address(), 0, from.bytes(), MREMAP_MAYMOVE | MREMAP_FIXED, to.address());
      break;
    default:
      mremap(from.address(), from.bytes(), bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to.address());
  }
}

void advise(Actor& actor) {
  constexpr int kAdvices[] = {
      MADV_DONTNEED,   MADV_DONTNEED,   MADV_FREE,          MADV_REMOVE,         MADV_DONTFORK,
      MADV_DOFORK,     MADV_HUGEPAGE,   MADV_NOHUGEPAGE,    MADV_COLD,           MADV_PAGEOUT,
      MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_WILLNEED};
  const Part part(actor.random);
  madvise(part.address(), part.bytes(), actor.random.one_of(kAdvices));
  if (actor.random.percent(50)) touch_part(actor, part);
}

void touch(Actor& actor) {
  touch_part(actor, Part(actor.random));
}

void punch(Actor& actor) {
  const int memfd = actor.world.shared->memfd;
  const auto size = static_cast<off_t>(kWindowPages * kPage);
  const auto at = static_cast<off_t>(actor.random.below(kWindowPages) * kPage);
  if (actor.random.percent(80)) {
    fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
              static_cast<off_t>((1 + actor.random.below(64)) * kPage));
  } else if (ftruncate(memfd, at) == 0) {
    while (ftruncate(memfd, size) && !actor.world.stop) continue;
  }
}

void lock(Actor& actor) {
  const Part part(actor.random);
  if (actor.random.percent(50))
    mlock(part.address(), part.bytes());
  else
    munlock(part.address(), part.bytes());
}

// Pages in a pipe outlive their mapping, the buffer and the process.
void feed_pipe(Actor& actor) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) return;
  const Part part(actor.random);
  iovec vector{part.address(), part.bytes()};
  vmsplice(ends[1], &vector, 1, SPLICE_F_NONBLOCK | (actor.random.percent(30) ? SPLICE_F_GIFT : 0));
  if (actor.random.percent(50)) unmap(actor);
  if (actor.random.percent(50)) {
    if (read(ends[0], actor.scratch, sizeof(actor.scratch)) < 0) actor.scratch[0] = 0;
  }
  close(ends[0]);
  close(ends[1]);
}

void direct_io(Actor& actor) {
  const Part part(actor.random);
  const int file = actor.world.shared->direct;
  const uint64_t bytes = part.bytes() < (64 << 10) ? part.bytes() : 64 << 10;
  const ssize_t done = actor.random.percent(50) ? pwrite(file, part.address(), bytes, 0)
                                                : pread(file, part.address(), bytes, 0);
  if (done < 0) actor.scratch[0] = 0;
}

// As a debugger does, and past the protection of the mapping.
void reach_remotely(Actor& actor) {
  const Part part(actor.random);
  const uint64_t bytes =
      part.bytes() < sizeof(actor.scratch) ? part.bytes() : sizeof(actor.scratch);
  if (actor.random.percent(40)) {
    const iovec here{actor.scratch, bytes}, there{part.address(), bytes};
    if (actor.random.percent(50))
      process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    else
      process_vm_writev(getpid(), &here, 1, &there, 1, 0);
    return;
  }
  const int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (memory < 0) return;
  const auto at = static_cast<off_t>(part.at);
  const ssize_t done = actor.random.percent(50) ? pread(memory, actor.scratch, bytes, at)
                                                : pwrite(memory, actor.scratch, bytes, at);
  if (done < 0) actor.scratch[0] = 0;
  close(memory);
}

void migrate(Actor& actor) {
  constexpr int kMove = 2;  // MPOL_MF_MOVE
  constexpr uint64_t kMost = 32;
  const Part part(actor.random);
  void* pages[kMost];
  int nodes[kMost], status[kMost];
  for (uint64_t i = 0; i < kMost; i++) {
    pages[i] = reinterpret_cast<void*>(part.at + i * kPage);
    nodes[i] = static_cast<int>(actor.random.below(2));
  }
  syscall(SYS_move_pages, 0, kMost, pages, nodes, status, kMove);
}

}  // namespace fuzz
