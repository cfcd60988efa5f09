// SPDX-License-Identifier: MIT
//
// Copies and fills. They run on the copy unit, really move the bytes, and take at least the time
// that a bus or a device's memory of the rates below would.
//
// A call waits for its copy where the documentation has it wait, or may: between host and device in
// the synchronous form, and wherever host memory is touched that is not page-locked.
#include <cstring>

#include "driver.h"

using namespace standin;

namespace {

constexpr std::uint64_t kBusBytesPerNs = 16;
constexpr std::uint64_t kDeviceBytesPerNs = 500;

struct Place {
  char* at;
  bool host;  // said to be by the caller; unified addresses are not
  std::size_t pitch = 0, slice = 0;
};

struct Copy {
  Place to, from;
  std::size_t width, height = 1, depth = 1;
};

struct Fill {
  char* at;
  std::size_t pitch, width, height;  // in elements, but for the pitch
  unsigned value, element;
};

Place device(CUdeviceptr at) {
  return {reinterpret_cast<char*>(at), false};
}
Place host(const void* at) {
  return {static_cast<char*>(const_cast<void*>(at)), true};
}

Copy line(Place to, Place from, std::size_t bytes) {
  return {to, from, bytes};
}

// The place that a side of a 2D or 3D copy names; of arrays nothing is copied (at is null).
Place side(CUmemorytype type, const void* on_host, CUdeviceptr on_device, std::size_t x,
           std::size_t y, std::size_t z, std::size_t pitch, std::size_t rows) {
  Place place = type == CU_MEMORYTYPE_HOST    ? host(on_host)
                : type == CU_MEMORYTYPE_ARRAY ? Place{nullptr, false}
                                              : device(on_device);
  place.pitch = pitch;
  place.slice = pitch * rows;
  if (place.at) place.at += x + y * pitch + z * place.slice;
  return place;
}

Copy flat(const CUDA_MEMCPY2D& copy) {
  return {side(copy.dstMemoryType, copy.dstHost, copy.dstDevice, copy.dstXInBytes, copy.dstY, 0,
               copy.dstPitch, 0),
          side(copy.srcMemoryType, copy.srcHost, copy.srcDevice, copy.srcXInBytes, copy.srcY, 0,
               copy.srcPitch, 0),
          copy.WidthInBytes, copy.Height};
}

template <class T>  // CUDA_MEMCPY3D or _PEER, which differ in what is not looked at
Copy solid(const T& copy) {
  return {side(copy.dstMemoryType, copy.dstHost, copy.dstDevice, copy.dstXInBytes, copy.dstY,
               copy.dstZ, copy.dstPitch, copy.dstHeight),
          side(copy.srcMemoryType, copy.srcHost, copy.srcDevice, copy.srcXInBytes, copy.srcY,
               copy.srcZ, copy.srcPitch, copy.srcHeight),
          copy.WidthInBytes, copy.Height, copy.Depth};
}

Fill fill(CUdeviceptr at, std::size_t pitch, unsigned value, unsigned element, std::size_t width,
          std::size_t height = 1) {
  return {reinterpret_cast<char*>(at), pitch, width, height, value, element};
}

bool valid(const Copy& copy) {
  return copy.to.at && copy.from.at;
}
bool valid(const Fill& fill) {
  return fill.at;
}

bool over_bus(const Copy& copy) {
  return copy.to.host || copy.from.host;
}
bool over_bus(const Fill&) {
  return false;
}

bool pageable(Lock& lock, const Copy& copy) {
  return (copy.to.host && !page_locked(lock, copy.to.at)) ||
         (copy.from.host && !page_locked(lock, copy.from.at));
}
bool pageable(Lock&, const Fill&) {
  return false;
}

void perform(const Copy& copy) {
  const std::uint64_t bytes = std::uint64_t{copy.width} * copy.height * copy.depth;
  const std::uint64_t end =
      now_ns() + bytes / (over_bus(copy) ? kBusBytesPerNs : kDeviceBytesPerNs);
  for (std::size_t z = 0; z < copy.depth; ++z)
    for (std::size_t y = 0; y < copy.height; ++y)
      std::memmove(copy.to.at + z * copy.to.slice + y * copy.to.pitch,
                   copy.from.at + z * copy.from.slice + y * copy.from.pitch, copy.width);
  wait_until_ns(end);
}

void perform(const Fill& fill) {
  const std::uint64_t end =
      now_ns() + std::uint64_t{fill.width} * fill.height * fill.element / kDeviceBytesPerNs;
  for (std::size_t y = 0; y < fill.height; ++y)
    for (std::size_t x = 0; x < fill.width; ++x)  // the low bytes of the value
      std::memcpy(fill.at + y * fill.pitch + x * fill.element, &fill.value, fill.element);
  wait_until_ns(end);
}

template <class Work>
CUresult move(CUstream handle, const Work& work, bool synchronous) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!valid(work)) return CUDA_ERROR_INVALID_VALUE;
    if (synchronous)
      if (const CUresult error = unsafe(lock); error != CUDA_SUCCESS) return error;
    const bool waits =
        !stream->capture && ((synchronous && over_bus(work)) || pageable(lock, work));
    Op op{Unit::kCopy, [work] { perform(work); }};
    const auto moment = op.reaches = std::make_shared<Moment>();
    if (stream->capture) op.reaches.reset();
    const CUresult error = push(lock, stream, std::move(op));
    if (error == CUDA_SUCCESS && waits) wait(lock, [&] { return moment->reached; });
    return error;
  });
}

}  // namespace

// A call's four forms: synchronous and not, with the legacy and with the thread's default stream. V
// is the suffix of its version, A that of the asynchronous one.
#define STANDIN_FOUR(NAME, V, A, WORK, ...)                         \
  STANDIN_API NAME##V(__VA_ARGS__) {                                \
    return move(CU_STREAM_LEGACY, WORK, true);                      \
  }                                                                 \
  STANDIN_API NAME##V##_ptds(__VA_ARGS__) {                         \
    return move(CU_STREAM_PER_THREAD, WORK, true);                  \
  }                                                                 \
  STANDIN_API NAME##Async##A(__VA_ARGS__, CUstream stream) {        \
    return move(stream, WORK, false);                               \
  }                                                                 \
  STANDIN_API NAME##Async##A##_ptsz(__VA_ARGS__, CUstream stream) { \
    return move(per_thread(stream), WORK, false);                   \
  }

STANDIN_FOUR(cuMemcpy, , , line(device(to), device(from), bytes), CUdeviceptr to, CUdeviceptr from,
             size_t bytes)
STANDIN_FOUR(cuMemcpyHtoD, _v2, _v2, line(device(to), host(from), bytes), CUdeviceptr to,
             const void* from, size_t bytes)
STANDIN_FOUR(cuMemcpyDtoH, _v2, _v2, line(host(to), device(from), bytes), void* to,
             CUdeviceptr from, size_t bytes)
STANDIN_FOUR(cuMemcpyDtoD, _v2, _v2, line(device(to), device(from), bytes), CUdeviceptr to,
             CUdeviceptr from, size_t bytes)
STANDIN_FOUR(cuMemcpyPeer, , , line(device(to), device(from), bytes), CUdeviceptr to, CUcontext,
             CUdeviceptr from, CUcontext, size_t bytes)
STANDIN_FOUR(cuMemcpy2D, _v2, _v2, flat(*copy), const CUDA_MEMCPY2D* copy)
STANDIN_FOUR(cuMemcpy3D, _v2, _v2, solid(*copy), const CUDA_MEMCPY3D* copy)
STANDIN_FOUR(cuMemcpy3DPeer, , , solid(*copy), const CUDA_MEMCPY3D_PEER* copy)

STANDIN_API cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* copy) {
  return cuMemcpy2D_v2(copy);
}
STANDIN_API cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D* copy) {
  return cuMemcpy2D_v2_ptds(copy);
}

STANDIN_FOUR(cuMemsetD8, _v2, , fill(at, 0, value, 1, count), CUdeviceptr at, unsigned char value,
             size_t count)
STANDIN_FOUR(cuMemsetD16, _v2, , fill(at, 0, value, 2, count), CUdeviceptr at, unsigned short value,
             size_t count)
STANDIN_FOUR(cuMemsetD32, _v2, , fill(at, 0, value, 4, count), CUdeviceptr at, unsigned value,
             size_t count)
STANDIN_FOUR(cuMemsetD2D8, _v2, , fill(at, pitch, value, 1, width, height), CUdeviceptr at,
             size_t pitch, unsigned char value, size_t width, size_t height)
STANDIN_FOUR(cuMemsetD2D16, _v2, , fill(at, pitch, value, 2, width, height), CUdeviceptr at,
             size_t pitch, unsigned short value, size_t width, size_t height)
STANDIN_FOUR(cuMemsetD2D32, _v2, , fill(at, pitch, value, 4, width, height), CUdeviceptr at,
             size_t pitch, unsigned value, size_t width, size_t height)
