// SPDX-License-Identifier: MIT
//
// SNAPSHOT on the module, beside tests/conformance/snapshot.cpp: what users see of others, and that
// turns go on however many users ask. Prints how long calls took, which nothing is asserted of.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(snapshot)

namespace {

constexpr uint32_t kUnits = 1 << 19;

// 0 or an errno; for each record `look` is called with its head.
template <typename Look>
int take(const Context& context, std::vector<uint64_t>& units, Look look) {
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_SNAPSHOT;
  stats.records = address(units.data());
  stats.count = static_cast<uint32_t>(units.size());
  stats.record_size = 8;
  const int err = context(AIACCEL_IOC_STATS, stats);
  if (err || stats.count > units.size()) return err ? err : ENOSPC;
  for (size_t at = 0; at < stats.count;) {
    const auto* head = reinterpret_cast<const aiaccel_stats_head*>(&units[at]);
    look(*head, reinterpret_cast<const void*>(head + 1));
    at += head->bytes / 8;
  }
  return 0;
}

// In a child, as a user who may open the device.
int as_user(const std::function<int()>& body) {
  chmod(kDevice, 0666);
  const int status = in_child([&] {
    become_user(4320);
    return body();
  });
  chmod(kDevice, 0660);
  return status;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_user_sees_its_own_and_no_number_of_others) {
  NEED_DEVICE();
  const Context holder;
  const uint32_t slots = holder.engine().slots;
  const uint32_t queue = holder.queue();
  holder.take_turn(queue, 1, slots);
  BOOST_TEST(as_user([&] {
               const Context own;
               if (submit(own, job_of(own.queue(), 7))) return 1;
               std::vector<uint64_t> units(4096);
               uint64_t tenant = own.query().tenant;
               unsigned turns = 0, contexts = 0, wrong = 0;
               if (take(own, units, [&](const aiaccel_stats_head& head, const void* record) {
                     if (head.kind == AIACCEL_STATS_TENANTS)
                       wrong += static_cast<const aiaccel_stats_tenant*>(record)->tenant != tenant;
                     if (head.kind == AIACCEL_STATS_CONTEXTS) contexts++;
                     if (head.kind != AIACCEL_STATS_TURNS) return;
                     const auto& turn = *static_cast<const aiaccel_stats_turn*>(record);
                     turns++;
                     wrong += turn.why != AIACCEL_WAIT_SLOTS || turn.waits_for != 0;
                   }))
                 return 2;
               return turns == 1 && contexts == 1 && !wrong ? 0 : 3;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(turns_go_on_while_users_ask) {
  NEED_DEVICE();
  const int status = as_user([] {
    std::vector<Context> contexts(60);
    for (const Context& context : contexts)
      for (int i = 0; i < 64; i++) context.queue();
    const Context worker;
    const uint32_t queue = worker.queue();
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> longest_ns{0}, snapshots{0}, refused{0}, records{0};
    std::vector<std::thread> askers;
    for (int i = 0; i < 2; i++)
      askers.emplace_back([&, i] {
        std::vector<uint64_t> units(kUnits);
        while (!stop) {
          uint64_t found = 0;
          if (take(contexts[static_cast<size_t>(i)], units,
                   [&](const aiaccel_stats_head&, const void*) { found++; }))
            refused++;
          snapshots++;
          records = found;
        }
      });
    // As long as the askers take for twenty: turns of its own, and the longest call of them.
    uint64_t turns = 0;
    const uint64_t began = now_ns();
    const bool done = eventually([&] {
      for (int i = 0; i < 100; i++) {
        const uint64_t before = now_ns();
        aiaccel_job job = job_of(queue, ++turns);
        if (submit(worker, job)) return false;
        longest_ns = std::max<uint64_t>(longest_ns, now_ns() - before);
        aiaccel_completion completion{};
        completion.cookie = turns;
        completion.flags = AIACCEL_COMPLETE_CANCEL;
        aiaccel_enter enter{};
        enter.completions = address(&completion);
        enter.nr_completions = 1;
        if (worker(AIACCEL_IOC_ENTER, enter)) return false;
      }
      return snapshots >= 20;
    });
    stop = true;
    for (std::thread& asker : askers) asker.join();
    // Each is followed by a rest of eight times as long.
    const uint64_t hold_ns = (now_ns() - began) / snapshots / 9;
    printf(
        "# %llu snapshots of %llu records, each %llu us of the lock at most on average; "
        "%llu turns beside them, the longest call %llu us\n",
        static_cast<unsigned long long>(snapshots), static_cast<unsigned long long>(records),
        static_cast<unsigned long long>(hold_ns / 1000), static_cast<unsigned long long>(turns),
        static_cast<unsigned long long>(longest_ns / 1000));
    fflush(stdout);
    if (!done) return 1;
    if (refused) return 2;
    return records > 3840 && turns >= snapshots ? 0 : 3;
  });
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
