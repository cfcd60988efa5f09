// SPDX-License-Identifier: MIT
//
// A process of the fuzzer: who it is, what its threads do, how it ends. All of it follows from its
// seed, but for how its threads meet each other and other processes.
#pragma once

#include "fuzz/world.hpp"

namespace fuzz {

[[noreturn]] void work(const Shared& shared, uint64_t seed);

}  // namespace fuzz
