// SPDX-License-Identifier: MIT
//
// POLICY: the administrator's rules for all tenants. Under the Host's mutex.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "host/context.h"

namespace aiaccel::host {

// The rules that REPLACE points to, checked; 0 or the error of the first that is wrong.
static int take_rules(const aiaccel_policy& arg, std::vector<aiaccel_policy_rule>* rules) {
  const auto* from = reinterpret_cast<const aiaccel_policy_rule*>(arg.rules);
  if (arg.count && !from) return -EFAULT;
  if (arg.count) rules->assign(from, from + arg.count);
  for (const aiaccel_policy_rule& rule : *rules)
    if (int error = aia_check_policy_rule(&rule)) return error;
  return 0;
}

int Context::policy(Call& call) {
  aiaccel_policy& arg = call.arg.policy;
  if (int error = aia_check_policy(&arg)) return error;
  if (!client_.privileged) return -EPERM;
  if (arg.flags & AIACCEL_POLICY_REPLACE) {
    std::vector<aiaccel_policy_rule> rules;
    if (int error = take_rules(arg, &rules)) return error;
    host_.set_rules(std::move(rules), monotonic_ns());
    return 0;
  }
  const std::vector<aiaccel_policy_rule>& rules = host_.rules();
  const size_t fit = std::min<size_t>(arg.count, rules.size());
  call.array.resize(fit * sizeof rules[0]);
  if (fit) std::memcpy(call.array.data(), rules.data(), call.array.size());
  arg.count = static_cast<uint32_t>(rules.size());
  return 0;
}

// What the queue counts as under the tenant's present ceiling.
uint32_t Context::counted_class(const Queue& queue) const {
  return queue.unbounded ? queue.class_ : std::min(queue.class_, tenant_->highest_class());
}

void Context::follow_policy() {
  for (auto& [id, queue] : queues_) {
    const uint32_t class_ = counted_class(*queue);
    if (class_ != queue->sched.class_)
      aia_sched_queue_set_class(&queue->sched, class_, monotonic_ns());
  }
}

}  // namespace aiaccel::host
