// SPDX-License-Identifier: MIT
//
// GPUs that the kernel's DRM subsystem drives: their render nodes, as engines, and buffers handed
// to and from their drivers as dma-bufs (PRIME).
//
// libdrm.so.2 is found when it is needed first, and never linked. It is not needed to list nodes.
//
// Errors: Error with the errno of the call.
//
// Threads: the functions may be called from several threads at once, and so may a Node's; an Object
// belongs to one. A forked child has the same open file: it is to use and to destroy none of these.
#ifndef AIACCEL_DRM_HPP
#define AIACCEL_DRM_HPP

#include <aiaccel/descriptor.hpp>
#include <aiaccel/device.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace aiaccel::drm {

struct RenderNode {
  std::string path;    // "/dev/dri/renderD128"
  std::string name;    // "0000:65:00.0"; of what is on no PCI bus its device's name, such as "vgem"
  std::string driver;  // "amdgpu"; "" where sysfs does not tell: nothing real drives it
  int numa_node = -1;
  std::uint64_t device_bytes = 0;  // 0 where the driver does not tell
  bool gpu = false;                // else something else that renders, or a driver without a device
};

// All of them, in the order of their numbers. Nothing is opened, so nothing that sleeps is woken.
// `sys` is where sysfs is mounted.
[[gnu::visibility("default")]] std::vector<RenderNode> render_nodes(
    const std::string& sys = "/sys");

// What AIACCEL_IOC_ENGINE_REGISTER wants to make an engine of it: called by its name, with the
// node's file name as alias ("renderD128", which another boot may give to another), provided by its
// driver, one slot, advisory, since nothing that this library knows stops its work. The broker and
// `aiaccel engines --register` make engines of those that are GPUs (`gpu`) and not NVML's; any
// other is an engine where who calls this registers it. Throws Error(EINVAL) for a name that no
// engine can bear.
[[gnu::visibility("default")]] aiaccel_engine_register engine_of(const RenderNode& node);

class Object;

// An open node. Copies are the same one; it is closed with the last of them and of its Objects.
class [[gnu::visibility("default")]] Node {
 public:
  // Throws Error: ENOSYS without libdrm, and says why; what open() says.
  explicit Node(const std::string& path);
  // The same on a descriptor of an open node. It should be a file of its own (open the node anew):
  // where other code of the program, Mesa say, has a handle of the same dma-buf in the same file,
  // it is the same handle, and the last Object closes it for both.
  explicit Node(Descriptor opened);

  // Belongs to this.
  int fd() const noexcept;

  // The driver's object that is the dma-buf (drmPrimeFDToHandle). Throws Error: what the driver
  // says, such as EINVAL for what is no dma-buf, or for memory that it does not take.
  Object import(const Descriptor& dma_buf) const;
  // The same of a buffer, exported for this: a dma-buf of its own each time. Throws what
  // Buffer::export_fd() throws, too; without AIACCEL_CAP_IMPORT there is no dma-buf.
  Object import(const Buffer& buffer) const;

  // An object that the driver's own calls made here becomes an Object's, which closes it.
  Object adopt(std::uint32_t handle) const;

 private:
  friend class Object;
  struct [[gnu::visibility("hidden")]] State;
  std::shared_ptr<State> state_;
};

// A GEM object, by its handle. What was moved from can be assigned to or destroyed, and nothing
// else. A driver has one handle in a file for one dma-buf, however often
// that is imported: the handle is closed with the last Object of it.
class [[gnu::visibility("default")]] Object {
 public:
  Object(Object && other) noexcept;
  Object& operator=(Object&& other) noexcept;
  ~Object();

  std::uint32_t handle() const noexcept {
    return handle_;
  }

  // A dma-buf of it (drmPrimeHandleToFD), which keeps its memory when this goes; of what was
  // imported the one that it was imported from. Throws Error: what the driver says.
  Descriptor export_fd() const;

  // The same as a buffer of a context. Throws what export_fd() and Device::import() throw.
  Buffer to(const Device& device) const {
    return device.import(export_fd());
  }

 private:
  friend class Node;
  Object(std::shared_ptr<Node::State> state, std::uint32_t handle);
  std::shared_ptr<Node::State> state_;
  std::uint32_t handle_ = 0;
};

inline Object Node::import(const Buffer& buffer) const {
  return import(buffer.export_fd());
}

}  // namespace aiaccel::drm

#endif  // AIACCEL_DRM_HPP
