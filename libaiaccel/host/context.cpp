// SPDX-License-Identifier: MIT
//
// A client's context: its life, and the calls about engines and ids. Buffers are in
// context_buffers.cpp, turns in context_turns.cpp, reservations in context_reserve.cpp, statistics
// in context_stats.cpp, what the administrator does in context_control.cpp and context_policy.cpp.
#include "host/context.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

namespace aiaccel::host {

Context::Context(Host& host, Client client, std::function<void()> on_events)
    : host_(host), client_(std::move(client)), on_events_(std::move(on_events)) {
  turns_.context = this;
}

int Context::create(Host& host, Client client, std::function<void()> on_events,
                    std::unique_ptr<Context>* result) noexcept try {
  std::unique_ptr<Context> context(new Context(host, std::move(client), std::move(on_events)));
  if (int error = context->ring_.create("aiaccel-ring", aia_ring_bytes(AIA_TURNS_MAX),
                                        Pages::Writers::ours))
    return error;
  if (int error =
          context->consumed_.create("aiaccel-consumed", sizeof(uint32_t), Pages::Writers::shared))
    return error;
  uint64_t seed;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) return -errno;
  aia_turns_init(&context->turns_.core, context->ring_.data(),
                 static_cast<const uint32_t*>(context->consumed_.data()), seed);

  Lock lock(host.mutex);
  if (int error = host.get_tenant(context->client_.uid, &context->tenant_)) return error;
  host.contexts.insert(context.get());
  context->host_.mutex.is_held();  // it is the same
  context->turns_.core.groups = &host.groups;
  context->turns_.core.tenant = context->tenant_;
  aia_history_who& who = context->who_;
  who.context = ++host.last_context;
  who.tenant = context->tenant_->id;
  who.kind = context->tenant_->kind;
  who.source_id = context->tenant_->uid;
  who.pid = context->client_.pid;
  std::snprintf(who.comm, sizeof who.comm, "%s", context->client_.comm.c_str());
  *result = std::move(context);
  return 0;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

Context::~Context() {
  if (!tenant_) return;
  Lock lock(host_.mutex);
  const uint64_t now = monotonic_ns();
  aia_news news{};
  aia_turns_end_all(&turns_.core, now, &news);
  for (auto& [id, queue] : queues_) end_queue(*queue, now, news);
  // What was held is free again: for others, since nothing of this context waits any more.
  host_.act(news, now);
  for (auto& [id, handle] : buffers_) let_go(handle);
  for (auto& [id, reservation] : reservations_) end_reservation(reservation);
  host_.contexts.erase(this);
  host_.put_tenant(tenant_);
}

void Context::close_page_fds() {
  ring_.close_fd();
  consumed_.close_fd();
}

uint32_t Context::unread() const {
  return aia_ring_unread(&turns_.core.ring);
}

int Context::call(Call& call) noexcept try {
  Lock lock(host_.mutex);
  return perform(call);
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int Context::perform(Call& call) {
  switch (call.row->request) {
    case AIACCEL_IOC_QUERY:
      return query(call.arg.query);
    case AIACCEL_IOC_ENGINE_LIST:
      return engine_list(call);
    case AIACCEL_IOC_ENGINE_INFO:
      return engine_info(call.arg.engine_info);
    case AIACCEL_IOC_STATS:
      return stats(call);
    case AIACCEL_IOC_DESTROY:
      return destroy(call.arg.destroy);
    case AIACCEL_IOC_ALLOC:
      return alloc(call.arg.alloc);
    case AIACCEL_IOC_PIN:
      return pin(call.arg.pin);
    case AIACCEL_IOC_BUFFER_INFO:
      return buffer_info(call.arg.buffer_info);
    case AIACCEL_IOC_RESERVE:
      return reserve(call.arg.reserve);
    case AIACCEL_IOC_IMPORT:
      return import_buffer(call);
    case AIACCEL_IOC_QUOTA:
      return quota(call.arg.quota);
    case AIACCEL_IOC_EXPORT:
      return export_buffer(call);
    case AIACCEL_IOC_BUFFER_REVOKE:
      return revoke_buffer(call.arg.buffer_revoke);
    case AIACCEL_IOC_ENGINE_REGISTER:
    case AIACCEL_IOC_ENGINE_UNREGISTER:
      return -EOPNOTSUPP;  // the capabilities say so
    case AIACCEL_IOC_QUEUE_CREATE:
      return queue_create(call.arg.queue_create);
    case AIACCEL_IOC_ENTER:
      return enter(call.arg.enter);
    case AIACCEL_IOC_POLICY:
      return policy(call);
    case AIACCEL_IOC_CONTROL:
      return control(call.arg.control);
    case AIACCEL_IOC_REVOKE:
      return revoke(call.arg.revoke);
  }
  return -ENOTTY;
}

int Context::query(aiaccel_query& arg) {
  arg.abi = AIACCEL_ABI;
  arg.capabilities = host_.capabilities;
  arg.tenant = tenant_->id;
  arg.nr_engines = static_cast<uint32_t>(host_.engines.size());
  arg.highest_class = tenant_->highest_class();
  arg.max_queues = kMaxQueues;
  arg.max_buffers = kMaxBuffers;
  arg.max_jobs = AIA_TURNS_MAX;
  arg.ring_bytes = static_cast<uint32_t>(ring_.bytes());
  arg.max_pinned_bytes = tenant_->bytes.max;
  arg.pinned_bytes = tenant_->bytes.used;
  arg.max_device_bytes = tenant_->settings.device_bytes;
  arg.on_missing = tenant_->settings.on_missing;
  arg.__reserved = 0;
  return 0;
}

int Context::engine_list(Call& call) {
  aiaccel_engine_list& arg = call.arg.engine_list;
  if (int error = aia_check_engine_list(&arg)) return error;
  const size_t fit = std::min<size_t>(arg.count, host_.engines.size());
  call.array.resize(fit * sizeof(uint32_t));
  for (size_t i = 0; i < fit; ++i)
    std::memcpy(call.array.data() + i * sizeof(uint32_t), &host_.engines[i]->info.id,
                sizeof(uint32_t));
  arg.count = static_cast<uint32_t>(host_.engines.size());
  return 0;
}

int Context::engine_info(aiaccel_engine_info& arg) {
  if (int error = aia_check_engine_info(&arg)) return error;
  const Engine* engine = host_.find_engine(arg.id);
  if (!engine) return -ENOENT;
  const uint32_t size = arg.size;
  arg = engine->info;
  arg.size = size;
  arg.state = engine->sched.state;
  arg.order = engine->sched.order;
  arg.reserved_bytes = host_.device_bytes(*engine).used;
  arg.grace_ns = engine->sched.grace_ns;
  arg.contended = engine->sched.contended;
  return 0;
}

// Ids are not used again until 2^32 of them were.
uint32_t Context::new_id() {
  do {
    ++last_id_;
  } while (last_id_ == 0 || buffers_.contains(last_id_) || queues_.contains(last_id_) ||
           reservations_.contains(last_id_));
  return last_id_;
}

int Context::destroy(const aiaccel_destroy& arg) {
  if (int error = aia_check_destroy(&arg)) return error;
  if (auto buffer = buffers_.find(arg.id); buffer != buffers_.end()) {
    let_go(buffer->second);
    buffers_.erase(buffer);
    return 0;
  }
  if (auto reservation = reservations_.find(arg.id); reservation != reservations_.end()) {
    end_reservation(reservation->second);
    reservations_.erase(reservation);
    return 0;
  }
  const auto queue = queues_.find(arg.id);
  if (queue == queues_.end()) return -ENOENT;
  const uint64_t now = monotonic_ns();
  aia_news news{};
  end_queue(*queue->second, now, news);
  queues_.erase(queue);
  host_.act(news, now);
  return 0;
}

}  // namespace aiaccel::host
