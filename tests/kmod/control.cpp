// SPDX-License-Identifier: MIT
//
// What an administrator does to engines and to the turns of others, and what is on record after it:
// draining, leaving, revoking, and the turns that STATS lists when their owners are gone.
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>

#include "account.hpp"
#include "cgroup.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(control)

namespace {

int control(const Context& context, uint32_t engine, uint32_t state) {
  aiaccel_control arg{};
  arg.engine = engine;
  arg.state = state;
  return context(AIACCEL_IOC_CONTROL, arg);
}

// Active again at the end, whatever happened.
struct Active {
  ~Active() { control(Context(), 0, AIACCEL_ENGINE_ACTIVE); }
};

int revoke(const Context& context, aiaccel_revoke arg, uint32_t* count) {
  const int err = context(AIACCEL_IOC_REVOKE, arg);
  *count = arg.count;
  return err;
}

// A context with a queue to the first engine, and its ring.
struct Client {
  explicit Client(const char* label = "") {
    aiaccel_queue_create create{};
    create.engine = context.engine().id;
    create.class_ = AIACCEL_CLASS_NORMAL;
    strcpy(create.label, label);
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
    queue = create.id;
    ring = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
    consumed = context.map(kPage, AIACCEL_CONSUMED_OFFSET);
  }
  int submit(uint64_t cookie) { return raw::submit(context, job_of(queue, cookie, slots)); }
  // What is told next, which is there already.
  aiaccel_event next() {
    const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
    auto* word = reinterpret_cast<volatile uint32_t*>(consumed.data());
    if (*word == head->produced) return {};
    const auto* events = reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset);
    const aiaccel_event event = events[*word % head->entries];
    *word = *word + 1;
    return event;
  }
  Context context;
  uint32_t queue = 0;
  uint32_t slots = context.engine().slots;  // of each job: one runs at a time
  Map ring, consumed;
};

std::vector<aiaccel_stats_turn> turns_of(const Context& watcher, const std::string& label) {
  std::vector<aiaccel_stats_turn> turns;
  for (const auto& turn : list<aiaccel_stats_turn>(watcher, AIACCEL_STATS_TURNS))
    if (label == turn.label) turns.push_back(turn);
  return turns;
}

uint64_t number_of(const Context& watcher, const std::string& label) {
  for (const auto& queue : list<aiaccel_stats_queue>(watcher, AIACCEL_STATS_QUEUES))
    if (label == queue.label) return queue.context;
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_draining_engine_ends_what_it_has_and_takes_no_more) {
  NEED_DEVICE();
  const Active after;
  Client holder("drain-holder"), waiter("drain-waiter");
  const Context watcher;
  const uint32_t engine = watcher.engine().id;
  BOOST_TEST(holder.submit(1) == 0);
  BOOST_TEST(waiter.submit(1) == 0);
  BOOST_TEST(control(watcher, engine, AIACCEL_ENGINE_DRAINING) == 0);
  BOOST_TEST(watcher.engine().state == uint32_t{AIACCEL_ENGINE_DRAINING});
  BOOST_TEST(watcher.engine_stats().state == uint32_t{AIACCEL_ENGINE_DRAINING});
  aiaccel_queue_create create{};
  create.engine = engine;
  BOOST_TEST(watcher(AIACCEL_IOC_QUEUE_CREATE, create) == ESHUTDOWN);
  for (int i = 0; i < 3; i++) BOOST_TEST(waiter.submit(2) == ESHUTDOWN);
  BOOST_TEST(complete(holder.context, 1, holder.next().generation) == 0);
  BOOST_TEST(holder.submit(2) == ESHUTDOWN);
  const aiaccel_event granted = waiter.next();
  BOOST_TEST(granted.events == uint32_t{AIACCEL_EVENT_GRANTED});
  BOOST_TEST(complete(waiter.context, 1, granted.generation) == 0);
  BOOST_TEST(watcher.engine_stats().slots_used == 0u);

  BOOST_TEST(control(watcher, 0, AIACCEL_ENGINE_ACTIVE) == 0);
  BOOST_TEST(watcher.engine().state == uint32_t{AIACCEL_ENGINE_ACTIVE});
  BOOST_TEST(waiter.submit(2) == 0);
  BOOST_TEST(complete(waiter.context, 2, waiter.next().generation) == 0);

  const auto turns = turns_of(watcher, "drain-waiter");
  BOOST_REQUIRE_EQUAL(turns.size(), 3u);
  BOOST_TEST(turns[0].state == uint32_t{AIACCEL_TURN_REFUSED});
  BOOST_TEST(turns[0].count == 3u);
  BOOST_TEST(turns[1].count == 1u);
  BOOST_TEST(turns[1].state == uint32_t{AIACCEL_TURN_COMPLETED});
  BOOST_TEST(turns[2].state == uint32_t{AIACCEL_TURN_COMPLETED});
}

BOOST_AUTO_TEST_CASE(leaving_fails_what_waits_and_lets_turns_end) {
  NEED_DEVICE();
  const Active after;
  Client holder("leave-holder"), waiter("leave-waiter");
  const Context watcher;
  BOOST_TEST(holder.submit(1) == 0);
  for (const uint64_t cookie : {1, 2, 3}) BOOST_TEST(waiter.submit(cookie) == 0);
  BOOST_TEST(control(watcher, 0, AIACCEL_ENGINE_LEAVING) == 0);
  BOOST_TEST(watcher.engine().state == uint32_t{AIACCEL_ENGINE_LEAVING});
  for (int i = 0; i < 3; i++) BOOST_TEST(waiter.next().events == uint32_t{AIACCEL_EVENT_FAILED});
  BOOST_TEST(waiter.next().events == 0u);
  BOOST_TEST(waiter.submit(4) == ENODEV);
  aiaccel_queue_create create{};
  create.engine = watcher.engine().id;
  BOOST_TEST(watcher(AIACCEL_IOC_QUEUE_CREATE, create) == ENODEV);
  const aiaccel_event granted = holder.next();
  BOOST_TEST(granted.events == uint32_t{AIACCEL_EVENT_GRANTED});
  BOOST_TEST(holder.next().events == 0u);  // nobody took it away
  BOOST_TEST(complete(holder.context, 1, granted.generation) == 0);
  BOOST_TEST(turns_of(watcher, "leave-waiter").size() == 4u);
  BOOST_TEST(turns_of(watcher, "leave-waiter")[0].state == uint32_t{AIACCEL_TURN_FAILED});
  BOOST_TEST(turns_of(watcher, "leave-waiter")[3].state == uint32_t{AIACCEL_TURN_REFUSED});
  BOOST_TEST(control(watcher, 0, AIACCEL_ENGINE_ACTIVE) == 0);
  BOOST_TEST(waiter.submit(5) == 0);
}

BOOST_AUTO_TEST_CASE(what_all_engines_are_told_holds_for_those_that_come) {
  NEED_DEVICE();
  const Active after;
  const Context watcher;
  for (const uint32_t state :
       {AIACCEL_ENGINE_DRAINING, AIACCEL_ENGINE_LEAVING, AIACCEL_ENGINE_ACTIVE}) {
    BOOST_TEST(control(watcher, 0, state) == 0);
    const Engine made(watcher);
    BOOST_TEST(made.info().state == state);
    aiaccel_queue_create create{};
    create.engine = made.id();
    create.class_ = AIACCEL_CLASS_NORMAL;
    const int expected = state == AIACCEL_ENGINE_DRAINING  ? ESHUTDOWN
                         : state == AIACCEL_ENGINE_LEAVING ? ENODEV
                                                           : 0;
    BOOST_TEST(watcher(AIACCEL_IOC_QUEUE_CREATE, create) == expected);
    if (!expected) BOOST_TEST(destroy_errno(watcher, create.id) == 0);
  }
  // What one engine is told is its own.
  BOOST_TEST(control(watcher, watcher.engine().id, AIACCEL_ENGINE_DRAINING) == 0);
  const Engine beside(watcher);
  BOOST_TEST(beside.info().state == uint32_t{AIACCEL_ENGINE_ACTIVE});
}

BOOST_AUTO_TEST_CASE(what_is_revoked_goes_to_who_is_next) {
  NEED_DEVICE();
  Client holder("revoke-holder"), next("revoke-next");
  const Context watcher;
  BOOST_TEST(holder.submit(1) == 0);
  for (const uint64_t cookie : {2, 3}) BOOST_TEST(holder.submit(cookie) == EDEADLK);
  BOOST_TEST(next.submit(1) == 0);
  BOOST_TEST(next.submit(2) == 0);
  uint32_t count = 0;
  aiaccel_revoke arg{};
  arg.context = number_of(watcher, "revoke-holder");
  arg.engine = watcher.engine().id;
  BOOST_TEST(revoke(watcher, arg, &count) == 0);
  BOOST_TEST(count == 1u);
  const uint32_t generation = holder.next().generation;
  BOOST_TEST(holder.next().events == uint32_t{AIACCEL_EVENT_REVOKED});
  BOOST_TEST(complete(holder.context, 1, generation) == ESTALE);
  const aiaccel_event granted = next.next();
  BOOST_TEST(granted.events == uint32_t{AIACCEL_EVENT_GRANTED});
  BOOST_TEST(revoke(watcher, arg, &count) == 0);
  BOOST_TEST(count == 0u);

  // The turn alone: the job that waits behind it gets the next one once this one ended, and keeps it.
  arg.context = number_of(watcher, "revoke-next");
  BOOST_TEST(revoke(watcher, arg, &count) == 0);
  BOOST_TEST(count == 1u);
  BOOST_TEST(next.next().events == uint32_t{AIACCEL_EVENT_REVOKED});
  BOOST_TEST(next.next().events == 0u);
  BOOST_TEST(complete(next.context, 1, granted.generation) == ESTALE);
  BOOST_TEST(next.next().events == uint32_t{AIACCEL_EVENT_GRANTED});
  BOOST_TEST(next.next().events == 0u);

  // With those that wait: nothing of it is left.
  BOOST_TEST(holder.submit(5) == 0);
  arg.context = number_of(watcher, "revoke-holder");
  arg.flags = AIACCEL_REVOKE_WAITING;
  BOOST_TEST(revoke(watcher, arg, &count) == 0);
  BOOST_TEST(count == 1u);
  BOOST_TEST(holder.next().events == uint32_t{AIACCEL_EVENT_FAILED});

  arg.context = 1ULL << 40;
  BOOST_TEST(revoke(watcher, arg, &count) == ENOENT);
  arg.context = number_of(watcher, "revoke-next");
  arg.engine = 999999;
  BOOST_TEST(revoke(watcher, arg, &count) == ENOENT);
}

BOOST_AUTO_TEST_CASE(a_tenant_is_revoked_with_those_below_it_and_no_others) {
  NEED_DEVICE();
  if (!have_cgroups()) SKIP("no cgroup version 2 at " + kCgroups);
  const Cgroup above("/evicted"), inside("/evicted/pod"), beside("/beside");
  std::map<std::string, std::unique_ptr<Client>> clients;
  uint64_t tenant = 0;
  for (const Cgroup* cgroup : {&above, &inside, &beside}) {
    cgroup->enter();
    clients[cgroup->path()] = std::make_unique<Client>();
    if (cgroup == &above) tenant = clients[cgroup->path()]->context.query().tenant;
    BOOST_TEST(clients[cgroup->path()]->submit(1) == 0);
  }
  Cgroup::leave();
  aiaccel_revoke arg{};
  arg.tenant = tenant;
  arg.flags = AIACCEL_REVOKE_WAITING;
  uint32_t count = 0;
  BOOST_TEST(revoke(Context(), arg, &count) == 0);
  BOOST_TEST(count == 2u);  // one held the engine, one waited
  Client& other = *clients[beside.path()];
  BOOST_TEST(other.next().events == uint32_t{AIACCEL_EVENT_GRANTED});
  BOOST_TEST(other.next().events == 0u);
  arg.tenant = 1ULL << 40;
  BOOST_TEST(revoke(Context(), arg, &count) == ENOENT);
  clients.clear();
}

BOOST_AUTO_TEST_CASE(what_ended_is_on_record_when_its_owner_is_gone) {
  NEED_DEVICE();
  const Context watcher;
  const uint64_t before = now_ns();
  const int status = in_child([] {
    Client client("gone");
    if (client.submit(1)) return 1;
    usleep(2000);
    if (complete(client.context, 1, client.next().generation)) return 2;
    return client.submit(2);
  });
  BOOST_TEST(status == 0);
  const uint64_t after = now_ns();
  const auto turns = turns_of(watcher, "gone");
  BOOST_REQUIRE_EQUAL(turns.size(), 2u);
  const pid_t child = turns[0].pid;
  BOOST_TEST(child > 0);
  for (const auto& turn : turns) {
    BOOST_TEST(turn.state == uint32_t{AIACCEL_TURN_COMPLETED});  // the second by its exit
    BOOST_TEST(turn.pid == child);
    BOOST_TEST(std::string(turn.comm) == "kmod");
    BOOST_TEST(turn.tenant == watcher.query().tenant);
    BOOST_TEST(turn.engine == watcher.engine().id);
    BOOST_TEST(turn.width == watcher.engine().slots);
    BOOST_TEST(turn.class_ == uint32_t{AIACCEL_CLASS_NORMAL});
    BOOST_TEST(before <= turn.submitted_ns);
    BOOST_TEST(turn.submitted_ns <= turn.granted_ns);
    BOOST_TEST(turn.granted_ns <= turn.ended_ns);
    BOOST_TEST(turn.ended_ns <= after);
  }
  BOOST_TEST(turns[0].ended_ns - turns[0].granted_ns >= 2'000'000u);
}

BOOST_AUTO_TEST_CASE(what_waits_and_runs_is_listed_and_the_oldest_records_go) {
  NEED_DEVICE();
  const Context watcher;
  Client client("churn"), waiter("still-waiting");
  for (uint64_t i = 0; i < 5000; i++) {
    BOOST_REQUIRE_EQUAL(client.submit(1), 0);
    BOOST_REQUIRE_EQUAL(complete(client.context, 1, client.next().generation), 0);
  }
  BOOST_TEST(client.submit(7) == 0);
  BOOST_TEST(waiter.submit(8) == 0);
  const auto running = turns_of(watcher, "churn");
  BOOST_TEST(running.size() == 4096u + 1);
  BOOST_TEST(running[0].state == uint32_t{AIACCEL_TURN_RUNNING});
  BOOST_TEST(running[0].ended_ns == 0u);
  for (size_t i = 2; i < running.size(); i++)
    BOOST_REQUIRE(running[i - 1].ended_ns <= running[i].ended_ns);
  const auto waiting = turns_of(watcher, "still-waiting");
  BOOST_REQUIRE_EQUAL(waiting.size(), 1u);
  BOOST_TEST(waiting[0].state == uint32_t{AIACCEL_TURN_WAITING});
  BOOST_TEST(waiting[0].granted_ns == 0u);
}

BOOST_AUTO_TEST_CASE(others_turns_are_seen_and_ended_with_privilege_only) {
  NEED_DEVICE();
  Client client("private");
  BOOST_TEST(client.submit(1) == 0);
  BOOST_TEST(complete(client.context, 1, client.next().generation) == 0);
  BOOST_TEST(client.submit(2) == 0);
  const uint64_t number = number_of(client.context, "private");
  chmod(kDevice, 0666);
  const int status = in_child([&] {
    become_user(4245);
    Client own("own");
    if (own.submit(1)) return 1;
    if (!turns_of(own.context, "private").empty()) return 2;
    if (turns_of(own.context, "own").size() != 1) return 3;
    uint32_t count = 0;
    aiaccel_revoke arg{};
    for (const uint64_t context : {number, number + 1000}) {  // not told whether it is there
      arg.context = context;
      if (revoke(own.context, arg, &count) != EPERM) return 4;
    }
    arg.context = 0;
    arg.tenant = own.context.query().tenant;
    if (revoke(own.context, arg, &count) != EPERM) return 5;
    if (control(own.context, own.context.engine().id, AIACCEL_ENGINE_DRAINING) != EPERM) return 6;
    if (control(own.context, 0, AIACCEL_ENGINE_LEAVING) != EPERM) return 7;
    return own.context.engine().state == AIACCEL_ENGINE_ACTIVE ? 0 : 8;
  });
  chmod(kDevice, 0660);
  BOOST_TEST(status == 0);
  BOOST_TEST(turns_of(client.context, "private").size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
