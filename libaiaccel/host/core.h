// SPDX-License-Identifier: MIT
//
// The pure core (kmod/core) as C++ sees it. Its locking rule: the caller serialises.
#ifndef AIACCEL_HOST_CORE_H
#define AIACCEL_HOST_CORE_H

extern "C" {
#include "core/any.h"
#include "core/check.h"
#include "core/explain.h"
#include "core/history.h"
#include "core/limit.h"
#include "core/rule.h"
#include "core/sched.h"
#include "core/turns.h"
}

#endif  // AIACCEL_HOST_CORE_H
