// SPDX-License-Identifier: MIT
#include "fuzz/acts.hpp"

#include "fuzz/calls.hpp"

namespace fuzz {

namespace {

constexpr Act kActs[] = {
    {"call", 600, call_device},
    {"COPY", 10, call_edu},
    {"open", 12, open_context},
    {"close", 8, close_context},
    {"dup", 5, duplicate},
    {"map buffer", 70, map_buffer},
    {"map export", 30, map_export},
    {"sync export", 6, sync_export},
    {"export to vgem", 8, give_to_vgem},
    {"map ring", 30, map_ring},
    {"spoil consumed", 5, spoil_consumed},
    {"poll", 15, poll_context},
    {"send fd", 6, send_context},
    {"receive fd", 6, receive_context},
    {"exhaust fds", 1, exhaust_descriptors},
    {"remap", 40, remap},
    {"munmap", 15, unmap},
    {"mprotect", 15, protect},
    {"mremap", 20, move},
    {"madvise", 25, advise},
    {"touch", 40, touch},
    {"punch", 10, punch},
    {"mlock", 5, lock},
    {"vmsplice", 12, feed_pipe},
    {"O_DIRECT", 3, direct_io},
    {"remote access", 10, reach_remotely},
    {"move_pages", 6, migrate},
    {"fork", 4, fork_child},
    {"vfork", 3, share_memory},
    {"signal", 10, signal_self},
    {"setuid", 2, change_user},
    {"RLIMIT_MEMLOCK", 3, limit_locking},
    {"cgroup", 4, change_cgroup},
    {"sysfs", 2, read_sysfs},
    {"rmmod", 1, unload},
};
static_assert(std::size(kActs) <= kMaxActs);

constexpr uint32_t sum_of_weights() {
  uint32_t sum = 0;
  for (const Act& act : kActs) sum += act.weight;
  return sum;
}

}  // namespace

std::span<const Act> acts() {
  return kActs;
}

void step(Actor& actor, uint64_t seed) {
  actor.random = Random(seed);
  int act = 0;
  for (uint32_t left = actor.random.below(sum_of_weights()); left >= kActs[act].weight; act++)
    left -= kActs[act].weight;
  actor.tally().count_act(act);
  kActs[act].run(actor);
}

}  // namespace fuzz
