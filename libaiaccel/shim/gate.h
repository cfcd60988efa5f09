// SPDX-License-Identifier: MIT
//
// The gate that work passes on its way to the driver.
//
// Gate is one engine's: its door, its lease and the service thread that owns the lease. Shim is
// the process's: which gate a stream belongs to. Passage is one launch.
//
// A forked child has a Shim of its own: it never touches what was the parent's (whose locks may be
// held for ever), and its doors are shut until it has turns of its own.
//
// Anything of ours that fails lets the program go on, ungated, with one line on stderr; but where
// the setting is `closed`, launches wait.
#ifndef AIACCEL_SHIM_GATE_H
#define AIACCEL_SHIM_GATE_H

#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/fds.h"
#include "mutex.h"
#include "shim/driver.h"
#include "shim/lines.h"
#include "shim/memory.h"
#include "shim/say.h"
#include "shim/settings.h"
#include "shim/turns.h"
#include "user/fork_guard.h"

namespace aiaccel::shim {

class Gate {
 public:
  Gate(const Driver& driver, const Settings& settings, std::vector<std::string> engines,
       Memory& memory);

  Door& door() { return *door_; }
  Lines& lines() { return lines_; }

  // False in a child that was forked since it was made: there it must be left alone.
  bool of_this_process() const noexcept { return guard_.same_process(); }

  // Until a launch may go: inside that side; or, as the process ends, by nobody's leave.
  bool wait(unsigned* side) noexcept;

  // The process ends: everything goes from now on, and the driver is left alone.
  void retire();

 private:
  void serve();
  void end_turns();
  void wake() noexcept;
  void tell(Lease::State before);

  const ForkGuard guard_;
  const std::string name_;  // for the user
  Memory& memory_;
  struct Unmap {
    void operator()(Door* door) const noexcept;
  };
  const std::unique_ptr<Door, Unmap> door_;
  Lines lines_;
  Turns turns_;
  Lease lease_;
  const Fd wake_fd_;

  Mutex mutex_;  // taken after nothing, before nothing
  std::condition_variable_any changed_;
  unsigned waiting_ GUARDED_BY(mutex_) = 0;
  bool retired_ GUARDED_BY(mutex_) = false;
  bool stopped_ GUARDED_BY(mutex_) = false;
  Topic missing_;
};

class Shim {
 public:
  // The process's own; nullptr while there is no driver, and when it ends.
  static Shim* get() noexcept;

  // The line of a stream in the current context; nullptr where there is none, and where nothing
  // can be gated and the setting is open.
  Line* line_of(cuda::Context context, cuda::Stream stream) noexcept;

  // A device's primary context, which its functions do not name when it ends.
  void keep_primary(cuda::Device device, cuda::Context context);
  cuda::Context primary(cuda::Device device);

  // What counts the memory of a device.
  Memory* memory_of(cuda::Device device) noexcept;
  // The same for who holds some, or of the current context's device: there is a gate from then on,
  // whose thread lets go of an arbiter that leaves, and finds the next.
  Memory* memory_under_gate(cuda::Device device) noexcept;
  Memory* memory_here() noexcept;

  // Every gate there is, for what concerns them all.
  std::vector<Gate*> gates();

  const Driver& driver() const { return driver_; }
  const Settings& settings() const { return settings_; }

  // Lets threads look their lines up anew.
  static void forget_lines();

  Shim(const Driver& driver, Settings settings) : driver_(driver), settings_(std::move(settings)) {}

 private:
  Gate* gate_of(cuda::Device device);
  std::vector<std::string> engine_names(cuda::Device device) const;
  // With one engine for all devices there is one of each.
  cuda::Device slot(cuda::Device device) const { return settings_.engine.empty() ? device : -1; }
  static void retire();

  const Driver& driver_;
  const Settings settings_;

  Mutex mutex_;  // before a gate's
  std::map<cuda::Device, std::unique_ptr<Gate>> gates_ GUARDED_BY(mutex_);
  std::map<cuda::Device, std::unique_ptr<Memory>> memories_ GUARDED_BY(mutex_);
  std::map<cuda::Device, cuda::Context> primaries_ GUARDED_BY(mutex_);
  uint64_t retry_ns_ GUARDED_BY(mutex_) = 0;  // when to try next to make a gate that could not be
};

// What the calling thread knows.
struct Here {
  Line* line = nullptr;
  cuda::Stream stream = nullptr;
  cuda::Context context = nullptr;
  uint64_t epoch = 0;
  int depth = 0;  // inside the driver: what comes from there has passed already
};
extern thread_local Here here __attribute__((tls_model("initial-exec")));
extern std::atomic<uint64_t> line_epoch;

// The driver's own calls of public functions are not the program's.
class InDriver {
 public:
  InDriver() { ++here.depth; }
  ~InDriver() { --here.depth; }
  InDriver(const InDriver&) = delete;
  InDriver& operator=(const InDriver&) = delete;
};

// One launch: waits in the constructor, counts at the end.
class Passage {
 public:
  Passage(cuda::Stream stream, bool per_thread) noexcept;
  ~Passage() {
    if (counted_) --here.depth;
    if (line_) line_->gate->door().leave(side_);
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  void done(cuda::Result result, bool heavy) noexcept {
    if (line_ && result == cuda::kSuccess) line_->gate->lines().launched(*line_, heavy);
  }

 private:
  static Line* find(cuda::Stream stream) noexcept;

  Line* line_ = nullptr;  // set while inside
  unsigned side_ = 0;     // of the door
  bool counted_ = false;
};

}  // namespace aiaccel::shim

#endif  // AIACCEL_SHIM_GATE_H
