// SPDX-License-Identifier: MIT
//
// What rules do to tenants: to those that come and to those that run, in cgroups and without, to
// what waits and what is held; and what ceilings of turns and of engine time leave to others.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <thread>

#include "account.hpp"
#include "cgroup.hpp"
#include "module.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(policy)

namespace {

constexpr uint64_t kMs = 1'000'000;

aiaccel_policy_rule class_rule(const std::string& path, uint32_t max_class) {
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_PATH, path);
  rule.sets = AIACCEL_SETS_MAX_CLASS;
  rule.max_class = max_class;
  return rule;
}
aiaccel_policy_rule grants_rule(const std::string& path, uint32_t grants) {
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_PATH, path);
  rule.sets = AIACCEL_SETS_GRANTS;
  rule.grants = grants;
  return rule;
}
aiaccel_policy_rule time_rule(const std::string& path, uint32_t engine_time) {
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_PATH, path);
  rule.sets = AIACCEL_SETS_ENGINE_TIME;
  rule.engine_time = engine_time;
  return rule;
}

// A context that was opened in the cgroup; the test itself stays where it is.
std::unique_ptr<Context> open_in(const Cgroup& cgroup) {
  cgroup.enter();
  auto context = std::make_unique<Context>();
  Cgroup::leave();
  return context;
}

uint32_t queue_at(const Context& context, uint32_t engine, uint32_t class_ = AIACCEL_CLASS_NORMAL) {
  aiaccel_queue_create create{};
  create.engine = engine;
  create.class_ = class_;
  return context(AIACCEL_IOC_QUEUE_CREATE, create) ? 0 : create.id;
}

aiaccel_stats_engine at_engine(const Context& context, uint32_t id) {
  for (const auto& engine : list<aiaccel_stats_engine>(context, AIACCEL_STATS_ENGINES))
    if (engine.id == id) return engine;
  BOOST_FAIL("no engine " << id);
  return {};
}

aiaccel_stats_tenant tenant_named(const Context& context, const std::string& name) {
  for (const auto& tenant : list<aiaccel_stats_tenant>(context, AIACCEL_STATS_TENANTS))
    if (name == tenant.name) return tenant;
  BOOST_FAIL("no tenant " << name);
  return {};
}

// Takes turn after turn, each of about so long, until told to stop; how long they were.
class Worker {
 public:
  Worker(const Context& context, uint32_t engine, uint64_t turn_ns)
      : context_(context), queue_(queue_at(context, engine)), turn_ns_(turn_ns) {
    ring_ = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
    thread_ = std::thread([this] { work(); });
  }
  ~Worker() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    stop_ = true;
    thread_.join();
  }
  uint64_t turns() const { return turns_; }
  // From before it was asked for to after it was given back: an upper bound of the longest one.
  uint64_t longest_ns() const { return longest_ns_; }

 private:
  // What the last event says, which is the only one of its time.
  uint32_t generation() const {
    const auto* head = reinterpret_cast<const aiaccel_ring*>(ring_.data());
    const auto* events = reinterpret_cast<const aiaccel_event*>(ring_.data() + head->events_offset);
    return events[(head->produced - 1) % head->entries].generation;
  }
  void work() {
    const Map consumed = context_.map(kPage, AIACCEL_CONSUMED_OFFSET);
    const auto* head = reinterpret_cast<const volatile aiaccel_ring*>(ring_.data());
    for (uint64_t cookie = 1; !stop_; cookie++) {
      aiaccel_job job = job_of(queue_, cookie);
      aiaccel_enter enter{};
      enter.jobs = address(&job);
      enter.nr_jobs = 1;
      if (context_(AIACCEL_IOC_ENTER, enter)) break;
      bool granted = false;
      while (!granted && !stop_) {
        enter = {};
        enter.min_events = 1;
        enter.timeout_ns = now_ns() + 20 * kMs;
        granted = context_(AIACCEL_IOC_ENTER, enter) == 0;
      }
      const uint64_t began_ns = now_ns();
      while (granted && now_ns() < began_ns + turn_ns_) sched_yield();
      aiaccel_completion completion{};
      completion.cookie = cookie;
      completion.generation = granted ? generation() : 0;
      completion.flags = granted ? 0 : AIACCEL_COMPLETE_CANCEL;
      enter = {};
      enter.completions = address(&completion);
      enter.nr_completions = 1;
      const int err = context_(AIACCEL_IOC_ENTER, enter);
      *reinterpret_cast<volatile uint32_t*>(consumed.data()) = head->produced;
      if (err == ESTALE) continue;  // a host too busy to run this for a second: it had no turn
      if (err || !granted) break;
      turns_++;
      longest_ns_ = std::max(longest_ns_.load(), now_ns() - began_ns + 2 * kMs);
    }
  }

  const Context& context_;
  const uint32_t queue_;
  const uint64_t turn_ns_;
  Map ring_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> turns_{0}, longest_ns_{0};
  std::thread thread_;
};

#define NEED_CGROUPS() \
  NEED_DEVICE();       \
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups)

}  // namespace

BOOST_AUTO_TEST_CASE(rules_hold_for_tenants_that_run_and_for_those_that_come) {
  NEED_CGROUPS();
  const Administrator root;
  const Cgroup slice("/pol"), unit("/pol/a.service"), other("/pol/b");
  const auto running = open_in(unit);
  const aiaccel_query before = running->query();
  BOOST_TEST(before.highest_class == uint32_t{AIACCEL_CLASS_HIGH});
  BOOST_TEST(before.max_device_bytes == AIACCEL_UNLIMITED);
  BOOST_TEST(before.on_missing == uint32_t{AIACCEL_ON_MISSING_OPEN});

  aiaccel_policy_rule path = rule_of(AIACCEL_MATCH_PATH, "/pol"), name{}, later{};
  path.sets = AIACCEL_SETS_MAX_CLASS | AIACCEL_SETS_ON_MISSING | AIACCEL_SETS_WEIGHT;
  path.max_class = AIACCEL_CLASS_NORMAL;
  path.on_missing = AIACCEL_ON_MISSING_CLOSED;
  path.weight = 300;
  name = rule_of(AIACCEL_MATCH_NAME, "*.service");
  name.sets = AIACCEL_SETS_DEVICE_BYTES | AIACCEL_SETS_PINNED_BYTES | AIACCEL_SETS_WEIGHT |
              AIACCEL_SETS_GRANTS | AIACCEL_SETS_ENGINE_TIME | AIACCEL_SETS_MAX_CLASS;
  name.device_bytes = 1 << 20;
  name.pinned_bytes = 1 << 19;
  name.weight = 7;
  name.grants = 3;
  name.engine_time = 2500;
  name.max_class = AIACCEL_CLASS_HIGH;  // but its parent has less
  later = rule_of(AIACCEL_MATCH_PATH, "/pol/[a-b]*");
  later.sets = AIACCEL_SETS_WEIGHT;
  later.weight = 9;
  root.set({path, name, later});

  const auto coming = open_in(unit);
  for (const Context* context : {running.get(), coming.get()}) {
    const aiaccel_query query = context->query();
    BOOST_TEST(query.highest_class == uint32_t{AIACCEL_CLASS_NORMAL});
    BOOST_TEST(query.max_device_bytes == 1u << 20);
    BOOST_TEST(query.max_pinned_bytes == 1u << 19);
    BOOST_TEST(query.on_missing == uint32_t{AIACCEL_ON_MISSING_CLOSED});
  }
  const aiaccel_stats_tenant stats = tenant_named(root.context, "/pol/a.service");
  BOOST_TEST(stats.weight == 9u);
  BOOST_TEST(stats.grants == 3u);
  BOOST_TEST(stats.engine_time == 2500u);
  BOOST_TEST(stats.max_class == uint32_t{AIACCEL_CLASS_NORMAL});
  BOOST_TEST(stats.max_device_bytes == 1u << 20);
  BOOST_TEST(stats.max_bytes == 1u << 19);
  BOOST_TEST(stats.on_missing == uint32_t{AIACCEL_ON_MISSING_CLOSED});
  BOOST_TEST(tenant_named(root.context, "/pol").weight == 300u);
  const auto sibling = open_in(other);
  BOOST_TEST(sibling->query().max_device_bytes == AIACCEL_UNLIMITED);
  BOOST_TEST(sibling->query().highest_class == uint32_t{AIACCEL_CLASS_NORMAL});
  const aiaccel_stats_tenant all = tenant_named(root.context, "/");
  BOOST_TEST(all.grants == 0u);
  BOOST_TEST(all.engine_time == uint32_t{AIACCEL_ENGINE_TIME_ALL});
  BOOST_TEST(all.weight == uint32_t{AIACCEL_WEIGHT_DEFAULT});

  root.set({});
  for (const Context* context : {running.get(), coming.get()}) {
    const aiaccel_query query = context->query();
    BOOST_TEST(query.highest_class == before.highest_class);
    BOOST_TEST(query.max_device_bytes == before.max_device_bytes);
    BOOST_TEST(query.max_pinned_bytes == before.max_pinned_bytes);
    BOOST_TEST(query.on_missing == before.on_missing);
  }
}

BOOST_AUTO_TEST_CASE(users_and_their_namespaces) {
  NEED_DEVICE();
  const Administrator root;
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_USER, "", 4245);
  rule.sets = AIACCEL_SETS_MAX_CLASS;
  rule.max_class = AIACCEL_CLASS_LOW;
  root.set({rule});
  chmod(kDevice, 0666);
  const auto highest_of = [&](unsigned uid, bool own_namespace) {
    return in_child([&] {
      become_user(uid);
      if (own_namespace && unshare(CLONE_NEWUSER)) return 100 + errno;
      return static_cast<int>(Context().query().highest_class);
    });
  };
  BOOST_TEST(highest_of(4245, false) == AIACCEL_CLASS_LOW);
  BOOST_TEST(highest_of(4246, false) == AIACCEL_CLASS_HIGH);
  const int inside = highest_of(4245, true);
  BOOST_TEST((inside == AIACCEL_CLASS_LOW || inside == 100 + EPERM));  // where users may not
  chmod(kDevice, 0660);
}

BOOST_AUTO_TEST_CASE(a_user_and_what_is_inside_its_namespaces_hold_turns_together) {
  NEED_DEVICE();
  const Administrator root;
  const Engine engine(root.context, 0, 2);
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_USER, "", 4245);
  rule.sets = AIACCEL_SETS_GRANTS;
  rule.grants = 1;
  root.set({rule});
  chmod(kDevice, 0666);
  const int status = in_child([&] {
    become_user(4245);
    const Context outside;
    outside.take_turn(queue_at(outside, engine.id()), 1);
    if (unshare(CLONE_NEWUSER)) return 100 + errno;
    const Context inside;
    if (inside.query().tenant == outside.query().tenant) return 1;
    if (submit(inside, job_of(queue_at(inside, engine.id()), 1))) return 2;
    const aiaccel_stats_engine held = at_engine(inside, engine.id());
    if (held.slots_used != 1 || held.jobs_waiting != 1) return 3;
    aiaccel_completion completion{1, 0, AIACCEL_COMPLETE_CANCEL};
    aiaccel_enter enter{};
    enter.completions = address(&completion);
    enter.nr_completions = 1;
    if (outside(AIACCEL_IOC_ENTER, enter)) return 4;
    const aiaccel_stats_engine passed_on = at_engine(inside, engine.id());
    return passed_on.slots_used == 1 && passed_on.jobs_waiting == 0 ? 0 : 5;
  });
  chmod(kDevice, 0660);
  if (status == 100 + EPERM) SKIP("users may make no user namespaces here");
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(queues_count_as_of_the_class_that_is_left) {
  NEED_CGROUPS();
  const Administrator root;
  const Cgroup slice("/pol"), unit("/pol/unit");
  const Engine engine(root.context);
  chmod(kDevice, 0666);
  int ready[2], go[2];
  BOOST_REQUIRE_EQUAL(pipe(ready), 0);
  BOOST_REQUIRE_EQUAL(pipe(go), 0);
  const pid_t child = fork();
  if (child == 0) {
    unit.enter();
    become_user(4245);
    const Context context;
    const bool made = queue_at(context, engine.id(), AIACCEL_CLASS_HIGH) &&
                      queue_at(context, engine.id(), AIACCEL_CLASS_IDLE);
    char byte = made ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(1);
    // Not even asked for any more.
    aiaccel_queue_create create{};
    create.engine = engine.id();
    create.class_ = AIACCEL_CLASS_NORMAL;
    const int err = context(AIACCEL_IOC_QUEUE_CREATE, create);
    _exit(err == EPERM && create.refused_by == AIACCEL_REFUSED_CLASS ? 0 : 2);
  }
  char byte = 0;
  BOOST_REQUIRE_EQUAL(read(ready[0], &byte, 1), 1);
  BOOST_TEST(byte == 'y');
  chmod(kDevice, 0660);
  const auto privileged = open_in(unit);
  BOOST_TEST(queue_at(*privileged, engine.id(), AIACCEL_CLASS_HIGH) != 0u);
  const auto classes = [&] {
    std::vector<uint32_t> result;
    for (const auto& queue : list<aiaccel_stats_queue>(root.context, AIACCEL_STATS_QUEUES))
      if (queue.engine == engine.id()) result.push_back(queue.class_);
    std::sort(result.begin(), result.end());
    return result;
  };
  const std::vector<uint32_t> as_made{AIACCEL_CLASS_IDLE, AIACCEL_CLASS_HIGH, AIACCEL_CLASS_HIGH};
  const std::vector<uint32_t> lowered{AIACCEL_CLASS_IDLE, AIACCEL_CLASS_LOW, AIACCEL_CLASS_HIGH};
  BOOST_TEST((classes() == as_made));
  root.set({class_rule("/pol", AIACCEL_CLASS_LOW)});
  BOOST_TEST((classes() == lowered));
  root.set({});
  BOOST_TEST((classes() == as_made));
  root.set({class_rule("/pol/*", AIACCEL_CLASS_LOW)});
  BOOST_REQUIRE_EQUAL(write(go[1], "x", 1), 1);
  int status = 0;
  waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) ::close(fd);
}

BOOST_AUTO_TEST_CASE(turns_held_at_once) {
  NEED_CGROUPS();
  const Administrator root;
  const Cgroup slice("/pol"), a("/pol/a"), b("/pol/b"), free("/free");
  const Engine engine(root.context, 0, 4);
  root.set({grants_rule("/pol", 2), grants_rule("/pol/a", 1)});
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<uint32_t> queues;
  for (const Cgroup* cgroup : {&a, &a, &a, &b, &b, &b}) {
    contexts.push_back(open_in(*cgroup));
    queues.push_back(queue_at(*contexts.back(), engine.id()));
  }
  const auto held = [&] { return at_engine(root.context, engine.id()).slots_used; };
  for (size_t i = 0; i < 3; i++) BOOST_REQUIRE_EQUAL(submit(*contexts[i], job_of(queues[i], 1)), 0);
  BOOST_TEST(held() == 1u);
  for (size_t i = 3; i < 6; i++) BOOST_REQUIRE_EQUAL(submit(*contexts[i], job_of(queues[i], 1)), 0);
  BOOST_TEST(held() == 2u);
  const auto outside = open_in(free);
  outside->take_turn(queue_at(*outside, engine.id()), 1);
  BOOST_TEST(held() == 3u);
  // Rules that change grant at once, and take nothing away.
  root.set({grants_rule("/pol/a", 2)});
  BOOST_TEST(held() == 4u);
  root.set({grants_rule("/pol", 1)});
  BOOST_TEST(held() == 4u);
  for (auto& context : contexts) context->close();
  BOOST_TEST(held() == 1u);
}

BOOST_AUTO_TEST_CASE(engine_time) {
  NEED_CGROUPS();
  const Administrator root;
  const Cgroup slice("/pol"), unit("/pol/unit"), free("/free");
  const Engine engine(root.context, 0, 2);
  root.set({time_rule("/pol", AIACCEL_ENGINE_TIME_ALL / 10)});
  const auto capped = open_in(unit), uncapped = open_in(free);
  const auto used = [&](const char* name) { return tenant_named(root.context, name).busy_ns; };
  const uint64_t began_ns = now_ns();
  {
    Worker worker(*capped, engine.id(), 5 * kMs), other(*uncapped, engine.id(), kMs);
    // It comes to its turns, although nobody else wakes the engine for it.
    BOOST_TEST(eventually([&] { return worker.turns() >= 10; }));
    other.stop();
    BOOST_TEST(eventually([&] { return worker.turns() >= 60; }));
    worker.stop();
    const uint64_t length_ns = now_ns() - began_ns + 100 * kMs;
    BOOST_TEST(used("/pol/unit") <= 2 * length_ns / 10 + 4 * worker.longest_ns());
    // It had 2 of 10 ms all the while it worked, however slowly that went.
    BOOST_TEST(used("/pol/unit") >= 50 * 5 * kMs);
    BOOST_TEST(used("/pol/unit") + 5 * 5 * kMs >= 2 * (length_ns - 100 * kMs) / 10 / 4);
    note("engine time of 10 % of 2 slots: " + std::to_string(used("/pol/unit") / kMs) + " ms in " +
         std::to_string(length_ns / kMs) + " ms");
    BOOST_TEST(other.turns() > 0u);
  }
  {
    // What is owed is forgotten with the ceiling.
    Worker worker(*capped, engine.id(), 5 * kMs);
    BOOST_TEST(eventually([&] { return worker.turns() >= 3; }));
    root.set({});
    const uint64_t turns = worker.turns();
    BOOST_TEST(eventually([&] { return worker.turns() >= turns + 40; }));
  }
}

BOOST_AUTO_TEST_CASE(closing_and_opening_again_pays_nothing_off) {
  NEED_CGROUPS();
  const Administrator root;
  const Cgroup slice("/pol"), unit("/pol/unit");
  const Engine engine(root.context);
  root.set({time_rule("/pol", 10)});  // 100 ms are paid off in 100 s
  const auto named = [&](const std::string& name) {
    const auto tenants = list<aiaccel_stats_tenant>(root.context, AIACCEL_STATS_TENANTS);
    return std::any_of(tenants.begin(), tenants.end(),
                       [&](const auto& tenant) { return name == tenant.name; });
  };
  auto first = open_in(unit);
  first->take_turn(queue_at(*first, engine.id()), 1);
  usleep(100000);
  first.reset();
  BOOST_TEST(named("/pol"));
  BOOST_TEST(!named("/pol/unit"));
  const auto again = open_in(unit);
  BOOST_REQUIRE_EQUAL(submit(*again, job_of(queue_at(*again, engine.id()), 1)), 0);
  BOOST_TEST(at_engine(root.context, engine.id()).slots_used == 0u);
  again->close();
  BOOST_TEST(named("/pol"));
  root.set({});  // what is owed is forgotten with the ceiling, and who owed with it
  BOOST_TEST(!named("/pol"));
  // The engine may go first.
  root.set({time_rule("/pol", 10)});
  first = open_in(unit);
  first->take_turn(queue_at(*first, engine.id()), 1);
  usleep(100000);
  first.reset();
  BOOST_TEST(named("/pol"));
  BOOST_TEST(engine.unregister() == 0);
  BOOST_TEST(!named("/pol"));
}

// More of them than are looked at in one go, whose cgroups are removed before they have paid.
BOOST_AUTO_TEST_CASE(who_owes_goes_when_it_is_paid) {
  NEED_CGROUPS();
  const Administrator root;
  const Use before(root.context);
  const Cgroup slice("/pol");
  const auto left = [&] { return Use(root.context).tenants - before.tenants; };
  {
    const Engine engine(root.context);
    root.set({time_rule("/pol/*", 40)});  // 10 ms are paid off in 2.5 s
    for (int i = 0; i < 300; i++) {
      const Cgroup unit("/pol/" + std::to_string(i));
      const auto context = open_in(unit);
      context->take_turn(queue_at(*context, engine.id()), 1);
      usleep(1000);
    }
    const uint32_t most = left();
    BOOST_TEST(most > 1u);
    note("tenants that owe: " + std::to_string(most) + ", of removed cgroups");
    root.set({time_rule("/pol/*", AIACCEL_ENGINE_TIME_ALL / 2)});  // soon, however long a turn was
    BOOST_TEST(eventually([&] { return left() == 0; }));
  }
  // One that overran by far, and rests.
  {
    const Engine engine(root.context);
    root.set({time_rule("/pol/*", 10)});  // 500 ms are paid off in 500 s
    {
      const Cgroup unit("/pol/unit");
      const auto context = open_in(unit);
      context->take_turn(queue_at(*context, engine.id()), 1);
      usleep(500'000);
    }
    BOOST_TEST(left() == 2u);
    root.set({time_rule("/pol/*", AIACCEL_ENGINE_TIME_ALL / 2)});  // and so in one
    BOOST_TEST(eventually([&] { return left() == 0; }));
    BOOST_TEST(at_engine(root.context, engine.id()).slots_used == 0u);
  }
}

BOOST_AUTO_TEST_CASE(memory) {
  NEED_CGROUPS();
  const Administrator root;
  const Cgroup unit("/pol");
  const Engine engine(root.context, 1 << 20);
  const auto context = open_in(unit);
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_NAME, "pol");
  rule.sets = AIACCEL_SETS_PINNED_BYTES | AIACCEL_SETS_DEVICE_BYTES;
  rule.pinned_bytes = rule.device_bytes = 4 * kPage;
  const uint32_t reserved = reserve(*context, engine.id(), 8 * kPage);
  aiaccel_alloc big = context->alloc(8 * kPage);
  root.set({rule});
  BOOST_TEST(context->query().pinned_bytes == 8 * kPage);  // stays
  aiaccel_alloc more{};
  more.length = 1;
  BOOST_TEST((*context)(AIACCEL_IOC_ALLOC, more) == EDQUOT);
  BOOST_TEST(more.refused_by == uint32_t{AIACCEL_REFUSED_TENANT});
  BOOST_TEST(resize(*context, reserved, 9 * kPage) == EDQUOT);
  BOOST_TEST(resize(*context, reserved, 6 * kPage) == 0);
  BOOST_TEST(resize(*context, reserved, 7 * kPage) == EDQUOT);
  BOOST_TEST(destroy_errno(*context, big.id) == 0);
  context->alloc(4 * kPage);
  BOOST_TEST((*context)(AIACCEL_IOC_ALLOC, more) == EDQUOT);
  root.set({});
  context->alloc(1);
  BOOST_TEST(resize(*context, reserved, 1 << 20) == 0);
}

BOOST_AUTO_TEST_CASE(rules_replaced_while_turns_come_and_go) {
  NEED_CGROUPS();
  const Administrator root;
  const Cgroup slice("/pol"), a("/pol/a"), b("/pol/b"), other("/other");
  const Engine engine(root.context, 0, 2);
  std::vector<std::unique_ptr<Context>> contexts;
  for (const Cgroup* cgroup : {&a, &a, &b, &b, &other, &other})
    contexts.push_back(open_in(*cgroup));
  std::vector<std::unique_ptr<Worker>> workers;
  for (const auto& context : contexts)
    workers.push_back(std::make_unique<Worker>(*context, engine.id(), 100'000));
  std::mt19937 random(7);
  const uint64_t end_ns = now_ns() + 1500 * kMs;
  int replaced = 0;
  for (; now_ns() < end_ns || replaced < 100; replaced++) {
    std::vector<aiaccel_policy_rule> rules;
    for (uint32_t n = random() % 6; n > 0; n--) {
      const char* paths[] = {"/pol", "/pol/*", "/pol/a", "**", "/other"};
      aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_PATH, paths[random() % 5]);
      rule.sets = random() % 0x80;
      if (rule.sets & AIACCEL_SETS_MAX_CLASS) rule.max_class = random() % 4;
      if (rule.sets & AIACCEL_SETS_WEIGHT) rule.weight = 1 + random() % 10000;
      if (rule.sets & AIACCEL_SETS_PINNED_BYTES) rule.pinned_bytes = random();
      if (rule.sets & AIACCEL_SETS_DEVICE_BYTES) rule.device_bytes = random();
      if (rule.sets & AIACCEL_SETS_ENGINE_TIME) rule.engine_time = 1 + random() % 10000;
      if (rule.sets & AIACCEL_SETS_GRANTS) rule.grants = 1 + random() % 3;
      if (rule.sets & AIACCEL_SETS_ON_MISSING) rule.on_missing = random() % 2;
      rules.push_back(rule);
    }
    root.set(rules);
    open_in(a)->queue();  // tenants and nodes come and go
  }
  root.set({});
  // Nothing was lost: everybody gets on.
  for (const auto& worker : workers) {
    const uint64_t turns = worker->turns();
    BOOST_TEST(eventually([&] { return worker->turns() >= turns + 10; }));
  }
  note("rules replaced " + std::to_string(replaced) + " times");
  for (const auto& worker : workers) worker->stop();
  BOOST_TEST(at_engine(root.context, engine.id()).slots_used == 0u);
  BOOST_TEST(at_engine(root.context, engine.id()).jobs_waiting == 0u);
}

// A tenant that owes outlives its last context, and does not hold the module.
BOOST_AUTO_TEST_CASE(unloading_while_a_tenant_owes) {
  NEED_CGROUPS();
  const Cgroup slice("/pol"), unit("/pol/unit");
  for (int i = 0; i < 3; i++) {
    {
      const Context context;
      BOOST_REQUIRE_EQUAL(set_rules(context, {time_rule("/pol", 10)}), 0);
      const auto owing = open_in(unit);
      owing->take_turn(queue_at(*owing, 1), 1);
      usleep(200000);
    }
    {
      const Context context;
      BOOST_TEST(tenant_named(context, "/pol").kind == uint32_t{AIACCEL_TENANT_CGROUP});
    }
    const Reloaded module("");
    BOOST_TEST(module.error() == 0);
  }
}

BOOST_AUTO_TEST_CASE(unloading_forgets_the_rules) {
  NEED_CGROUPS();
  const Cgroup unit("/pol");
  {
    const Context context;
    BOOST_REQUIRE_EQUAL(set_rules(context, {class_rule("/pol", AIACCEL_CLASS_LOW)}), 0);
    BOOST_TEST(open_in(unit)->query().highest_class == uint32_t{AIACCEL_CLASS_LOW});
  }
  const Reloaded module("");
  BOOST_TEST(module.error() == 0);
  BOOST_TEST(open_in(unit)->query().highest_class == uint32_t{AIACCEL_CLASS_HIGH});
}

BOOST_AUTO_TEST_SUITE_END()
