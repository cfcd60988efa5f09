// SPDX-License-Identifier: MIT
//
// Stream capture: what is pushed into a stream becomes nodes of a graph instead, and the rules of
// the programming guide are kept with their errors. What breaks one loses the capture: it stays
// invalid until it is ended.
//
// The documentation names cudaMalloc as "potentially unsafe" during a capture and lists no others.
// The stand-in takes the strict side: all that allocates, frees, loads, waits for or asks after
// work is unsafe here.
#include <algorithm>

#include "driver.h"

namespace standin {
namespace {

thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

bool forbids(const Capture& capture) {
  if (capture.invalid || capture.mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  if (capture.thread == std::this_thread::get_id()) return true;
  return thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
         capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
}

// Does the capture's origin depend on the node, by way of others or directly?
bool joined(const Capture& capture, CUgraphNode node) {
  std::vector<CUgraphNode> open = capture.origin->tail;
  std::vector<CUgraphNode> seen;
  while (!open.empty()) {
    const CUgraphNode at = open.back();
    open.pop_back();
    if (at == node) return true;
    if (std::find(seen.begin(), seen.end(), at) != seen.end()) continue;
    seen.push_back(at);
    open.insert(open.end(), at->after.begin(), at->after.end());
  }
  return false;
}

bool all_joined(const Capture& capture) {
  for (const CUstream stream : capture.streams)
    for (const CUgraphNode node : stream->tail)
      if (!joined(capture, node)) return false;
  return true;
}

struct Info {
  CUstreamCaptureStatus* status;
  cuuint64_t* id;
  CUgraph* graph;
  const CUgraphNode** dependencies;
  size_t* count;
};

CUresult info(CUstream handle, const Info& out) {
  return with_stream(handle, [&](Lock&, CUstream stream) {
    if (!out.status) return CUDA_ERROR_INVALID_VALUE;
    if (stream->kind == CUstream_st::Kind::kLegacy)
      for (const auto& capture : driver().captures)
        for (const CUstream other : capture->streams)
          if (other->context == stream->context && !(other->flags & CU_STREAM_NON_BLOCKING))
            return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    const Capture* const capture = stream->capture.get();
    *out.status = !capture           ? CU_STREAM_CAPTURE_STATUS_NONE
                  : capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                     : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (!capture || capture->invalid) return CUDA_SUCCESS;
    if (out.id) *out.id = capture->id;
    if (out.graph) *out.graph = capture->graph;
    if (out.dependencies) *out.dependencies = stream->tail.data();
    if (out.count) *out.count = stream->tail.size();
    return CUDA_SUCCESS;
  });
}

}  // namespace

void invalidate(Lock&, Capture& capture) {
  capture.invalid = true;
}

void leave_capture(Lock&, Capture& capture) {
  for (const CUstream stream : capture.streams) {
    stream->tail.clear();
    stream->capture.reset();
  }
  capture.streams.clear();
  capture.ended = true;
  std::erase_if(driver().captures, [](const auto& other) { return other->ended; });
}

CUresult unsafe(Lock& lock) {
  CUresult error = CUDA_SUCCESS;
  for (const auto& capture : driver().captures)
    if (forbids(*capture)) {
      invalidate(lock, *capture);
      error = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
  return error;
}

CUresult implicit(Lock& lock, CUstream stream) {
  if (stream->kind != CUstream_st::Kind::kLegacy) return CUDA_SUCCESS;
  CUresult error = CUDA_SUCCESS;
  for (const auto& capture : driver().captures)
    for (const CUstream other : capture->streams)
      if (other->context == stream->context && !(other->flags & CU_STREAM_NON_BLOCKING)) {
        invalidate(lock, *capture);
        error = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
      }
  return error;
}

CUresult captures_in(Lock& lock, CUcontext context) {
  CUresult error = CUDA_SUCCESS;
  for (const auto& capture : driver().captures)
    if (capture->origin->context == context) {
      invalidate(lock, *capture);
      error = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
  return error;
}

CUresult captured(Lock&, CUstream stream, Op op) {
  const Capture& capture = *stream->capture;
  if (capture.invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  auto node = std::make_unique<CUgraphNode_st>(CUgraphNode_st{std::move(op), stream->tail});
  stream->tail = {node.get()};
  capture.graph->nodes.push_back(std::move(node));
  return CUDA_SUCCESS;
}

}  // namespace standin

using namespace standin;

STANDIN_API cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  if (const CUresult error = entry(); error != CUDA_SUCCESS) return error;
  if (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  std::swap(*mode, thread_mode);
  return CUDA_SUCCESS;
}

STANDIN_API cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  return with_stream(handle, [&](Lock&, CUstream stream) {
    if (mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
    if (stream->kind == CUstream_st::Kind::kLegacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    Driver& all = driver();
    auto capture = std::make_shared<Capture>();
    capture->id = all.next_id++;
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->origin = stream;
    capture->graph = all.graphs.add(std::make_unique<CUgraph_st>());
    capture->streams = {stream};
    stream->capture = capture;
    all.captures.push_back(std::move(capture));
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuStreamBeginCapture(CUstream stream) {
  return cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}
STANDIN_API cuStreamBeginCapture_ptsz(CUstream stream) {
  return cuStreamBeginCapture(per_thread(stream));
}
STANDIN_API cuStreamBeginCapture_v2_ptsz(CUstream stream, CUstreamCaptureMode mode) {
  return cuStreamBeginCapture_v2(per_thread(stream), mode);
}

STANDIN_API cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    const std::shared_ptr<Capture> capture = stream->capture;
    if (!capture) return CUDA_ERROR_ILLEGAL_STATE;
    if (capture->origin != stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
        capture->thread != std::this_thread::get_id())
      return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    const CUresult result = capture->invalid        ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                            : !all_joined(*capture) ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED
                                                    : CUDA_SUCCESS;
    leave_capture(lock, *capture);
    if (graph) *graph = result == CUDA_SUCCESS ? capture->graph : nullptr;
    if (result != CUDA_SUCCESS || !graph) driver().graphs.drop(capture->graph);
    return result;
  });
}

STANDIN_API cuStreamEndCapture_ptsz(CUstream stream, CUgraph* graph) {
  return cuStreamEndCapture(per_thread(stream), graph);
}

STANDIN_API cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  return info(stream, {status, nullptr, nullptr, nullptr, nullptr});
}
STANDIN_API cuStreamIsCapturing_ptsz(CUstream stream, CUstreamCaptureStatus* status) {
  return cuStreamIsCapturing(per_thread(stream), status);
}

STANDIN_API cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id) {
  return info(stream, {status, id, nullptr, nullptr, nullptr});
}
STANDIN_API cuStreamGetCaptureInfo_ptsz(CUstream stream, CUstreamCaptureStatus* status,
                                        cuuint64_t* id) {
  return cuStreamGetCaptureInfo(per_thread(stream), status, id);
}

STANDIN_API cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status,
                                      cuuint64_t* id, CUgraph* graph,
                                      const CUgraphNode** dependencies, size_t* count) {
  return info(stream, {status, id, graph, dependencies, count});
}
STANDIN_API cuStreamGetCaptureInfo_v2_ptsz(CUstream stream, CUstreamCaptureStatus* status,
                                           cuuint64_t* id, CUgraph* graph,
                                           const CUgraphNode** dependencies, size_t* count) {
  return cuStreamGetCaptureInfo_v2(per_thread(stream), status, id, graph, dependencies, count);
}

STANDIN_API cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status,
                                      cuuint64_t* id, CUgraph* graph,
                                      const CUgraphNode** dependencies,
                                      const CUgraphEdgeData** edges, size_t* count) {
  if (edges) *edges = nullptr;
  return info(stream, {status, id, graph, dependencies, count});
}
STANDIN_API cuStreamGetCaptureInfo_v3_ptsz(CUstream stream, CUstreamCaptureStatus* status,
                                           cuuint64_t* id, CUgraph* graph,
                                           const CUgraphNode** dependencies,
                                           const CUgraphEdgeData** edges, size_t* count) {
  return cuStreamGetCaptureInfo_v3(per_thread(stream), status, id, graph, dependencies, edges,
                                   count);
}
