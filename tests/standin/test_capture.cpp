// SPDX-License-Identifier: MIT
//
// Stream capture and graphs: what is captured, and what loses a capture, with which error.
#include <thread>

#include "fixture.hpp"

using namespace standin_test;

namespace {

constexpr CUstreamCaptureMode kModes[] = {CU_STREAM_CAPTURE_MODE_GLOBAL,
                                          CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
                                          CU_STREAM_CAPTURE_MODE_RELAXED};

CUstreamCaptureStatus status_of(CUstream stream) {
  CUstreamCaptureStatus status;
  CU_OK(cuStreamIsCapturing(stream, &status));
  return status;
}

// A stream that captures, and the capture's end.
class Capture {
 public:
  explicit Capture(CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) {
    CU_OK(cuStreamBeginCapture_v2(stream, mode));
  }
  ~Capture() {
    CUgraph graph;
    if (!ended_ && cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS) cuGraphDestroy(graph);
  }
  CUresult end(CUgraph* graph) {
    ended_ = true;
    return cuStreamEndCapture(stream, graph);
  }
  // Ends it, and says whether it was lost.
  bool lost() {
    CUgraph graph;
    const CUresult error = end(&graph);
    if (error == CUDA_SUCCESS) cuGraphDestroy(graph);
    return error == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  }

  Stream stream;

 private:
  bool ended_ = false;
};

CUresult launch_graph(CUgraph graph, CUstream stream, int times) {
  CUgraphExec exec;
  CU_OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < times; ++i) CU_OK(cuGraphLaunch(exec, stream));
  CU_OK(cuGraphExecDestroy(exec));
  CU_OK(cuGraphDestroy(graph));
  return cuStreamSynchronize(stream);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(capture)

BOOST_AUTO_TEST_CASE(what_is_captured_runs_when_its_graph_is_launched) {
  Device device;
  Capture capture;
  BOOST_CHECK(status_of(capture.stream) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  CU_OK(device.launch(capture.stream, 1));
  CU_OK(device.launch(capture.stream, 2));
  CUgraph graph;
  CU_OK(capture.end(&graph));
  BOOST_CHECK(status_of(capture.stream) == CU_STREAM_CAPTURE_STATUS_NONE);
  BOOST_CHECK_EQUAL(device.cell(), 0);
  size_t nodes = 0;
  CU_OK(cuGraphGetNodes(graph, nullptr, &nodes));
  BOOST_CHECK_EQUAL(nodes, 2);
  CU_OK(launch_graph(graph, capture.stream, 2));
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after({1, 2, 1, 2}));
}

BOOST_AUTO_TEST_CASE(another_stream_joins_by_an_event) {
  Device device;
  Capture capture;
  Stream other;
  Event fork, join;
  CU_OK(device.launch(capture.stream, 1));
  CU_OK(cuEventRecord(fork, capture.stream));
  CU_OK(cuStreamWaitEvent(other, fork, 0));
  BOOST_CHECK(status_of(other) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  CU_OK(device.launch(other, 2));
  CU_OK(cuEventRecord(join, other));
  CU_OK(cuStreamWaitEvent(capture.stream, join, 0));
  CU_OK(device.launch(capture.stream, 3));
  CUgraph graph;
  CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(other, &graph));
  CU_OK(capture.end(&graph));
  CU_OK(launch_graph(graph, capture.stream, 1));
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after({1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(a_stream_that_joined_and_was_not_joined_back_is_an_error) {
  Device device;
  Capture capture;
  Stream other;
  Event fork;
  CU_OK(cuEventRecord(fork, capture.stream));
  CU_OK(cuStreamWaitEvent(other, fork, 0));
  CU_OK(device.launch(other, 1));
  CUgraph graph;
  CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, capture.end(&graph));
  BOOST_CHECK(!graph);
  BOOST_CHECK(status_of(other) == CU_STREAM_CAPTURE_STATUS_NONE);
}

BOOST_AUTO_TEST_CASE(asking_after_a_capturing_stream_loses_the_capture_in_every_mode) {
  Device device;
  for (const CUstreamCaptureMode mode : kModes) {
    Capture asked(mode), waited(mode);
    CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamQuery(asked.stream));
    BOOST_CHECK(status_of(asked.stream) == CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, device.launch(asked.stream, 1));
    BOOST_CHECK(asked.lost());
    CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(waited.stream));
    BOOST_CHECK(waited.lost());
  }
  CU_OK(cuCtxSynchronize());
}

BOOST_AUTO_TEST_CASE(asking_after_a_captured_event_loses_the_capture_in_every_mode) {
  Device device;
  for (const CUstreamCaptureMode mode : kModes) {
    Capture capture(mode);
    Event event;
    CU_OK(cuEventRecord(event, capture.stream));
    CU_FAILS(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(event));
    BOOST_CHECK(capture.lost());
    CU_FAILS(CUDA_ERROR_CAPTURED_EVENT, cuEventSynchronize(event));
    CU_OK(cuEventRecord(event, capture.stream));
    CU_OK(cuEventSynchronize(event));
  }
}

BOOST_AUTO_TEST_CASE(waiting_for_the_context_loses_its_captures) {
  Device device;
  Capture capture(CU_STREAM_CAPTURE_MODE_RELAXED);
  CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuCtxSynchronize());
  BOOST_CHECK(capture.lost());
}

// In the capturing thread; in another thread; in another thread that is relaxed.
BOOST_AUTO_TEST_CASE(unsafe_calls_lose_the_captures_that_forbid_them) {
  Device device;
  struct Case {
    CUstreamCaptureMode mode;
    bool here, elsewhere, relaxed;
  };
  const Case cases[] = {{CU_STREAM_CAPTURE_MODE_GLOBAL, true, true, false},
                        {CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, true, false, false},
                        {CU_STREAM_CAPTURE_MODE_RELAXED, false, false, false}};
  const auto allocate = [&](bool relaxed) {
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    cuCtxSetCurrent(device.context);
    if (relaxed) cuThreadExchangeStreamCaptureMode(&mode);
    CUdeviceptr address;
    const CUresult error = cuMemAlloc_v2(&address, 1);
    if (error == CUDA_SUCCESS) cuMemFree_v2(address);
    if (relaxed) cuThreadExchangeStreamCaptureMode(&mode);
    return error;
  };
  for (const Case& row : cases) {
    for (const int where : {0, 1, 2}) {
      const bool forbidden = where == 0 ? row.here : where == 1 ? row.elsewhere : row.relaxed;
      Capture capture(row.mode);
      CUresult error;
      if (where == 0)
        error = allocate(false);
      else
        std::thread([&] { error = allocate(where == 2); }).join();
      CU_FAILS(forbidden ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS, error);
      BOOST_CHECK_EQUAL(capture.lost(), forbidden);
    }
    Capture capture(row.mode);
    CU_OK(allocate(true));  // in the capturing thread, relaxed
    BOOST_CHECK(!capture.lost());
  }
}

BOOST_AUTO_TEST_CASE(asking_after_any_event_is_unsafe_in_global_mode) {
  Device device;
  Event event;
  CU_OK(cuEventRecord(event, nullptr));
  Capture capture;
  CUresult error;
  std::thread([&] { error = cuEventQuery(event); }).join();
  CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, error);
  BOOST_CHECK(capture.lost());
}

BOOST_AUTO_TEST_CASE(the_legacy_stream_is_closed_while_a_blocking_stream_captures) {
  Device device;
  {
    Capture capture;
    CUstreamCaptureStatus status;
    CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuStreamIsCapturing(nullptr, &status));
    BOOST_CHECK(status_of(capture.stream) == CU_STREAM_CAPTURE_STATUS_ACTIVE);
    CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, device.launch(nullptr, 1));
    BOOST_CHECK(capture.lost());
  }
  Stream free(CU_STREAM_NON_BLOCKING);
  CU_OK(cuStreamBeginCapture_v2(free, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CU_OK(device.launch(nullptr, 1));
  CUgraph graph;
  CU_OK(cuStreamEndCapture(free, &graph));
  CU_OK(cuGraphDestroy(graph));
}

BOOST_AUTO_TEST_CASE(captures_are_isolated_from_other_work) {
  Device device;
  Stream other;
  Event before;
  CU_OK(cuEventRecord(before, other));
  {
    Capture capture;
    CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, cuStreamWaitEvent(capture.stream, before, 0));
    BOOST_CHECK(capture.lost());
  }
  Capture one, two;
  Event event;
  CU_OK(cuEventRecord(event, one.stream));
  CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent(two.stream, event, 0));
  BOOST_CHECK(one.lost());
  BOOST_CHECK(two.lost());
}

BOOST_AUTO_TEST_CASE(where_and_by_whom_captures_begin_and_end) {
  Device device;
  Stream stream;
  CUgraph graph;
  CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
           cuStreamBeginCapture_v2(nullptr, CU_STREAM_CAPTURE_MODE_RELAXED));
  CU_FAILS(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(stream, &graph));
  Capture capture;
  CU_FAILS(CUDA_ERROR_ILLEGAL_STATE,
           cuStreamBeginCapture_v2(capture.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CUresult error;
  std::thread([&] {
    cuCtxSetCurrent(device.context);
    error = cuStreamEndCapture(capture.stream, &graph);
  }).join();
  CU_FAILS(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, error);
  BOOST_CHECK(!capture.lost());
}

BOOST_AUTO_TEST_CASE(a_graph_is_made_node_by_node) {
  Device device;
  CUgraph graph;
  CU_OK(cuGraphCreate(&graph, 0));
  std::uint64_t ns = 0, tag = 1;
  void* values[] = {&ns, &tag, &device.where};
  CUDA_KERNEL_NODE_PARAMS kernel = {};
  kernel.func = device.kernel;
  kernel.gridDimX = kernel.gridDimY = kernel.gridDimZ = 1;
  kernel.blockDimX = kernel.blockDimY = kernel.blockDimZ = 1;
  kernel.kernelParams = values;
  CUgraphNode first, second;
  CU_OK(cuGraphAddKernelNode_v2(&first, graph, nullptr, 0, &kernel));
  tag = 2;
  CU_OK(cuGraphAddKernelNode_v2(&second, graph, &first, 1, &kernel));
  CU_OK(launch_graph(graph, CU_STREAM_LEGACY, 1));
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after({1, 2}));
}

BOOST_AUTO_TEST_SUITE_END()
