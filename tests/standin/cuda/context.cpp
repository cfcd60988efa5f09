// SPDX-License-Identifier: MIT
//
// cuInit and contexts: created ones, the primary one, and each thread's stack of current ones.
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>

#include "driver.h"

namespace standin {
namespace {

constexpr std::uint64_t kLaunchNs = 2000;

enum class Phase { kBefore, kReady, kForked };
std::atomic<Phase> phase{Phase::kBefore};
std::mutex init_mutex;
Driver* the_driver;

thread_local std::vector<CUcontext> stack;

void in_child() {
  if (phase != Phase::kReady) return;
  phase = Phase::kForked;
  the_driver->shared.close_in_child();
}

CUresult use_primary(Lock& lock, CUcontext* context) {
  Driver& all = driver();
  if (!all.primary) all.primary = all.contexts.add(make_context(lock, true, all.primary_flags));
  *context = all.primary;
  return CUDA_SUCCESS;
}

void reset_primary(Lock& lock) {
  Driver& all = driver();
  if (all.primary) destroy_context(lock, all.primary);
  all.primary = nullptr;
}

CUresult create(CUcontext* context, unsigned flags, CUdevice device) {
  return with_driver([&](Lock& lock) {
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    *context = driver().contexts.add(make_context(lock, false, flags));
    stack.push_back(*context);
    return CUDA_SUCCESS;
  });
}

CUstream make_stream(Lock&, CUcontext context, CUstream_st::Kind kind) {
  Driver& all = driver();
  return all.streams.add(
      std::unique_ptr<CUstream_st>(new CUstream_st{kind, context, 0, 0, all.next_id++}));
}

}  // namespace

Driver& driver() {
  return *the_driver;
}

CUcontext current(Lock&) {
  if (stack.empty() || !driver().contexts.has(stack.back())) return nullptr;
  return stack.back();
}

std::unique_ptr<CUctx_st> make_context(Lock& lock, bool primary, unsigned flags) {
  std::unique_ptr<CUctx_st> context(new CUctx_st{primary, flags, driver().next_id++});
  context->legacy = make_stream(lock, context.get(), CUstream_st::Kind::kLegacy);
  return context;
}

void destroy_context(Lock& lock, CUcontext context) {
  Driver& all = driver();
  wait_idle(lock, context);
  all.streams.each([&](CUstream_st& stream) {
    if (stream.context == context && stream.capture) invalidate(lock, *stream.capture);
  });
  all.streams.drop_if([&](CUstream_st& stream) { return stream.context == context; });
  free_memory_of(lock, context);
  all.contexts.drop(context);
}

CUresult find_stream(Lock& lock, CUcontext context, CUstream handle, CUstream* stream) {
  if (!handle || handle == CU_STREAM_LEGACY) {
    *stream = context->legacy;
  } else if (handle == CU_STREAM_PER_THREAD) {
    CUstream& own = context->per_thread[std::this_thread::get_id()];
    if (!own) own = make_stream(lock, context, CUstream_st::Kind::kPerThread);
    *stream = own;
  } else if (driver().streams.has(handle) && !handle->doomed) {
    *stream = handle;
  } else {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  return CUDA_SUCCESS;
}

static thread_local bool in_host_function;

// A function that the driver calls must not call it.
void call_host(const std::function<void()>& function) {
  in_host_function = true;
  function();
  in_host_function = false;
}

CUresult entry() {
  if (phase != Phase::kReady) return CUDA_ERROR_NOT_INITIALIZED;
  return in_host_function ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS;
}

}  // namespace standin

using namespace standin;

STANDIN_API cuInit(unsigned flags) {
  if (flags) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard guard(init_mutex);
  if (phase == Phase::kReady) return CUDA_SUCCESS;
  if (phase == Phase::kForked) return CUDA_ERROR_NOT_INITIALIZED;
  auto all = std::make_unique<Driver>();
  if (!all->shared.open()) return CUDA_ERROR_OPERATING_SYSTEM;
  const char* launch_ns = getenv("AIACCEL_STANDIN_LAUNCH_NS");
  all->launch_ns = launch_ns ? strtoull(launch_ns, nullptr, 10) : kLaunchNs;
  the_driver = all.release();
  pthread_atfork(nullptr, nullptr, in_child);
  start_units();
  phase = Phase::kReady;
  return CUDA_SUCCESS;
}

STANDIN_API cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  return create(context, flags, device);
}

STANDIN_API cuCtxCreate_v3(CUcontext* context, CUexecAffinityParam*, int, unsigned flags,
                           CUdevice device) {
  return create(context, flags, device);
}

STANDIN_API cuCtxCreate_v4(CUcontext* context, CUctxCreateParams*, unsigned flags,
                           CUdevice device) {
  return create(context, flags, device);
}

STANDIN_API cuCtxDestroy_v2(CUcontext context) {
  return with_driver([&](Lock& lock) {
    if (!driver().contexts.has(context) || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
    destroy_context(lock, context);
    if (!stack.empty() && stack.back() == context) stack.pop_back();
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxPushCurrent_v2(CUcontext context) {
  return with_driver([&](Lock&) {
    if (!driver().contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
    stack.push_back(context);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxPopCurrent_v2(CUcontext* context) {
  return with_driver([&](Lock&) {
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) *context = stack.back();
    stack.pop_back();
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxSetCurrent(CUcontext context) {
  return with_driver([&](Lock&) {
    if (context && !driver().contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back(context);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxGetCurrent(CUcontext* context) {
  return with_driver([&](Lock& lock) {
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    *context = standin::current(lock);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxGetDevice(CUdevice* device) {
  return with_context([&](Lock&, CUcontext) {
    *device = 0;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxGetFlags(unsigned* flags) {
  return with_context([&](Lock&, CUcontext context) {
    *flags = context->flags;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxGetId(CUcontext context, unsigned long long* id) {
  return with_driver([&](Lock& lock) {
    if (!context) context = standin::current(lock);
    if (!context || !driver().contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
    *id = context->id;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxGetApiVersion(CUcontext, unsigned* version) {
  return with_driver([&](Lock&) {
    *version = 3020;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return with_context([&](Lock&, CUcontext) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxSynchronize() {
  return with_context([&](Lock& lock, CUcontext context) {
    if (const CUresult error = captures_in(lock, context); error != CUDA_SUCCESS) return error;
    wait_idle(lock, context);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return with_driver([&](Lock& lock) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    if (!context) return CUDA_ERROR_INVALID_VALUE;
    ++driver().primary_users;
    return use_primary(lock, context);
  });
}

STANDIN_API cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return with_driver([&](Lock& lock) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    if (!driver().primary_users) return CUDA_ERROR_INVALID_CONTEXT;
    if (--driver().primary_users == 0) reset_primary(lock);
    return CUDA_SUCCESS;
  });
}

// A green context has all of the units here. It uses the primary one, whose memory it allocates.
STANDIN_API cuGreenCtxCreate(CUgreenCtx* green, CUdevResourceDesc, CUdevice device, unsigned) {
  return with_driver([&](Lock& lock) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    if (!green) return CUDA_ERROR_INVALID_VALUE;
    CUcontext primary;
    ++driver().primary_users;
    use_primary(lock, &primary);
    CUcontext context = driver().contexts.add(make_context(lock, false, 0));
    *green = reinterpret_cast<CUgreenCtx>(context);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuCtxFromGreenCtx(CUcontext* context, CUgreenCtx green) {
  return with_driver([&](Lock&) {
    *context = reinterpret_cast<CUcontext>(green);
    return driver().contexts.has(*context) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
  });
}

STANDIN_API cuGreenCtxDestroy(CUgreenCtx green) {
  return with_driver([&](Lock& lock) {
    CUcontext context = reinterpret_cast<CUcontext>(green);
    if (!driver().contexts.has(context) || !driver().primary) return CUDA_ERROR_INVALID_CONTEXT;
    give_memory(lock, context, driver().primary);
    destroy_context(lock, context);
    if (--driver().primary_users == 0) reset_primary(lock);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return with_driver([&](Lock& lock) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    reset_primary(lock);
    driver().primary_users = 0;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  return with_driver([&](Lock&) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    driver().primary_flags = flags;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  return with_driver([&](Lock&) {
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    *flags = driver().primary_flags;
    *active = driver().primary != nullptr;
    return CUDA_SUCCESS;
  });
}
