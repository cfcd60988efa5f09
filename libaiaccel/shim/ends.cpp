// SPDX-License-Identifier: MIT
//
// What begins and ends captures, and what ends streams and contexts: nothing is gated here, the
// shim only has to know. A context ends once it has: the driver may refuse, or wait for its work.
// Also host functions, which run on the host.
//
// Threads: any.
#include <algorithm>
#include <memory>
#include <vector>

#include "mutex.h"
#include "shim/allocations.h"
#include "shim/cuda.h"
#include "shim/gate.h"
#include "shim/table.h"
#include "user/per_process.h"

namespace aiaccel::shim {
namespace {

using cuda::Context;
using cuda::Device;
using cuda::Handle;
using cuda::Result;
using cuda::Stream;

// The streams in which captures began through us and did not end; a thread's default stream once
// for each that has one. A stream that only joined a capture may go while that goes on.
class Origins {
 public:
  void add(Stream stream) {
    const Lock lock(mutex_);
    streams_.push_back(stream);
  }
  void remove(Stream stream) {
    const Lock lock(mutex_);
    const auto found = std::find(streams_.begin(), streams_.end(), stream);
    if (found == streams_.end()) return;
    streams_.erase(found);
    captures.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  Mutex mutex_;
  std::vector<Stream> streams_ GUARDED_BY(mutex_);
};

Origins& origins() {
  static PerProcess<Origins> origins;
  return origins.get([] { return std::make_unique<Origins>(); });
}

// One more before anybody can have seen it begin.
template <Index kIndex, typename... A>
Result begin(Stream stream, A... arguments) {
  constexpr bool kOfThread = kIndex == k_cuStreamBeginCapture_ptsz ||
                             kIndex == k_cuStreamBeginCapture_v2_ptsz ||
                             kIndex == k_cuStreamBeginCaptureToGraph_ptsz;
  captures.fetch_add(1, std::memory_order_seq_cst);
  if (here.depth == 0) {
    const InDriver in_driver;
    if (Shim* shim = Shim::get())
      for (Gate* gate : shim->gates()) gate->lines().mark_all();
  }
  const Result result = call_real<kIndex>(cuda::kNotFound, stream, arguments...);
  if (result == cuda::kSuccess)
    origins().add(cuda::meant_stream(stream, kOfThread));
  else
    captures.fetch_sub(1, std::memory_order_relaxed);
  return result;
}

// It is over when the stream is not captured any more, whatever the driver says of the graph.
template <Index kIndex>
Result end(Stream stream, Handle* graph) {
  const Stream asked = cuda::meant_stream(stream, kIndex == k_cuStreamEndCapture_ptsz);
  const Driver* driver = shim::driver();
  const bool before = driver && is_capturing(*driver, asked);
  const Result result = call_real<kIndex>(cuda::kNotFound, stream, graph);
  if (before && !is_capturing(*driver, asked)) origins().remove(asked);
  return result;
}

template <Index kIndex>
Result destroy_stream(Stream stream) {
  if (here.depth == 0) {
    const InDriver in_driver;
    if (Shim* shim = Shim::get())
      for (Gate* gate : shim->gates()) gate->lines().drop_stream(stream);
  }
  const Result result = call_real<kIndex>(cuda::kNotFound, stream);
  if (result == cuda::kSuccess) origins().remove(stream);  // its capture went with it
  return result;
}

void drop_lines(Context context) {
  if (Shim* shim = Shim::get())
    for (Gate* gate : shim->gates()) gate->lines().drop_context(context);
}

void drop_context(Context context) {
  forget_allocations(context);
  drop_lines(context);
}

// `real` may end the context, and the driver waits in it for the work there, which is under way
// until then. `settle` is told what it answered, to drop what went.
template <typename Real, typename Settle>
Result while_resting(Shim& shim, Context context, Real real, Settle settle) {
  const InDriver in_driver;
  const std::vector<Gate*> gates = shim.gates();
  for (Gate* gate : gates) gate->lines().rest_context(context);
  const Result result = real();
  settle(result);
  for (Gate* gate : gates) gate->lines().resume_context(context);
  return result;
}

// The same where the context with all that is in it went if `gone` says so of the answer.
template <typename Real, typename Gone>
Result end_context(Shim& shim, Context context, Real real, Gone gone) {
  return while_resting(shim, context, real, [&](Result result) {
    if (gone(result)) drop_context(context);
  });
}

// With cuCtxDetach a context goes where it was the last use, and is current no more then.
template <Index kIndex>
Result destroy_context(Context context) {
  const auto real = [=] { return call_real<kIndex>(cuda::kNotFound, context); };
  Shim* shim = here.depth == 0 ? Shim::get() : nullptr;
  if (!shim) return real();
  return end_context(*shim, context, real, [=](Result result) {
    Context current = nullptr;
    if (kIndex == k_cuCtxDetach) shim->driver().ctx_get_current(&current);
    return result == cuda::kSuccess && current != context;
  });
}

template <Index kIndex>
Result reset_primary(Device device) {
  const auto real = [=] { return call_real<kIndex>(cuda::kNotFound, device); };
  Shim* shim = here.depth == 0 ? Shim::get() : nullptr;
  Context context = shim ? shim->primary(device) : nullptr;
  if (!context) return real();
  return end_context(*shim, context, real, [](Result result) { return result == cuda::kSuccess; });
}

// `real` gives one use of the primary context back.
template <typename Real>
Result release_primary(Device device, Real real) {
  Shim* shim = here.depth == 0 ? Shim::get() : nullptr;
  Context context = shim ? shim->primary(device) : nullptr;
  if (!context) return real();
  return end_context(*shim, context, real, [=](Result) {
    unsigned flags = 0;
    int active = 1;
    return shim->driver().primary_state(device, &flags, &active) == cuda::kSuccess && !active;
  });
}

Result retain_primary(Context* context, Device device) {
  const Result result = call_real<k_cuDevicePrimaryCtxRetain>(cuda::kNotFound, context, device);
  Shim* shim = here.depth == 0 && result == cuda::kSuccess ? Shim::get() : nullptr;
  if (shim) shim->keep_primary(device, *context);
  return result;
}

Context find_primary(Shim& shim, Device device) {
  if (Context known = shim.primary(device)) return known;
  Context context = nullptr;
  if (call_real<k_cuDevicePrimaryCtxRetain>(cuda::kNotFound, &context, device) != cuda::kSuccess)
    return nullptr;
  call_real<k_cuDevicePrimaryCtxRelease_v2>(cuda::kNotFound, device);
  shim.keep_primary(device, context);
  return context;
}

// A green context is a part of the engine's units and uses the primary context, in which the memory
// is that is allocated in it. Launches know it by the name that is returned.
Context context_of_green(const Driver& driver, Handle green, Device* device) {
  Context context = nullptr;
  const auto convert =
      reinterpret_cast<Result (*)(Context*, Handle)>(driver_symbol("cuCtxFromGreenCtx"));
  if (!convert || convert(&context, green) != cuda::kSuccess) return nullptr;
  if (driver.ctx_push(context) != cuda::kSuccess) return nullptr;
  const bool known = driver.ctx_get_device(device) == cuda::kSuccess;
  Context ignored = nullptr;
  driver.ctx_pop(&ignored);
  return known ? context : nullptr;
}

Result destroy_green(Handle green) {
  const auto real = [=] { return call_real<k_cuGreenCtxDestroy>(cuda::kNotFound, green); };
  Shim* shim = here.depth == 0 ? Shim::get() : nullptr;
  if (!shim) return real();
  Device device = 0;
  Context context = nullptr;
  Context primary = nullptr;
  {
    const InDriver in_driver;
    context = context_of_green(shim->driver(), green, &device);
    if (context) primary = find_primary(*shim, device);
  }
  if (!context) return real();
  return release_primary(device, [=] {
    return while_resting(*shim, context, real, [=](Result result) {
      if (result != cuda::kSuccess) return;
      drop_lines(context);
      if (primary) move_allocations(context, primary);
    });
  });
}

}  // namespace
}  // namespace aiaccel::shim

using namespace aiaccel::shim;
using cuda::Context;
using cuda::Device;
using cuda::Handle;
using cuda::Result;
using cuda::Stream;

#pragma GCC visibility push(default)
extern "C" {

#define BEGIN(name)                       \
  Result name(Stream stream, int mode) {  \
    return begin<k_##name>(stream, mode); \
  }
BEGIN(cuStreamBeginCapture_v2)
BEGIN(cuStreamBeginCapture_v2_ptsz)

// The first version had no mode.
#define BEGIN_V1(name)              \
  Result name(Stream stream) {      \
    return begin<k_##name>(stream); \
  }
BEGIN_V1(cuStreamBeginCapture)
BEGIN_V1(cuStreamBeginCapture_ptsz)

#define BEGIN_TO_GRAPH(name)                                                             \
  Result name(Stream stream, Handle graph, const Handle* dependencies, const void* data, \
              size_t nr_dependencies, int mode) {                                        \
    return begin<k_##name>(stream, graph, dependencies, data, nr_dependencies, mode);    \
  }
BEGIN_TO_GRAPH(cuStreamBeginCaptureToGraph)
BEGIN_TO_GRAPH(cuStreamBeginCaptureToGraph_ptsz)

#define END(name)                             \
  Result name(Stream stream, Handle* graph) { \
    return end<k_##name>(stream, graph);      \
  }
END(cuStreamEndCapture)
END(cuStreamEndCapture_ptsz)

#define DESTROY_STREAM(name)                 \
  Result name(Stream stream) {               \
    return destroy_stream<k_##name>(stream); \
  }
DESTROY_STREAM(cuStreamDestroy)
DESTROY_STREAM(cuStreamDestroy_v2)

#define DESTROY_CONTEXT(name)                  \
  Result name(Context context) {               \
    return destroy_context<k_##name>(context); \
  }
DESTROY_CONTEXT(cuCtxDestroy)
DESTROY_CONTEXT(cuCtxDestroy_v2)
DESTROY_CONTEXT(cuCtxDetach)

#define RESET(name)                         \
  Result name(Device device) {              \
    return reset_primary<k_##name>(device); \
  }
RESET(cuDevicePrimaryCtxReset)
RESET(cuDevicePrimaryCtxReset_v2)

#define RELEASE(name)                                                                             \
  Result name(Device device) {                                                                    \
    return release_primary(device, [=] { return call_real<k_##name>(cuda::kNotFound, device); }); \
  }
RELEASE(cuDevicePrimaryCtxRelease)
RELEASE(cuDevicePrimaryCtxRelease_v2)

Result cuGreenCtxDestroy(Handle green) {
  return destroy_green(green);
}

Result cuDevicePrimaryCtxRetain(Context* context, Device device) {
  return retain_primary(context, device);
}

#define HOST(name)                                                   \
  Result name(Stream stream, void (*call)(void*), void* data) {      \
    return call_real<k_##name>(cuda::kNotFound, stream, call, data); \
  }
HOST(cuLaunchHostFunc)
HOST(cuLaunchHostFunc_ptsz)

}  // extern "C"
#pragma GCC visibility pop
