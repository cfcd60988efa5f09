// SPDX-License-Identifier: MIT
//
// The inside of the stand-in for libcuda.so.1: what the files that define the API share.
//
// Calls push operations into streams; three threads, one for each unit a GPU has (compute, copy,
// and the host functions), run them. A stream runs in order; which stream's head is next on a unit
// is first come, first served. Nothing runs before the call that pushed it has returned its lock,
// so launches are asynchronous as they are on a device.
//
// One mutex guards everything here; an operation itself runs without it. The state is never freed:
// the threads end with the process, whenever that is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "abi.h"
#include "shared.h"

#define STANDIN_API extern "C" __attribute__((visibility("default"))) CUresult

namespace standin {

using Lock = std::unique_lock<std::mutex>;

// kNone takes no time: records of events, waits for them, empty nodes.
enum class Unit { kNone, kCompute, kCopy, kHost };

// The point in a stream that an event stands for.
struct Moment {
  bool reached = false;
  std::uint64_t time_ns = 0;
};

struct Op {
  Unit unit = Unit::kNone;
  std::function<void()> run{};      // without the mutex, on the unit's thread
  std::shared_ptr<Moment> after{};  // not before this one is reached
  std::shared_ptr<Moment> reaches{};
  std::uint64_t order = 0;  // of all operations of the process, given by push()
};

// A capture from begin to end, which events recorded in it outlive.
struct Capture {
  std::uint64_t id;
  CUstreamCaptureMode mode;
  std::thread::id thread;
  CUstream origin;
  CUgraph graph;
  bool invalid = false;
  bool ended = false;
  std::vector<CUstream> streams;  // origin and what joined it
};

// Handles given out and not yet destroyed: what is not in here is no handle.
template <class T>
class Table {
 public:
  T* add(std::unique_ptr<T> object) {
    T* const handle = object.get();
    objects_.emplace(handle, std::move(object));
    return handle;
  }
  bool has(T* handle) const { return objects_.count(handle); }
  bool drop(T* handle) { return objects_.erase(handle); }
  template <class F>
  void each(F f) {
    for (auto& [handle, object] : objects_) f(*object);
  }
  template <class F>
  void drop_if(F f) {
    std::erase_if(objects_, [&](auto& entry) { return f(*entry.second); });
  }

 private:
  std::unordered_map<T*, std::unique_ptr<T>> objects_;
};

}  // namespace standin

struct CUstream_st {
  enum class Kind { kLegacy, kPerThread, kCreated };
  Kind kind;
  CUcontext context;
  unsigned flags = 0;
  int priority = 0;
  std::uint64_t id = 0;
  bool doomed = false;  // destroyed: goes when it is empty
  std::deque<standin::Op> ops{};  // the head stays in it until it is done
  std::shared_ptr<standin::Capture> capture{};
  std::vector<CUgraphNode> tail{};  // while capturing: what the next node depends on
};

struct CUctx_st {
  bool primary;
  unsigned flags;
  std::uint64_t id;
  CUstream legacy = nullptr;
  std::map<std::thread::id, CUstream> per_thread{};
};

struct CUevent_st {
  unsigned flags;
  std::shared_ptr<standin::Moment> moment{};
  std::shared_ptr<standin::Capture> capture{};  // where last recorded in one
  std::vector<CUgraphNode> nodes{};
};

struct CUgraphNode_st {
  standin::Op op;
  std::vector<CUgraphNode> after;
};

// Nodes in an order in which each comes after what it depends on.
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes{};
};

struct CUgraphExec_st {
  std::vector<standin::Op> ops;
};

namespace standin {

struct Driver {
  std::mutex mutex;
  std::condition_variable work[4];  // by unit
  std::condition_variable done;     // an operation ended
  Shared shared;
  std::uint64_t launch_ns;  // what a launch takes of its caller's time
  std::uint64_t next_order = 0;
  std::uint64_t next_id = 1;
  unsigned in_flight = 0;  // operations pushed and not ended
  CUcontext primary = nullptr;
  unsigned primary_users = 0;
  unsigned primary_flags = 0;
  Table<CUctx_st> contexts;
  Table<CUstream_st> streams;
  Table<CUevent_st> events;
  Table<CUgraph_st> graphs;
  Table<CUgraphExec_st> execs;
  std::vector<std::shared_ptr<Capture>> captures;
};

// Of this process, once cuInit succeeded.
Driver& driver();

// CUDA_SUCCESS where calls may be made: cuInit was called in this very process (not before a fork),
// and this is no function that the driver itself calls.
CUresult entry();

// The context of this thread, or null.
CUcontext current(Lock&);
std::unique_ptr<CUctx_st> make_context(Lock&, bool primary, unsigned flags);
void destroy_context(Lock&, CUcontext context);  // once all its work is done

CUresult find_stream(Lock&, CUcontext context, CUstream handle, CUstream* stream);
// What a call that takes 0 for the default stream means where that is the thread's own.
inline CUstream per_thread(CUstream stream) {
  return stream ? stream : CU_STREAM_PER_THREAD;
}

// engine.cpp
void start_units();
CUresult push(Lock&, CUstream stream, Op op);  // or, where the stream captures, into the graph
bool idle(const CUstream stream);
void wait_idle(Lock&, CUcontext context);  // nothing in any stream of it
void drop_empty_streams(Lock&);
template <class F>
void wait(Lock& lock, F until) {
  driver().done.wait(lock, until);
}

// capture.cpp
// What a call must not be made beside a capture that forbids it: such a capture is lost by it.
CUresult unsafe(Lock&);
// The legacy stream waits for streams that capture, which it must not.
CUresult implicit(Lock&, CUstream stream);
CUresult captured(Lock&, CUstream stream, Op op);
CUresult captures_in(Lock&, CUcontext context);  // an error where one of its streams captures
void invalidate(Lock&, Capture& capture);
void leave_capture(Lock&, Capture& capture);

// launch.cpp
// Parameters are read now, as they are by a driver.
CUresult kernel(void** parameters, void** extra, Op* op);
// Spins until this call has taken as long as a launch does.
class LaunchTime {
 public:
  LaunchTime() : start_(now_ns()) {}
  ~LaunchTime() { wait_until_ns(start_ + driver().launch_ns); }

 private:
  std::uint64_t start_;
};
void call_host(const std::function<void()>& function);

// memory.cpp
void free_memory_of(Lock&, CUcontext context);
void give_memory(Lock&, CUcontext from, CUcontext to);
bool page_locked(Lock&, const void* address);

// rows.cpp: what cuGetProcAddress knows.
struct Row {
  std::string_view base;
  int version;
  bool per_thread;
  void* address;
};
std::span<const Row> rows();

template <class F>
CUresult with_driver(F f) {
  if (const CUresult error = entry(); error != CUDA_SUCCESS) return error;
  Lock lock(driver().mutex);
  return f(lock);
}

template <class F>
CUresult with_context(F f) {
  return with_driver([&](Lock& lock) {
    const CUcontext context = current(lock);
    return context ? f(lock, context) : CUDA_ERROR_INVALID_CONTEXT;
  });
}

template <class F>
CUresult with_stream(CUstream handle, F f) {
  return with_context([&](Lock& lock, CUcontext context) {
    CUstream stream;
    const CUresult error = find_stream(lock, context, handle, &stream);
    return error == CUDA_SUCCESS ? f(lock, stream) : error;
  });
}

}  // namespace standin
