// SPDX-License-Identifier: MIT
//
// EXPORT, IMPORT and BUFFER_REVOKE: one buffer under several ids, of one process or of two, until
// its maker takes it back. Where other drivers take what EXPORT gives (AIACCEL_CAP_IMPORT), the
// descriptor itself keeps the buffer.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "broker/fds.h"
#include "buffers.hpp"
#include "child.hpp"
#include "device.hpp"

using namespace conformance;
using aiaccel::Fd;

namespace {

int export_fd(Device& device, uint32_t id) {
  aiaccel_export arg{};
  arg.id = id;
  const int result = device.call(AIACCEL_IOC_EXPORT, arg);
  return result ? result : arg.fd;
}

Fd must_export(Device& device, uint32_t id) {
  Fd fd(export_fd(device, id));
  BOOST_REQUIRE(fd.get() >= 0);
  return fd;
}

int import(Device& device, int fd, aiaccel_import* out = nullptr) {
  aiaccel_import arg{};
  arg.fd = fd;
  const int result = device.call(AIACCEL_IOC_IMPORT, arg);
  if (out) *out = arg;
  return result;
}

aiaccel_import must_import(Device& device, int fd) {
  aiaccel_import arg{};
  BOOST_REQUIRE(import(device, fd, &arg) == 0);
  return arg;
}

int revoke(Device& device, uint32_t id) {
  aiaccel_buffer_revoke arg{};
  arg.id = id;
  return device.call(AIACCEL_IOC_BUFFER_REVOKE, arg);
}

bool passes_dma_bufs(Device& device) {
  return device.query().capabilities & AIACCEL_CAP_IMPORT;
}

unsigned char* mapped(Device& device, uint32_t id, size_t length) {
  aiaccel_buffer_info info{};
  info.id = id;
  void* address = nullptr;
  if (device.call(AIACCEL_IOC_BUFFER_INFO, info) ||
      aiaccel_map(device.handle(), info.mmap_offset, length, PROT_READ | PROT_WRITE, &address))
    return nullptr;
  return static_cast<unsigned char*>(address);
}

// In a child, where a sanitizer would else answer for it.
void let_sigbus_kill() {
  std::signal(SIGBUS, SIG_DFL);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sharing)

BOOST_AUTO_TEST_CASE(two_ids_name_one_buffer) {
  Device maker, other;
  const uint64_t length = 3 * kPage - 5;
  const uint64_t charged = maker.query().pinned_bytes;
  const uint32_t id = maker.must_alloc(length).id;
  Fd fd = must_export(maker, id);
  BOOST_TEST((fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  const aiaccel_import imported = must_import(other, fd.get());
  BOOST_TEST(imported.length == length);
  BOOST_TEST(imported.refused_by == uint32_t{AIACCEL_REFUSED_NOT});

  const aiaccel_buffer_info first = maker.must_info(id), second = other.must_info(imported.id);
  BOOST_TEST(first.state == 0u);
  BOOST_TEST(second.state == uint32_t{AIACCEL_BUFFER_FOREIGN});
  for (const aiaccel_buffer_info& info : {first, second}) {
    BOOST_TEST(info.kind == uint32_t{AIACCEL_BUFFER_ALLOCATED});
    BOOST_TEST(info.length == length);
    BOOST_TEST(info.charged_bytes == 3 * kPage);
    BOOST_TEST(info.tenant == maker.query().tenant);
    BOOST_TEST(info.uid == AIACCEL_UID_NONE);
    BOOST_TEST(info.handles == 2u);
    BOOST_TEST(info.numa_node == first.numa_node);
    BOOST_TEST(info.__reserved == 0u);
  }
  BOOST_TEST(maker.query().pinned_bytes == charged + 3 * kPage);  // once

  Mapping one(mapped(maker, id, 3 * kPage), 3 * kPage);
  Mapping two(mapped(other, imported.id, 3 * kPage), 3 * kPage);
  one.bytes()[2 * kPage] = 42;
  BOOST_TEST(int{two.bytes()[2 * kPage]} == 42);
  two.bytes()[7] = 43;
  BOOST_TEST(int{one.bytes()[7]} == 43);

  BOOST_TEST(other.destroy(imported.id) == 0);
  BOOST_TEST(maker.must_info(id).handles == 1u);
  BOOST_TEST(other.destroy(imported.id) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(each_import_is_another_id_and_can_be_exported_again) {
  Device maker, other;
  const uint32_t id = maker.must_alloc(kPage).id;
  Fd fd = must_export(maker, id);
  const uint32_t own = must_import(maker, fd.get()).id;  // in the context that made it, too
  BOOST_TEST(own != id);
  BOOST_TEST(maker.must_info(own).state == uint32_t{AIACCEL_BUFFER_FOREIGN});
  const uint32_t first = must_import(other, fd.get()).id;
  Fd again = must_export(other, first);
  fd = Fd();
  const uint32_t second = must_import(other, again.get()).id;
  BOOST_TEST(second != first);
  BOOST_TEST(other.must_info(second).handles == 4u);
  BOOST_TEST(other.must_info(second).mmap_offset != other.must_info(first).mmap_offset);
  Mapping one(mapped(maker, id, kPage), kPage), two(mapped(other, second, kPage), kPage);
  one.bytes()[1] = 9;
  BOOST_TEST(int{two.bytes()[1]} == 9);
}

BOOST_AUTO_TEST_CASE(it_lives_and_is_charged_until_its_last_id_goes) {
  Device other;
  const uint64_t charged = other.query().pinned_bytes;
  uint32_t id = 0;
  {
    Device maker;
    const uint32_t made = maker.must_alloc(5 * kPage).id;
    Mapping mapping(mapped(maker, made, 5 * kPage), 5 * kPage);
    std::memset(mapping.bytes(), 0x17, 5 * kPage);
    Fd fd = must_export(maker, made);
    id = must_import(other, fd.get()).id;
    BOOST_TEST(maker.destroy(made) == 0);
    BOOST_TEST(maker.query().pinned_bytes == charged + 5 * kPage);
  }
  const aiaccel_buffer_info info = other.must_info(id);
  BOOST_TEST(info.handles == 1u);
  BOOST_TEST(info.tenant == other.query().tenant);
  BOOST_TEST(other.query().pinned_bytes == charged + 5 * kPage);
  {
    Mapping mapping(mapped(other, id, 5 * kPage), 5 * kPage);
    BOOST_TEST(int{mapping.bytes()[5 * kPage - 1]} == 0x17);
  }
  BOOST_TEST(other.destroy(id) == 0);
  BOOST_TEST(eventually([&] { return other.query().pinned_bytes == charged; }));
}

BOOST_AUTO_TEST_CASE(contexts_tell_what_they_imported) {
  Device maker, other;
  Fd fd = must_export(maker, maker.must_alloc(3 * kPage).id);
  must_import(other, fd.get());
  uint64_t allocated = 0, imported = 0;
  for (const aiaccel_stats_context& context : maker.context_stats()) {
    if (context.allocated_bytes == 3 * kPage && !context.imported_bytes) ++allocated;
    if (context.imported_bytes == 3 * kPage && !context.allocated_bytes) ++imported;
  }
  BOOST_TEST(allocated == 1u);
  BOOST_TEST(imported == 1u);
}

// The maker ends, and the importer has it still.
BOOST_AUTO_TEST_CASE(between_two_processes) {
  int pair[2];
  BOOST_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const Fd ours(pair[0]);
  Fd theirs(pair[1]);
  Child child([&](Child& self) {
    Device maker;
    aiaccel_alloc made{};
    made.length = 2 * kPage;
    if (maker.call(AIACCEL_IOC_ALLOC, made)) return 10;
    unsigned char* bytes = mapped(maker, made.id, 2 * kPage);
    if (!bytes) return 11;
    std::memset(bytes, 0x5a, 2 * kPage);
    const Fd fd(export_fd(maker, made.id));
    if (!fd) return 12;
    char byte = 0;
    if (aiaccel::send_with_fds(theirs.get(), &byte, 1, {fd.get()}, 0) != 1) return 13;
    self.sleep();
    return bytes[kPage] == 0x11 ? 0 : 14;
  });
  theirs = Fd();
  char byte;
  std::vector<Fd> fds;
  BOOST_REQUIRE(aiaccel::receive_with_fds(ours.get(), &byte, 1, &fds) == 1);
  BOOST_REQUIRE(fds.size() == 1u);
  Device device;
  if (on("embedded")) {
    BOOST_TEST(import(device, fds[0].get()) == -EINVAL);  // which another arbiter knows
    SKIP("an arbiter of one process has no others");
  }
  const aiaccel_import imported = must_import(device, fds[0].get());
  fds.clear();
  BOOST_TEST(imported.length == 2 * kPage);
  BOOST_TEST(device.must_info(imported.id).handles == 2u);
  Mapping mapping(mapped(device, imported.id, 2 * kPage), 2 * kPage);
  BOOST_TEST(int{mapping.bytes()[kPage]} == 0x5a);
  mapping.bytes()[kPage] = 0x11;
  child.go_on();
  BOOST_TEST(child.wait() == 0);
  BOOST_TEST(eventually([&] { return device.must_info(imported.id).handles == 1u; }));
  BOOST_TEST(int{mapping.bytes()[2 * kPage - 1]} == 0x5a);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_exported_is_refused) {
  Device device;
  aiaccel_export arg{};
  arg.id = device.must_alloc(1).id;
  arg.flags = 1;
  BOOST_TEST(device.call(AIACCEL_IOC_EXPORT, arg) == -EOPNOTSUPP);
  for (const uint32_t id : {0u, 999999u, ~0u, device.must_queue()})
    BOOST_TEST(export_fd(device, id) == -ENOENT);
  Device other;
  for (int i = 0; i < 3; ++i) device.must_alloc(1);
  BOOST_TEST(export_fd(other, device.must_alloc(1).id) == -ENOENT);

  // Where no other driver takes it, nobody could have it.
  Mapping memory = anonymous(kPage);
  aiaccel_pin pinned{};
  BOOST_REQUIRE(pin(device, memory.address(), kPage, AIACCEL_PIN_WRITE, &pinned) == 0);
  const Fd fd(std::max(export_fd(device, pinned.id), -1));
  BOOST_TEST((fd.get() >= 0) == passes_dma_bufs(device));
  if (!fd) BOOST_TEST(export_fd(device, pinned.id) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(without_a_descriptor_left_nothing_changes) {
  Child child([](Child&) {
    Device device;
    aiaccel_alloc made{};
    made.length = kPage;
    if (device.call(AIACCEL_IOC_ALLOC, made)) return 10;
    const Fd fd(export_fd(device, made.id));
    if (!fd) return 11;
    const int next = dup(fd.get());
    close(next);
    const rlimit limit{static_cast<rlim_t>(next), static_cast<rlim_t>(next)};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return 12;
    if (export_fd(device, made.id) != -EMFILE) return 13;
    aiaccel_buffer_info info{};
    info.id = made.id;
    if (device.call(AIACCEL_IOC_BUFFER_INFO, info)) return 14;
    if (info.handles != 1 || info.exports > 1) return 15;
    return 0;
  });
  BOOST_TEST(child.wait() == 0);
}

BOOST_AUTO_TEST_CASE(what_is_no_buffer_is_not_imported) {
  Device device;
  Fd good = must_export(device, device.must_alloc(1).id);
  aiaccel_import arg{};
  arg.fd = good.get();
  arg.flags = 1;
  BOOST_TEST(device.call(AIACCEL_IOC_IMPORT, arg) == -EOPNOTSUPP);
  arg.flags = 0;
  arg.__reserved = 1;
  BOOST_TEST(device.call(AIACCEL_IOC_IMPORT, arg) == -EINVAL);
  for (const int fd : {-1, 999999, INT32_MAX, INT32_MIN}) BOOST_TEST(import(device, fd) == -EBADF);
  const Fd path(open("/", O_PATH | O_CLOEXEC));
  BOOST_TEST(import(device, path.get()) == -EBADF);

  const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const Fd folder(open("/", O_RDONLY | O_CLOEXEC));
  BOOST_TEST(import(device, null.get()) == -EINVAL);
  BOOST_TEST(import(device, folder.get()) == -EINVAL);
  // Memory of others, whatever it calls itself, and however much it looks like one of ours.
  for (const std::string& name :
       {std::string("test"), std::string("aiaccel-"), "aiaccel-" + std::string(32, '0'),
        "aiaccel-" + std::string(32, 'f'), "aiaccel-" + std::string(100, '7')}) {
    const Fd memory(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    BOOST_REQUIRE(ftruncate(memory.get(), static_cast<off_t>(kPage)) == 0);
    BOOST_TEST(import(device, memory.get()) == -EINVAL);
    BOOST_REQUIRE(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL) == 0);
    BOOST_TEST(import(device, memory.get()) == -EINVAL);
  }
}

BOOST_AUTO_TEST_CASE(a_descriptor_of_a_buffer_that_is_gone) {
  Device device;
  const uint32_t id = device.must_alloc(kPage).id;
  Fd fd = must_export(device, id);
  BOOST_REQUIRE(device.destroy(id) == 0);
  BOOST_TEST(import(device, fd.get()) == (passes_dma_bufs(device) ? 0 : -EINVAL));
}

BOOST_AUTO_TEST_CASE(revoked_memory_is_nobodys) {
  Device maker, other;
  const uint64_t charged = maker.query().pinned_bytes;
  const aiaccel_alloc made = maker.must_alloc(2 * kPage);
  Fd fd = must_export(maker, made.id);
  const uint32_t id = must_import(other, fd.get()).id;
  BOOST_TEST(revoke(other, id) == -EPERM);
  BOOST_TEST(revoke(maker, 999999) == -ENOENT);
  BOOST_TEST(maker.must_info(made.id).state == 0u);

  aiaccel_buffer_revoke arg{};
  arg.id = made.id;
  arg.__reserved = 1;
  BOOST_TEST(maker.call(AIACCEL_IOC_BUFFER_REVOKE, arg) == -EINVAL);
  arg.__reserved = 0;
  arg.importers = 77;
  BOOST_TEST(maker.call(AIACCEL_IOC_BUFFER_REVOKE, arg) == 0);
  BOOST_TEST(arg.importers == 0u);
  BOOST_TEST(revoke(maker, made.id) == 0);  // once more
  BOOST_TEST(revoke(other, id) == -EPERM);

  BOOST_TEST(maker.must_info(made.id).state == uint32_t{AIACCEL_BUFFER_REVOKED});
  const aiaccel_buffer_info info = other.must_info(id);
  BOOST_TEST(info.state == (uint32_t{AIACCEL_BUFFER_FOREIGN} | AIACCEL_BUFFER_REVOKED));
  BOOST_TEST(info.length == 2 * kPage);
  BOOST_TEST(map(maker, made.mmap_offset, kPage) == -ENODEV);
  BOOST_TEST(map(other, info.mmap_offset, kPage) == -ENODEV);
  BOOST_TEST(export_fd(maker, made.id) == -ENODEV);
  BOOST_TEST(export_fd(other, id) == -ENODEV);
  BOOST_TEST(import(other, fd.get()) == -ENODEV);
  BOOST_TEST(import(maker, fd.get()) == -ENODEV);
  if (!passes_dma_bufs(maker)) {
    BOOST_TEST(info.charged_bytes == 0u);
    BOOST_TEST(maker.query().pinned_bytes == charged);  // at once
  }
  BOOST_TEST(maker.destroy(made.id) == 0);
  BOOST_TEST(other.destroy(id) == 0);
  fd = Fd();
  BOOST_TEST(eventually([&] { return maker.query().pinned_bytes == charged; }));
}

// In each of the mappings that there are.
BOOST_AUTO_TEST_CASE(revoked_memory_raises_sigbus_where_it_is_mapped) {
  for (const bool makers : {true, false}) {
    Child child([=](Child&) {
      let_sigbus_kill();
      Device maker, other;
      aiaccel_alloc made{};
      made.length = 4 * kPage;
      if (maker.call(AIACCEL_IOC_ALLOC, made)) return 10;
      const Fd fd(export_fd(maker, made.id));
      aiaccel_import imported{};
      if (!fd || import(other, fd.get(), &imported)) return 11;
      volatile unsigned char* bytes =
          makers ? mapped(maker, made.id, 4 * kPage) : mapped(other, imported.id, 4 * kPage);
      if (!bytes) return 12;
      bytes[3 * kPage] = 1;
      if (revoke(maker, made.id)) return 13;
      bytes[3 * kPage] = 2;
      return 14;
    });
    BOOST_TEST_CONTEXT((makers ? "the maker's" : "the importer's"))
    BOOST_TEST(child.wait() == 128 + SIGBUS);
  }
}

BOOST_AUTO_TEST_CASE(revoked_memory_raises_sigbus_in_other_processes) {
  if (on("embedded")) SKIP("an arbiter of one process has no others");
  Device maker;
  const uint32_t id = maker.must_alloc(2 * kPage).id;
  Fd fd = must_export(maker, id);
  fcntl(fd.get(), F_SETFD, 0);
  Child child([&](Child& self) {
    let_sigbus_kill();
    Device other;
    aiaccel_import imported{};
    if (import(other, fd.get(), &imported)) return 10;
    volatile unsigned char* bytes = mapped(other, imported.id, 2 * kPage);
    if (!bytes) return 11;
    bytes[kPage] = 1;
    self.tell(1);
    self.sleep();
    bytes[kPage] = 2;
    return 12;
  });
  child.must_hear();
  BOOST_TEST(revoke(maker, id) == 0);
  child.go_on();
  BOOST_TEST(child.wait() == 128 + SIGBUS);
  // Nobody else is the worse for it.
  const uint32_t next = maker.must_alloc(kPage).id;
  Mapping mapping(mapped(maker, next, kPage), kPage);
  mapping.bytes()[0] = 1;
  BOOST_TEST(eventually([&] { return maker.must_info(id).handles == 1u; }));
}

BOOST_AUTO_TEST_CASE(pinned_memory_stays_the_callers_own) {
  Device device;
  const uint64_t charged = device.query().pinned_bytes;
  Mapping memory = anonymous(2 * kPage);
  aiaccel_pin pinned{};
  BOOST_REQUIRE(pin(device, memory.address(), 2 * kPage, AIACCEL_PIN_WRITE, &pinned) == 0);
  BOOST_TEST(revoke(device, pinned.id) == 0);
  BOOST_TEST(device.must_info(pinned.id).state == uint32_t{AIACCEL_BUFFER_REVOKED});
  BOOST_TEST(export_fd(device, pinned.id) == -ENODEV);
  memory.bytes()[kPage] = 5;
  BOOST_TEST(int{memory.bytes()[kPage]} == 5);
  BOOST_TEST(device.destroy(pinned.id) == 0);
  BOOST_TEST(device.query().pinned_bytes == charged);
}

// Whether anything is kept of it is the implementation's own affair.
BOOST_AUTO_TEST_CASE(a_pin_may_be_one_of_a_range_that_is_pinned_often) {
  Device device;
  Mapping memory = anonymous(2 * kPage);
  aiaccel_pin pinned{};
  constexpr uint32_t kFlags = AIACCEL_PIN_WRITE | AIACCEL_PIN_CACHED;
  for (int i = 0; i < 3; ++i) {
    BOOST_REQUIRE(pin(device, memory.address(), 2 * kPage, kFlags, &pinned) == 0);
    const aiaccel_buffer_info info = device.must_info(pinned.id);
    BOOST_TEST(info.flags == kFlags);
    BOOST_TEST(info.charged_bytes == 2 * kPage);
    BOOST_TEST(info.state == 0u);
    BOOST_TEST(info.handles == 1u);
    BOOST_TEST(info.tenant == device.query().tenant);
    BOOST_TEST((info.uid == geteuid() || info.uid == AIACCEL_UID_NONE));
    BOOST_TEST(device.destroy(pinned.id) == 0);
    BOOST_TEST(device.destroy(pinned.id) == -ENOENT);
  }
}

// As many as fit, and where nothing is known of them nothing is written.
BOOST_AUTO_TEST_CASE(nodes_and_folios_are_told_where_they_are_known) {
  Device device;
  const bool known = device.query().capabilities & AIACCEL_CAP_FOLIOS;
  const uint32_t id = device.must_alloc(7 * kPage).id;
  std::vector<uint64_t> nodes(2048, 77);
  aiaccel_buffer_info info{};
  info.id = id;
  info.node_bytes = reinterpret_cast<uintptr_t>(nodes.data());
  info.nr_nodes = static_cast<uint32_t>(nodes.size());
  BOOST_REQUIRE(device.call(AIACCEL_IOC_BUFFER_INFO, info) == 0);
  BOOST_TEST(info.node_bytes == reinterpret_cast<uintptr_t>(nodes.data()));
  BOOST_REQUIRE((info.nr_nodes > 0) == known);
  BOOST_REQUIRE(info.nr_nodes <= nodes.size());
  uint64_t on_nodes = 0, in_folios = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i < info.nr_nodes)
      on_nodes += nodes[i];
    else
      BOOST_REQUIRE(nodes[i] == 77u);
  }
  for (const uint64_t bytes : info.folio_bytes) in_folios += bytes;
  BOOST_TEST(on_nodes == (known ? 7 * kPage : 0));
  BOOST_TEST(in_folios == (known ? 7 * kPage : 0));
}

BOOST_AUTO_TEST_SUITE_END()
