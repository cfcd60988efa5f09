// SPDX-License-Identifier: MIT
//
// As much of CUDA's Driver API as the shim touches, in words of our own: no header of CUDA is
// needed to build. Handles are pointers that nothing here looks behind. tests/shim/abi.cpp compares
// what is written here with the real cuda.h where one is installed.
#ifndef AIACCEL_SHIM_CUDA_H
#define AIACCEL_SHIM_CUDA_H

#include <cstddef>
#include <cstdint>

namespace aiaccel::shim::cuda {

using Result = int;
using Device = int;
using Handle = void*;  // a function, module, array, pool, graph …
using Context = void*;
using Stream = void*;
using Event = void*;
using Address = unsigned long long;  // CUdeviceptr

constexpr Result kSuccess = 0;
constexpr Result kOutOfMemory = 2;
constexpr Result kNotFound = 500;
constexpr Result kNotReady = 600;
constexpr Result kCaptureImplicit = 906;

// Streams that are no handles.
inline Stream legacy_stream() {
  return reinterpret_cast<Stream>(uintptr_t{1});
}
inline Stream per_thread_stream() {
  return reinterpret_cast<Stream>(uintptr_t{2});
}

// The stream that is meant where a call is given this one.
inline Stream meant_stream(Stream stream, bool per_thread) {
  if (stream) return stream;
  return per_thread ? per_thread_stream() : legacy_stream();
}

constexpr int kCaptureNone = 0;
constexpr int kCaptureModeRelaxed = 2;
constexpr unsigned kEventDisableTiming = 2;

struct Uuid {
  unsigned char bytes[16];
};

// CUlaunchConfig
struct LaunchConfig {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  Stream stream;
  void* attributes;
  unsigned nr_attributes;
};

// One side of a CUDA_MEMCPY2D.
struct Side2D {
  size_t x_bytes;
  size_t y;
  int type;
  void* host;
  Address device;
  Handle array;
  size_t pitch;
};

// CUDA_MEMCPY2D
struct Copy2D {
  Side2D from;
  Side2D to;
  size_t width_bytes;
  size_t height;
};

// One side of a CUDA_MEMCPY3D or CUDA_MEMCPY3D_PEER, which have the same size.
struct Side3D {
  size_t x_bytes;
  size_t y;
  size_t z;
  size_t lod;
  int type;
  void* host;
  Address device;
  Handle array;
  void* context;
  size_t pitch;
  size_t height;
};

struct Copy3D {
  Side3D from;
  Side3D to;
  size_t width_bytes;
  size_t height;
  size_t depth;
};

// CUDA_ARRAY_DESCRIPTOR
struct Array2D {
  size_t width;
  size_t height;
  unsigned format;
  unsigned channels;
};

// CUDA_ARRAY3D_DESCRIPTOR
struct Array3D {
  size_t width;
  size_t height;
  size_t depth;
  unsigned format;
  unsigned channels;
  unsigned flags;
};

// CUmemAllocationProp
struct AllocationProperties {
  int type;
  int handle_types;
  int location_type;
  int location_id;
  void* win32;
  unsigned char flags[8];
};
constexpr int kLocationDevice = 1;

// A flag of cuGetProcAddress.
constexpr uint64_t kPerThreadStreams = 2;

}  // namespace aiaccel::shim::cuda

#endif  // AIACCEL_SHIM_CUDA_H
