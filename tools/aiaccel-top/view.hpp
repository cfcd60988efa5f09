// SPDX-License-Identifier: MIT
//
// The screen: ncurses and the keys. What it shows is layout.hpp's.
#pragma once

#include <chrono>
#include <functional>

#include "aiaccel-top/layout.hpp"

namespace tools {

// Shows what `next` gives, anew each `interval`, until q is typed or a signal asks to end. `next`
// may throw: the terminal is given back first.
void show(const std::function<Report()>& next, std::chrono::nanoseconds interval);

}  // namespace tools
