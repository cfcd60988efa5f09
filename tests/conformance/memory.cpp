// SPDX-License-Identifier: MIT
//
// Buffers: allocated, mapped, pinned, charged, described and let go.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "buffers.hpp"
#include "child.hpp"
#include "device.hpp"

using namespace conformance;

namespace {

uint64_t locked_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  uint64_t kib = 0;
  while (status >> word)
    if (word == "VmLck:") status >> kib;
  return kib << 10;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(allocated_memory_is_zero_and_whole_pages) {
  Device device;
  const uint64_t length = 5 * kPage + 1;
  const aiaccel_alloc buffer = device.must_alloc(length);
  BOOST_TEST(buffer.mmap_offset % kPage == 0u);
  Mapping mapping(must_map(device, buffer.mmap_offset, 6 * kPage), 6 * kPage);
  BOOST_TEST(std::all_of(mapping.bytes(), mapping.bytes() + 6 * kPage,
                         [](unsigned char byte) { return byte == 0; }));
  std::memset(mapping.bytes(), 0x5a, 6 * kPage);

  const aiaccel_buffer_info info = device.must_info(buffer.id);
  BOOST_TEST(info.kind == static_cast<uint32_t>(AIACCEL_BUFFER_ALLOCATED));
  BOOST_TEST(info.length == length);
  BOOST_TEST(info.charged_bytes == 6 * kPage);
  BOOST_TEST(info.mmap_offset == buffer.mmap_offset);
  const bool knows_runs = device.query().capabilities & AIACCEL_CAP_FOLIOS;
  BOOST_TEST((info.nr_runs > 0) == knows_runs);
  BOOST_TEST((info.largest_run_bytes > 0) == knows_runs);
}

BOOST_AUTO_TEST_CASE(parts_of_a_buffer_can_be_mapped_and_are_the_same_memory) {
  Device device;
  const aiaccel_alloc buffer = device.must_alloc(4 * kPage);
  Mapping whole(must_map(device, buffer.mmap_offset, 4 * kPage), 4 * kPage);
  Mapping part(must_map(device, buffer.mmap_offset + 2 * kPage, kPage), kPage);
  part.bytes()[7] = 42;
  BOOST_TEST(static_cast<int>(whole.bytes()[2 * kPage + 7]) == 42);
}

BOOST_AUTO_TEST_CASE(mapping_outside_a_buffer_is_einval) {
  Device device;
  const aiaccel_alloc buffer = device.must_alloc(2 * kPage);
  BOOST_TEST(map(device, buffer.mmap_offset, 3 * kPage) == -EINVAL);
  BOOST_TEST(map(device, buffer.mmap_offset + kPage, 2 * kPage) == -EINVAL);
  BOOST_TEST(map(device, buffer.mmap_offset, 0) == -EINVAL);
  BOOST_TEST(map(device, 1ULL << 40, kPage) == -EINVAL);
  Device other;
  BOOST_TEST(map(other, buffer.mmap_offset, kPage) == -EINVAL);
}

BOOST_AUTO_TEST_CASE(a_mapping_outlives_its_buffer_and_its_context) {
  uint64_t length = 3 * kPage;
  void* address = nullptr;
  {
    Device device;
    const aiaccel_alloc buffer = device.must_alloc(length);
    address = must_map(device, buffer.mmap_offset, length);
    static_cast<unsigned char*>(address)[kPage] = 1;
    BOOST_TEST(device.destroy(buffer.id) == 0);
    BOOST_TEST(device.destroy(buffer.id) == -ENOENT);
    BOOST_TEST(map(device, buffer.mmap_offset, length) == -EINVAL);
    static_cast<unsigned char*>(address)[kPage] += 1;
  }
  Mapping mapping(address, length);
  mapping.bytes()[kPage] += 1;
  BOOST_TEST(static_cast<int>(mapping.bytes()[kPage]) == 3);
}

BOOST_AUTO_TEST_CASE(memory_is_charged_and_comes_back) {
  Device device;
  const uint64_t before = device.query().pinned_bytes;
  const aiaccel_alloc buffer = device.must_alloc(10 * kPage);
  BOOST_TEST(device.query().pinned_bytes == before + 10 * kPage);
  {
    Device other;
    other.must_alloc(kPage);
    BOOST_TEST(other.query().pinned_bytes == before + 11 * kPage);
  }
  BOOST_TEST(eventually([&] { return device.query().pinned_bytes == before + 10 * kPage; }));
  BOOST_TEST(device.destroy(buffer.id) == 0);
  BOOST_TEST(device.query().pinned_bytes == before);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_had_is_refused_and_nothing_stays) {
  Device device;
  const uint64_t before = device.query().pinned_bytes;
  for (uint64_t length : {1ULL << 40, 1ULL << 55, 1ULL << 62, ~0ULL - (2 << 20)}) {
    aiaccel_alloc arg{};
    arg.length = length;
    const int result = device.call(AIACCEL_IOC_ALLOC, arg);
    BOOST_TEST_CONTEXT(length) {
      BOOST_TEST((result == -ENOMEM || result == -EDQUOT));
      BOOST_TEST(arg.refused_by != static_cast<uint32_t>(AIACCEL_REFUSED_NOT));
    }
  }
  BOOST_TEST(device.query().pinned_bytes == before);
}

BOOST_AUTO_TEST_CASE(placements_are_carried_out) {
  Device device;
  const aiaccel_engine_info engine = device.engine();
  const int node = std::max(engine.numa_node, 0);
  aiaccel_alloc arg{};
  arg.length = 4 * kPage;
  for (uint32_t placement : {AIACCEL_PLACE_LOCAL, AIACCEL_PLACE_PREFER, AIACCEL_PLACE_STRICT,
                             AIACCEL_PLACE_INTERLEAVE, AIACCEL_PLACE_NEAR}) {
    const bool names_node = placement == AIACCEL_PLACE_PREFER || placement == AIACCEL_PLACE_STRICT;
    arg.placement = placement;
    arg.node = names_node ? node : 0;
    arg.engine = placement == AIACCEL_PLACE_NEAR ? engine.id : 0;
    BOOST_TEST_CONTEXT("placement " << placement) {
      BOOST_REQUIRE(device.call(AIACCEL_IOC_ALLOC, arg) == 0);
      Mapping mapping(must_map(device, arg.mmap_offset, arg.length), arg.length);
      mapping.bytes()[0] = 1;
      int found = -1;
      const long asked = syscall(SYS_get_mempolicy, &found, nullptr, 0, mapping.bytes(), 3);
      if (placement == AIACCEL_PLACE_STRICT) {
        BOOST_TEST(device.must_info(arg.id).numa_node == node);
        if (asked == 0) BOOST_TEST(found == node);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(too_many_buffers_are_refused_by_the_context) {
  Device device;
  const uint32_t max = device.query().max_buffers;
  Mapping memory = anonymous(kPage);
  uint32_t made = 0, last = 0;
  aiaccel_pin arg{};
  int result = 0;
  while (made <= max && (result = pin(device, memory.address(), 1, 0, &arg)) == 0) {
    ++made;
    last = arg.id;
  }
  if (result == -ENOMEM && arg.refused_by == AIACCEL_REFUSED_RLIMIT)
    SKIP("RLIMIT_MEMLOCK ends before the context's limit");
  BOOST_TEST(result == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_CONTEXT));
  BOOST_TEST(made == max);
  const auto refused_by = [&](uint32_t kind) {
    aiaccel_quota quota{};
    quota.kind = kind;
    BOOST_REQUIRE(device.call(AIACCEL_IOC_QUOTA, quota) == 0);
    return quota.refused_by;
  };
  for (const uint32_t kind : {AIACCEL_BUFFER_ALLOCATED, AIACCEL_BUFFER_PINNED})
    BOOST_TEST(refused_by(kind) == static_cast<uint32_t>(AIACCEL_REFUSED_CONTEXT));
  BOOST_REQUIRE(device.destroy(last) == 0);
  for (const uint32_t kind : {AIACCEL_BUFFER_ALLOCATED, AIACCEL_BUFFER_PINNED})
    BOOST_TEST(refused_by(kind) == static_cast<uint32_t>(AIACCEL_REFUSED_NOT));
}

BOOST_AUTO_TEST_CASE(anonymous_memory_is_pinned_by_the_page) {
  Device device;
  const uint64_t before = device.query().pinned_bytes;
  Mapping memory = anonymous(8 * kPage);
  aiaccel_pin arg{};
  BOOST_REQUIRE(pin(device, memory.address() + kPage - 1, kPage + 2, AIACCEL_PIN_WRITE, &arg) == 0);
  const aiaccel_buffer_info info = device.must_info(arg.id);
  BOOST_TEST(info.kind == static_cast<uint32_t>(AIACCEL_BUFFER_PINNED));
  BOOST_TEST(info.flags == AIACCEL_PIN_WRITE);
  BOOST_TEST(info.length == kPage + 2);
  BOOST_TEST(info.charged_bytes == 3 * kPage);
  BOOST_TEST(info.mmap_offset == 0u);
  BOOST_TEST(device.query().pinned_bytes == before + 3 * kPage);

  // Overlapping pins hold each for itself.
  aiaccel_pin over{};
  BOOST_REQUIRE(pin(device, memory.address(), 8 * kPage, 0, &over) == 0);
  BOOST_TEST(device.destroy(arg.id) == 0);
  BOOST_TEST(device.query().pinned_bytes == before + 8 * kPage);
  BOOST_TEST(device.destroy(over.id) == 0);
  BOOST_TEST(device.query().pinned_bytes == before);
}

BOOST_AUTO_TEST_CASE(a_page_is_locked_until_its_last_pin_goes) {
  if (on("kernel")) SKIP("the module pins pages and does not lock them");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  SKIP("sanitizers make mlock do nothing");
#endif
  Device device;
  const uint64_t before = locked_bytes();
  Mapping memory = anonymous(8 * kPage);
  aiaccel_pin first{}, second{}, third{};
  BOOST_REQUIRE(pin(device, memory.address(), 4 * kPage, 0, &first) == 0);
  BOOST_REQUIRE(pin(device, memory.address() + 2 * kPage, 4 * kPage, 0, &second) == 0);
  BOOST_REQUIRE(pin(device, memory.address() + kPage, 6 * kPage, 0, &third) == 0);
  BOOST_TEST(locked_bytes() == before + 7 * kPage);
  BOOST_TEST(device.destroy(third.id) == 0);
  BOOST_TEST(locked_bytes() == before + 6 * kPage);
  BOOST_TEST(device.destroy(first.id) == 0);
  BOOST_TEST(locked_bytes() == before + 4 * kPage);
  BOOST_TEST(device.destroy(second.id) == 0);
  BOOST_TEST(locked_bytes() == before);
}

BOOST_AUTO_TEST_CASE(pinning_what_is_not_there_is_efault) {
  Device device;
  Mapping hole = anonymous(3 * kPage);
  munmap(hole.bytes() + kPage, kPage);
  BOOST_TEST(pin(device, hole.address(), 3 * kPage, 0) == -EFAULT);
  Mapping none = anonymous(kPage, PROT_NONE);
  BOOST_TEST(pin(device, none.address(), kPage, 0) == -EFAULT);
  Mapping read_only = anonymous(kPage, PROT_READ);
  BOOST_TEST(pin(device, read_only.address(), kPage, AIACCEL_PIN_WRITE) == -EFAULT);
  BOOST_TEST(pin(device, 0, kPage, 0) == -EFAULT);
}

BOOST_AUTO_TEST_CASE(shared_memory_is_pinned_and_files_are_not) {
  Device device;
  const int memory = memfd_create("test", MFD_CLOEXEC);
  BOOST_REQUIRE(ftruncate(memory, static_cast<off_t>(2 * kPage)) == 0);
  {
    Mapping shared(mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0),
                   2 * kPage);
    BOOST_TEST(pin(device, shared.address(), 2 * kPage, AIACCEL_PIN_WRITE) == 0);
    Mapping copied(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory, 0), kPage);
    BOOST_TEST(pin(device, copied.address(), kPage, AIACCEL_PIN_WRITE) == -EOPNOTSUPP);
  }
  close(memory);

  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  BOOST_REQUIRE(file >= 0);
  {
    Mapping copied(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0), kPage);
    BOOST_TEST(pin(device, copied.address(), kPage, 0) == -EOPNOTSUPP);
    Mapping shared(mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file, 0), kPage);
    BOOST_TEST(pin(device, shared.address(), kPage, 0) == -EOPNOTSUPP);
  }
  close(file);
}

BOOST_AUTO_TEST_CASE(the_right_to_lock_memory_is_respected) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  SKIP("sanitizers make mlock do nothing");
#endif
  Child child([](Child&) {
    rlimit limit{64 << 10, 64 << 10};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0) return 10;
    if (!drop_capability(CAP_IPC_LOCK)) return 11;
    Device device;
    const uint64_t before = device.query().pinned_bytes;
    void* memory =
        mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    aiaccel_pin arg{};
    const int refused = pin(device, reinterpret_cast<uintptr_t>(memory), 1 << 20, 0, &arg);
    if (refused != -ENOMEM) return 12;
    if (arg.refused_by != AIACCEL_REFUSED_RLIMIT) return 13;
    if (device.query().pinned_bytes != before) return 14;
    return pin(device, reinterpret_cast<uintptr_t>(memory), 32 << 10, 0) ? 15 : 0;
  });
  BOOST_TEST(child.wait() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
