// SPDX-License-Identifier: MIT
//
// The gate, its service thread, and the way of a launch through it; see gate.h.
#include "shim/gate.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>
#include <thread>

#include "backends/cpu_class.hpp"
#include "host/pages.h"
#include "user/per_process.h"

namespace aiaccel::shim {

std::atomic<int> captures{0};
std::atomic<uint64_t> line_epoch{1};
thread_local Here here;

namespace {

constexpr uint32_t kMostUnmarked = 16;
constexpr uint64_t kRetryNs = 250'000'000;

std::atomic<bool> exiting{false};

// In a page that is empty in forked children, where the door is shut therefore.
Door* make_door() {
  void* page =
      mmap(nullptr, host::page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "door");
  if (madvise(page, host::page_size(), MADV_WIPEONFORK) < 0) {
    const int error = errno;
    munmap(page, host::page_size());
    throw std::system_error(error, std::generic_category(), "door");
  }
  return new (page) Door;
}

// What the calling thread must not be disturbed by while it waits for us or works for us.
class Undisturbed {
 public:
  Undisturbed() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~Undisturbed() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;

 private:
  sigset_t before_;
};

std::string uuid_name(const char* prefix, const cuda::Uuid& uuid) {
  std::string name = prefix;
  for (size_t i = 0; i < sizeof uuid.bytes; ++i) {
    char digits[4];
    snprintf(digits, sizeof digits, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
             uuid.bytes[i]);
    name += digits;
  }
  return name;
}

}  // namespace

void Gate::Unmap::operator()(Door* door) const noexcept {
  munmap(door, host::page_size());
}

Gate::Gate(const Driver& driver, const Settings& settings, std::vector<std::string> engines,
           Memory& memory)
    : name_(engines.front()),
      memory_(memory),
      door_(make_door()),
      lines_(driver),
      turns_(settings, std::move(engines)),
      lease_(*door_, turns_, lines_, LeaseRules::of_class(settings.class_)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_fd_) throw std::system_error(errno, std::generic_category(), "eventfd");
  const Undisturbed undisturbed;  // the thread inherits it
  std::thread([this] { serve(); }).detach();
}

void Gate::wake() noexcept {
  const uint64_t one = 1;
  const ssize_t written = write(wake_fd_.get(), &one, sizeof one);
  (void)written;  // full is awake, too
}

bool Gate::wait(unsigned* side) noexcept {
  bool inside = false;
  int cancel_state;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
  const int error = errno;
  {
    Lock lock(mutex_);
    ++waiting_;
    wake();
    while (!retired_ && !(inside = door_->enter(side))) changed_.wait(lock);
    --waiting_;
  }
  errno = error;
  pthread_setcancelstate(cancel_state, nullptr);
  return inside;
}

void Gate::serve() {
  pthread_setname_np(pthread_self(), "aiaccel-shim");
  prctl(PR_SET_TIMERSLACK, 1UL);
  // In a program that runs in the background whoever waits for the turn would wait for a processor
  // to be free before it is given back. Where this may not be, that is so.
  leave_background();
  const InDriver in_driver;
  for (;;) {
    unsigned waiting;
    bool retired;
    {
      const Lock lock(mutex_);
      waiting = waiting_;
      retired = retired_;
    }
    if (retired) {
      end_turns();
      const Lock lock(mutex_);
      stopped_ = true;
      changed_.notify_all();
      return;
    }
    const Lease::State before = lease_.state();
    const Lease::Next next = lease_.step(monotonic_ns(), waiting);
    lines_.set_mark_every(lease_.ungated() ? Lines::kNever
                                           : std::clamp(lease_.window() / 4, 1U, kMostUnmarked));
    if (lease_.state() != before) tell(before);
    if (lease_.state() == Lease::State::missing) memory_.let_go();
    if (next.changed) {
      const Lock lock(mutex_);
      changed_.notify_all();
    }

    const bool listens =
        lease_.state() == Lease::State::asked || lease_.state() == Lease::State::held;
    pollfd fds[] = {{wake_fd_.get(), POLLIN, 0}, {listens ? turns_.fd() : -1, POLLIN, 0}};
    timespec pause{};
    if (next.at_ns != Lease::kNever) {
      const uint64_t now = monotonic_ns();
      const uint64_t ns = next.at_ns > now ? next.at_ns - now : 0;
      pause.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
      pause.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    }
    ppoll(fds, 2, next.at_ns == Lease::kNever ? nullptr : &pause, nullptr);
    uint64_t wakes;
    if (fds[0].revents && read(wake_fd_.get(), &wakes, sizeof wakes) < 0) continue;
  }
}

// A program whose work is done may take its time to exit. What is still under way keeps the turn
// until the process is gone.
void Gate::end_turns() {
  door_->close();
  if (door_->inside() == 0 && lines_.look(monotonic_ns(), true).in_flight == 0) turns_.close();
}

void Gate::tell(Lease::State before) {
  switch (lease_.state()) {
    case Lease::State::missing:
      missing_.say("%s: no turns to be had (%s): launches %s", name_.c_str(),
                   std::strerror(-lease_.error()),
                   turns_.fail_open() ? "go ungated until there are" : "wait until there are");
      break;
    case Lease::State::shut:
      missing_.say("%s: its engine takes no work for now: launches wait", name_.c_str());
      break;
    default:
      if (before != Lease::State::missing && before != Lease::State::shut) break;
      missing_.forget();
      missing_.say("%s: launches are gated again", name_.c_str());
      missing_.forget();
      memory_.renew();
      break;
  }
}

void Gate::retire() {
  Lock lock(mutex_);
  retired_ = true;
  wake();
  changed_.notify_all();
  // It may be inside a call of the driver, or of an arbiter that does not answer.
  changed_.wait_for(lock, std::chrono::milliseconds(200),
                    [this]() REQUIRES(mutex_) { return stopped_; });
}

Shim* Shim::get() noexcept try {
  static PerProcess<Shim> shim;
  if (exiting.load(std::memory_order_relaxed)) return nullptr;
  const Driver* driver = shim::driver();
  if (!driver) return nullptr;
  return &shim.get([&] { return std::make_unique<Shim>(*driver, Settings::from_environment()); });
} catch (const std::exception& error) {
  static Topic topic;
  topic.say("%s: launches go ungated", error.what());
  return nullptr;
}

std::vector<std::string> Shim::engine_names(cuda::Device device) const {
  if (!settings_.engine.empty()) return {settings_.engine};
  std::vector<std::string> names;
  cuda::Uuid uuid{};
  if (driver_.device_get_uuid(&uuid, device) == cuda::kSuccess) {
    names.push_back(uuid_name("GPU-", uuid));
    names.push_back(uuid_name("MIG-", uuid));
  }
  char address[32] = {};
  if (driver_.device_get_pci(address, sizeof address - 1, device) == cuda::kSuccess) {
    std::string name = address;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    names.push_back(name);
  }
  if (names.empty()) names.push_back("gpu" + std::to_string(device));
  return names;
}

Gate* Shim::gate_of(cuda::Device device) {
  Memory* memory = memory_of(device);
  if (!memory) throw std::bad_alloc();
  const Lock lock(mutex_);
  std::unique_ptr<Gate>& gate = gates_[slot(device)];
  if (!gate) {
    if (monotonic_ns() < retry_ns_)
      throw std::system_error(EAGAIN, std::generic_category(), "gate");
    retry_ns_ = monotonic_ns() + kRetryNs;
    gate = std::make_unique<Gate>(driver_, settings_, engine_names(device), *memory);
    retry_ns_ = 0;
    // Registered after the driver's own, so that it runs before that.
    static std::atomic<bool> registered{false};
    if (!registered.exchange(true)) std::atexit(retire);
  }
  return gate.get();
}

Memory* Shim::memory_of(cuda::Device device) noexcept try {
  const Lock lock(mutex_);
  std::unique_ptr<Memory>& memory = memories_[slot(device)];
  if (!memory) memory = std::make_unique<Memory>(settings_, engine_names(device));
  return memory.get();
} catch (const std::exception& error) {
  static Topic topic;
  topic.say("%s: device memory is not counted", error.what());
  return nullptr;
}

Memory* Shim::memory_under_gate(cuda::Device device) noexcept {
  Memory* memory = memory_of(device);
  try {
    if (memory) gate_of(device);
  } catch (const std::exception&) {  // the first launch says so
  }
  return memory;
}

Memory* Shim::memory_here() noexcept {
  cuda::Device device;
  const bool known = driver_.ctx_get_device(&device) == cuda::kSuccess;
  return known ? memory_under_gate(device) : nullptr;
}

void Shim::keep_primary(cuda::Device device, cuda::Context context) {
  const Lock lock(mutex_);
  primaries_[device] = context;
}

cuda::Context Shim::primary(cuda::Device device) {
  const Lock lock(mutex_);
  const auto found = primaries_.find(device);
  return found == primaries_.end() ? nullptr : found->second;
}

std::vector<Gate*> Shim::gates() {
  const Lock lock(mutex_);
  std::vector<Gate*> gates;
  for (const auto& [device, gate] : gates_)
    if (gate) gates.push_back(gate.get());
  return gates;
}

void Shim::forget_lines() {
  line_epoch.fetch_add(1, std::memory_order_relaxed);
}

void Shim::retire() {
  Shim* shim = get();
  exiting.store(true, std::memory_order_relaxed);
  if (!shim) return;
  for (Gate* gate : shim->gates()) gate->retire();
}

Line* Shim::line_of(cuda::Context context, cuda::Stream stream) noexcept {
  cuda::Device device;
  if (driver_.ctx_get_device(&device) != cuda::kSuccess) return nullptr;
  const bool open = settings_.fail_open.value_or(true);
  while (!exiting.load(std::memory_order_relaxed)) {
    try {
      Gate* gate = gate_of(device);
      return gate->lines().get(gate, context, stream);
    } catch (const std::exception& error) {
      static Topic topic;
      topic.say("%s: launches %s", error.what(), open ? "go ungated" : "wait");
    }
    if (open) break;
    const timespec pause{0, static_cast<long>(kRetryNs)};
    nanosleep(&pause, nullptr);
  }
  return nullptr;
}

// A launch without a current context fails without our help.
Line* Passage::find(cuda::Stream stream) noexcept {
  const uint64_t epoch = line_epoch.load(std::memory_order_relaxed);
  const bool is_handle = reinterpret_cast<uintptr_t>(stream) > 2;
  const bool known = here.line && here.stream == stream && here.epoch == epoch;
  if (known && is_handle) return here.line;  // it belongs to one context
  const Driver* driver = shim::driver();
  cuda::Context context = nullptr;
  if (!driver || driver->ctx_get_current(&context) != cuda::kSuccess || !context) return nullptr;
  if (known && here.context == context) return here.line;
  Shim* shim = Shim::get();
  Line* line = shim ? shim->line_of(context, stream) : nullptr;
  here.line = line;
  here.stream = stream;
  here.context = context;
  here.epoch = epoch;
  return line;
}

Passage::Passage(cuda::Stream stream, bool per_thread) noexcept {
  if (here.depth != 0 || exiting.load(std::memory_order_relaxed)) return;
  ++here.depth;
  counted_ = true;
  stream = cuda::meant_stream(stream, per_thread);
  // What is captured does not run, and a stream that is being captured must be left alone.
  if (captures.load(std::memory_order_relaxed) != 0) {
    const Driver* driver = shim::driver();
    if (driver && is_capturing(*driver, stream)) return;
  }
  Line* line = find(stream);
  if (!line) return;
  if (!line->gate->door().enter(&side_)) {
    if (!line->gate->of_this_process()) {
      here.line = nullptr;
      line = find(stream);
      if (!line) return;
    }
    if (!line->gate->wait(&side_)) return;
  }
  line_ = line;
}

}  // namespace aiaccel::shim
