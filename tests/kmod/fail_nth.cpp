// SPDX-License-Identifier: MIT
//
// Each ioctl of questions and of turns, and open and close: every allocation and every copy from
// and to user memory that it makes is made to fail once, in turn (see faults.hpp). Memory is in
// fail_nth_memory.cpp, providers in fail_nth_provider.cpp.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "cgroup.hpp"
#include "faults.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(fail_nth)

namespace {

constexpr uint64_t kJobs = 10;  // more than ENTER reads without allocating

int create_queue(const Context& context, aiaccel_queue_create& create, uint32_t engine) {
  create = {};
  create.engine = engine;
  create.class_ = AIACCEL_CLASS_NORMAL;
  return context(AIACCEL_IOC_QUEUE_CREATE, create);
}

int cancel(const Context& context, uint64_t cookie) {
  aiaccel_completion completion{};
  completion.cookie = cookie;
  completion.flags = AIACCEL_COMPLETE_CANCEL;
  aiaccel_enter enter{};
  enter.completions = address(&completion);
  enter.nr_completions = 1;
  return context(AIACCEL_IOC_ENTER, enter);
}

// The swept ENTER: jobs with cookies from 0, and the withdrawal of those from 100.
class Entries {
 public:
  explicit Entries(bool with_completions, uint64_t nr_jobs = kJobs, uint32_t flags = 0,
                   bool in_groups = false)
      : nr_completions_(with_completions ? kJobs : 0),
        nr_jobs_(nr_jobs),
        flags_(flags),
        in_groups_(in_groups) {
    ring_ = context_.map(context_.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
    consumed_ = context_.map(kPage, AIACCEL_CONSUMED_OFFSET);
    BOOST_REQUIRE(!ring_.error() && !consumed_.error());
  }

  // The jobs to be withdrawn wait; no event is unread.
  void prepare() {
    for (uint64_t i = 0; i < nr_completions_; i++) jobs_[i] = job_of(queue_, 100 + i);
    aiaccel_enter enter{};
    enter.jobs = address(jobs_);
    enter.nr_jobs = nr_completions_;
    BOOST_REQUIRE_EQUAL(context_(AIACCEL_IOC_ENTER, enter), 0);
    BOOST_REQUIRE_EQUAL(enter.nr_jobs, nr_completions_);
    *reinterpret_cast<volatile uint32_t*>(consumed_.data()) =
        reinterpret_cast<const volatile aiaccel_ring*>(ring_.data())->produced;
    for (uint64_t i = 0; i < nr_jobs_; i++) {
      jobs_[i] = job_of(queue_, i);
      jobs_[i].flags = flags_;
      if (in_groups_) jobs_[i].group = i + 1, jobs_[i].group_size = 1;
    }
    for (uint64_t i = 0; i < nr_completions_; i++)
      completions_[i] = {100 + i, 0, AIACCEL_COMPLETE_CANCEL};
  }

  int call() {
    enter_ = {};
    enter_.completions = address(completions_);
    enter_.nr_completions = nr_completions_;
    enter_.jobs = address(jobs_);
    enter_.nr_jobs = nr_jobs_;
    enter_.min_events = nr_jobs_ ? 1 : 0;
    enter_.timeout_ns = AIACCEL_NEVER;
    return context_(AIACCEL_IOC_ENTER, enter_);
  }

  // What was taken is what was told. Takes it back.
  void look(int err) {
    const uint64_t completed = take_back(100, nr_completions_, false);
    const uint64_t submitted = take_back(0, nr_jobs_, true);
    if (!err) {
      BOOST_TEST(completed == enter_.nr_completions);
      BOOST_TEST(submitted == enter_.nr_jobs);
      BOOST_TEST((submitted == 0 || completed == nr_completions_));
      if (completed + submitted < nr_completions_ + nr_jobs_) in_part_++;
    } else if (err == EFAULT && completed + submitted) {
      // The reply could be written at the start of the call and not at its end.
      BOOST_TEST(completed == nr_completions_);
      BOOST_TEST(submitted == nr_jobs_);
    } else {
      BOOST_TEST(completed + submitted == 0u);
    }
    if (err) prepare();
  }

  int in_part() const { return in_part_; }

 private:
  // Cancels what waits or has its turn; how many were there (or were not), all of them first.
  uint64_t take_back(uint64_t first, uint64_t nr, bool there) {
    uint64_t count = 0;
    for (uint64_t i = 0; i < nr; i++) {
      const int err = cancel(context_, first + i);
      BOOST_TEST((err == 0 || err == ENOENT));
      if ((err == 0) != there) continue;
      BOOST_TEST(count == i);
      count++;
    }
    return count;
  }

  const Context context_;
  const uint32_t queue_ = context_.queue();
  const uint32_t nr_completions_;
  const uint32_t nr_jobs_;
  const uint32_t flags_;
  const bool in_groups_;
  Map ring_, consumed_;
  aiaccel_job jobs_[kJobs] = {};
  aiaccel_completion completions_[kJobs] = {};
  aiaccel_enter enter_{};
  int in_part_ = 0;
};

void sweep_enter(const std::string& name, int least, Entries&& entries, bool in_part) {
  sweep({.name = name,
         .errors = {ENOMEM, EFAULT},
         .least = least,
         .call = [&] { return entries.call(); },
         .undo = {},
         .prepare = [&] { entries.prepare(); },
         .look = [&](int err) { entries.look(err); }});
  BOOST_TEST((entries.in_part() > 0) == in_part);
}

// sweep() makes a good call first; here each call is the first of a process, which registers the
// notifier.
void sweep_first(const std::string& name, const Context& watcher,
                 const std::function<int(const Context&, uint32_t& refused_by)>& call) {
  const Use before(watcher);
  for (int nth = 1; nth < kMostFaults; nth++) {
    const int status = in_child([&] {
      const Faults faults;
      const Context context;
      uint32_t refused_by = 0;
      faults.arm(nth);
      const int err = call(context, refused_by);
      const bool met = faults.disarm() == 0;
      if (!err) return met ? 0 : 1;
      if (!met || (err != ENOMEM && err != EFAULT)) return 2;
      if (err == ENOMEM && !refused_by) return 3;
      return call(context, refused_by) ? 4 : 0;
    });
    BOOST_TEST_INFO_SCOPE(name << ", fault " << nth);
    BOOST_TEST((status == 0 || status == 1), "status " << status);
    BOOST_TEST(Use(watcher) == before);
    if (status == 0) continue;
    BOOST_TEST(nth > 7);
    note(name + ", first of an address space: " + std::to_string(nth - 1) + " faults");
    return;
  }
  BOOST_ERROR("no end of faults");
}

}  // namespace

BOOST_AUTO_TEST_CASE(open_and_close) {
  NEED_DEVICE();
  NEED_FAULTS();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  // New tenants, two levels of them, for each open.
  const Cgroup above("/sweep"), own("/sweep/own");
  int fd = -1;
  const auto shut = [&] {
    const int err = close(fd) ? errno : 0;
    fd = -1;
    return err;
  };
  sweep({.name = "open",
         .errors = {ENOMEM, EFAULT},
         .least = 5,
         .call =
             [&] {
               fd = open(kDevice, O_RDWR | O_CLOEXEC);
               return fd < 0 ? errno : 0;
             },
         .undo =
             [&] {
               BOOST_TEST(shut() == 0);
               Cgroup::leave();
             },
         .prepare = [&] { own.enter(); },
         .look = {}});
  const Map pages = anonymous(4 * kPage);
  // Closing needs no memory, whatever it takes down.
  sweep({.name = "close",
         .errors = {},
         .least = 0,
         .call = shut,
         .undo = {},
         .prepare =
             [&] {
               const Context context;
               context.alloc(20 * kPage);
               const auto mapped = context.alloc(20 * kPage);
               const Map map = context.map(20 * kPage, mapped.mmap_offset);
               aiaccel_pin pin = pin_of(pages);
               BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
               context.take_turn(context.queue(), 1);
               fd = dup(context.fd());
               BOOST_REQUIRE(fd >= 0);
             },
         .look = {}});
}

BOOST_AUTO_TEST_CASE(questions) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  const auto ask = [&](const char* name, int least, const std::function<int()>& call,
                       std::set<int> errors = {EFAULT}) {
    sweep({name, std::move(errors), least, call, {}, {}, {}});
  };
  ask("QUERY", 2, [&] {
    aiaccel_query query{};
    return context(AIACCEL_IOC_QUERY, query);
  });
  ask("ENGINE_LIST", 2, [&] {
    uint32_t ids[4] = {};
    aiaccel_engine_list list{};
    list.count = 4;
    list.ids = address(ids);
    return context(AIACCEL_IOC_ENGINE_LIST, list);
  });
  const uint32_t engine = context.engine().id;
  ask("ENGINE_INFO", 2, [&] {
    aiaccel_engine_info info{};
    info.id = engine;
    return context(AIACCEL_IOC_ENGINE_INFO, info);
  });
  std::vector<uint32_t> queues(20);
  for (uint32_t& queue : queues) queue = context.queue();
  std::vector<char> records(32768);
  const auto ask_stats = [&](uint32_t kind) {
    aiaccel_stats stats{};
    stats.kind = kind;
    stats.records = address(records.data());
    stats.count = 32;
    stats.record_size = 1024;  // longer than they are: the rest is cleared
    return context(AIACCEL_IOC_STATS, stats);
  };
  ask("STATS, engines", 3, [&] { return ask_stats(AIACCEL_STATS_ENGINES); });
  ask("STATS, tenants", 5, [&] { return ask_stats(AIACCEL_STATS_TENANTS); }, {EFAULT, ENOMEM});
  ask("STATS, 20 queues", 22, [&] { return ask_stats(AIACCEL_STATS_QUEUES); });
  ask("STATS, a context", 3, [&] { return ask_stats(AIACCEL_STATS_CONTEXTS); });
  BOOST_REQUIRE_EQUAL(submit(context, job_of(queues[0], 1)), 0);
  ask("STATS, a turn", 4, [&] { return ask_stats(AIACCEL_STATS_TURNS); }, {EFAULT, ENOMEM});
  ask("STATS, a snapshot", 4,
      [&] {
        aiaccel_stats stats{};
        stats.kind = AIACCEL_STATS_SNAPSHOT;
        stats.records = address(records.data());
        stats.count = static_cast<uint32_t>(records.size() / 8);
        stats.record_size = 8;
        return context(AIACCEL_IOC_STATS, stats);
      },
      {EFAULT, ENOMEM});
  ask("CONTROL", 1, [&] {
    aiaccel_control control{};
    control.engine = engine;
    control.state = AIACCEL_ENGINE_ACTIVE;
    control.order = AIACCEL_ORDER_FAIR;
    return context(AIACCEL_IOC_CONTROL, control);
  });
  const uint64_t tenant = context.query().tenant;
  ask("REVOKE", 2, [&] {
    aiaccel_revoke revoke{};
    revoke.tenant = tenant;
    return context(AIACCEL_IOC_REVOKE, revoke);
  });
  std::vector<aiaccel_policy_rule> rules(20, rule_of(AIACCEL_MATCH_PATH, "/nobody"));
  ask("POLICY, read", 2, [&] {
    aiaccel_policy policy{};
    policy.rules = address(rules.data());
    policy.count = 20;
    policy.rule_size = sizeof(rules[0]);
    return context(AIACCEL_IOC_POLICY, policy);
  });
}

BOOST_AUTO_TEST_CASE(rules_are_replaced_or_not) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  const std::vector<aiaccel_policy_rule> rules(40, rule_of(AIACCEL_MATCH_PATH, "/nobody"));
  sweep({.name = "POLICY, replace",
         .errors = {ENOMEM, EFAULT},
         .least = 4,
         .call = [&] { return set_rules(context, rules); },
         .undo = [&] { BOOST_TEST(set_rules(context, {}) == 0); },
         .prepare = {},
         .look =
             [&](int err) {
               aiaccel_policy policy{};
               policy.rule_size = sizeof(rules[0]);
               BOOST_TEST(context(AIACCEL_IOC_POLICY, policy) == 0);
               BOOST_TEST(policy.count == (err ? 0u : 40u));
             }});
}

BOOST_AUTO_TEST_CASE(queue_create_and_destroy) {
  NEED_DEVICE();
  NEED_FAULTS();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup above("/sweep"), own("/sweep/own");
  own.enter();  // three levels of nodes
  Context context;
  const uint32_t engine = context.engine().id;
  aiaccel_queue_create create{};
  uint32_t last = 0;
  Swept queue{.name = "QUEUE_CREATE, later",
              .errors = {ENOMEM, EFAULT},
              .least = 3,
              .call = [&] { return create_queue(context, create, engine); },
              .undo = [&] { BOOST_TEST(destroy_errno(context, last) == 0); },
              .prepare = {},
              .look =
                  [&](int err) {
                    if (err) {
                      // No id names what nobody was told of.
                      for (uint32_t id = last + 1; id < last + 4; id++)
                        BOOST_TEST(destroy_errno(context, id) == ENOENT);
                      BOOST_TEST((err != ENOMEM || create.refused_by != AIACCEL_REFUSED_NOT));
                    } else {
                      BOOST_TEST(create.id > last);
                      last = create.id;
                    }
                  }};
  {
    const uint32_t other = create_queue(context, create, engine) ? 0 : create.id;
    sweep(queue);
    sweep({.name = "DESTROY, queue",
           .errors = {EFAULT},
           .least = 1,
           .call = [&] { return destroy_errno(context, create.id); },
           .undo = {},
           .prepare =
               [&] {
                 BOOST_REQUIRE_EQUAL(create_queue(context, create, engine), 0);
                 BOOST_REQUIRE_EQUAL(submit(context, job_of(create.id, 1)), 0);
               },
           .look = {}});
    BOOST_TEST(destroy_errno(context, other) == 0);
  }
  // With the registration of the notifier, the seat and the nodes.
  queue.name = "QUEUE_CREATE, first of a context";
  queue.least = 8;
  queue.prepare = [&] {
    context = Context();
    last = 0;
  };
  queue.undo = [&] { context.close(); };
  context.close();
  sweep(queue);
  Cgroup::leave();
}

// A call that failed keeps no promise: each takes all that the engine can promise, and the next one
// must have it.
BOOST_AUTO_TEST_CASE(queue_create_with_a_promise) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context context;
  const Engine engine(context);
  aiaccel_queue_create create{};
  const auto promise = [&] {
    create = {};
    create.engine = engine.id();
    create.class_ = AIACCEL_CLASS_REALTIME;
    create.budget_ns = 10'000'000;
    create.period_ns = 250'000'000;  // 110 ms of 140
    create.width = 1;
    return context(AIACCEL_IOC_QUEUE_CREATE, create);
  };
  BOOST_REQUIRE_EQUAL(promise(), 0);
  const uint32_t first = create.id;
  BOOST_TEST(promise() == EDQUOT);
  BOOST_TEST(destroy_errno(context, first) == 0);
  sweep({.name = "QUEUE_CREATE, realtime",
         .errors = {ENOMEM, EFAULT},
         .least = 3,
         .call = promise,
         .undo = [&] { BOOST_TEST(destroy_errno(context, create.id) == 0); },
         .prepare = {},
         .look = {}});
}

BOOST_AUTO_TEST_CASE(first_of_an_address_space) {
  NEED_DEVICE();
  NEED_FAULTS();
  const Context watcher;
  const Engine engine(watcher, 1 << 20);
  sweep_first("QUEUE_CREATE", watcher, [&](const Context& context, uint32_t& refused_by) {
    aiaccel_queue_create create{};
    const int err = create_queue(context, create, engine.id());
    refused_by = create.refused_by;
    return err;
  });
  sweep_first("RESERVE", watcher, [&](const Context& context, uint32_t& refused_by) {
    aiaccel_reserve reserve{};
    reserve.engine = engine.id();
    reserve.bytes = 1000;
    const int err = context(AIACCEL_IOC_RESERVE, reserve);
    refused_by = reserve.refused_by;
    return err;
  });
}

BOOST_AUTO_TEST_CASE(enter) {
  NEED_DEVICE();
  NEED_FAULTS();
  // A job alone takes the turn that the last one left, so that nothing is allocated.
  sweep_enter("ENTER, 1 job", 2, Entries(false, 1), false);
  sweep_enter("ENTER, 10 jobs", 10, Entries(false), true);
  // With memory for their places.
  sweep_enter("ENTER, 10 jobs of a set", 20, Entries(false, kJobs, AIACCEL_JOB_ANY), true);
  sweep_enter("ENTER, 10 groups", 10, Entries(false, kJobs, 0, true), true);
  sweep_enter("ENTER, 10 cancels", 4, Entries(true, 0), true);
  sweep_enter("ENTER, 10 cancels and 10 jobs", 10, Entries(true), true);
}

BOOST_AUTO_TEST_SUITE_END()
