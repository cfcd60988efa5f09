// SPDX-License-Identifier: MIT
//
// Making, placing, mapping and giving back the memory of buffers; see buffers.h.
#include "user/buffers.h"

#include <fcntl.h>
#include <numaif.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <utility>

#include "host/core.h"
#include "host/pages.h"
#include "memory/cpus.h"
#include "user/headroom.h"
#include "user/marked_file.h"
#include "user/own_pages.h"

namespace aiaccel {
namespace {

// Taking pages stops for signals, so it goes in steps that each can be made again.
constexpr uint64_t kStep = 64 << 20;

bool may_use(int node) {
  if (!numa::available()) return node == 0;
  return node <= numa_max_node() &&
         numa_bitmask_isbitset(numa::allowed_mask().get(), static_cast<unsigned>(node));
}

// The node where all memory must be, -1 where there are several.
int only_node() {
  if (!numa::available()) return 0;
  const numa::Mask mask = numa::allowed_mask();
  int only = -1;
  for (int node = 0; node <= numa_max_node(); ++node) {
    if (!numa_bitmask_isbitset(mask.get(), static_cast<unsigned>(node))) continue;
    if (only >= 0) return -1;
    only = node;
  }
  return only;
}

int wanted_node(const aiaccel_alloc& alloc, int near_node) {
  if (alloc.placement == AIACCEL_PLACE_PREFER || alloc.placement == AIACCEL_PLACE_STRICT)
    return alloc.node;
  return alloc.placement == AIACCEL_PLACE_NEAR ? near_node : -1;
}

// Gives the file a policy of its own, which holds for whoever faults its pages in. 0 or -errno.
int place(int fd, const aiaccel_alloc& alloc, int node, uint64_t bytes) {
  if (!numa::available()) return 0;
  numa::Mask mask;
  int mode = MPOL_PREFERRED;  // with no node: where the caller runs
  if (alloc.placement == AIACCEL_PLACE_INTERLEAVE) {
    mode = MPOL_INTERLEAVE;
    mask = numa::allowed_mask();
  } else if (node >= 0) {
    if (alloc.placement == AIACCEL_PLACE_STRICT) mode = MPOL_BIND;
    mask.reset(numa_allocate_nodemask());
    numa_bitmask_setbit(mask.get(), static_cast<unsigned>(node));
  }
  void* whole = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (whole == MAP_FAILED) return -errno;
  const long bound =
      mbind(whole, bytes, mode, mask ? mask->maskp : nullptr, mask ? numa::bits_of(*mask) : 0, 0);
  const int error = errno;
  munmap(whole, bytes);
  // Without the right to place (some containers), only STRICT promises something.
  return bound < 0 && alloc.placement == AIACCEL_PLACE_STRICT ? -error : 0;
}

int take_pages(int fd, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes;) {
    const uint64_t step = std::min(kStep, bytes - at);
    if (fallocate(fd, 0, static_cast<off_t>(at), static_cast<off_t>(step)) == 0)
      at += step;
    else if (errno != EINTR)
      return -errno;
  }
  return 0;
}

int make_memory(const aiaccel_alloc& alloc, int node, uint64_t bytes, Fd* file, host::Mark* mark) {
  if (int error = make_marked_file(file, mark)) return error;
  const int fd = file->get();
  if (ftruncate(fd, static_cast<off_t>(bytes)) < 0) return -errno;
  if (int error = place(fd, alloc, node, bytes)) return error;
  if (int error = take_pages(fd, bytes)) return error;
  return seal_marked_file(fd);
}

// The only node of the machine, whoever made the memory; -1 where there are several.
int machine_node() {
  return !numa::available() || numa_max_node() == 0 ? 0 : -1;
}

// EINVAL for a node that is asked for and is not there.
int check_node(uint32_t placement, int node) {
  const bool names_node = placement == AIACCEL_PLACE_PREFER || placement == AIACCEL_PLACE_STRICT;
  return names_node && !may_use(node) ? -EINVAL : 0;
}

uint64_t memory_left(uint32_t placement, int node) {
  return memory_headroom(placement == AIACCEL_PLACE_STRICT ? node : -1);
}

}  // namespace

Buffers::~Buffers() {
  for (const auto& [id, buffer] : buffers_) unlock(buffer);
}

// What is left to do for one that goes; its file is closed by itself.
void Buffers::unlock(const Buffer& buffer) {
  if (!buffer.file) release_own_range(buffer.offset, buffer.length);
}

int Buffers::check_alloc(const aiaccel_alloc& alloc) {
  if (int error = aia_check_alloc(&alloc)) return error;
  return check_node(alloc.placement, alloc.node);
}

int Buffers::check_quota(const aiaccel_quota& quota) {
  if (int error = aia_check_quota(&quota)) return error;
  return check_node(quota.placement, quota.node);
}

void Buffers::complete(aiaccel_quota& quota) {
  const bool pinned = quota.kind == AIACCEL_BUFFER_PINNED;
  quota.rlimit_bytes = pinned ? lock_headroom() : AIACCEL_UNLIMITED;
  quota.memory_bytes = memory_left(quota.placement, quota.node);
  quota.memcg_bytes = cgroup_headroom();
  if (quota.refused_by != AIACCEL_REFUSED_NOT) return;
  const uint64_t bytes = host::whole_pages(quota.length);
  if (quota.rlimit_bytes < bytes)
    quota.refused_by = AIACCEL_REFUSED_RLIMIT;
  else if (quota.memory_bytes < bytes)
    quota.refused_by = AIACCEL_REFUSED_MEMORY;
  else if (quota.memcg_bytes < bytes)
    quota.refused_by = AIACCEL_REFUSED_MEMCG;
}

int Buffers::check_pin(const aiaccel_pin& pin) {
  if (int error = aia_check_pin(&pin)) return error;
  return check_own_range(pin.addr, pin.length, pin.flags & AIACCEL_PIN_WRITE);
}

// Made before anything that would have to be given back if it could not be made.
Buffers::Table::node_type Buffers::make_entry(uint32_t id) {
  Table one;
  return one.extract(one.emplace(id, Buffer{}).first);
}

void Buffers::add(Table::node_type entry, Buffer buffer) noexcept {
  entry.mapped() = std::move(buffer);
  Lock lock(mutex_);
  // An arbiter that gives an id twice has us keep the first.
  const auto added = buffers_.insert(std::move(entry));
  if (!added.inserted) unlock(added.node.mapped());
}

int Buffers::add_alloc(aiaccel_alloc& alloc, int near_node) noexcept try {
  Table::node_type entry = make_entry(alloc.id);
  const uint64_t bytes = host::whole_pages(alloc.length);
  const bool strict = alloc.placement == AIACCEL_PLACE_STRICT;
  if (bytes > memory_left(alloc.placement, alloc.node)) {
    alloc.refused_by = AIACCEL_REFUSED_MEMORY;
    return -ENOMEM;
  }
  if (bytes > cgroup_headroom()) {
    alloc.refused_by = AIACCEL_REFUSED_MEMCG;
    return -ENOMEM;
  }
  Fd file;
  host::Mark mark;
  const int error = make_memory(alloc, wanted_node(alloc, near_node), bytes, &file, &mark);
  if (error) {
    // The file system of memfds says "no space", and "too big" beyond what a file can be.
    if (error == -ENOMEM || error == -ENOSPC || error == -EFBIG || error == -EINVAL) {
      alloc.refused_by = AIACCEL_REFUSED_MEMORY;
      return -ENOMEM;
    }
    return error;
  }
  const int node = strict ? alloc.node : only_node();
  auto kept = std::make_shared<const Fd>(std::move(file));
  add(std::move(entry), Buffer{std::move(kept), node, alloc.mmap_offset, bytes, mark});
  return 0;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int Buffers::add_import(uint32_t id, Fd file, const host::Mark& mark, uint64_t length,
                        uint64_t offset) noexcept try {
  Table::node_type entry = make_entry(id);
  const uint64_t bytes = host::whole_pages(length);
  if (!has_bytes(file.get(), bytes)) return -ENODEV;
  auto kept = std::make_shared<const Fd>(std::move(file));
  add(std::move(entry), Buffer{std::move(kept), machine_node(), offset, bytes, mark});
  return 0;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int Buffers::add_pin(aiaccel_pin& pin) noexcept try {
  Table::node_type entry = make_entry(pin.id);
  if (int error = hold_own_range(pin.addr, pin.length)) {
    pin.refused_by = AIACCEL_REFUSED_RLIMIT;
    return error;
  }
  add(std::move(entry), Buffer{nullptr, only_node(), pin.addr, pin.length});
  return 0;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

host::Mark Buffers::mark(uint32_t id) const {
  Lock lock(mutex_);
  const auto found = buffers_.find(id);
  return found == buffers_.end() ? host::kNoMark : found->second.mark;
}

int Buffers::share(uint32_t id) const {
  Lock lock(mutex_);
  const auto found = buffers_.find(id);
  if (found == buffers_.end() || !found->second.file) return -ENOENT;
  const int fd = fcntl(found->second.file->get(), F_DUPFD_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

std::shared_ptr<const Fd> Buffers::file(uint32_t id) const {
  Lock lock(mutex_);
  const auto found = buffers_.find(id);
  return found == buffers_.end() ? nullptr : found->second.file;
}

void Buffers::remove(uint32_t id) {
  Lock lock(mutex_);
  const auto found = buffers_.find(id);
  if (found == buffers_.end()) return;
  unlock(found->second);
  buffers_.erase(found);
}

int Buffers::map(uint64_t offset, uint64_t length, int prot, void** address) const {
  Lock lock(mutex_);
  for (const auto& [id, buffer] : buffers_) {
    if (!buffer.file || offset < buffer.offset || offset - buffer.offset >= buffer.length) continue;
    const uint64_t at = offset - buffer.offset;
    if (length == 0 || length > buffer.length - at) return -EINVAL;
    if (!has_bytes(buffer.file->get(), buffer.length)) return -ENODEV;  // it was revoked
    void* mapped =
        mmap(nullptr, length, prot, MAP_SHARED, buffer.file->get(), static_cast<off_t>(at));
    if (mapped == MAP_FAILED) return -errno;
    *address = mapped;
    return 0;
  }
  return -EINVAL;
}

int Buffers::node(uint32_t id) const {
  Lock lock(mutex_);
  const auto found = buffers_.find(id);
  return found == buffers_.end() ? -1 : found->second.node;
}

void Buffers::forget_pins() {
  std::erase_if(buffers_, [](const auto& entry) { return !entry.second.file; });
}

}  // namespace aiaccel
