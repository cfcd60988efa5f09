// SPDX-License-Identifier: MIT
//
// The invariants of sched.h, looked at from outside by walking everything.
#pragma once

#include <cstdint>
#include <vector>

#include "core/core.hpp"

// True when all invariants of sched.h hold on the engine, its tenants and these queues; else `*why`
// says what does not. A member of a share is no further behind than `behind_ns`.
bool is_sound(const aia_sched_engine& engine, const std::vector<const aia_sched_node*>& nodes,
              const std::vector<const aia_sched_queue*>& queues, const char** why,
              std::uint64_t behind_ns = AIA_SHARE_LAG_NS);
