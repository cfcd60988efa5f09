// SPDX-License-Identifier: MIT
//
// Marks behind work; see lines.h.
#include "shim/lines.h"

#include <algorithm>

#include "shim/gate.h"

namespace aiaccel::shim {
namespace {

// A number for each thread, never used again. Its default stream ends with it.
struct ThreadNumber {
  ThreadNumber() : number(++last) {}
  ~ThreadNumber() {
    here.line = nullptr;
    if (Shim* shim = Shim::get())
      for (Gate* gate : shim->gates()) gate->lines().drop_thread(number);
  }

  static inline std::atomic<uint64_t> last{0};
  const uint64_t number;
};

uint64_t this_thread() {
  static thread_local const ThreadNumber mine;
  return mine.number;
}

// The context, current to this thread for the life of the object.
class Entered {
 public:
  Entered(const Driver& driver, cuda::Context context)
      : driver_(driver), done_(driver.ctx_push(context) == cuda::kSuccess) {}
  ~Entered() {
    cuda::Context context;
    if (done_) driver_.ctx_pop(&context);
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

 private:
  const Driver& driver_;
  const bool done_;
};

}  // namespace

bool is_capturing(const Driver& driver, cuda::Stream stream) {
  int status = cuda::kCaptureNone;
  if (!driver.is_capturing) return false;
  const cuda::Result result = driver.is_capturing(stream, &status);
  return result == cuda::kCaptureImplicit ||
         (result == cuda::kSuccess && status != cuda::kCaptureNone);
}

Line* Lines::get(Gate* gate, cuda::Context context, cuda::Stream stream) {
  const bool of_thread = stream == cuda::per_thread_stream();
  const Lock lock(mutex_);
  std::unique_ptr<Line>& line = lines_[{context, stream, of_thread ? this_thread() : 0}];
  if (!line) {
    line = std::make_unique<Line>();
    line->gate = gate;
    line->context = context;
    line->stream = stream;
    line->of_thread = of_thread;
  }
  return line.get();
}

bool Lines::capturing(const Line& line) const {
  return captures.load(std::memory_order_relaxed) != 0 && is_capturing(driver_, line.stream);
}

bool Lines::rests(const Line& line) const {
  return std::find(resting_.begin(), resting_.end(), line.context) != resting_.end();
}

// The line's context is current, and the thread inside the door, which keeps the line. Recording
// may wait until there is room in the stream.
void Lines::mark_now(Line& line) noexcept {
  const Relaxed relaxed(driver_);
  if (capturing(line)) return;
  Mark mark;
  {
    const Lock lock(mutex_);
    mark = begin_mark(line);
  }
  const bool recorded = mark.launches != 0 && record(mark, line.stream);
  const Lock lock(mutex_);
  end_mark(line, mark, recorded);
}

// Takes what is to be marked, and an event where there is one to spare.
Mark Lines::begin_mark(Line& line) {
  Mark mark{nullptr, line.unmarked.exchange(0, std::memory_order_seq_cst),
            line.since_ns.load(std::memory_order_relaxed)};
  line.being_marked += mark.launches;
  std::vector<cuda::Event>& spare = spare_[line.context];
  if (mark.launches != 0 && !spare.empty()) {
    mark.event = spare.back();
    spare.pop_back();
  }
  return mark;
}

bool Lines::record(Mark& mark, cuda::Stream stream) const {
  if (!mark.event &&
      driver_.event_create(&mark.event, cuda::kEventDisableTiming) != cuda::kSuccess) {
    mark.event = nullptr;
    return false;
  }
  return driver_.event_record(mark.event, stream) == cuda::kSuccess;
}

// Where no mark can be made nothing can be known: what was launched counts as done, so that nobody
// waits for it.
void Lines::end_mark(Line& line, const Mark& mark, bool recorded) {
  line.being_marked -= mark.launches;
  if (recorded && !capturing(line)) {
    line.marks.push_back(mark);
    return;
  }
  // If a capture has begun meanwhile the event belongs to it, and must not be asked.
  if (recorded)
    driver_.event_destroy(mark.event);
  else if (mark.event)
    spare_[line.context].push_back(mark.event);
  state_.done += mark.launches;
}

// The mutex is held, so that the context stays. The window leaves room in a stream for the mark;
// but where the program has filled it with what is not counted (small copies, fills, events), this
// waits in the driver until something in it ends.
void Lines::mark_rest(Line& line) {
  if (line.of_thread || line.unmarked.load(std::memory_order_relaxed) == 0 || rests(line)) return;
  const Entered entered(driver_, line.context);
  if (capturing(line)) return;
  Mark mark = begin_mark(line);
  end_mark(line, mark, mark.launches != 0 && record(mark, line.stream));
}

void Lines::mark_all() {
  const Relaxed relaxed(driver_);
  const Lock lock(mutex_);
  for (auto& [key, line] : lines_) mark_rest(*line);
}

void Lines::collect(Line& line, uint64_t now_ns) {
  uint32_t launches = 0;
  uint64_t since_ns = 0;
  while (!line.marks.empty() && !rests(line)) {
    const Mark& mark = line.marks.front();
    if (driver_.event_query(mark.event) == cuda::kNotReady) break;
    spare_[line.context].push_back(mark.event);
    if (launches == 0) since_ns = mark.since_ns;
    launches += mark.launches;
    line.marks.pop_front();
  }
  if (launches == 0) return;
  state_.done += launches;
  const uint64_t began = std::max(since_ns, line.last_done_ns);
  const uint64_t each = std::max<uint64_t>((now_ns - std::min(now_ns, began)) / launches, 1);
  state_.launch_ns = state_.launch_ns == 0 ? each : (3 * state_.launch_ns + each) / 4;
  line.last_done_ns = now_ns;
}

Work::State Lines::look(uint64_t now_ns, bool all) {
  const Relaxed relaxed(driver_);
  const Lock lock(mutex_);
  uint64_t in_flight = 0;
  const auto visit = [&](Line& line) REQUIRES(mutex_) {
    if (all) mark_rest(line);
    collect(line, now_ns);
    in_flight += line.unmarked.load(std::memory_order_relaxed) + line.being_marked;
    for (const Mark& mark : line.marks) in_flight += mark.launches;
  };
  for (auto& [key, line] : lines_) visit(*line);
  for (auto& line : orphans_) visit(*line);
  std::erase_if(orphans_, [](const auto& line) {
    return line->marks.empty() && line->gate->door().inside() == 0;
  });
  state_.in_flight = static_cast<uint32_t>(std::min<uint64_t>(in_flight, UINT32_MAX));
  return state_;
}

void Lines::drop_stream(cuda::Stream stream) {
  const Relaxed relaxed(driver_);
  const Lock lock(mutex_);
  for (auto at = lines_.begin(); at != lines_.end();) {
    if (at->second->stream == stream) {
      mark_rest(*at->second);
      at->second->unmarked.store(0, std::memory_order_relaxed);
      orphans_.push_back(std::move(at->second));
      at = lines_.erase(at);
    } else {
      ++at;
    }
  }
  Shim::forget_lines();
}

void Lines::drop_thread(uint64_t thread) {
  const Lock lock(mutex_);
  for (auto at = lines_.begin(); at != lines_.end();) {
    if (std::get<2>(at->first) == thread) {
      orphans_.push_back(std::move(at->second));
      at = lines_.erase(at);
    } else {
      ++at;
    }
  }
}

void Lines::rest_context(cuda::Context context) {
  const Lock lock(mutex_);
  resting_.push_back(context);
}

void Lines::resume_context(cuda::Context context) {
  const Lock lock(mutex_);
  const auto found = std::find(resting_.begin(), resting_.end(), context);
  if (found != resting_.end()) resting_.erase(found);
}

void Lines::drop_context(cuda::Context context) {
  const Lock lock(mutex_);
  const auto drop = [&](Line& line) REQUIRES(mutex_) {
    state_.done += line.unmarked.exchange(0, std::memory_order_relaxed);
    for (const Mark& mark : line.marks) state_.done += mark.launches;
    line.marks.clear();
  };
  for (auto at = lines_.begin(); at != lines_.end();) {
    if (at->second->context == context) {
      drop(*at->second);
      orphans_.push_back(std::move(at->second));
      at = lines_.erase(at);
    } else {
      ++at;
    }
  }
  for (auto& line : orphans_)
    if (line->context == context) drop(*line);
  spare_.erase(context);
  Shim::forget_lines();
}

}  // namespace aiaccel::shim
