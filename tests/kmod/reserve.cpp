// SPDX-License-Identifier: MIT
//
// Reservations of device memory: sums along the tree of tenants, what comes back when a process is
// killed, and calls that race each other.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "account.hpp"
#include "beside.hpp"
#include "cgroup.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(reserve_bytes)

namespace {

constexpr uint64_t kMiB = 1 << 20;

uint64_t reserved_by(const Context& context, uint64_t tenant) {
  for (const auto& record : list<aiaccel_stats_tenant>(context, AIACCEL_STATS_TENANTS))
    if (record.tenant == tenant) return record.reserved_bytes;
  return ~0ULL;
}

// The root's.
uint64_t reserved_by_all(const Context& context) {
  return list<aiaccel_stats_tenant>(context, AIACCEL_STATS_TENANTS).at(0).reserved_bytes;
}

aiaccel_policy_rule bytes_rule(const std::string& path, uint64_t bytes) {
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_PATH, path);
  rule.sets = AIACCEL_SETS_DEVICE_BYTES;
  rule.device_bytes = bytes;
  return rule;
}

// Which limit says no to a size; ~0 when none does.
uint32_t refusal(const Context& context, uint32_t id, uint64_t bytes) {
  aiaccel_reserve arg{};
  arg.id = id;
  arg.bytes = bytes;
  return context(AIACCEL_IOC_RESERVE, arg) == EDQUOT ? arg.refused_by : ~0u;
}

}  // namespace

BOOST_AUTO_TEST_CASE(sums_go_up_the_tree) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Context watcher;
  const Engine gpu(watcher, 100 * kMiB), other(watcher, 100 * kMiB);
  const Cgroup above("/sums"), one("/sums/one"), two("/sums/two");
  one.enter();
  const Context in_one;
  two.enter();
  Context in_two;
  Cgroup::leave();
  reserve(in_one, gpu.id(), 3 * kMiB);
  reserve(in_one, other.id(), 4 * kMiB);
  const uint32_t id = reserve(in_two, gpu.id(), 5 * kMiB);
  const uint64_t parent = [&]() -> uint64_t {
    for (const auto& record : list<aiaccel_stats_tenant>(watcher, AIACCEL_STATS_TENANTS))
      if (record.tenant == in_one.query().tenant) return record.parent;
    return 0;
  }();
  BOOST_TEST(reserved_by(watcher, in_one.query().tenant) == 7 * kMiB);
  BOOST_TEST(reserved_by(watcher, in_two.query().tenant) == 5 * kMiB);
  BOOST_TEST(reserved_by(watcher, parent) == 12 * kMiB);
  BOOST_TEST(reserved_by_all(watcher) == 12 * kMiB);
  BOOST_TEST(gpu.info().reserved_bytes == 8 * kMiB);
  BOOST_TEST(resize(in_two, id, kMiB) == 0);
  BOOST_TEST(reserved_by(watcher, parent) == 8 * kMiB);
  BOOST_TEST(resize(in_two, id, 98 * kMiB) == EDQUOT);  // what the other tenant has counts
  BOOST_TEST(resize(in_two, id, 97 * kMiB) == 0);
  // A caller without CAP_SYS_ADMIN is shown its own tenant's: in who.cpp of tests/uapi.
  BOOST_TEST(list<aiaccel_stats_reservation>(watcher, AIACCEL_STATS_RESERVATIONS).size() == 3u);
  in_two.close();
  BOOST_TEST(reserved_by_all(watcher) == 7 * kMiB);
}

BOOST_AUTO_TEST_CASE(ceilings_of_tenants_hold_on_each_engine) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Administrator administrator;
  const Context& watcher = administrator.context;
  const Engine gpu(watcher, 100 * kMiB), other(watcher, 100 * kMiB);
  const Cgroup above("/caps"), one("/caps/one"), two("/caps/two");
  administrator.set({bytes_rule("/caps", 10 * kMiB), bytes_rule("/caps/one", 6 * kMiB)});
  one.enter();
  const Context in_one;
  two.enter();
  const Context in_two;
  Cgroup::leave();

  aiaccel_reserve mine{};
  mine.engine = gpu.id();
  mine.bytes = 6 * kMiB;
  BOOST_REQUIRE_EQUAL(in_one(AIACCEL_IOC_RESERVE, mine), 0);
  BOOST_TEST((mine.max_bytes == 6 * kMiB && mine.free_bytes == 0));
  BOOST_TEST(refusal(in_one, mine.id, 6 * kMiB + 1) == uint32_t{AIACCEL_REFUSED_TENANT});
  reserve(in_one, other.id(), 6 * kMiB);  // another engine is another ceiling

  // The one above is asked too, and what its other child has counts.
  aiaccel_reserve theirs{};
  theirs.engine = gpu.id();
  BOOST_REQUIRE_EQUAL(in_two(AIACCEL_IOC_RESERVE, theirs), 0);
  BOOST_TEST((theirs.max_bytes == 10 * kMiB && theirs.free_bytes == 4 * kMiB));
  BOOST_TEST(refusal(in_two, theirs.id, 4 * kMiB + 1) == uint32_t{AIACCEL_REFUSED_TENANT});
  BOOST_TEST(resize(in_two, theirs.id, 4 * kMiB) == 0);
  const uint32_t free_one = reserve(watcher, gpu.id(), 90 * kMiB);  // the root has no ceiling
  BOOST_TEST(refusal(watcher, free_one, 91 * kMiB) == uint32_t{AIACCEL_REFUSED_ENGINE});

  // Lowered: what is held stays, and nothing is added but below the new one.
  administrator.set({bytes_rule("/caps", 10 * kMiB), bytes_rule("/caps/one", 2 * kMiB)});
  BOOST_TEST(gpu.info().reserved_bytes == 100 * kMiB);
  BOOST_TEST(resize(in_one, mine.id, 6 * kMiB) == 0);  // nothing is added
  BOOST_TEST(resize(in_one, mine.id, 5 * kMiB) == 0);  // less is always taken
  BOOST_TEST(resize(in_one, mine.id, 5 * kMiB + 1) == EDQUOT);
  BOOST_TEST(resize(in_one, mine.id, 2 * kMiB) == 0);
  administrator.set({});
  BOOST_TEST(resize(in_one, mine.id, 6 * kMiB) == 0);
  BOOST_TEST(refusal(in_one, mine.id, 7 * kMiB) == uint32_t{AIACCEL_REFUSED_ENGINE});
}

BOOST_AUTO_TEST_CASE(sums_do_not_wrap) {
  NEED_DEVICE();
  const Context context;
  const Engine one(context, ~0ULL), other(context, ~0ULL);
  const uint32_t most = reserve(context, one.id(), ~0ULL - 1);
  BOOST_TEST(resize(context, most, ~0ULL) == 0);
  const uint32_t more = reserve(context, one.id(), 0);
  BOOST_TEST(resize(context, more, 1) == EDQUOT);
  BOOST_TEST(resize(context, more, ~0ULL) == EDQUOT);
  reserve(context, other.id(), 2);
  BOOST_TEST(reserved_by_all(context) == ~0ULL);  // not 1
  BOOST_TEST(resize(context, most, 0) == 0);
  BOOST_TEST(reserved_by_all(context) == 2u);
}

// What another context waits for comes with the end of the file.
BOOST_AUTO_TEST_CASE(a_killed_process_gives_it_back) {
  NEED_DEVICE();
  const Context watcher;
  const Engine gpu(watcher, 10 * kMiB);
  const Use before(watcher);
  int ready[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  const pid_t child = fork();
  if (!child) {
    const Context context;
    for (int i = 0; i < 10; i++) reserve(context, gpu.id(), kMiB);
    if (write(ready[1], "", 1) != 1) _exit(1);
    pause();
    _exit(2);
  }
  char byte;
  BOOST_REQUIRE_EQUAL(read(ready[0], &byte, 1), 1);
  for (const int fd : ready) close(fd);
  BOOST_TEST(gpu.info().reserved_bytes == 10 * kMiB);
  const uint32_t id = reserve(watcher, gpu.id(), 0);
  BOOST_TEST(resize(watcher, id, 1) == EDQUOT);
  BOOST_REQUIRE_EQUAL(kill(child, SIGKILL), 0);
  BOOST_REQUIRE_EQUAL(waitpid(child, nullptr, 0), child);
  BOOST_TEST(eventually([&] { return resize(watcher, id, 10 * kMiB) == 0; }));
  BOOST_TEST(destroy_errno(watcher, id) == 0);
  BOOST_TEST(Use(watcher) == before);
}

// Nor does it stay with a child that inherited the file, and can do nothing with it.
BOOST_AUTO_TEST_CASE(what_a_killed_process_leaves_to_a_child_is_empty) {
  NEED_DEVICE();
  const Context watcher;
  const Engine gpu(watcher, 10 * kMiB);
  const Use before(watcher);
  int ready[2], over[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  BOOST_REQUIRE_EQUAL(pipe(over), 0);
  const pid_t child = fork();
  if (!child) {
    const Context context;
    for (int i = 0; i < 10; i++) reserve(context, gpu.id(), kMiB);
    close(over[1]);
    if (!fork()) {
      char byte;
      _exit(read(over[0], &byte, 1) != 0);  // until the test is over
    }
    if (write(ready[1], "", 1) != 1) _exit(1);
    pause();
    _exit(2);
  }
  char byte;
  BOOST_REQUIRE_EQUAL(read(ready[0], &byte, 1), 1);
  BOOST_TEST(gpu.info().reserved_bytes == 10 * kMiB);
  BOOST_REQUIRE_EQUAL(kill(child, SIGKILL), 0);
  BOOST_REQUIRE_EQUAL(waitpid(child, nullptr, 0), child);
  BOOST_TEST(eventually([&] { return gpu.info().reserved_bytes == 0; }));
  for (const auto& record : list<aiaccel_stats_reservation>(watcher, AIACCEL_STATS_RESERVATIONS))
    BOOST_TEST(record.bytes == 0u);
  for (const int fd : ready) close(fd);
  for (const int fd : over) close(fd);
  BOOST_TEST(eventually([&] { return Use(watcher) == before; }));
}

// Two contexts want more than there is, each by two threads that resize the same reservations.
BOOST_AUTO_TEST_CASE(sizes_that_race_never_pass_what_there_is) {
  NEED_DEVICE();
  const Context watcher, contexts[2];
  const Engine gpu(watcher, 10 * kMiB);
  const Use before(watcher);
  std::atomic<uint32_t> ids[2] = {reserve(contexts[0], gpu.id(), 0),
                                  reserve(contexts[1], gpu.id(), 0)};
  std::atomic<int> wrong{0}, taken{0}, refused{0};
  const auto play = [&](int which, uint64_t step) {
    const Context& context = contexts[which];
    for (uint64_t bytes = 0; bytes <= 10 * kMiB; bytes += step) {
      const int error = resize(context, ids[which], bytes);
      (error == 0 ? taken : refused)++;
      if (error && error != EDQUOT && error != ENOENT) wrong = error;
    }
  };
  {
    const Beside one([&] { play(0, kMiB); }), same([&] { play(0, 3 * kMiB); });
    const Beside two([&] { play(1, kMiB); }), three([&] { play(1, 3 * kMiB); });
    for (int round = 0; round < 300; round++) {
      for (const auto& record :
           list<aiaccel_stats_reservation>(watcher, AIACCEL_STATS_RESERVATIONS))
        if (record.engine == gpu.id() && record.bytes > 10 * kMiB) wrong = 1000;
      BOOST_REQUIRE(gpu.info().reserved_bytes <= 10 * kMiB);
      // And their ends: the players go on with the next one.
      const int which = round % 2;
      const uint32_t old = ids[which].exchange(reserve(contexts[which], gpu.id(), 0));
      BOOST_REQUIRE_EQUAL(destroy_errno(contexts[which], old), 0);
    }
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST((taken > 0 && refused > 0));
  for (int which : {0, 1}) BOOST_TEST(destroy_errno(contexts[which], ids[which]) == 0);
  BOOST_TEST(gpu.info().reserved_bytes == 0u);
  BOOST_TEST(Use(watcher) == before);
}

// Engines come and go under those who reserve, resize and list.
BOOST_AUTO_TEST_CASE(engines_that_go_meanwhile) {
  NEED_DEVICE();
  const Context watcher, context;
  const Use before(watcher);
  std::atomic<uint32_t> engine{0};
  std::atomic<int> wrong{0}, had{0};
  {
    const auto reserve_some = [&] {
      aiaccel_reserve arg{};
      arg.engine = engine;
      arg.bytes = kMiB;
      int error = context(AIACCEL_IOC_RESERVE, arg);
      if (error && error != ENOENT) wrong = error;
      if (error) return;
      had++;
      error = resize(context, arg.id, 2 * kMiB);
      if (error && error != ENODEV) wrong = error;
      error = resize(context, arg.id, 0);
      if (error) wrong = error;
      if (destroy_errno(context, arg.id)) wrong = 1000;
    };
    const Beside one(reserve_some), two(reserve_some);
    const Beside listing([&] {
      aiaccel_stats_reservation records[16] = {};
      aiaccel_stats stats{};
      stats.kind = AIACCEL_STATS_RESERVATIONS;
      stats.records = address(records);
      stats.count = 16;
      stats.record_size = sizeof(records[0]);
      if (watcher(AIACCEL_IOC_STATS, stats)) wrong = 1001;  // Boost.Test is for one thread
    });
    for (int round = 0; round < 300; round++) {
      const Engine gpu(watcher, 100 * kMiB);
      engine = gpu.id();
      const int before_it = had;
      if (round % 2) eventually([&] { return had > before_it; });
    }
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(had > 0);
  BOOST_TEST(Use(watcher) == before);
}

BOOST_AUTO_TEST_CASE(ids_of_another_kind_name_nothing) {
  NEED_DEVICE();
  const Context context;
  const Engine gpu(context, kMiB);
  const uint32_t reserved = reserve(context, gpu.id(), 0);
  const uint32_t allocated = context.alloc(kPage).id;
  for (const uint32_t id : {reserved, allocated})
    BOOST_TEST(submit(context, job_of(id, 1)) == ENOENT);
  for (const uint32_t id : {context.queue(), allocated})
    BOOST_TEST(resize(context, id, 0) == ENOENT);
}

// They need no process to stay, and do not hold the module.
BOOST_AUTO_TEST_CASE(made_engines_go_with_the_module) {
  NEED_DEVICE();
  aiaccel_engine_register make = engine_of(kMiB);
  BOOST_REQUIRE_EQUAL(in_child([&] { return Context()(AIACCEL_IOC_ENGINE_REGISTER, make); }), 0);
  {
    const Context context;
    BOOST_TEST(context(AIACCEL_IOC_ENGINE_REGISTER, make) == EEXIST);  // it is still there
  }
  { const Reloaded module(""); }
  const Context context;
  BOOST_TEST(context(AIACCEL_IOC_ENGINE_REGISTER, make) == 0);
  aiaccel_engine_unregister end{};
  end.id = make.id;
  BOOST_TEST(context(AIACCEL_IOC_ENGINE_UNREGISTER, end) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
