// SPDX-License-Identifier: MIT
//
// What stands in for the functions that allocate, free and tell of device memory. Each allocation
// takes a Charge before the driver is asked and keeps it by the address or handle that it gave,
// until that is freed. A refusal is CUDA_ERROR_OUT_OF_MEMORY, and touches nothing of the caller's.
// What is freed and was never seen passes through, as does all that others share with us (imports):
// they pay.
//
// Memory made by cuMemCreate lives as long as a handle or a mapping of it does.
//
// Threads: any. The lock is not held over calls to the driver: what is freed is taken off the books
// before, since the address may be another's at once afterwards.
#include "shim/allocations.h"

#include <map>
#include <memory>
#include <utility>

#include "mutex.h"
#include "shim/cuda.h"
#include "shim/gate.h"
#include "shim/memory.h"
#include "shim/table.h"
#include "user/per_process.h"

namespace aiaccel::shim {
namespace {

using cuda::Address;
using cuda::Context;
using cuda::Device;
using cuda::Handle;
using cuda::Result;
using cuda::Stream;

// Memory that is freed by its address or, with arrays, by its handle: both are unique.
struct Piece {
  Context context = nullptr;
  std::shared_ptr<Charge> charge;
};

struct Created {
  unsigned handles = 0;
  std::shared_ptr<Charge> charge;
};

struct Mapping {
  size_t bytes;
  std::shared_ptr<Charge> charge;
};

class Books {
 public:
  void add(Address address, Piece piece) {
    const Lock lock(mutex_);
    pieces_[address] = std::move(piece);
  }

  Piece remove(Address address) {
    const Lock lock(mutex_);
    const auto found = pieces_.find(address);
    if (found == pieces_.end()) return {};
    Piece piece = std::move(found->second);
    pieces_.erase(found);
    return piece;
  }

  void remove_context(Context context) {
    const Lock lock(mutex_);
    std::erase_if(pieces_, [&](const auto& entry) { return entry.second.context == context; });
  }

  void move_context(Context from, Context to) {
    const Lock lock(mutex_);
    for (auto& entry : pieces_)
      if (entry.second.context == from) entry.second.context = to;
  }

  void add_handle(Address handle, std::shared_ptr<Charge> charge) {
    const Lock lock(mutex_);
    created_[handle] = {1, std::move(charge)};
  }

  // The driver took one handle back.
  void remove_handle(Address handle) {
    const Lock lock(mutex_);
    const auto found = created_.find(handle);
    if (found != created_.end() && --found->second.handles == 0) created_.erase(found);
  }

  // The driver gave one more for what is mapped there.
  void retain(Address handle, Address address) {
    const Lock lock(mutex_);
    const auto found = created_.find(handle);
    if (found != created_.end()) {
      ++found->second.handles;
      return;
    }
    auto mapping = mappings_.upper_bound(address);
    if (mapping == mappings_.begin()) return;
    --mapping;
    if (address - mapping->first < mapping->second.bytes)
      created_[handle] = {1, mapping->second.charge};
  }

  void map(Address address, size_t bytes, Address handle) {
    const Lock lock(mutex_);
    const auto found = created_.find(handle);
    if (found != created_.end()) mappings_[address] = {bytes, found->second.charge};
  }

  void unmap(Address address, size_t bytes) {
    const Lock lock(mutex_);
    auto first = mappings_.lower_bound(address);
    auto end = first;
    while (end != mappings_.end() && end->first - address < bytes) ++end;
    mappings_.erase(first, end);
  }

 private:
  Mutex mutex_;  // before a Memory's
  std::map<Address, Piece> pieces_ GUARDED_BY(mutex_);
  std::map<Address, Created> created_ GUARDED_BY(mutex_);
  std::map<Address, Mapping> mappings_ GUARDED_BY(mutex_);
};

// Never destroyed: programs free in their last breath.
Books& books() {
  static PerProcess<Books> books;
  return books.get([] { return std::make_unique<Books>(); });
}

Address key_of(Handle handle) {
  return reinterpret_cast<uintptr_t>(handle);
}

// The memory that an allocation counts in; nullptr where none does.
Memory* counting() {
  if (here.depth != 0) return nullptr;
  Shim* shim = Shim::get();
  return shim ? shim->memory_here() : nullptr;
}

// What is allocated while it is captured is the graph's, and not there yet.
bool captured(Stream stream) {
  if (captures.load(std::memory_order_relaxed) == 0) return false;
  const Driver* driver = shim::driver();
  return driver && is_capturing(*driver, stream);
}

Context context_here() {
  Context context = nullptr;
  const Driver* driver = shim::driver();
  return driver && driver->ctx_get_current(&context) == cuda::kSuccess ? context : nullptr;
}

// An allocation of so many bytes by `real`, which tells where by `key`.
template <typename Real, typename Key>
Result allocate(Memory* memory, uint64_t bytes, Real real, Key key) try {
  if (!memory || bytes == 0) return real();
  std::shared_ptr<Charge> charge = Charge::take(*memory, bytes);
  if (!charge) return cuda::kOutOfMemory;
  const InDriver in_driver;
  const Result result = real();
  if (result == cuda::kSuccess) books().add(key(), {context_here(), std::move(charge)});
  return result;
} catch (const std::bad_alloc&) {
  return cuda::kOutOfMemory;
}

// Puts it back where the driver refuses to free it.
template <typename Real>
Result free_piece(Address key, Real real) try {
  Piece piece = here.depth == 0 ? books().remove(key) : Piece{};
  const Result result = real();
  if (result != cuda::kSuccess && piece.charge) books().add(key, std::move(piece));
  return result;
} catch (const std::bad_alloc&) {
  return cuda::kOutOfMemory;
}

uint64_t times(uint64_t a, uint64_t b) {
  uint64_t product;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

// Of one channel, by CUarray_format; what is not known here counts as one byte.
uint64_t format_bytes(unsigned format) {
  switch (format) {
    case 0x02:
    case 0x09:
    case 0x10:
      return 2;
    case 0x03:
    case 0x0a:
    case 0x20:
      return 4;
    default:
      return 1;
  }
}

uint64_t array_bytes(const cuda::Array3D& array) {
  const uint64_t element = format_bytes(array.format) * (array.channels ? array.channels : 1);
  const auto at_least_one = [](size_t n) { return n ? n : 1; };
  return times(times(times(array.width, at_least_one(array.height)), at_least_one(array.depth)),
               element);
}

uint64_t mipmap_bytes(cuda::Array3D array, unsigned levels) {
  uint64_t sum = 0;
  for (unsigned level = 0; level < levels && array.width != 0; ++level) {
    const uint64_t bytes = array_bytes(array);
    sum = sum + bytes < sum ? UINT64_MAX : sum + bytes;
    if (array.width == 1 && array.height <= 1 && array.depth <= 1) break;
    const auto halve = [](size_t n) { return n > 1 ? n / 2 : n; };
    array = {halve(array.width), halve(array.height), halve(array.depth),
             array.format,       array.channels,      array.flags};
  }
  return sum;
}

template <Index kIndex, typename... A>
Result real(A... arguments) {
  return call_real<kIndex>(cuda::kNotFound, arguments...);
}

template <Index kIndex>
Result allocate_async(Address* address, size_t bytes, Stream stream, bool of_thread) {
  return allocate(
      captured(cuda::meant_stream(stream, of_thread)) ? nullptr : counting(), bytes,
      [=] { return real<kIndex>(address, bytes, stream); }, [=] { return *address; });
}

template <Index kIndex>
Result allocate_from_pool(Address* address, size_t bytes, Handle pool, Stream stream,
                          bool of_thread) {
  return allocate(
      captured(cuda::meant_stream(stream, of_thread)) ? nullptr : counting(), bytes,
      [=] { return real<kIndex>(address, bytes, pool, stream); }, [=] { return *address; });
}

template <Index kIndex>
Result free_async(Address address, Stream stream, bool of_thread) {
  if (captured(cuda::meant_stream(stream, of_thread))) return real<kIndex>(address, stream);
  return free_piece(address, [=] { return real<kIndex>(address, stream); });
}

}  // namespace

void forget_allocations(Context context) {
  books().remove_context(context);
}

void move_allocations(Context from, Context to) {
  books().move_context(from, to);
}

extern "C" {
#pragma GCC visibility push(default)

Result cuMemAlloc_v2(Address* address, size_t bytes) {
  return allocate(
      counting(), bytes, [=] { return real<k_cuMemAlloc_v2>(address, bytes); },
      [=] { return *address; });
}

// The driver chooses the pitch; rows begin at multiples of 512 bytes on what is sold.
Result cuMemAllocPitch_v2(Address* address, size_t* pitch, size_t width, size_t height,
                          unsigned element) {
  constexpr size_t kPitch = 512;
  const uint64_t row = width > SIZE_MAX - kPitch ? width : (width + kPitch - 1) / kPitch * kPitch;
  return allocate(
      counting(), times(row, height),
      [=] { return real<k_cuMemAllocPitch_v2>(address, pitch, width, height, element); },
      [=] { return *address; });
}

Result cuMemAllocManaged(Address* address, size_t bytes, unsigned flags) {
  return allocate(
      counting(), bytes, [=] { return real<k_cuMemAllocManaged>(address, bytes, flags); },
      [=] { return *address; });
}

Result cuMemAllocAsync(Address* address, size_t bytes, Stream stream) {
  return allocate_async<k_cuMemAllocAsync>(address, bytes, stream, false);
}

Result cuMemAllocAsync_ptsz(Address* address, size_t bytes, Stream stream) {
  return allocate_async<k_cuMemAllocAsync_ptsz>(address, bytes, stream, true);
}

Result cuMemAllocFromPoolAsync(Address* address, size_t bytes, Handle pool, Stream stream) {
  return allocate_from_pool<k_cuMemAllocFromPoolAsync>(address, bytes, pool, stream, false);
}

Result cuMemAllocFromPoolAsync_ptsz(Address* address, size_t bytes, Handle pool, Stream stream) {
  return allocate_from_pool<k_cuMemAllocFromPoolAsync_ptsz>(address, bytes, pool, stream, true);
}

Result cuMemFree_v2(Address address) {
  return free_piece(address, [=] { return real<k_cuMemFree_v2>(address); });
}

Result cuMemFreeAsync(Address address, Stream stream) {
  return free_async<k_cuMemFreeAsync>(address, stream, false);
}

Result cuMemFreeAsync_ptsz(Address address, Stream stream) {
  return free_async<k_cuMemFreeAsync_ptsz>(address, stream, true);
}

Result cuArrayCreate_v2(Handle* array, const cuda::Array2D* described) {
  const uint64_t bytes = described ? array_bytes({described->width, described->height, 0,
                                                  described->format, described->channels, 0})
                                   : 0;
  return allocate(
      counting(), bytes, [=] { return real<k_cuArrayCreate_v2>(array, described); },
      [=] { return key_of(*array); });
}

Result cuArray3DCreate_v2(Handle* array, const cuda::Array3D* described) {
  return allocate(
      counting(), described ? array_bytes(*described) : 0,
      [=] { return real<k_cuArray3DCreate_v2>(array, described); }, [=] { return key_of(*array); });
}

Result cuMipmappedArrayCreate(Handle* array, const cuda::Array3D* described, unsigned levels) {
  return allocate(
      counting(), described ? mipmap_bytes(*described, levels) : 0,
      [=] { return real<k_cuMipmappedArrayCreate>(array, described, levels); },
      [=] { return key_of(*array); });
}

Result cuArrayDestroy(Handle array) {
  return free_piece(key_of(array), [=] { return real<k_cuArrayDestroy>(array); });
}

Result cuMipmappedArrayDestroy(Handle array) {
  return free_piece(key_of(array), [=] { return real<k_cuMipmappedArrayDestroy>(array); });
}

// Memory without an address, of the device that is named.
Result cuMemCreate(Address* handle, size_t bytes, const cuda::AllocationProperties* properties,
                   unsigned long long flags) try {
  Shim* shim = here.depth == 0 ? Shim::get() : nullptr;
  const bool ours = shim && properties && properties->location_type == cuda::kLocationDevice;
  Memory* memory = ours ? shim->memory_under_gate(properties->location_id) : nullptr;
  if (!memory) return real<k_cuMemCreate>(handle, bytes, properties, flags);
  std::shared_ptr<Charge> charge = Charge::take(*memory, bytes);
  if (!charge) return cuda::kOutOfMemory;
  const InDriver in_driver;
  const Result result = real<k_cuMemCreate>(handle, bytes, properties, flags);
  if (result == cuda::kSuccess) books().add_handle(*handle, std::move(charge));
  return result;
} catch (const std::bad_alloc&) {
  return cuda::kOutOfMemory;
}

// A handle may be given out again as soon as it was released. So it is struck off before; a driver
// that refuses knows no such handle.
Result cuMemRelease(Address handle) {
  if (here.depth == 0) books().remove_handle(handle);
  return real<k_cuMemRelease>(handle);
}

Result cuMemRetainAllocationHandle(Address* handle, void* address) {
  const Result result = real<k_cuMemRetainAllocationHandle>(handle, address);
  if (result == cuda::kSuccess && here.depth == 0) books().retain(*handle, key_of(address));
  return result;
}

Result cuMemMap(Address address, size_t bytes, size_t offset, Address handle,
                unsigned long long flags) {
  const Result result = real<k_cuMemMap>(address, bytes, offset, handle, flags);
  if (result == cuda::kSuccess && here.depth == 0) books().map(address, bytes, handle);
  return result;
}

Result cuMemUnmap(Address address, size_t bytes) {
  const Result result = real<k_cuMemUnmap>(address, bytes);
  if (result == cuda::kSuccess && here.depth == 0) books().unmap(address, bytes);
  return result;
}

Result cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  const Result result = real<k_cuMemGetInfo_v2>(free_bytes, total_bytes);
  Memory* memory = result == cuda::kSuccess ? counting() : nullptr;
  if (!memory || !free_bytes || !total_bytes) return result;
  uint64_t left = *free_bytes;
  uint64_t all = *total_bytes;
  memory->limit(&left, &all);
  *free_bytes = left;
  *total_bytes = all;
  return result;
}

// Programs ask about devices that they never use.
Result cuDeviceTotalMem_v2(size_t* bytes, Device device) {
  const Result result = real<k_cuDeviceTotalMem_v2>(bytes, device);
  Shim* shim = result == cuda::kSuccess && here.depth == 0 ? Shim::get() : nullptr;
  Memory* memory = shim && bytes ? shim->memory_of(device) : nullptr;
  if (memory) *bytes = memory->total(*bytes);
  return result;
}

#pragma GCC visibility pop
}  // extern "C"
}  // namespace aiaccel::shim
