// SPDX-License-Identifier: MIT
//
// A line to one engine, and the turns that it gets.
//
// Threads: a Queue, its Jobs and its Grants belong to one thread at a time, and so do all queues of
// one Device. A context holds one turn on an engine at a time: a second acquire() meanwhile throws
// EDEADLK.
#ifndef AIACCEL_QUEUE_HPP
#define AIACCEL_QUEUE_HPP

#include <aiaccel.h>
#include <aiaccel/error.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

namespace aiaccel {

enum class Class : std::uint32_t {
  idle = AIACCEL_CLASS_IDLE,
  low = AIACCEL_CLASS_LOW,
  normal = AIACCEL_CLASS_NORMAL,
  high = AIACCEL_CLASS_HIGH,
  realtime = AIACCEL_CLASS_REALTIME,
};

// Time as <uapi/aiaccel.h> counts it: CLOCK_MONOTONIC.
using Clock = std::chrono::steady_clock;

struct QueueOptions {
  std::string label{};  // printable ASCII, at most 63 characters, such as "asr@v2"
  Class priority = Class::normal;
  std::uint32_t weight = AIACCEL_WEIGHT_DEFAULT;
  std::uint32_t width = 1;  // slots that a turn takes unless acquire() says otherwise
  // How long a turn may last while others want its slots, 100 us to 10 s. 0: a second on a gated or
  // preemptible engine, without end on an advisory one, such as the CPUs. See Grant::renew().
  std::chrono::nanoseconds budget{0};
  // Turns only take what would be idle: they are revoked a grace after a higher class wants their
  // slots. For the classes low and idle.
  bool fill = false;
  // For the class realtime, which needs it and a budget: of each period, up to a minute, the queue
  // is promised one turn of `width` slots, over at its end. EDQUOT where that cannot be kept beside
  // what others were promised; see "Promises of time" in <uapi/aiaccel.h>. Its jobs are as wide as
  // the queue, have no deadline of their own, no group and no `any`, and are not renewed.
  std::chrono::nanoseconds period{0};
  // The id() of another Queue of the Device, at another engine: this one joins its set of up to
  // eight. 0: a set of its own. See AcquireOptions::any.
  std::uint32_t any_of = 0;
};

struct AcquireOptions {
  std::optional<Clock::time_point> deadline{};  // when the turn should begin; orders the queue
  std::optional<Clock::time_point> timeout{};   // when to stop waiting
  std::chrono::nanoseconds cost{0};             // expected length of the turn, 0: unknown
  std::uint32_t width = 0;                      // slots; 0: the queue's
  // Jobs of the tenant's programs with this number, up to 64 of one class, have their turns
  // together, or none of them; 0: none. A thread with several of them submit()s all, then waits.
  std::uint64_t group = 0;
  std::uint32_t group_size = 0;  // of how many jobs, with a group
  // The cookie() of a Grant that is held or of a Job, of whichever queue of the Device: this one
  // comes into line when that one is completed, and fails (ENODEV) when it is withdrawn or revoked.
  // 0: none. For submit(): acquire() would wait for what only its own thread can complete.
  std::uint64_t after = 0;
  // At whichever engine of the queue's set has room first; Grant::queue() tells which. Where
  // several have, on the node of `buffer`, the id() of a Buffer of the Device, or 0. Not with a
  // group.
  bool any = false;
  std::uint32_t buffer = 0;
};

// A turn. Completes itself when it goes out of scope.
class Grant {
 public:
  Grant(Grant&& other) noexcept
      : handle_(std::move(other.handle_)), grant_(std::exchange(other.grant_, {})) {}
  Grant& operator=(Grant&& other) noexcept {
    if (this != &other) {
      std::error_code ignored;
      complete(ignored);
      handle_ = std::move(other.handle_);
      grant_ = std::exchange(other.grant_, {});
    }
    return *this;
  }
  ~Grant() {
    std::error_code ignored;
    complete(ignored);
  }

  // True when the turn is wanted: by a higher class, or, its budget over, by anybody. Complete it
  // soon, or renew it. Costs a load, no system call.
  bool yield_wanted() const noexcept {
    return handle_ && __atomic_load_n(grant_.yield_word, __ATOMIC_RELAXED) == grant_.generation;
  }

  // What a later job of the Device may name as `after`.
  std::uint64_t cookie() const noexcept { return grant_.cookie; }

  // The id() of the Queue whose turn it is, which tells the engine where it could be any of a set.
  std::uint32_t queue() const noexcept { return grant_.queue; }

  // When the turn began.
  Clock::time_point since() const noexcept {
    return Clock::time_point(std::chrono::nanoseconds(grant_.granted_ns));
  }

  // Ends the turn; a second call does nothing. ESTALE (the one below throws Revoked): it had been
  // revoked meanwhile.
  void complete(std::error_code& error) noexcept {
    error.clear();
    if (!handle_) return;
    const int result = aiaccel_complete(handle_.get(), &grant_);
    handle_.reset();
    if (result < 0) error.assign(-result, std::generic_category());
  }
  void complete() {
    std::error_code error;
    complete(error);
    detail::check(-error.value(), "cannot complete a turn");
  }

  // Begins a new budget, whether the old one is over or not, if nobody comes before us by now.
  // False: somebody does, and the turn is as it was; complete it within the engine's grace, else it
  // is revoked once its budget is over. Work that lasts calls this in between, as soon as
  // yield_wanted() or more often. Throws Revoked where that has happened:
  // end the work, then let go of the Grant.
  bool renew() {
    if (!handle_) return false;
    const int result = aiaccel_renew(handle_.get(), &grant_);
    if (result == -EAGAIN) return false;
    detail::check(result, "cannot renew a turn");
    return true;
  }

 private:
  friend class Job;
  friend class Queue;
  Grant(std::shared_ptr<aiaccel_device> handle, const aiaccel_grant& grant)
      : handle_(std::move(handle)), grant_(grant) {}

  std::shared_ptr<aiaccel_device> handle_;  // null once completed
  aiaccel_grant grant_;
};

namespace detail {

inline std::uint64_t nanoseconds(Clock::time_point time) {
  const auto count = time.time_since_epoch().count();
  return count > 0 ? static_cast<std::uint64_t>(count) : 1;
}
inline std::uint64_t nanoseconds(std::optional<Clock::time_point> timeout) {
  return timeout ? nanoseconds(*timeout) : AIACCEL_NEVER;
}

// Lets a std::stop_token end a wait that takes a descriptor.
class Canceller {
 public:
  Canceller() = default;
  Canceller(Canceller&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Canceller& operator=(Canceller&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Canceller() {
    if (fd_ >= 0) ::close(fd_);
  }

  // wait(fd): `fd` is readable once `stop` asks for it, or -1 where it never does.
  template <typename Wait>
  auto operator()(const std::stop_token& stop, Wait wait) {
    if (!stop.stop_possible()) return wait(-1);
    if (fd_ < 0) {
      fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (fd_ < 0) throw Error(errno, "cannot make an eventfd");
    }
    // The callback's destructor waits for a callback that runs, so what it wrote can be taken
    // back after it; before the wait, nothing is in the eventfd.
    struct Drain {
      int fd;
      ~Drain() {
        std::uint64_t ignored;
        [[maybe_unused]] const auto bytes = ::read(fd, &ignored, sizeof ignored);
      }
    } drain{fd_};
    std::stop_callback wake(stop, [fd = fd_] {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto bytes = ::write(fd, &one, sizeof one);
    });
    return wait(fd_);
  }

 private:
  int fd_ = -1;  // made at the first wait that can be stopped
};

}  // namespace detail

// A job that was submitted and not waited for yet. Withdraws itself, or gives its turn back, when
// it goes out of scope. Its Queue must stay until it is waited for, since it takes its jobs with
// it.
class Job {
 public:
  Job(Job&& other) noexcept : handle_(std::move(other.handle_)), cookie_(other.cookie_) {}
  Job& operator=(Job&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(cookie_, other.cookie_);
    return *this;
  }
  ~Job() {
    aiaccel_grant grant;
    if (handle_ && aiaccel_wait(handle_.get(), cookie_, 1, -1, &grant) == 0)
      aiaccel_complete(handle_.get(), &grant);
  }

  std::uint64_t cookie() const noexcept { return cookie_; }

  // Waits for its turn, once and soon: a turn that others want is revoked where nobody has looked
  // for it in a second (Revoked). Throws Error, and the job is withdrawn: as Queue::acquire();
  // ENODEV also where the job that it was after was not completed.
  Grant wait(std::optional<Clock::time_point> timeout = {}, std::stop_token stop = {}) {
    if (!handle_) throw Error(ENOENT, "a job is waited for once");
    aiaccel_grant grant{};
    const int result = detail::Canceller()(stop, [&](int cancel_fd) {
      return aiaccel_wait(handle_.get(), cookie_, detail::nanoseconds(timeout), cancel_fd, &grant);
    });
    const std::shared_ptr<aiaccel_device> handle = std::move(handle_);
    detail::check(result, "cannot wait for a turn");
    return Grant(handle, grant);
  }

 private:
  friend class Queue;
  Job(std::shared_ptr<aiaccel_device> handle, std::uint64_t cookie)
      : handle_(std::move(handle)), cookie_(cookie) {}

  std::shared_ptr<aiaccel_device> handle_;  // null once waited for
  std::uint64_t cookie_;
};

class Queue {
 public:
  Queue(Queue&& other) noexcept
      : handle_(std::move(other.handle_)),
        id_(other.id_),
        width_(other.width_),
        canceller_(std::move(other.canceller_)) {}
  Queue& operator=(Queue&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(id_, other.id_);
    std::swap(width_, other.width_);
    std::swap(canceller_, other.canceller_);
    return *this;
  }
  ~Queue() {
    if (!handle_) return;
    aiaccel_destroy destroy{};
    destroy.size = sizeof destroy;
    destroy.id = id_;
    aiaccel_call(handle_.get(), AIACCEL_IOC_DESTROY, &destroy);
  }

  std::uint32_t id() const noexcept { return id_; }

  // Waits for a turn. Throws Error, and there is no job: ECANCELED when `stop` asked for it,
  // ETIMEDOUT, EINTR for a signal, EDEADLK, EINVAL for a width that the engine does not have,
  // ENODEV when the engine went away or an administrator said so, ESHUTDOWN when it takes no new
  // work, EDQUOT for the tenant's ceiling of jobs, and what else struct aiaccel_job has; Revoked
  // where that happened to a job of a group before this thread got to its turn. Others are asked
  // for anew then.
  Grant acquire(const AcquireOptions& options = {}, std::stop_token stop = {}) {
    const aiaccel_job job = job_of(options);
    aiaccel_grant grant{};
    const int result = canceller_(stop, [&](int cancel_fd) {
      return aiaccel_acquire(handle_.get(), &job, detail::nanoseconds(options.timeout), cancel_fd,
                             &grant);
    });
    detail::check(result, "cannot acquire a turn");
    return Grant(handle_, grant);
  }

  // Asks for a turn without waiting for it; `timeout` is for Job::wait(). Throws Error as acquire()
  // does; ENOENT for an `after` that names no job.
  Job submit(const AcquireOptions& options = {}) {
    const aiaccel_job job = job_of(options);
    std::uint64_t cookie = 0;
    detail::check(aiaccel_submit(handle_.get(), &job, &cookie), "cannot submit a job");
    return Job(handle_, cookie);
  }

 private:
  friend class Engine;

  Queue(std::shared_ptr<aiaccel_device> handle, std::uint32_t engine, const QueueOptions& options)
      : handle_(std::move(handle)), width_(options.width) {
    aiaccel_queue_create create{};
    create.size = sizeof create;
    create.engine = engine;
    create.class_ = static_cast<std::uint32_t>(options.priority);
    create.weight = options.weight;
    create.budget_ns = static_cast<std::uint64_t>(options.budget.count());
    create.flags = options.fill ? AIACCEL_QUEUE_FILL : 0;
    create.any_of = options.any_of;
    create.period_ns = static_cast<std::uint64_t>(options.period.count());
    create.width = options.priority == Class::realtime ? options.width : 0;
    if (options.label.size() >= sizeof create.label)
      throw Error(EINVAL, "queue label '" + options.label + "' is longer than 63 characters");
    std::memcpy(create.label, options.label.data(), options.label.size());
    const int result = aiaccel_call(handle_.get(), AIACCEL_IOC_QUEUE_CREATE, &create);
    detail::check(result, "cannot create a queue", create.refused_by);
    id_ = create.id;
  }

  aiaccel_job job_of(const AcquireOptions& options) const {
    aiaccel_job job{};
    job.queue = id_;
    job.width = options.width ? options.width : width_;
    job.cost_ns = static_cast<std::uint64_t>(options.cost.count());
    job.group = options.group;
    job.group_size = options.group_size;
    job.after = options.after;
    if (options.after) job.flags |= AIACCEL_JOB_AFTER;
    if (options.any) job.flags |= AIACCEL_JOB_ANY;
    job.buffer = options.buffer;
    if (options.deadline) job.deadline_ns = detail::nanoseconds(*options.deadline);
    return job;
  }

  std::shared_ptr<aiaccel_device> handle_;
  std::uint32_t id_ = 0;
  std::uint32_t width_ = 1;
  detail::Canceller canceller_;
};

}  // namespace aiaccel

#endif  // AIACCEL_QUEUE_HPP
