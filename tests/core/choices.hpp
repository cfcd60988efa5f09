// SPDX-License-Identifier: MIT
//
// Where a random test or a fuzzer takes its decisions from.
#pragma once

#include <cstdint>
#include <functional>

// The next number, any number; what is chosen is its remainder.
using Choices = std::function<std::uint64_t()>;
