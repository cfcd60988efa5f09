// SPDX-License-Identifier: MIT
//
// Thousands of processes are killed at every stage of what a process can do here, mostly inside a
// call. In the end nothing may be held by anybody.
//
// A victim does one thing over and over (its stage) and tells, in memory that it shares with the
// test, when it is inside and how often it came back; a second thread of it does another thing to
// the same context meanwhile. The test kills it once it got far enough and is inside. Victims are
// ordinary users, so that they pay for what they pin, in cgroups of their own, so that they are
// tenants of their own.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "account.hpp"
#include "broker/fds.h"
#include "cgroup.hpp"
#include "faults.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(storm)

namespace {

constexpr size_t kAtOnce = 3;
constexpr unsigned kUser = 54321;
constexpr size_t kHuge = 2 << 20;
constexpr size_t kLockable = 64 << 20;
constexpr uint64_t kPatienceNs = 60'000'000'000;
constexpr Ceilings kCeilings{.contexts = 64, .queues = 200, .jobs = 200};

enum Stage : uint32_t {
  kBetween,
  kOpen,
  kAlloc,
  kPin,
  kPinHuge,
  kMap,
  kTouch,
  kQueueCreate,
  kEnter,
  kDestroy,
  kClose,
  kFork,
  kStats,
  kWait,
  kHold,
  kPass,
  kExec,
  kExit,
  kCrash,
  kStages,
};

constexpr std::array<const char*, kStages> kNames = {"between calls",
                                                     "open",
                                                     "ALLOC",
                                                     "PIN",
                                                     "PIN of huge pages",
                                                     "mmap",
                                                     "fault",
                                                     "QUEUE_CREATE",
                                                     "ENTER",
                                                     "DESTROY",
                                                     "close",
                                                     "fork",
                                                     "STATS",
                                                     "waiting in ENTER",
                                                     "holding a turn",
                                                     "with files in flight",
                                                     "exec",
                                                     "exit",
                                                     "crash"};

// What a victim tells.
struct Slot {
  std::atomic<uint32_t> inside;
  std::atomic<uint32_t> done;
};

// One thread of a victim. Nothing in here asserts: Boost is for one thread. What is refused is done
// again: another thread, or the ceilings, were in the way.
class Worker {
 public:
  Worker(const Context& context, uint32_t engine, Slot& slot, unsigned seed)
      : context_(context), engine_(engine), slot_(slot), random_(seed) {}

  [[noreturn]] void run(Stage stage, useconds_t pause_us) {
    for (;;) {
      if (step(stage)) slot_.done++;
      if (pause_us) usleep(pause_us);
    }
  }

 private:
  // Whether it did what the stage is about.
  bool step(Stage stage) {
    switch (stage) {
      case kOpen:
        other_.close();
        return inside(stage, [&] { return open_other(); });
      case kAlloc:
        destroy_errno(context_, buffer_);
        return inside(stage, [&] { return alloc(1 + pick(kHuge)) == 0; });
      case kPin:
        destroy_errno(context_, pinned_);
        return inside(stage, [&] { return pin(own_) == 0; });
      case kPinHuge:
        destroy_errno(context_, pinned_);
        huge_ = Map(2 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (huge_.error()) return false;
        madvise(huge_.data(), huge_.size(), MADV_HUGEPAGE);
        return inside(stage, [&] { return pin(huge_) == 0; });
      case kMap:
        if (!offset_ && alloc(kPages * kPage)) return false;
        return inside(stage, [&] { return map(); });
      case kTouch:
        if (map_.error() || !map_.size()) {
          if (alloc(kPages * kPage) || !map()) return false;
        }
        madvise(map_.data(), map_.size(), MADV_DONTNEED);
        return inside(stage, [&] {
          for (size_t at = 0; at < map_.size(); at += kPage) map_.data()[at]++;
          return true;
        });
      case kQueueCreate:
        destroy_errno(context_, queue_);
        return inside(stage, [&] { return create_queue() == 0; });
      case kEnter:
        if (!queue_ && create_queue()) return false;
        return inside(stage, [&] { return submit(0) + cancel() > 0; });
      case kDestroy:
        if (alloc(kHuge) || pin(own_) || create_queue()) return false;
        submit(0);
        return inside(stage, [&] {
          return destroy_errno(context_, buffer_) + destroy_errno(context_, pinned_) +
                     destroy_errno(context_, queue_) ==
                 0;
        });
      case kClose:
        if (!open_other()) return false;
        return inside(stage, [&] {
          other_.close();
          return true;
        });
      case kFork:
        return inside(stage, [&] { return fork_a_child(); });
      case kStats:
        return inside(stage, [&] { return stats() == 0; });
      case kWait:
        if (!queue_ && create_queue()) return false;
        return inside(stage, [&] { return wait_for_ever(); });
      case kHold:
        if (!take_turn()) return false;
        return inside(stage, [&] { return pause() == 0; });
      case kPass:
        if (!take_turn()) return false;
        return inside(stage, [&] { return pass_files() && pause() == 0; });
      default:
        if (!hold_much()) return false;
        slot_.inside = stage;
        end(stage);
    }
  }

  template <typename Body>
  bool inside(Stage stage, const Body& body) {
    slot_.inside = stage;
    const bool done = body();
    slot_.inside = kBetween;
    return done;
  }

  uint32_t pick(size_t below) { return static_cast<uint32_t>(random_() % below); }

  bool open_other() {
    other_ = Fd(open(kDevice, O_RDWR | O_CLOEXEC));
    return other_.get() >= 0;
  }
  int alloc(uint64_t length) {
    aiaccel_alloc alloc{};
    alloc.length = length;
    alloc.placement = pick(2) ? AIACCEL_PLACE_LOCAL : AIACCEL_PLACE_INTERLEAVE;
    const int err = context_(AIACCEL_IOC_ALLOC, alloc);
    buffer_ = err ? 0 : alloc.id;
    offset_ = err ? 0 : alloc.mmap_offset;
    return err;
  }
  int pin(const Map& map) {
    aiaccel_pin pin = pin_of(map, pick(2) ? AIACCEL_PIN_WRITE : 0);
    const int err = context_(AIACCEL_IOC_PIN, pin);
    pinned_ = err ? 0 : pin.id;
    return err;
  }
  bool map() {
    map_ = context_.map(kPages * kPage, offset_);
    return !map_.error();
  }
  int create_queue() {
    aiaccel_queue_create create{};
    create.engine = engine_;
    create.class_ = pick(4);
    create.weight = 1 + pick(1000);
    const int err = context_(AIACCEL_IOC_QUEUE_CREATE, create);
    queue_ = err ? 0 : create.id;
    return err;
  }
  // How many of a few jobs were taken.
  uint32_t submit(uint32_t min_events, uint64_t timeout_ns = AIACCEL_NEVER) {
    aiaccel_job jobs[6] = {};
    for (aiaccel_job& job : jobs) job = job_of(queue_, random_(), 1 + pick(2));
    aiaccel_enter enter{};
    enter.jobs = address(jobs);
    enter.nr_jobs = 6;
    enter.min_events = min_events;
    enter.timeout_ns = timeout_ns;
    if (context_(AIACCEL_IOC_ENTER, enter)) return 0;
    for (uint32_t i = 0; i < enter.nr_jobs; i++) cookies_[i] = jobs[i].cookie;
    return nr_cookies_ = enter.nr_jobs;
  }
  uint32_t cancel() {
    aiaccel_completion completions[6] = {};
    for (uint32_t i = 0; i < nr_cookies_; i++)
      completions[i] = {cookies_[i], 0, AIACCEL_COMPLETE_CANCEL};
    aiaccel_enter enter{};
    enter.completions = address(completions);
    enter.nr_completions = nr_cookies_;
    return context_(AIACCEL_IOC_ENTER, enter) ? 0 : enter.nr_completions;
  }
  int stats() {
    std::array<char, 8192> records;
    aiaccel_stats stats{};
    stats.kind = 1 + pick(3);
    stats.records = address(records.data());
    stats.count = 32;
    stats.record_size = 256;
    return context_(AIACCEL_IOC_STATS, stats);
  }
  // More events than there will be.
  bool wait_for_ever() {
    submit(context_.query().max_jobs);
    return false;
  }
  bool take_turn() {
    if (!queue_ && create_queue()) return false;
    return submit(1, now_ns() + 1'000'000'000) > 0;
  }
  bool hold_much() {
    return alloc(2 * kHuge) == 0 && map() && pin(own_) == 0 && (create_queue() || submit(0));
  }
  // It has the descriptors, the mappings that are inherited, and nothing else.
  bool fork_a_child() {
    const pid_t parent = getpid();
    if (child_ > 0) waitpid(child_, nullptr, 0);
    child_ = fork();
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(0);
      stats();
      if (map_.size() && !map_.error()) map_.data()[0]++;
      usleep(pick(2000));
      _exit(0);
    }
    return child_ > 0;
  }
  // To nobody: into a pair of sockets that are themselves in flight.
  bool pass_files() {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return false;
    const bool sent =
        aiaccel::send_with_fds(pair[0], "", 1, {context_.fd(), pair[0], pair[1]}, 0) == 1;
    close(pair[0]);
    close(pair[1]);
    return sent;
  }
  [[noreturn]] static void end(Stage stage) {
    if (stage == kExec) execl("/bin/true", "true", nullptr);
    signal(SIGSEGV, SIG_DFL);  // not Boost's
    if (stage == kCrash) raise(SIGSEGV);
    _exit(0);
  }

  static constexpr size_t kPages = 128;

  const Context& context_;
  const uint32_t engine_;
  Slot& slot_;
  std::minstd_rand random_;
  const Map own_{kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0};
  Map map_, huge_;
  Fd other_;
  pid_t child_ = 0;
  uint64_t offset_ = 0;
  uint32_t buffer_ = 0, pinned_ = 0, queue_ = 0, nr_cookies_ = 0;
  std::array<uint64_t, 6> cookies_{};
};

void become_one_who_may_open() {
  struct stat node {};
  const rlimit lockable{kLockable, kLockable}, no_core{0, 0};
  if (stat(kDevice, &node) || setrlimit(RLIMIT_MEMLOCK, &lockable) ||
      setrlimit(RLIMIT_CORE, &no_core) || setpriority(PRIO_PROCESS, 0, 10) ||
      setresgid(node.st_gid, node.st_gid, node.st_gid) || setresuid(kUser, kUser, kUser))
    _exit(100);
}

[[noreturn]] void be_victim(Stage stage, Slot& slot, uint32_t engine, unsigned seed) {
  become_one_who_may_open();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Context context;
  static Slot unseen;  // the other thread's
  const auto others = static_cast<Stage>(kOpen + seed % (kWait - kOpen));
  std::thread other([&] { Worker(context, engine, unseen, seed + 1).run(others, 300); });
  Worker(context, engine, slot, seed).run(stage, 0);
}

struct Victim {
  pid_t pid = 0;
  Stage stage = kBetween;
  uint32_t enough = 0;  // rounds
};

// As a user who may lock so much and no more: whether all of it can be locked.
int lock_all_that_may_be() {
  become_one_who_may_open();
  const Context context;
  const Map map = anonymous(kLockable);
  aiaccel_pin pin = pin_of(map);
  return context(AIACCEL_IOC_PIN, pin);
}

// Sockets in flight to each other are collected when the next one is closed.
void collect_sockets() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return;
  close(pair[0]);
  close(pair[1]);
}

int64_t open_files() {
  int64_t files = 0;
  std::ifstream("/proc/sys/fs/file-nr") >> files;
  return files;
}

// Starts victims, kills them in time, counts.
class Storm {
 public:
  Storm(uint32_t engine, unsigned seed)
      : shared_(kAtOnce * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
        slots_(new (shared_.data()) Slot[kAtOnce]),
        engine_(engine),
        random_(seed) {}

  void run(int victims) {
    // A cgroup for some of them at a time: a tenant goes with its last context.
    std::optional<Cgroup> cgroup;
    int started = 0, ended = 0, allowed = 0;
    uint64_t since_ns = now_ns();  // the last one started or ended
    while (ended < victims) {
      if (started == allowed && running() == 0) {
        allowed = std::min(allowed + 64, victims);
        if (have_cgroups()) {
          Cgroup::leave();
          cgroup.reset();
          cgroup.emplace("/storm");
          cgroup->enter();
        }
      }
      bool idle = true;
      for (size_t i = 0; i < kAtOnce; i++) {
        if (!victims_[i].pid && started < allowed) {
          start(i, started++);
          idle = false;
        } else if (victims_[i].pid && end(i)) {
          ended++;
          idle = false;
        }
      }
      if (!idle) since_ns = now_ns();
      if (now_ns() - since_ns > kPatienceNs) return give_up();
      if (idle) usleep(pick(300));
    }
    if (cgroup) Cgroup::leave();
  }

  const std::array<int, kStages>& ended_in() const { return ended_in_; }

 private:
  uint32_t pick(size_t below) { return static_cast<uint32_t>(random_() % below); }

  // None of them gets where it is to be killed.
  void give_up() {
    for (size_t i = 0; i < kAtOnce; i++) {
      const Victim& victim = victims_[i];
      if (!victim.pid) continue;
      BOOST_ERROR("one for " << kNames[victim.stage] << " is in " << kNames[slots_[i].inside]
                             << " after " << slots_[i].done << " rounds");
      kill(victim.pid, SIGKILL);
      waitpid(victim.pid, nullptr, 0);
    }
    Cgroup::leave();
  }

  size_t running() const {
    size_t count = 0;
    for (const Victim& victim : victims_) count += victim.pid != 0;
    return count;
  }

  void start(size_t i, int number) {
    Victim& victim = victims_[i];
    victim.stage = static_cast<Stage>(kOpen + static_cast<uint32_t>(number) % (kStages - kOpen));
    victim.enough = pick(3);
    slots_[i].inside = kBetween;
    slots_[i].done = 0;
    const unsigned seed = random_();
    victim.pid = fork();
    BOOST_REQUIRE(victim.pid >= 0);
    if (victim.pid == 0) be_victim(victim.stage, slots_[i], engine_, seed);
  }

  // Whether it has ended: it is killed once it got far enough and is inside.
  bool end(size_t i) {
    Victim& victim = victims_[i];
    const bool waits = victim.stage >= kWait;
    const bool ends_itself = victim.stage >= kExec;
    int status = 0;
    if (slots_[i].inside == victim.stage && (waits || slots_[i].done >= victim.enough)) {
      if (pick(2)) usleep(pick(500));
      kill(victim.pid, SIGKILL);
      BOOST_REQUIRE_EQUAL(waitpid(victim.pid, &status, 0), victim.pid);
    } else if (waitpid(victim.pid, &status, WNOHANG) == 0) {
      return false;
    }
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    BOOST_TEST((killed || ends_itself),
               kNames[victim.stage] << " ended by itself, status " << status);
    ended_in_[slots_[i].inside]++;
    if (victim.stage == kPass) collect_sockets();
    victim.pid = 0;
    return true;
  }

  Map shared_;
  Slot* const slots_;
  const uint32_t engine_;
  std::minstd_rand random_;
  std::array<Victim, kAtOnce> victims_{};
  std::array<int, kStages> ended_in_{};
};

}  // namespace

BOOST_AUTO_TEST_CASE(whenever_it_is_killed_nothing_is_left) {
  NEED_DEVICE();
  const Reloaded module(kCeilings.parameters());
  BOOST_REQUIRE_EQUAL(module.error(), 0);
  // Kernels made for debugging are slow.
  const int victims = injects_faults() ? 126 : 2016;
  const unsigned seed = std::random_device()();
  note("seed " + std::to_string(seed));
  const int64_t pinned = pinned_pages(), files = open_files();
  {
    const Context watcher;
    const Use before(watcher);
    Storm storm(watcher.engine().id, seed);
    storm.run(victims);
    std::string text = std::to_string(victims) + " killed: ";
    for (uint32_t stage = 0; stage < kStages; stage++) {
      const int number = storm.ended_in()[stage];
      text += std::string(stage ? ", " : "") + kNames[stage] + " " + std::to_string(number);
      // Of few, none may meet a stage that is short.
      BOOST_TEST((number > 0 || stage == kBetween || victims < 1000), "none in " << kNames[stage]);
    }
    note(text);
    BOOST_TEST(eventually([&] { return Use(watcher) == before; }), Use(watcher)
                                                                       << " instead of " << before);
    BOOST_TEST(eventually([&] { return pinned_pages() == pinned; }));
    BOOST_TEST(watcher.engine_stats().granted > 0u);
  }
  BOOST_TEST(in_child(lock_all_that_may_be) == 0);
  // The count is kept by processors, some of it each.
  BOOST_TEST(eventually([&] { return open_files() < files + 256; }));
  kCeilings.check();
}

BOOST_AUTO_TEST_SUITE_END()
