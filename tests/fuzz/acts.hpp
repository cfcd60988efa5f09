// SPDX-License-Identifier: MIT
//
// What a thread may do at a step: mostly a call of the device, else something to what the calls
// use: memory, descriptors, the process itself.
#pragma once

#include <span>

#include "fuzz/world.hpp"

namespace fuzz {

struct Act {
  const char* name;
  uint32_t weight;
  void (*run)(Actor& actor);
};

std::span<const Act> acts();

// One act, as the seed has it.
void step(Actor& actor, uint64_t seed);

// acts_device.cpp
void open_context(Actor& actor);
void close_context(Actor& actor);
void duplicate(Actor& actor);
void map_buffer(Actor& actor);
void map_export(Actor& actor);
void sync_export(Actor& actor);
void give_to_vgem(Actor& actor);
void map_ring(Actor& actor);
void spoil_consumed(Actor& actor);
void poll_context(Actor& actor);
void send_context(Actor& actor);
void receive_context(Actor& actor);
void exhaust_descriptors(Actor& actor);

// acts_memory.cpp
void remap(Actor& actor);
void unmap(Actor& actor);
void protect(Actor& actor);
void move(Actor& actor);
void advise(Actor& actor);
void touch(Actor& actor);
void punch(Actor& actor);
void lock(Actor& actor);
void feed_pipe(Actor& actor);
void direct_io(Actor& actor);
void reach_remotely(Actor& actor);
void migrate(Actor& actor);

// acts_process.cpp
void fork_child(Actor& actor);
void share_memory(Actor& actor);
void signal_self(Actor& actor);
void change_user(Actor& actor);
void limit_locking(Actor& actor);
void change_cgroup(Actor& actor);
void read_sysfs(Actor& actor);
void unload(Actor& actor);

}  // namespace fuzz
