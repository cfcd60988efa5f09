// SPDX-License-Identifier: MIT
//
// Streams and the units that run them: see driver.h.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>

#include "driver.h"

namespace standin {
namespace {

// Launches that find so much pushed wait, as the queues of a device are not endless either.
constexpr unsigned kDepth = 1024;
constexpr int kUnitNice = -10;

bool blocking(const CUstream_st& stream) {
  return stream.kind != CUstream_st::Kind::kLegacy && !(stream.flags & CU_STREAM_NON_BLOCKING);
}

bool pushed_before(const CUstream_st& stream, std::uint64_t order) {
  return !stream.ops.empty() && stream.ops.front().order < order;
}

// The head of the stream may run: what its event waits for is reached, and of the legacy stream and
// the blocking streams of its context each waits for what the other got before.
bool ready(const CUstream_st& stream) {
  if (stream.ops.empty()) return false;
  const Op& head = stream.ops.front();
  if (head.after && !head.after->reached) return false;
  if (blocking(stream)) return !pushed_before(*stream.context->legacy, head.order);
  bool waits = false;
  if (stream.kind == CUstream_st::Kind::kLegacy)
    driver().streams.each([&](CUstream_st& other) {
      waits |=
          other.context == stream.context && blocking(other) && pushed_before(other, head.order);
    });
  return !waits;
}

void end_head(CUstream_st& stream) {
  if (Moment* const moment = stream.ops.front().reaches.get()) *moment = {true, now_ns()};
  stream.ops.pop_front();
  --driver().in_flight;
}

// Ends all heads that take no time, and wakes the units that have something to do.
void advance(Lock&) {
  Driver& all = driver();
  bool again;
  bool wanted[4];
  do {
    again = false;
    std::fill(std::begin(wanted), std::end(wanted), false);
    all.streams.each([&](CUstream_st& stream) {
      while (ready(stream) && stream.ops.front().unit == Unit::kNone) {
        end_head(stream);
        again = true;
      }
      if (ready(stream)) wanted[int(stream.ops.front().unit)] = true;
    });
  } while (again);
  for (int unit = 0; unit < 4; ++unit)
    if (wanted[unit]) all.work[unit].notify_one();
}

CUstream next(Unit unit) {
  CUstream first = nullptr;
  driver().streams.each([&](CUstream_st& stream) {
    if (ready(stream) && stream.ops.front().unit == unit &&
        (!first || stream.ops.front().order < first->ops.front().order))
      first = &stream;
  });
  return first;
}

// A unit of a device does not run slower because its process is of a low class to the CPU's
// scheduler.
void leave_cpu_class() {
  prctl(PR_SET_TIMERSLACK, 1);
  const sched_param none = {};
  sched_setscheduler(0, SCHED_OTHER, &none);
  if (setpriority(PRIO_PROCESS, 0, kUnitNice) != 0) setpriority(PRIO_PROCESS, 0, 0);  // not root
}

[[noreturn]] void serve(Unit unit) {
  leave_cpu_class();
  Driver& all = driver();
  Lock lock(all.mutex);
  for (;;) {
    const CUstream stream = next(unit);
    if (!stream) {
      all.work[int(unit)].wait(lock);
      continue;
    }
    const std::function<void()> run = std::move(stream->ops.front().run);
    lock.unlock();
    run();
    lock.lock();
    end_head(*stream);
    drop_empty_streams(lock);
    advance(lock);
    all.done.notify_all();
  }
}

}  // namespace

void start_units() {
  for (const Unit unit : {Unit::kCompute, Unit::kCopy, Unit::kHost})
    std::thread(serve, unit).detach();
}

CUresult push(Lock& lock, CUstream stream, Op op) {
  Driver& all = driver();
  if (stream->capture) return captured(lock, stream, std::move(op));
  if (const CUresult error = implicit(lock, stream); error != CUDA_SUCCESS) return error;
  wait(lock, [&] { return all.in_flight < kDepth; });
  op.order = all.next_order++;
  ++all.in_flight;
  stream->ops.push_back(std::move(op));
  advance(lock);
  return CUDA_SUCCESS;
}

bool idle(const CUstream stream) {
  return stream->ops.empty();
}

void wait_idle(Lock& lock, CUcontext context) {
  wait(lock, [&] {
    bool empty = true;
    driver().streams.each(
        [&](CUstream_st& stream) { empty &= stream.context != context || stream.ops.empty(); });
    return empty;
  });
}

void drop_empty_streams(Lock&) {
  driver().streams.drop_if([](CUstream_st& stream) { return stream.doomed && stream.ops.empty(); });
}

}  // namespace standin
