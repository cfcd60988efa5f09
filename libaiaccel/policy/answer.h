// SPDX-License-Identifier: MIT
//
// What the policy gives a process, found out without an arbiter: by the core's own rules, out of
// the same files. For what programs do while the arbiter is missing, since it cannot be asked then.
//
// Threads: one at a time (expand.h).
#ifndef AIACCEL_POLICY_ANSWER_H
#define AIACCEL_POLICY_ANSWER_H

#include <string>
#include <vector>

#include "host/core.h"

namespace aiaccel::policy {

// As POLICY in include/uapi/aiaccel.h says: `group` is a path in the version 2 hierarchy; in its
// root, or where there is none (""), the user is the tenant.
aia_settings answer(const std::vector<aiaccel_policy_rule>& rules, const std::string& group,
                    std::uint32_t uid);

// The same for the calling process and the files of `folder`; what has mistakes gives nothing.
aia_settings answer_for_self(const std::string& folder);

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_ANSWER_H
