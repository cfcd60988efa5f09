// SPDX-License-Identifier: MIT
//
// Streams and events.
#include <algorithm>

#include "driver.h"

using namespace standin;

namespace {

CUresult create(CUstream* stream, unsigned flags, int priority) {
  return with_context([&](Lock&, CUcontext context) {
    if (!stream || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    Driver& all = driver();
    *stream = all.streams.add(std::unique_ptr<CUstream_st>(new CUstream_st{
        CUstream_st::Kind::kCreated, context, flags, std::clamp(priority, -5, 0), all.next_id++}));
    return CUDA_SUCCESS;
  });
}

// What asks after a stream that captures, or for any capture that forbids asking.
CUresult may_ask(Lock& lock, CUstream stream) {
  if (stream->capture) {
    if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    invalidate(lock, *stream->capture);
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  if (const CUresult error = unsafe(lock); error != CUDA_SUCCESS) return error;
  return implicit(lock, stream);
}

template <class F>
CUresult with_event(CUevent event, F f) {
  return with_driver(
      [&](Lock& lock) { return driver().events.has(event) ? f(lock) : CUDA_ERROR_INVALID_HANDLE; });
}

CUresult may_ask(Lock& lock, CUevent event) {
  if (event->capture) {
    if (!event->capture->ended) invalidate(lock, *event->capture);
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  return unsafe(lock);
}

CUresult record(Lock& lock, CUevent event, CUstream stream) {
  event->capture.reset();
  event->nodes.clear();
  event->moment.reset();
  if (stream->capture) {
    if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    event->capture = stream->capture;
    event->nodes = stream->tail;
    return CUDA_SUCCESS;
  }
  event->moment = std::make_shared<Moment>();
  Op op;
  op.reaches = event->moment;
  return push(lock, stream, std::move(op));
}

// The stream's next work comes after the event's.
CUresult wait_for(Lock& lock, CUstream stream, CUevent event) {
  if (stream->capture && stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (event->capture) {
    if (event->capture->ended) return CUDA_ERROR_CAPTURED_EVENT;
    if (event->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (stream->kind == CUstream_st::Kind::kLegacy) return implicit(lock, stream);
    if (stream->capture && stream->capture != event->capture) {
      invalidate(lock, *stream->capture);
      invalidate(lock, *event->capture);
      return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    }
    if (!stream->capture) {
      stream->capture = event->capture;
      stream->capture->streams.push_back(stream);
    }
    for (const CUgraphNode node : event->nodes)
      if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end())
        stream->tail.push_back(node);
    return CUDA_SUCCESS;
  }
  if (!event->moment) return CUDA_SUCCESS;  // never recorded
  if (stream->capture) {
    invalidate(lock, *stream->capture);
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  Op op;
  op.after = event->moment;
  return push(lock, stream, std::move(op));
}

CUresult elapsed(float* milliseconds, CUevent start, CUevent end) {
  return with_driver([&](Lock&) {
    for (const CUevent event : {start, end}) {
      if (!driver().events.has(event) || event->flags & CU_EVENT_DISABLE_TIMING ||
          (!event->moment && !event->capture))
        return CUDA_ERROR_INVALID_HANDLE;
      if (event->capture) return CUDA_ERROR_CAPTURED_EVENT;
      if (!event->moment->reached) return CUDA_ERROR_NOT_READY;
    }
    const std::int64_t ns = std::int64_t(end->moment->time_ns - start->moment->time_ns);
    *milliseconds = float(double(ns) / 1e6);
    return CUDA_SUCCESS;
  });
}

}  // namespace

STANDIN_API cuStreamCreate(CUstream* stream, unsigned flags) {
  return create(stream, flags, 0);
}

STANDIN_API cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  return create(stream, flags, priority);
}

STANDIN_API cuStreamDestroy_v2(CUstream handle) {
  return with_driver([&](Lock& lock) {
    if (!driver().streams.has(handle) || handle->doomed ||
        handle->kind != CUstream_st::Kind::kCreated)
      return CUDA_ERROR_INVALID_HANDLE;
    if (const std::shared_ptr<Capture> capture = handle->capture) {
      invalidate(lock, *capture);
      std::erase(capture->streams, handle);
      if (capture->origin == handle) leave_capture(lock, *capture);
    }
    handle->doomed = true;
    drop_empty_streams(lock);
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuStreamQuery(CUstream handle) {
  return with_stream(handle, [](Lock& lock, CUstream stream) {
    if (const CUresult error = may_ask(lock, stream); error != CUDA_SUCCESS) return error;
    return idle(stream) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
  });
}
STANDIN_API cuStreamQuery_ptsz(CUstream stream) {
  return cuStreamQuery(per_thread(stream));
}

// All that is in the stream now, not what others push meanwhile. Of the legacy stream, also what it
// would wait for.
STANDIN_API cuStreamSynchronize(CUstream handle) {
  return with_stream(handle, [](Lock& lock, CUstream stream) {
    if (const CUresult error = may_ask(lock, stream); error != CUDA_SUCCESS) return error;
    Op op;
    const auto moment = op.reaches = std::make_shared<Moment>();
    if (const CUresult error = push(lock, stream, std::move(op)); error != CUDA_SUCCESS)
      return error;
    wait(lock, [&] { return moment->reached; });
    return CUDA_SUCCESS;
  });
}
STANDIN_API cuStreamSynchronize_ptsz(CUstream stream) {
  return cuStreamSynchronize(per_thread(stream));
}

STANDIN_API cuStreamGetPriority(CUstream handle, int* priority) {
  return with_stream(handle, [&](Lock&, CUstream stream) {
    *priority = stream->priority;
    return CUDA_SUCCESS;
  });
}
STANDIN_API cuStreamGetPriority_ptsz(CUstream stream, int* priority) {
  return cuStreamGetPriority(per_thread(stream), priority);
}

STANDIN_API cuStreamGetFlags(CUstream handle, unsigned* flags) {
  return with_stream(handle, [&](Lock&, CUstream stream) {
    *flags = stream->flags;
    return CUDA_SUCCESS;
  });
}
STANDIN_API cuStreamGetFlags_ptsz(CUstream stream, unsigned* flags) {
  return cuStreamGetFlags(per_thread(stream), flags);
}

STANDIN_API cuStreamGetId(CUstream handle, unsigned long long* id) {
  return with_stream(handle, [&](Lock&, CUstream stream) {
    *id = stream->id;
    return CUDA_SUCCESS;
  });
}
STANDIN_API cuStreamGetId_ptsz(CUstream stream, unsigned long long* id) {
  return cuStreamGetId(per_thread(stream), id);
}

STANDIN_API cuStreamGetCtx(CUstream handle, CUcontext* context) {
  return with_stream(handle, [&](Lock&, CUstream stream) {
    *context = stream->context;
    return CUDA_SUCCESS;
  });
}
STANDIN_API cuStreamGetCtx_ptsz(CUstream stream, CUcontext* context) {
  return cuStreamGetCtx(per_thread(stream), context);
}

STANDIN_API cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!driver().events.has(event)) return CUDA_ERROR_INVALID_HANDLE;
    return wait_for(lock, stream, event);
  });
}
STANDIN_API cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned flags) {
  return cuStreamWaitEvent(per_thread(stream), event, flags);
}

STANDIN_API cuEventCreate(CUevent* event, unsigned flags) {
  return with_context([&](Lock&, CUcontext) {
    if (!event) return CUDA_ERROR_INVALID_VALUE;
    *event = driver().events.add(std::unique_ptr<CUevent_st>(new CUevent_st{flags}));
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuEventDestroy_v2(CUevent event) {
  return with_driver([&](Lock&) {
    return driver().events.drop(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

STANDIN_API cuEventRecordWithFlags(CUevent event, CUstream handle, unsigned flags) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!driver().events.has(event)) return CUDA_ERROR_INVALID_HANDLE;
    if (flags) return CUDA_ERROR_NOT_SUPPORTED;  // event nodes of graphs
    return record(lock, event, stream);
  });
}
STANDIN_API cuEventRecordWithFlags_ptsz(CUevent event, CUstream stream, unsigned flags) {
  return cuEventRecordWithFlags(event, per_thread(stream), flags);
}
STANDIN_API cuEventRecord(CUevent event, CUstream stream) {
  return cuEventRecordWithFlags(event, stream, CU_EVENT_RECORD_DEFAULT);
}
STANDIN_API cuEventRecord_ptsz(CUevent event, CUstream stream) {
  return cuEventRecord(event, per_thread(stream));
}

STANDIN_API cuEventQuery(CUevent event) {
  return with_event(event, [&](Lock& lock) {
    if (const CUresult error = may_ask(lock, event); error != CUDA_SUCCESS) return error;
    return !event->moment || event->moment->reached ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
  });
}

STANDIN_API cuEventSynchronize(CUevent event) {
  return with_event(event, [&](Lock& lock) {
    if (const CUresult error = may_ask(lock, event); error != CUDA_SUCCESS) return error;
    if (const std::shared_ptr<Moment> moment = event->moment)
      wait(lock, [&] { return moment->reached; });
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return elapsed(milliseconds, start, end);
}
STANDIN_API cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return elapsed(milliseconds, start, end);
}
