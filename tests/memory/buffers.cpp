// SPDX-License-Identifier: MIT
//
// Buffers of the C++ interface: views, what is said of them, handing on and taking back, and memory
// that is pinned from nothing.
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <numeric>

#include "memory.hpp"

using namespace aiaccel;
using namespace aiaccel::literals;
using namespace memory_test;

BOOST_AUTO_TEST_SUITE(buffers)

BOOST_AUTO_TEST_CASE(views_are_checked) {
  const Buffer buffer = open_device().alloc(page + 6);
  BOOST_TEST(buffer.as<std::uint32_t>().size() == (page + 6) / 4);
  BOOST_TEST(buffer.as<std::uint64_t>(8, 3).size() == 3u);
  BOOST_TEST(buffer.as<float>(page + 4).size() == 0u);
  BOOST_TEST(error_of([&] { buffer.as<float>(2); }) == EINVAL);
  BOOST_TEST(error_of([&] { buffer.as<float>(page + 8); }) == EINVAL);
  BOOST_TEST(error_of([&] { buffer.as<float>(0, page / 4 + 2); }) == EINVAL);
  BOOST_TEST(error_of([&] { buffer.as<std::uint16_t>(page + 6, 1); }) == EINVAL);
  const auto floats = buffer.as<float>();
  std::iota(floats.begin(), floats.end(), 0.0f);
  BOOST_TEST(buffer.as<const float>(40, 1)[0] == 10.0f);
  float first = -1;
  std::memcpy(&first, buffer.bytes().data() + 4, sizeof first);
  BOOST_TEST(first == 1.0f);
}

BOOST_AUTO_TEST_CASE(what_is_assigned_over_goes_at_once) {
  const Device device = open_device();
  const std::uint64_t before = device.query().pinned_bytes;
  Buffer one = device.alloc(page);
  Buffer other = device.alloc(2 * page);
  other.bytes()[0] = std::byte{7};
  one = std::move(other);
  BOOST_TEST(device.query().pinned_bytes == before + 2 * page);
  BOOST_TEST(one.size() == 2 * page);
  BOOST_TEST((one.bytes()[0] == std::byte{7}));
  Buffer& same = one;
  one = std::move(same);
  BOOST_TEST((one.bytes()[0] == std::byte{7}));
  other = device.alloc(page);  // what was moved from can be assigned to
  BOOST_TEST(device.query().pinned_bytes == before + 3 * page);

  Memory mapped(page);
  std::byte* const old = mapped.bytes().data();
  Memory next(page);
  mapped = std::move(next);
  unsigned char there = 0;
  BOOST_TEST(mincore(old, page, &there) == -1);
  BOOST_TEST(errno == ENOMEM);
}

BOOST_AUTO_TEST_CASE(info_counts_the_bytes_of_each_node) {
  const Device device = open_device();
  const Buffer buffer = device.alloc(64 * page);
  const BufferInfo info = buffer.info();
  BOOST_TEST(info.id == buffer.id());
  BOOST_TEST(!info.foreign());
  BOOST_TEST(!info.revoked());
  BOOST_TEST(!info.stale());
  if (info.nr_runs) {
    BOOST_TEST(info.coalescing() == info.charged_bytes / info.nr_runs);
    BOOST_TEST(info.coalescing() <= info.largest_run_bytes);
  } else {
    BOOST_TEST(info.coalescing() == 0u);
  }
  if (!(device.query().capabilities & AIACCEL_CAP_FOLIOS))
    SKIP("this transport does not tell nodes");
  BOOST_TEST(info.bytes_by_node.size() == info.nr_nodes);
  BOOST_TEST(std::accumulate(info.bytes_by_node.begin(), info.bytes_by_node.end(),
                             std::uint64_t{0}) == info.charged_bytes);
}

BOOST_AUTO_TEST_CASE(a_quota_is_told_for_both_kinds) {
  const Device device = open_device();
  BOOST_TEST(device.quota_alloc(page).fits());
  BOOST_TEST(device.quota_pin(page).fits());
  const Quota none = device.quota_alloc(1ULL << 60);
  BOOST_TEST(!none.fits());
  BOOST_TEST(none.refused_by != static_cast<std::uint32_t>(AIACCEL_REFUSED_NOT));
  BOOST_TEST(error_of([&] { device.alloc(1ULL << 60); }) != 0);
  const int node = numa::allowed_nodes().front();
  BOOST_TEST(device.quota_alloc(page, on_node(node)).memory_bytes <=
             device.quota_alloc(page, interleaved()).memory_bytes);
  BOOST_TEST(error_of([&] { device.quota_alloc(page, on_node(4711)); }) == EINVAL);
}

BOOST_AUTO_TEST_CASE(an_exported_buffer_is_the_same_memory_elsewhere) {
  const Device device = open_device(), other = open_device();
  Buffer buffer = device.alloc(3 * page);
  fill(buffer.bytes(), 5);
  Descriptor descriptor = buffer.export_fd();
  BOOST_REQUIRE(descriptor);
  BOOST_TEST((fcntl(descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
  Buffer imported = other.import(descriptor);
  descriptor.reset();
  BOOST_TEST(imported.info().foreign());
  BOOST_TEST(!buffer.info().foreign());
  BOOST_TEST(imported.info().length == 3 * page);
  BOOST_REQUIRE_EQUAL(imported.size(), 3 * page);
  BOOST_TEST(imported.bytes().data() != buffer.bytes().data());
  BOOST_TEST(filled(imported.bytes(), 5));
  fill(imported.bytes(), 6);
  BOOST_TEST(filled(buffer.bytes(), 6));
  // It lives on with who has it.
  { const Buffer gone = std::move(buffer); }
  fill(imported.bytes(), 7);
  BOOST_TEST(filled(imported.bytes(), 7));
  BOOST_TEST(error_of([&] { imported.revoke(); }) == EPERM);
}

BOOST_AUTO_TEST_CASE(an_import_of_nothing_is_refused) {
  const Device device = open_device();
  BOOST_TEST(error_of([&] { device.import(-1); }) == EBADF);
  const Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  BOOST_TEST(error_of([&] { device.import(null); }) == EINVAL);
}

// As a child sees it, for SIGBUS ends it.
BOOST_AUTO_TEST_CASE(a_revoked_buffer_is_no_one_s_any_more) {
  const Device device = open_device(), other = open_device();
  const Buffer buffer = device.alloc(page);
  Descriptor descriptor = buffer.export_fd();
  const Buffer imported = other.import(descriptor);
  buffer.bytes()[0] = std::byte{1};
  BOOST_TEST(buffer.revoke() == 0u);
  BOOST_TEST(buffer.revoke() == 0u);
  BOOST_TEST(buffer.info().revoked());
  BOOST_TEST(imported.info().revoked());
  BOOST_TEST(error_of([&] { buffer.export_fd(); }) == ENODEV);
  BOOST_TEST(error_of([&] { other.import(descriptor); }) == ENODEV);
  for (const Buffer* each : {&buffer, &imported}) {
    const pid_t child = fork();
    if (!child) {
      signal(SIGBUS, SIG_DFL);
      reinterpret_cast<volatile unsigned char*>(each->bytes().data())[0];
      _exit(0);
    }
    int status = 0;
    BOOST_REQUIRE_EQUAL(waitpid(child, &status, 0), child);
    BOOST_TEST(WIFSIGNALED(status));
    BOOST_TEST(WTERMSIG(status) == SIGBUS);
  }
}

BOOST_AUTO_TEST_CASE(a_pin_may_be_kept_for_the_next_time) {
  const Device device = open_device();
  const Memory memory = map_anonymous(16 * page, PROT_READ | PROT_WRITE);
  std::optional<Buffer> first = device.pin(memory.bytes(), {.cached = true});
  BOOST_TEST((first->info().flags & AIACCEL_PIN_CACHED) != 0u);
  first.reset();
  const Buffer second = device.pin(memory.bytes(), {.cached = true});
  BOOST_TEST(second.info().charged_bytes == 16 * page);
}

BOOST_AUTO_TEST_CASE(pinned_from_nothing) {
  const Device device = open_device();
  if (const std::string why = why_no_pin(device, 4_MiB); !why.empty()) SKIP(why);
  const std::uint64_t before = device.query().pinned_bytes;
  const int node = numa::allowed_nodes().front();
  for (const Placement placement :
       {Placement{}, on_node(node), interleaved(), near(device.engine("cpu0"))}) {
    Buffer buffer = device.alloc_pinned(4_MiB - 5, placement);
    const BufferInfo info = buffer.info();
    BOOST_TEST(info.kind == static_cast<std::uint32_t>(AIACCEL_BUFFER_PINNED));
    BOOST_TEST(info.flags == AIACCEL_PIN_WRITE);
    BOOST_TEST(info.length == 4_MiB - 5);
    BOOST_TEST(buffer.size() == 4_MiB - 5);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) % 2_MiB == 0u);
    BOOST_TEST(device.query().pinned_bytes == before + 4_MiB);
    fill(buffer.bytes(), 9);
    const Buffer moved = std::move(buffer);
    BOOST_TEST(buffer.bytes().empty());
    BOOST_TEST(filled(moved.bytes(), 9));
  }
  BOOST_TEST(device.query().pinned_bytes == before);
  BOOST_TEST(error_of([&] { device.alloc_pinned(0); }) == EINVAL);
  BOOST_TEST(error_of([&] { device.alloc_pinned(page, on_node(4711)); }) == EINVAL);
  BOOST_TEST(error_of([&] {
               device.alloc_pinned(page, {AIACCEL_PLACE_NEAR, 0, 999999});
             }) == ENOENT);
  BOOST_TEST(error_of([&] { device.alloc_pinned(1ULL << 44); }) == ENOMEM);
}

namespace {

// Without CAP_IPC_LOCK, with which RLIMIT_MEMLOCK does not count.
class NoRightToLock {
 public:
  NoRightToLock() {
    BOOST_REQUIRE_EQUAL(syscall(SYS_capget, &header_, before_), 0);
    __user_cap_data_struct without[2] = {before_[0], before_[1]};
    without[0].effective &= ~(1U << CAP_IPC_LOCK);
    BOOST_REQUIRE_EQUAL(syscall(SYS_capset, &header_, without), 0);
  }
  NoRightToLock(const NoRightToLock&) = delete;
  NoRightToLock& operator=(const NoRightToLock&) = delete;
  ~NoRightToLock() { syscall(SYS_capset, &header_, before_); }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2]{};
};

}  // namespace

// By the limit as it stands, so there is nothing to wait for.
BOOST_AUTO_TEST_CASE(more_than_may_be_locked_is_refused_before_any_is_taken) {
  const Device device = open_device();
  rlimit limit{};
  BOOST_REQUIRE_EQUAL(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  const rlimit less{1_MiB, limit.rlim_max};
  if (limit.rlim_max < 1_MiB) SKIP("less than a MiB may be locked");
  bool taken = false;
  PrefaultOptions options;
  options.progress = [&](std::uint64_t) { taken = true; };
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_MEMLOCK, &less), 0);
  std::uint32_t by = AIACCEL_REFUSED_NOT;
  try {
    const NoRightToLock right;
    device.alloc_pinned(32_MiB, {}, options);
  } catch (const Error& error) {
    by = error.refused_by();
  }
  BOOST_REQUIRE_EQUAL(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
  BOOST_TEST(by == static_cast<std::uint32_t>(AIACCEL_REFUSED_RLIMIT));
  BOOST_TEST(!taken);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(descriptors)

BOOST_AUTO_TEST_CASE(they_are_closed_once) {
  const auto is_open = [](int fd) { return fcntl(fd, F_GETFD) >= 0; };
  int fd = memfd_create("one", MFD_CLOEXEC);
  {
    Descriptor one(fd);
    Descriptor two = std::move(one);
    BOOST_TEST(!one);
    BOOST_TEST(two.get() == fd);
    BOOST_TEST(is_open(fd));
    Descriptor& same = two;
    two = std::move(same);
    BOOST_TEST(is_open(fd));
    one = std::move(two);
    BOOST_TEST(one.get() == fd);
  }
  BOOST_TEST(!is_open(fd));
  fd = memfd_create("other", MFD_CLOEXEC);
  Descriptor other(fd);
  BOOST_TEST(other.release() == fd);
  other.reset();
  BOOST_TEST(is_open(fd));
  other.reset(fd);
  other.reset();
  BOOST_TEST(!is_open(fd));
}

BOOST_AUTO_TEST_SUITE_END()
