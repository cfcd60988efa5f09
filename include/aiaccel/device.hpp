// SPDX-License-Identifier: MIT
//
// A context of one transport, and what is reached from it. Engines, buffers and queues keep their
// context open, so they may outlive the Device that made them.
//
// Error ECONNRESET: the broker ended, and with it what was reached from this Device but for memory,
// which Buffers keep. Open another one, make queues anew, copy out of the Buffers or keep them as
// they are; <aiaccel.h> says more.
//
// Threads: as <aiaccel.h> says: open one Device for each worker.
#ifndef AIACCEL_DEVICE_HPP
#define AIACCEL_DEVICE_HPP

#include <aiaccel.h>
#include <aiaccel/buffer.hpp>
#include <aiaccel/descriptor.hpp>
#include <aiaccel/engine.hpp>
#include <aiaccel/error.hpp>
#include <aiaccel/memory.hpp>

#include <sys/resource.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace aiaccel {

class Deployment;
class Model;
class Pinning;
struct DeploymentOptions;
struct PinningOptions;

class Device {
 public:
  // `transport`: "kernel", "broker", "embedded", "auto"; empty is $AIACCEL_TRANSPORT, else "auto".
  static Device open(const std::string& transport = {}) {
    aiaccel_device* handle = nullptr;
    detail::check(aiaccel_open(transport.empty() ? nullptr : transport.c_str(), &handle),
                  "cannot open aiaccel");
    return Device(std::shared_ptr<aiaccel_device>(handle, aiaccel_close));
  }

  std::string_view transport() const noexcept { return aiaccel_transport(handle_.get()); }

  aiaccel_query query() const {
    aiaccel_query query{};
    query.size = sizeof query;
    detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_QUERY, &query), "cannot query aiaccel");
    return query;
  }

  std::vector<Engine> engines() const {
    std::vector<std::uint32_t> ids(16);
    for (;;) {
      aiaccel_engine_list list{};
      list.size = sizeof list;
      list.count = static_cast<std::uint32_t>(ids.size());
      list.ids = reinterpret_cast<std::uintptr_t>(ids.data());
      detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_ENGINE_LIST, &list),
                    "cannot list engines");
      const bool all = list.count <= ids.size();
      ids.resize(list.count);
      if (all) break;
    }
    std::vector<Engine> engines;
    for (std::uint32_t id : ids) {
      aiaccel_engine_info info{};
      info.size = sizeof info;
      info.id = id;
      const int result = aiaccel_call(handle_.get(), AIACCEL_IOC_ENGINE_INFO, &info);
      if (result == -ENOENT) continue;  // it went away since the list was made
      detail::check(result, "cannot describe an engine");
      engines.push_back(Engine(handle_, info));
    }
    return engines;
  }

  // `name`: as aiaccel_find_engine() takes it: "gpu0", a PCI address, a UUID.
  Engine engine(const std::string& name) const {
    aiaccel_engine_info info{};
    const int result = aiaccel_find_engine(handle_.get(), name.c_str(), &info);
    if (result < 0) throw Error(-result, "no engine " + name);
    return Engine(handle_, info);
  }

  // Zeroed memory that engines reach, mapped for reading and writing. Whole pages are charged, to
  // the tenant and the memory cgroup, not to RLIMIT_MEMLOCK. Throws Error: EDQUOT or ENOMEM, which
  // name the limit; EINVAL for no bytes, or a node that the caller may not use; ENOENT for an
  // engine that went away.
  Buffer alloc(std::uint64_t bytes, Placement placement = {}) const {
    return Buffer::alloc(handle_, bytes, placement);
  }

  // Holds the caller's own pages in place until the Buffer goes; they must stay mapped until then.
  // Anonymous memory and shared memory, such as a memfd's. Every page that the range touches
  // counts, towards RLIMIT_MEMLOCK and the tenant. Engines only read what is pinned as const.
  // Throws Error: EDQUOT or ENOMEM, which name the limit; EINVAL for no bytes; EFAULT where they
  // are not mapped, or not for writing; EOPNOTSUPP for the mapping of any other file or device;
  // EPERM for a memfd that is sealed against writing.
  Buffer pin(std::span<std::byte> bytes, const PinOptions& options = {}) const {
    return Buffer::pin(handle_, bytes.data(), bytes.size(), true, options);
  }
  Buffer pin(std::span<const std::byte> bytes, const PinOptions& options = {}) const {
    return Buffer::pin(handle_, bytes.data(), bytes.size(), false, options);
  }

  // The same by a thread of the library; see <aiaccel/pinning.hpp>.
  Pinning pin_async(std::span<std::byte> bytes) const;
  Pinning pin_async(std::span<std::byte> bytes, const PinningOptions& options) const;
  Pinning pin_async(std::span<const std::byte> bytes) const;
  Pinning pin_async(std::span<const std::byte> bytes, const PinningOptions& options) const;

  // Pinned memory from nothing: anonymous memory of this process, placed, in huge pages, touched by
  // several threads, then pinned; it goes with the Buffer. Unlike alloc()'s it counts towards
  // RLIMIT_MEMLOCK, and is any program's own memory to the rest of the kernel: for O_DIRECT, say.
  // Throws Error as Memory::ready() and pin() do: what is more than RLIMIT_MEMLOCK by itself, or
  // than there is memory, before any is taken; what others leave too little for under
  // RLIMIT_MEMLOCK or a ceiling only once all is there, since PIN gives back pins that are kept and
  // quota_pin() does not know.
  Buffer alloc_pinned(std::uint64_t bytes, Placement placement = {},
                      const PrefaultOptions& options = {}) const {
    placement = resolve(placement);
    check_memlock(bytes);
    return Buffer::pin(handle_, Memory::ready(bytes, placement, options));
  }

  // Whether alloc() or pin() of so many bytes would be refused now, and by what; 0 bytes to ask for
  // what is left only. Takes nothing and promises nothing. Throws Error: EINVAL and ENOENT for a
  // placement, as alloc() does.
  Quota quota_alloc(std::uint64_t bytes = 0, Placement placement = {}) const {
    return quota(AIACCEL_BUFFER_ALLOCATED, bytes, placement);
  }
  Quota quota_pin(std::uint64_t bytes = 0) const { return quota(AIACCEL_BUFFER_PINNED, bytes, {}); }

  // Holds what a descriptor stands for, which may be closed then: what Buffer::export_fd() gave,
  // which is the same memory under another id, and mapped where it was allocated; or a dma-buf of
  // another driver, such as GPU memory. Throws Error: EBADF or EINVAL for what is neither, ENODEV
  // where it was revoked, EOPNOTSUPP for another driver's where the transport has not
  // AIACCEL_CAP_IMPORT.
  Buffer import(int fd) const { return Buffer::import(handle_, fd); }
  Buffer import(const Descriptor& descriptor) const { return import(descriptor.get()); }

  // Loads a model and serves it; see <aiaccel/deployment.hpp>.
  Deployment deploy(Model model) const;
  Deployment deploy(Model model, const DeploymentOptions& options) const;

  // For calls of <aiaccel.h> that have no class here.
  aiaccel_device* handle() const noexcept { return handle_.get(); }

 private:
  explicit Device(std::shared_ptr<aiaccel_device> handle) : handle_(std::move(handle)) {}

  Quota quota(std::uint32_t kind, std::uint64_t bytes, Placement placement) const {
    Quota quota{};
    quota.size = sizeof(aiaccel_quota);
    quota.kind = kind;
    quota.length = bytes;
    quota.placement = placement.policy;
    quota.node = placement.node;
    quota.engine = placement.engine;
    aiaccel_quota& arg = quota;
    detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_QUOTA, &arg), "cannot tell what is left");
    return quota;
  }

  // Throws what PIN would in the end for more than the whole of the limit, where that counts.
  void check_memlock(std::uint64_t bytes) const {
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || bytes <= limit.rlim_cur) return;
    if (quota_pin().rlimit_bytes != AIACCEL_UNLIMITED)
      throw Error(ENOMEM, "cannot pin memory", AIACCEL_REFUSED_RLIMIT);
  }

  // Near an engine is on its node.
  Placement resolve(Placement placement) const {
    if (placement.policy != AIACCEL_PLACE_NEAR) return placement;
    aiaccel_engine_info info{};
    info.size = sizeof info;
    info.id = placement.engine;
    detail::check(aiaccel_call(handle_.get(), AIACCEL_IOC_ENGINE_INFO, &info),
                  "cannot describe an engine");
    return info.numa_node < 0 ? Placement{} : prefer_node(info.numa_node);
  }

  std::shared_ptr<aiaccel_device> handle_;
};

}  // namespace aiaccel

#endif  // AIACCEL_DEVICE_HPP
