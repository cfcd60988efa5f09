// SPDX-License-Identifier: MIT
//
// What this process has launched on one engine and is not done: a Line for each stream used, and
// marks (events of ours) behind the work in it.
//
// The launching thread marks its own stream, every few launches. What came after the last mark
// is marked by the service thread when it looks. A thread's default stream has no handle by which
// another could mark it, so that there each launch is. Nothing is put into a stream that could hold
// it up, and no stream that is being captured is touched: neither marked
// nor queried, which would spoil the capture. So everything is marked before a capture begins,
// which may go on for seconds, and each launch beside one: any stream may join it.
//
// Threads: launched() any; the lists under mutex_, which the service thread also holds while it
// asks the driver, so that a stream or context does not go away meanwhile (drop_*() of those who
// destroy them). Nobody else does: a call of a launching thread may wait in the driver, and must
// not hold up who would let it go on.
#ifndef AIACCEL_SHIM_LINES_H
#define AIACCEL_SHIM_LINES_H

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "mutex.h"
#include "shim/driver.h"
#include "shim/lease.h"
#include "shim/say.h"

namespace aiaccel::shim {

class Gate;

// Stream captures under way, as far as they began and did not end through us.
extern std::atomic<int> captures;

struct Mark {
  cuda::Event event;
  uint32_t launches;
  uint64_t since_ns;  // when they began at the earliest
};

struct Line {
  Gate* gate;
  cuda::Context context;
  cuda::Stream stream;
  bool of_thread;                     // it is a thread's default stream
  std::atomic<uint32_t> unmarked{0};  // launches after the last mark
  std::atomic<uint64_t> since_ns{0};  // when the first of them was launched
  uint32_t being_marked = 0;          // launches; their mark is on its way
  std::deque<Mark> marks;
  uint64_t last_done_ns = 0;
};

// Whether the stream is being captured, or must not be used because another one is.
bool is_capturing(const Driver& driver, cuda::Stream stream);

class Lines final : public Work {
 public:
  explicit Lines(const Driver& driver) : driver_(driver) {}

  // The line of a stream; made where it is not known yet.
  Line* get(Gate* gate, cuda::Context context, cuda::Stream stream);

  // A launch went into the stream; `heavy`: one that may be long.
  void launched(Line& line, bool heavy) noexcept {
    const uint32_t mark_every = mark_every_.load(std::memory_order_relaxed);
    if (mark_every == kNever) return;
    const uint32_t unmarked = line.unmarked.fetch_add(1, std::memory_order_seq_cst) + 1;
    if (unmarked == 1) line.since_ns.store(monotonic_ns(), std::memory_order_relaxed);
    if (heavy || line.of_thread || unmarked >= mark_every ||
        captures.load(std::memory_order_seq_cst) != 0)
      mark_now(line);
  }

  // kNever: launches are ungated, and nobody wants to know.
  static constexpr uint32_t kNever = UINT32_MAX;
  void set_mark_every(uint32_t launches) { mark_every_.store(launches, std::memory_order_relaxed); }

  // A capture is about to begin, and is counted: a launch is marked either here or by who launches.
  void mark_all();

  State look(uint64_t now_ns, bool all) override;

  // The stream is about to go. What was launched into it still counts until it is done.
  void drop_stream(cuda::Stream stream);

  // The thread is at its end.
  void drop_thread(uint64_t thread);

  // It is gone, or about to go: nobody asks the driver about it any more.
  void drop_context(cuda::Context context);

  // It may go in the driver's next call of the caller: until resume_context() nobody asks about it,
  // and what is in it counts as under way.
  void rest_context(cuda::Context context);
  void resume_context(cuda::Context context);

 private:
  using Key = std::tuple<cuda::Context, cuda::Stream, uint64_t>;  // and the thread, for its own

  void mark_now(Line& line) noexcept;
  Mark begin_mark(Line& line) REQUIRES(mutex_);
  bool record(Mark& mark, cuda::Stream stream) const;
  void end_mark(Line& line, const Mark& mark, bool recorded) REQUIRES(mutex_);
  void mark_rest(Line& line) REQUIRES(mutex_);
  void collect(Line& line, uint64_t now_ns) REQUIRES(mutex_);
  bool capturing(const Line& line) const;
  bool rests(const Line& line) const REQUIRES(mutex_);

  const Driver& driver_;
  std::atomic<uint32_t> mark_every_{1};

  Mutex mutex_;
  std::map<Key, std::unique_ptr<Line>> lines_ GUARDED_BY(mutex_);
  // Of streams that are gone, until their work is done.
  std::vector<std::unique_ptr<Line>> orphans_ GUARDED_BY(mutex_);
  std::map<cuda::Context, std::vector<cuda::Event>> spare_ GUARDED_BY(mutex_);
  std::vector<cuda::Context> resting_ GUARDED_BY(mutex_);
  State state_ GUARDED_BY(mutex_);
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_LINES_H
