// SPDX-License-Identifier: MIT
//
// Open-loop streams and closed-loop backlogs.

#include "aiaccel/demo_load.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <cmath>
#include <thread>

namespace tools {
namespace {

std::span<const float> chunk_of(const std::vector<float>& speech, std::size_t index) {
  const std::size_t chunks = speech.size() / kChunk;
  return std::span(speech).subspan(index % chunks * kChunk, kChunk);
}

double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

Streams::Streams(Runner& runner, const Pace& pace, const std::vector<float>& speech)
    : runner_(runner), pace_(pace), speech_(speech), lines_(pace.streams) {
  // Each listens to another part, so that speech and silence are mixed at all times.
  for (std::size_t i = 0; i < lines_.size(); i++) lines_[i].at = i * 11;
}

void Streams::run(Clock::time_point begin) {
  ::prctl(PR_SET_TIMERSLACK, 1);  // the default of 50 us would count as latency
  const auto count = static_cast<std::size_t>(pace_.per_s * pace_.seconds);
  {
    aiaccel::Lock guard(lock_);
    latencies_ms_.reserve(count);
  }
  for (std::size_t i = 0; i < count; i++) {
    const Clock::time_point due = begin + std::chrono::nanoseconds(static_cast<std::int64_t>(
                                              1e9 / pace_.per_s * static_cast<double>(i)));
    std::this_thread::sleep_until(due);
    aiaccel::Lock guard(lock_);
    Line& line = lines_[i % lines_.size()];
    open_++;
    line.due.push_back(due);
    if (!line.busy) send(line);
  }
  aiaccel::Lock guard(lock_);
  while (open_ > 0) all_answered_.wait(guard);
}

void Streams::send(Line& line) {
  line.busy = true;
  const Clock::time_point due = line.due.front();
  line.due.pop_front();
  runner_.submit(line.vad.inputs(chunk_of(speech_, line.at++)),
                 [this, &line, due](aiaccel::Answer answer, std::exception_ptr error) {
                   answered(line, due, std::move(answer), error);
                 });
}

void Streams::answered(Line& line, Clock::time_point due, aiaccel::Answer answer,
                       std::exception_ptr error) {
  const std::chrono::duration<double, std::milli> latency = Clock::now() - due;
  aiaccel::Lock guard(lock_);
  if (error) {
    failed_++;
  } else {
    line.vad.take(std::move(answer.outputs));
    latencies_ms_.push_back(latency.count());
  }
  line.busy = false;
  if (!line.due.empty()) send(line);
  if (--open_ == 0) all_answered_.notify_all();
}

Json Streams::result() const {
  aiaccel::Lock guard(lock_);
  std::vector<double> sorted = latencies_ms_;
  std::sort(sorted.begin(), sorted.end());
  return {{"p50_ms", percentile(sorted, 0.5)},    {"p99_ms", percentile(sorted, 0.99)},
          {"p999_ms", percentile(sorted, 0.999)}, {"max_ms", sorted.empty() ? 0 : sorted.back()},
          {"requests", sorted.size() + failed_},  {"failed", failed_}};
}

Backlog::Backlog(Runner& runner, unsigned depth, const std::vector<float>& speech)
    : runner_(runner), speech_(speech), lines_(depth) {}

Backlog::~Backlog() {
  stop();
  aiaccel::Lock guard(lock_);
  while (open_ > 0) none_open_.wait(guard);
}

void Backlog::run() {
  {
    aiaccel::Lock guard(lock_);
    open_ = lines_.size();
  }
  for (std::size_t i = 0; i < lines_.size(); i++) send(i);
}

void Backlog::stop() {
  stopping_ = true;
}

void Backlog::send(std::size_t line) {
  runner_.submit(lines_[line].inputs(chunk_of(speech_, line * 7 + answered_)),
                 [this, line](aiaccel::Answer answer, std::exception_ptr error) {
                   if (error) {
                     failed_++;
                   } else {
                     lines_[line].take(std::move(answer.outputs));
                     answered_++;
                   }
                   // After a failure it does not go on: it would only spin.
                   if (!stopping_ && !error) return send(line);
                   aiaccel::Lock guard(lock_);
                   if (--open_ == 0) none_open_.notify_all();
                 });
}

}  // namespace tools
