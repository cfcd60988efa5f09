// SPDX-License-Identifier: MIT
//
// From sections to the rules of POLICY in include/uapi/aiaccel.h.
//
//   unit=    one rule, for the last part of a cgroup's path
//   cgroup=  one rule, for the whole path
//   user=    two: for the user, and for the cgroup that systemd gives the user's sessions
//   group=   two for each member: those that the group lists, and those whose first group it is
//
// Names become numbers, and groups members, when this runs: who joins a group later is reached by
// the next load. The members by first group are those that getpwent(3) shows, which some
// directories leave out.
//
// Threads: one at a time (getpwent).
#ifndef AIACCEL_POLICY_EXPAND_H
#define AIACCEL_POLICY_EXPAND_H

#include <uapi/aiaccel.h>

#include <vector>

#include "policy/parse.h"

namespace aiaccel::policy {

// The rules, in order. What is wrong joins policy.problems. There are no rules then of the section
// whose user or group is missing, which leaves the others of its file as they are: users come and go
// without an edit; nor of a file with which there would be too many.
std::vector<aiaccel_policy_rule> expand(Policy& policy);

// A rule that gives this, and says not yet to whom.
aiaccel_policy_rule rule_with(const Settings& gives);

// The settings that a rule carries.
Settings settings_of(const aiaccel_policy_rule& rule);

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_EXPAND_H
