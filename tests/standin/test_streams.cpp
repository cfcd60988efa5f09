// SPDX-License-Identifier: MIT
//
// Streams, events and launches: in order, asynchronous, one kernel at a time.
#include <algorithm>
#include <atomic>
#include <thread>

#include "fixture.hpp"

using namespace standin_test;

namespace {

// Holds a stream up until it is let go, or the end of the scope.
class Held {
 public:
  explicit Held(CUstream stream) : stream_(stream) { CU_OK(cuLaunchHostFunc(stream, wait, &go_)); }
  ~Held() {
    go();
    cuStreamSynchronize(stream_);
  }
  void go() { go_ = true; }

 private:
  static void wait(void* flag) {
    while (!*static_cast<std::atomic<bool>*>(flag)) std::this_thread::yield();
  }
  CUstream stream_;
  std::atomic<bool> go_ = false;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(streams)

BOOST_AUTO_TEST_CASE(a_launch_returns_before_its_kernel_ran) {
  Device device;
  Stream stream;
  CU_OK(device.launch(stream, 1, 200 * kMs));
  const std::uint64_t returned = now_ns();
  CU_FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
  CU_OK(cuStreamSynchronize(stream));
  CU_OK(cuStreamQuery(stream));
  const auto ran = read_log();
  BOOST_REQUIRE_EQUAL(ran.size(), 1);
  BOOST_CHECK_LT(returned, ran[0].end_ns);
  BOOST_CHECK_GE(ran[0].end_ns - ran[0].start_ns, 200 * kMs);
}

BOOST_AUTO_TEST_CASE(a_stream_is_in_order) {
  Device device;
  Stream stream;
  std::vector<std::uint64_t> tags;
  for (std::uint64_t tag = 1; tag <= 200; ++tag) {
    CU_OK(device.launch(stream, tag, tag % 3 * 10'000));
    tags.push_back(tag);
  }
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after(tags));
}

BOOST_AUTO_TEST_CASE(streams_share_one_engine) {
  Device device;
  Stream streams[3];
  for (std::uint64_t tag = 1; tag <= 30; ++tag)
    CU_OK(device.launch(streams[tag % 3], tag, kMs / 10));
  CU_OK(cuCtxSynchronize());
  auto ran = read_log();
  BOOST_REQUIRE_EQUAL(ran.size(), 30);
  std::sort(ran.begin(), ran.end(),
            [](const Ran& a, const Ran& b) { return a.start_ns < b.start_ns; });
  for (size_t i = 1; i < ran.size(); ++i) BOOST_CHECK_GE(ran[i].start_ns, ran[i - 1].end_ns);
}

BOOST_AUTO_TEST_CASE(the_legacy_stream_waits_for_blocking_streams_and_they_for_it) {
  Device device;
  Stream first, second, free(CU_STREAM_NON_BLOCKING);
  Held held(first);
  CU_OK(device.launch(first, 2));
  CU_OK(device.launch(nullptr, 3));
  CU_OK(device.launch(second, 4));
  CU_OK(device.launch(free, 1));
  CU_OK(cuStreamSynchronize(free));
  held.go();
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after({1, 2, 3, 4}));
}

BOOST_AUTO_TEST_CASE(a_host_function_holds_up_its_stream_and_no_other) {
  Device device;
  Stream held(CU_STREAM_NON_BLOCKING);
  Stream other(CU_STREAM_NON_BLOCKING);
  Held hold(held);
  CU_OK(device.launch(held, 2));
  CU_OK(device.launch(other, 1));
  CU_OK(cuStreamSynchronize(other));
  CU_FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(held));
  hold.go();
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after({1, 2}));
}

BOOST_AUTO_TEST_CASE(a_host_function_may_not_call_the_driver) {
  Device device;
  struct Call {
    static void driver(void* result) { *static_cast<CUresult*>(result) = cuCtxSynchronize(); }
  };
  CUresult result = CUDA_SUCCESS;
  CU_OK(cuLaunchHostFunc(nullptr, Call::driver, &result));
  CU_OK(cuCtxSynchronize());
  CU_FAILS(CUDA_ERROR_NOT_PERMITTED, result);
}

BOOST_AUTO_TEST_CASE(an_event_orders_two_streams) {
  Device device;
  Stream first(CU_STREAM_NON_BLOCKING);
  Stream second(CU_STREAM_NON_BLOCKING);
  Event event;
  CU_OK(cuEventQuery(event));  // never recorded
  Held held(first);
  CU_OK(device.launch(first, 2));
  CU_OK(cuEventRecord(event, first));
  CU_FAILS(CUDA_ERROR_NOT_READY, cuEventQuery(event));
  CU_OK(cuStreamWaitEvent(second, event, 0));
  CU_OK(device.launch(second, 3));
  CU_OK(device.launch(nullptr, 1));
  CU_OK(cuStreamSynchronize(nullptr));
  held.go();
  CU_OK(cuEventSynchronize(event));
  CU_OK(cuEventQuery(event));
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after({1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(events_measure_time) {
  Device device;
  Event start, end, untimed(CU_EVENT_DISABLE_TIMING);
  CU_OK(cuEventRecord(start, nullptr));
  CU_OK(device.launch(nullptr, 1, 30 * kMs));
  CU_OK(cuEventRecord(end, nullptr));
  float milliseconds = 0;
  CU_FAILS(CUDA_ERROR_NOT_READY, cuEventElapsedTime(&milliseconds, start, end));
  CU_OK(cuEventSynchronize(end));
  CU_OK(cuEventElapsedTime(&milliseconds, start, end));
  BOOST_CHECK_GE(milliseconds, 30);
  CU_FAILS(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&milliseconds, start, untimed));
}

BOOST_AUTO_TEST_CASE(each_thread_has_a_default_stream_of_its_own) {
  Device device;
  CU_OK(device.launch(CU_STREAM_PER_THREAD, 1, 100 * kMs));
  CUresult elsewhere = CUDA_ERROR_UNKNOWN;
  std::thread([&] {
    cuCtxSetCurrent(device.context);
    elsewhere = cuStreamQuery(CU_STREAM_PER_THREAD);
  }).join();
  CU_OK(elsewhere);
  CU_FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(CU_STREAM_PER_THREAD));
  CU_OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
}

BOOST_AUTO_TEST_CASE(bad_handles_and_no_context_are_told) {
  Device device;
  Stream stream;
  CUstream gone;
  CU_OK(cuStreamCreate(&gone, 0));
  CU_OK(cuStreamDestroy_v2(gone));
  CU_FAILS(CUDA_ERROR_INVALID_HANDLE, device.launch(gone, 1));
  CU_FAILS(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&device.kernel, device.module, "wor"));
  CU_OK(cuCtxSetCurrent(nullptr));
  CU_FAILS(CUDA_ERROR_INVALID_CONTEXT, device.launch(stream, 1));
  CU_OK(cuCtxSetCurrent(device.context));
}

BOOST_AUTO_TEST_CASE(parameters_are_read_at_the_launch) {
  Device device;
  Stream stream;
  CU_OK(device.launch(stream, 1, 10 * kMs));
  struct {
    std::uint64_t ns, tag;
    CUdeviceptr where;
  } buffer = {0, 2, device.where};
  size_t size = sizeof buffer;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  CU_OK(cuLaunchKernel(device.kernel, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, extra));
  buffer.tag = 9;
  BOOST_CHECK_EQUAL(device.cell(), Device::cell_after({1, 2}));
}

BOOST_AUTO_TEST_SUITE_END()
