// SPDX-License-Identifier: MIT
//
// What stands in for the functions that put work on the engine: one template, and a row of
// functions.def each.
//
// Threads: any.
#include <utility>

#include "shim/cuda.h"
#include "shim/gate.h"
#include "shim/table.h"

namespace aiaccel::shim {
namespace {

constexpr size_t kLargeBytes = size_t{1} << 20;
constexpr size_t kAlways = ~size_t{0};

enum Default { kLegacy, kPerThread };

cuda::Stream stream_of(void* config) {
  return config ? static_cast<const cuda::LaunchConfig*>(config)->stream : nullptr;
}

size_t bytes_2d(void* copy) {
  const auto* described = static_cast<const cuda::Copy2D*>(copy);
  return described ? described->width_bytes * described->height : 0;
}

size_t bytes_3d(void* copy) {
  const auto* described = static_cast<const cuda::Copy3D*>(copy);
  return described ? described->width_bytes * described->height * described->depth : 0;
}

template <typename... A>
cuda::Result put(Index index, bool heavy, cuda::Stream stream, Default stream_default,
                 A... arguments) {
  const auto real = reinterpret_cast<cuda::Result (*)(A...)>(real_function(index));
  if (!real) return cuda::kNotFound;
  Passage passage(stream, stream_default == kPerThread);
  const cuda::Result result = real(arguments...);
  passage.done(result, heavy);
  return result;
}

template <typename... A>
cuda::Result pass(Index index, A... arguments) {
  const auto real = reinterpret_cast<cuda::Result (*)(A...)>(real_function(index));
  return real ? real(arguments...) : cuda::kNotFound;
}

// A copy is as long as its bytes, a graph as what is in it; of kernels nobody knows.
constexpr bool is_heavy(size_t bytes, Index index) {
  return bytes != kAlways || index == k_cuGraphLaunch || index == k_cuGraphLaunch_ptsz;
}

}  // namespace
}  // namespace aiaccel::shim

using P = void*;
using U = unsigned;
using I = int;
using Z = size_t;
using D = aiaccel::shim::cuda::Address;
using B = unsigned char;
using H = unsigned short;

// Parameters and arguments, called a, b, c …, of a list of types.
#define AIA_COUNT(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, n, ...) n
#define AIA_NR(...) AIA_COUNT(__VA_ARGS__, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define AIA_JOIN2(x, y) x##y
#define AIA_JOIN(x, y) AIA_JOIN2(x, y)
#define AIA_PARAMETERS_1(A) A a
#define AIA_PARAMETERS_2(A, B) A a, B b
#define AIA_PARAMETERS_3(A, B, C) A a, B b, C c
#define AIA_PARAMETERS_4(A, B, C, D) A a, B b, C c, D d
#define AIA_PARAMETERS_5(A, B, C, D, E) A a, B b, C c, D d, E e
#define AIA_PARAMETERS_6(A, B, C, D, E, F) A a, B b, C c, D d, E e, F f
#define AIA_PARAMETERS_7(A, B, C, D, E, F, G) A a, B b, C c, D d, E e, F f, G g
#define AIA_PARAMETERS_8(A, B, C, D, E, F, G, H) A a, B b, C c, D d, E e, F f, G g, H h
#define AIA_PARAMETERS_9(A, B, C, D, E, F, G, H, I) A a, B b, C c, D d, E e, F f, G g, H h, I i
#define AIA_PARAMETERS_10(A, B, C, D, E, F, G, H, I, J) \
  A a, B b, C c, D d, E e, F f, G g, H h, I i, J j
#define AIA_PARAMETERS_11(A, B, C, D, E, F, G, H, I, J, K) \
  A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k
#define AIA_ARGUMENTS_1 a
#define AIA_ARGUMENTS_2 a, b
#define AIA_ARGUMENTS_3 a, b, c
#define AIA_ARGUMENTS_4 a, b, c, d
#define AIA_ARGUMENTS_5 a, b, c, d, e
#define AIA_ARGUMENTS_6 a, b, c, d, e, f
#define AIA_ARGUMENTS_7 a, b, c, d, e, f, g
#define AIA_ARGUMENTS_8 a, b, c, d, e, f, g, h
#define AIA_ARGUMENTS_9 a, b, c, d, e, f, g, h, i
#define AIA_ARGUMENTS_10 a, b, c, d, e, f, g, h, i, j
#define AIA_ARGUMENTS_11 a, b, c, d, e, f, g, h, i, j, k
#define AIA_PARAMETERS(...) AIA_JOIN(AIA_PARAMETERS_, AIA_NR(__VA_ARGS__))(__VA_ARGS__)
#define AIA_ARGUMENTS(...) AIA_JOIN(AIA_ARGUMENTS_, AIA_NR(__VA_ARGS__))

#define WORK(name, stream_default, bytes, stream, ...)                                \
  extern "C" __attribute__((visibility("default"))) aiaccel::shim::cuda::Result name( \
      AIA_PARAMETERS(__VA_ARGS__)) {                                                  \
    using namespace aiaccel::shim;                                                    \
    const size_t moved = bytes;                                                       \
    if (moved < kLargeBytes) return pass(k_##name, AIA_ARGUMENTS(__VA_ARGS__));       \
    return put(k_##name, is_heavy(moved, k_##name), stream, stream_default,           \
               AIA_ARGUMENTS(__VA_ARGS__));                                           \
  }
#define OTHER(name)
#include "shim/functions.def"
