// SPDX-License-Identifier: MIT
//
// CONTROL and REVOKE: what the administrator does to engines and to the turns of others. Under the
// Host's mutex throughout, so nothing begins between the first turn that ends and the last.
#include <cerrno>

#include "host/context.h"

namespace aiaccel::host {

uint32_t Context::revoke_queue(Queue& queue, uint32_t flags, uint64_t now_ns, aia_news& news) {
  uint32_t count = aia_turns_revoke(&queue.sched, now_ns, &news);
  if (flags & AIACCEL_REVOKE_WAITING)
    count += aia_turns_fail_waiting(&turns_.core, &queue.sched, now_ns, &news);
  return count;
}

void Context::fail_waiting(uint64_t now_ns, aia_news& news) {
  for (auto& [id, queue] : queues_)
    aia_turns_fail_waiting(&turns_.core, &queue->sched, now_ns, &news);
}

int Context::control(const aiaccel_control& arg) {
  if (int error = aia_check_control(&arg)) return error;
  Engine* one = nullptr;
  if (arg.engine && !(one = host_.find_engine(arg.engine))) return -ENOENT;
  if (!client_.privileged) return -EPERM;
  if (one && one->sched.state == AIACCEL_ENGINE_FAULTED) return -ENOENT;
  const uint64_t now = monotonic_ns();
  aia_news news{};
  for (const auto& engine : host_.engines) {
    if (one && engine.get() != one) continue;
    if (arg.state) engine->sched.state = arg.state;
    if (arg.order) aia_sched_set_order(&engine->sched, arg.order, now);
    aia_turns_stir(&engine->sched, &news);
  }
  if (arg.state == AIACCEL_ENGINE_LEAVING) {
    for (Context* context : host_.contexts) {
      context->host_.mutex.is_held();  // it is the same
      context->fail_waiting(now, news);
    }
  }
  host_.act(news, now);
  return 0;
}

int Context::revoke(aiaccel_revoke& arg) {
  if (int error = aia_check_revoke(&arg)) return error;
  // Before anything is looked for: what others have is not for everybody to find out.
  if (!client_.privileged) return -EPERM;
  const Tenant* top = nullptr;
  if (arg.tenant && !(top = host_.find_tenant(arg.tenant))) return -ENOENT;
  Engine* engine = nullptr;
  if (arg.engine && !(engine = host_.find_engine(arg.engine))) return -ENOENT;

  const uint64_t now = monotonic_ns();
  aia_news news{};
  bool found = top != nullptr;
  uint32_t count = 0;
  for (Context* context : host_.contexts) {
    context->host_.mutex.is_held();
    if (top ? !context->tenant_->is_below(top) : context->who_.context != arg.context) continue;
    for (auto& [id, queue] : context->queues_) {
      found = true;
      if (engine && queue->engine != engine) continue;
      count += context->revoke_queue(*queue, arg.flags, now, news);
    }
  }
  host_.act(news, now);
  if (!found) return -ENOENT;
  arg.count = count;
  return 0;
}

}  // namespace aiaccel::host
