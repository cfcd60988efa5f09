// SPDX-License-Identifier: MIT
//
// Device memory, which is the host's: reserved addresses of this process that are filled when they
// are touched, counted against the device that all processes of the folder share. Host memory that
// the device may read at any time (allocated or registered) is known too.
//
// An allocation made while its stream captures is made at once and stays until it is freed or the
// context ends; that of a graph's own life is not modelled.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "driver.h"

struct CUarray_st {
  CUcontext context;
  CUdeviceptr memory;
};

struct CUmemPoolHandle_st {
  int unused;
};

namespace standin {
namespace {

constexpr std::uint64_t kUnit = 512;  // what an allocation is a multiple of
constexpr std::uint64_t kGranularity = std::uint64_t{2} << 20;  // what cuMemCreate asks for

struct Block {
  CUcontext context;
  std::uint64_t bytes;
};

struct Host {
  std::uint64_t bytes;
  bool allocated;
};

struct Physical {  // of cuMemCreate
  int fd;
  std::uint64_t bytes;
  unsigned mappings;
  bool released;
};

struct Mapping {
  std::uint64_t bytes;
  CUmemGenericAllocationHandle handle;
};

// Guarded by the driver's mutex, never freed.
struct Memory {
  std::map<CUdeviceptr, Block> blocks;
  std::map<std::uintptr_t, Host> hosts;
  std::map<CUmemGenericAllocationHandle, Physical> physicals;
  std::map<CUdeviceptr, Mapping> mappings;
  std::map<CUdeviceptr, std::uint64_t> ranges;  // of cuMemAddressReserve
  Table<CUarray_st> arrays;
  Table<CUmemPoolHandle_st> pools;
  CUmemoryPool default_pool = nullptr;
  CUmemGenericAllocationHandle next_handle = 1;
};

Memory& memory() {
  static auto* const all = new Memory;
  return *all;
}

std::uint64_t rounded(std::uint64_t bytes, std::uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

CUresult allocate(CUcontext context, std::uint64_t wanted, CUdeviceptr* address) {
  if (!address || !wanted) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t bytes = rounded(wanted, kUnit);
  if (bytes < wanted || !driver().shared.take(bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    driver().shared.give(bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *address = CUdeviceptr(at);
  memory().blocks[*address] = {context, bytes};
  return CUDA_SUCCESS;
}

bool release(CUdeviceptr address) {
  const auto block = memory().blocks.find(address);
  if (block == memory().blocks.end()) return false;
  munmap(reinterpret_cast<void*>(address), block->second.bytes);
  driver().shared.give(block->second.bytes);
  memory().blocks.erase(block);
  return true;
}

// An allocation outside all streams.
template <class F>
CUresult outside(F f) {
  return with_context([&](Lock& lock, CUcontext context) {
    const CUresult error = unsafe(lock);
    return error == CUDA_SUCCESS ? f(lock, context) : error;
  });
}

CUresult allocate_in_stream(CUdeviceptr* address, size_t bytes, CUstream handle) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    const CUresult error = allocate(stream->context, bytes, address);
    if (error != CUDA_SUCCESS) return error;
    const CUresult pushed = push(lock, stream, {});
    if (pushed != CUDA_SUCCESS) release(*address);
    return pushed;
  });
}

unsigned bytes_of(CUarray_format format) {
  switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
      return 4;
    default:
      return 0;
  }
}

CUresult make_array(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR& wanted) {
  return outside([&](Lock&, CUcontext context) {
    const std::uint64_t bytes = wanted.Width * std::max<size_t>(wanted.Height, 1) *
                                std::max<size_t>(wanted.Depth, 1) * wanted.NumChannels *
                                bytes_of(wanted.Format);
    auto made = std::unique_ptr<CUarray_st>(new CUarray_st{context, 0});
    const CUresult error =
        array ? allocate(context, bytes, &made->memory) : CUDA_ERROR_INVALID_VALUE;
    if (error == CUDA_SUCCESS) *array = memory().arrays.add(std::move(made));
    return error;
  });
}

CUresult host_allocate(void** address, size_t bytes) {
  return outside([&](Lock&, CUcontext) {
    if (!address || !bytes) return CUDA_ERROR_INVALID_VALUE;
    void* const at =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    memory().hosts[std::uintptr_t(at)] = {bytes, true};
    *address = at;
    return CUDA_SUCCESS;
  });
}

// The entry of a map by address that contains this one, or the end.
template <class Map, class Key>
typename Map::iterator containing(Map& map, Key address) {
  auto next = map.upper_bound(address);
  if (next == map.begin()) return map.end();
  --next;
  return address - next->first < next->second.bytes ? next : map.end();
}

void drop_unused(CUmemGenericAllocationHandle handle) {
  const auto physical = memory().physicals.find(handle);
  if (!physical->second.released || physical->second.mappings) return;
  close(physical->second.fd);
  driver().shared.give(physical->second.bytes);
  memory().physicals.erase(physical);
}

}  // namespace

void free_memory_of(Lock&, CUcontext context) {
  memory().arrays.drop_if([&](CUarray_st& array) { return array.context == context; });
  std::vector<CUdeviceptr> gone;
  for (const auto& [address, block] : memory().blocks)
    if (block.context == context) gone.push_back(address);
  for (const CUdeviceptr address : gone) release(address);
}

void give_memory(Lock&, CUcontext from, CUcontext to) {
  memory().arrays.each([&](CUarray_st& array) {
    if (array.context == from) array.context = to;
  });
  for (auto& [address, block] : memory().blocks)
    if (block.context == from) block.context = to;
}

bool page_locked(Lock&, const void* address) {
  return containing(memory().hosts, std::uintptr_t(address)) != memory().hosts.end();
}

}  // namespace standin

using namespace standin;

STANDIN_API cuMemGetInfo_v2(size_t* free, size_t* total) {
  return with_context([&](Lock&, CUcontext) {
    const std::uint64_t used = driver().shared.used();
    if (total) *total = driver().shared.capacity();
    if (free) *free = driver().shared.capacity() - std::min(used, driver().shared.capacity());
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  return outside([&](Lock&, CUcontext context) { return allocate(context, bytes, address); });
}

STANDIN_API cuMemAllocManaged(CUdeviceptr* address, size_t bytes, unsigned) {
  return outside([&](Lock&, CUcontext context) { return allocate(context, bytes, address); });
}

STANDIN_API cuMemAllocPitch_v2(CUdeviceptr* address, size_t* pitch, size_t width, size_t height,
                               unsigned element) {
  return outside([&](Lock&, CUcontext context) {
    if (!pitch || !width || !height || (element != 4 && element != 8 && element != 16))
      return CUDA_ERROR_INVALID_VALUE;
    const CUresult error = allocate(context, rounded(width, kUnit) * height, address);
    if (error == CUDA_SUCCESS) *pitch = rounded(width, kUnit);
    return error;
  });
}

// Waits for work that may use it, as a device does.
STANDIN_API cuMemFree_v2(CUdeviceptr address) {
  return outside([&](Lock& lock, CUcontext) {
    if (!address) return CUDA_SUCCESS;
    const auto block = memory().blocks.find(address);
    if (block == memory().blocks.end()) return CUDA_ERROR_INVALID_VALUE;
    wait_idle(lock, block->second.context);
    return release(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

STANDIN_API cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream stream) {
  return allocate_in_stream(address, bytes, stream);
}
STANDIN_API cuMemAllocAsync_ptsz(CUdeviceptr* address, size_t bytes, CUstream stream) {
  return allocate_in_stream(address, bytes, per_thread(stream));
}

STANDIN_API cuMemAllocFromPoolAsync(CUdeviceptr* address, size_t bytes, CUmemoryPool,
                                    CUstream stream) {
  return allocate_in_stream(address, bytes, stream);
}
STANDIN_API cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* address, size_t bytes, CUmemoryPool,
                                         CUstream stream) {
  return allocate_in_stream(address, bytes, per_thread(stream));
}

STANDIN_API cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!memory().blocks.count(address)) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture) return push(lock, stream, {});
    return push(lock, stream, {Unit::kCopy, [address] {
                                 Lock lock(driver().mutex);
                                 release(address);
                               }});
  });
}
STANDIN_API cuMemFreeAsync_ptsz(CUdeviceptr address, CUstream stream) {
  return cuMemFreeAsync(address, per_thread(stream));
}

STANDIN_API cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr address) {
  return with_context([&](Lock&, CUcontext) {
    const auto block = containing(memory().blocks, address);
    if (block == memory().blocks.end()) return CUDA_ERROR_NOT_FOUND;
    if (base) *base = block->first;
    if (bytes) *bytes = block->second.bytes;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemAllocHost_v2(void** address, size_t bytes) {
  return host_allocate(address, bytes);
}

STANDIN_API cuMemHostAlloc(void** address, size_t bytes, unsigned) {
  return host_allocate(address, bytes);
}

STANDIN_API cuMemFreeHost(void* address) {
  return outside([&](Lock& lock, CUcontext context) {
    wait_idle(lock, context);
    const auto host = memory().hosts.find(std::uintptr_t(address));
    if (host == memory().hosts.end() || !host->second.allocated) return CUDA_ERROR_INVALID_VALUE;
    munmap(address, host->second.bytes);
    memory().hosts.erase(host);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemHostRegister_v2(void* address, size_t bytes, unsigned) {
  return outside([&](Lock&, CUcontext) {
    if (!address || !bytes) return CUDA_ERROR_INVALID_VALUE;
    if (!memory().hosts.emplace(std::uintptr_t(address), Host{bytes, false}).second)
      return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemHostUnregister(void* address) {
  return outside([&](Lock&, CUcontext) {
    const auto host = memory().hosts.find(std::uintptr_t(address));
    if (host == memory().hosts.end() || host->second.allocated)
      return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    memory().hosts.erase(host);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemHostGetDevicePointer_v2(CUdeviceptr* device, void* address, unsigned) {
  return with_context([&](Lock& lock, CUcontext) {
    if (!page_locked(lock, address)) return CUDA_ERROR_INVALID_VALUE;
    *device = CUdeviceptr(address);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* wanted) {
  return make_array(array,
                    {wanted->Width, wanted->Height, 0, wanted->Format, wanted->NumChannels, 0});
}

STANDIN_API cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* wanted) {
  return make_array(array, *wanted);
}

STANDIN_API cuArrayDestroy(CUarray array) {
  return outside([&](Lock& lock, CUcontext) {
    if (!memory().arrays.has(array)) return CUDA_ERROR_INVALID_HANDLE;
    wait_idle(lock, array->context);
    release(array->memory);
    memory().arrays.drop(array);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  return with_driver([&](Lock&) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    CUmemoryPool& own = memory().default_pool;
    if (!own) own = memory().pools.add(std::make_unique<CUmemPoolHandle_st>());
    *pool = own;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) {
  return cuDeviceGetDefaultMemPool(pool, device);
}

STANDIN_API cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* wanted) {
  return with_driver([&](Lock&) {
    if (!pool || !wanted) return CUDA_ERROR_INVALID_VALUE;
    *pool = memory().pools.add(std::make_unique<CUmemPoolHandle_st>());
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemPoolDestroy(CUmemoryPool pool) {
  return with_driver([&](Lock&) {
    if (pool == memory().default_pool || !memory().pools.drop(pool))
      return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemPoolTrimTo(CUmemoryPool pool, size_t) {  // nothing freed is kept
  return with_driver(
      [&](Lock&) { return memory().pools.has(pool) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; });
}

STANDIN_API cuMemGetAllocationGranularity(size_t* bytes, const CUmemAllocationProp*,
                                          CUmemAllocationGranularity_flags) {
  return with_driver([&](Lock&) {
    *bytes = kGranularity;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemCreate(CUmemGenericAllocationHandle* handle, size_t bytes,
                        const CUmemAllocationProp* wanted, unsigned long long flags) {
  return with_driver([&](Lock& lock) {
    if (const CUresult error = unsafe(lock); error != CUDA_SUCCESS) return error;
    if (!handle || !wanted || flags || !bytes || bytes % kGranularity)
      return CUDA_ERROR_INVALID_VALUE;
    if (!driver().shared.take(bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
    const int fd = memfd_create("aiaccel-standin", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, off_t(bytes)) != 0) {
      if (fd >= 0) close(fd);
      driver().shared.give(bytes);
      return CUDA_ERROR_OPERATING_SYSTEM;
    }
    *handle = memory().next_handle++;
    memory().physicals[*handle] = {fd, bytes, 0, false};
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemRelease(CUmemGenericAllocationHandle handle) {
  return with_driver([&](Lock&) {
    const auto physical = memory().physicals.find(handle);
    if (physical == memory().physicals.end() || physical->second.released)
      return CUDA_ERROR_INVALID_VALUE;
    physical->second.released = true;
    drop_unused(handle);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemAddressReserve(CUdeviceptr* address, size_t bytes, size_t, CUdeviceptr,
                                unsigned long long) {
  return with_driver([&](Lock&) {
    if (!address || !bytes || bytes % kGranularity) return CUDA_ERROR_INVALID_VALUE;
    void* const at =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = CUdeviceptr(at);
    memory().ranges[*address] = bytes;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemAddressFree(CUdeviceptr address, size_t bytes) {
  return with_driver([&](Lock&) {
    const auto range = memory().ranges.find(address);
    if (range == memory().ranges.end() || range->second != bytes) return CUDA_ERROR_INVALID_VALUE;
    munmap(reinterpret_cast<void*>(address), bytes);
    memory().ranges.erase(range);
    return CUDA_SUCCESS;
  });
}

// Readable from here on: access by device is not modelled.
STANDIN_API cuMemMap(CUdeviceptr address, size_t bytes, size_t offset,
                     CUmemGenericAllocationHandle handle, unsigned long long flags) {
  return with_driver([&](Lock&) {
    const auto physical = memory().physicals.find(handle);
    if (physical == memory().physicals.end() || flags || offset || bytes != physical->second.bytes)
      return CUDA_ERROR_INVALID_VALUE;
    if (mmap(reinterpret_cast<void*>(address), bytes, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED, physical->second.fd, 0) == MAP_FAILED)
      return CUDA_ERROR_INVALID_VALUE;
    ++physical->second.mappings;
    memory().mappings[address] = {bytes, handle};
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemUnmap(CUdeviceptr address, size_t bytes) {
  return with_driver([&](Lock&) {
    const auto mapping = memory().mappings.find(address);
    if (mapping == memory().mappings.end() || mapping->second.bytes != bytes)
      return CUDA_ERROR_INVALID_VALUE;
    mmap(reinterpret_cast<void*>(address), bytes, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    const CUmemGenericAllocationHandle handle = mapping->second.handle;
    memory().mappings.erase(mapping);
    --memory().physicals[handle].mappings;
    drop_unused(handle);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuMemSetAccess(CUdeviceptr address, size_t, const CUmemAccessDesc* access, size_t) {
  return with_driver([&](Lock&) {
    return access && containing(memory().mappings, address) != memory().mappings.end()
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_VALUE;
  });
}
