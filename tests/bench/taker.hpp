// SPDX-License-Identifier: MIT
//
// A context that takes turns as a program in a loop does: one ENTER completes turns that it has,
// submits the next jobs and waits until they have theirs.
#pragma once

#include <aiaccel.h>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "bench/measure.hpp"

namespace bench {

class Taker {
 public:
  // A place in line at one engine, by its index.
  using Line = std::uint32_t;

  explicit Taker(const char* transport) {
    const int error = aiaccel_open(transport, &device_);
    if (error == -ENOENT || error == -ENODEV) throw Missing(std::string("no ") + transport);
    must(error, "open");
  }
  Taker(const Taker&) = delete;
  Taker& operator=(const Taker&) = delete;
  ~Taker() { aiaccel_close(device_); }

  aiaccel_device* device() const { return device_; }

  Line add_line(std::uint32_t engine, std::uint32_t class_ = AIACCEL_CLASS_NORMAL) {
    aiaccel_queue_create create{};
    create.size = sizeof create;
    create.engine = engine;
    create.class_ = class_;
    must(aiaccel_call(device_, AIACCEL_IOC_QUEUE_CREATE, &create), "QUEUE_CREATE");
    lines_.push_back({create.id, 0});
    return static_cast<Line>(lines_.size() - 1);
  }

  std::uint32_t queue(Line line) const { return lines_[line].queue; }

  // One ENTER. Lines of `done` that hold no turn are left out.
  void turn(std::span<const Line> done, std::span<const Line> wanted) {
    completions_.clear();
    jobs_.clear();
    for (const Line line : done)
      if (lines_[line].generation) completions_.push_back({line, lines_[line].generation, 0});
    for (const Line line : done) lines_[line].generation = 0;
    for (const Line line : wanted) {
      aiaccel_job job{};
      job.cookie = line;
      job.queue = lines_[line].queue;
      job.width = 1;
      jobs_.push_back(job);
    }
    aiaccel_enter arg{};
    arg.size = sizeof arg;
    arg.completions = reinterpret_cast<std::uintptr_t>(completions_.data());
    arg.nr_completions = static_cast<std::uint32_t>(completions_.size());
    arg.jobs = reinterpret_cast<std::uintptr_t>(jobs_.data());
    arg.nr_jobs = static_cast<std::uint32_t>(jobs_.size());
    arg.min_events = arg.nr_jobs;
    arg.timeout_ns = AIACCEL_NEVER;
    must(aiaccel_call(device_, AIACCEL_IOC_ENTER, &arg), "ENTER");
    if (arg.nr_completions != completions_.size() || arg.nr_jobs != jobs_.size())
      throw std::runtime_error("ENTER did not take all entries");
    take_grants(wanted.size());
  }
  void turn(std::initializer_list<Line> done, std::initializer_list<Line> wanted) {
    turn(std::span(done.begin(), done.size()), std::span(wanted.begin(), wanted.size()));
  }

  // The usual turn: the next one on the same line.
  void turn(Line line) { turn({line}, {line}); }

 private:
  struct Place {
    std::uint32_t queue;
    std::uint32_t generation;  // of the turn held, or 0
  };

  static void must(int error, const char* what) {
    errno = -error;
    check(error == 0, what);
  }

  void take_grants(std::size_t count) {
    aiaccel_event event;
    for (std::size_t granted = 0; granted < count;) {
      if (aiaccel_read_events(device_, &event, 1) == 0) {
        wait();  // what ended the first wait was told of a turn before
        continue;
      }
      if (!(event.events & AIACCEL_EVENT_GRANTED)) continue;
      lines_[event.cookie].generation = event.generation;
      ++granted;
    }
  }

  void wait() {
    aiaccel_enter arg{};
    arg.size = sizeof arg;
    arg.min_events = 1;
    arg.timeout_ns = AIACCEL_NEVER;
    must(aiaccel_call(device_, AIACCEL_IOC_ENTER, &arg), "ENTER");
  }

  aiaccel_device* device_ = nullptr;
  std::vector<Place> lines_;
  std::vector<aiaccel_completion> completions_;
  std::vector<aiaccel_job> jobs_;
};

// A new engine of the module with one slot. Wants root.
inline std::uint32_t register_engine(aiaccel_device* device, const std::string& name,
                                     std::uint32_t enforcement = AIACCEL_GATED) {
  aiaccel_engine_register arg{};
  arg.size = sizeof arg;
  arg.kind = AIACCEL_ENGINE_OTHER;
  arg.enforcement = enforcement;
  arg.slots = 1;
  arg.numa_node = -1;
  name.copy(arg.name, sizeof arg.name - 1);
  std::string("bench").copy(arg.provider, sizeof arg.provider - 1);
  const int error = aiaccel_call(device, AIACCEL_IOC_ENGINE_REGISTER, &arg);
  errno = -error;
  check(error == 0, "ENGINE_REGISTER");
  return arg.id;
}

}  // namespace bench
