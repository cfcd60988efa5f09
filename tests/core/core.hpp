// SPDX-License-Identifier: MIT
//
// The headers of the core, for C++: the core itself knows no other language than C. Only the tests
// of the core include this.
#pragma once

#include <cstddef>

extern "C" {
#include <core/any.h>
#include <core/cap.h>
#include <core/check.h>
#include <core/choice.h>
#include <core/classes.h>
#include <core/history.h>
#include <core/limit.h>
#include <core/list.h>
#include <core/order.h>
#include <core/rbtree.h>
#include <core/realtime.h>
#include <core/ring.h>
#include <core/rule.h>
#include <core/sched.h>
#include <core/turns.h>
#include <core/vtime.h>
#include <core/wide.h>
}
