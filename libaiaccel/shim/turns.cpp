// SPDX-License-Identifier: MIT
//
// Turns through the library's device; see turns.h.
#include "shim/turns.h"

#include <poll.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "shim/say.h"

namespace aiaccel::shim {

namespace {

// What a call to a broker may take. It waits for nothing; but it may be stopped, or hang.
constexpr unsigned kPatienceMs = 1000;

int open_transport(const Settings& settings, std::unique_ptr<Transport>* transport) {
  const std::string_view named = settings.transport;
  const std::string_view wanted = named.empty() ? "auto" : named;
  if (wanted == "embedded") return open_embedded(transport);
  if (wanted == "broker") return open_running_broker(transport, settings.broker, kPatienceMs);
  if (wanted != "auto" && wanted != "kernel") return -EINVAL;
  const int error = open_kernel(transport);
  const bool absent = error == -ENOENT || error == -ENODEV || error == -ENXIO;
  return absent && wanted == "auto" ? open_running_broker(transport, settings.broker, kPatienceMs)
                                    : error;
}

}  // namespace

int open_device(const Settings& settings, std::unique_ptr<aiaccel_device>* device,
                aiaccel_query* query) {
  std::unique_ptr<Transport> transport;
  if (const int error = open_transport(settings, &transport)) return error;
  *device = std::make_unique<aiaccel_device>(std::move(transport));
  if (const int error = (*device)->map_ring()) return error;
  *query = {};
  query->size = sizeof *query;
  return aiaccel_call(device->get(), AIACCEL_IOC_QUERY, query);
}

int find_engine(aiaccel_device& device, const std::vector<std::string>& names,
                aiaccel_engine_info* engine) {
  int error = -ENOENT;
  for (const std::string& name : names) {
    error = aiaccel_find_engine(&device, name.c_str(), engine);
    if (error != -ENOENT) break;
  }
  return error;
}

int look_at_arbiter(aiaccel_device& device, uint32_t engine) {
  aiaccel_engine_info info{};
  info.size = sizeof info;
  info.id = engine;
  const int error = aiaccel_call(&device, AIACCEL_IOC_ENGINE_INFO, &info);
  if (error == -ENOENT) return 0;  // only the engine went
  return !error && info.state == AIACCEL_ENGINE_LEAVING ? -ENODEV : error;
}

int Turns::open() {
  std::unique_ptr<aiaccel_device> device;
  aiaccel_query query;
  if (const int error = open_device(settings_, &device, &query)) return error;
  arbiter_fails_open_ = query.on_missing != AIACCEL_ON_MISSING_CLOSED;
  aiaccel_engine_info engine{};
  if (const int error = find_engine(*device, engines_, &engine)) return error;
  if (const int error = open_queue(*device, engine.id)) return error;
  const int fd = aiaccel_fd(device.get());
  if (fd < 0) return fd;

  engine_id_ = engine.id;
  device_ = std::move(device);
  fd_ = fd;
  return 0;
}

int Turns::open_queue(aiaccel_device& device, uint32_t engine) {
  aiaccel_queue_create create{};
  create.size = sizeof create;
  create.engine = engine;
  create.class_ = settings_.class_;
  snprintf(create.label, sizeof create.label, "cuda");
  int error = aiaccel_call(&device, AIACCEL_IOC_QUEUE_CREATE, &create);
  if (error == -EPERM && create.refused_by == AIACCEL_REFUSED_CLASS) {
    aiaccel_query query{};
    query.size = sizeof query;
    if (aiaccel_call(&device, AIACCEL_IOC_QUERY, &query)) return error;
    static Topic topic;
    topic.say("class %s is above what this tenant may use: %s is taken",
              class_name(settings_.class_), class_name(query.highest_class));
    create.class_ = query.highest_class;
    error = aiaccel_call(&device, AIACCEL_IOC_QUEUE_CREATE, &create);
  }
  queue_ = create.id;
  return error;
}

void Turns::close() {
  device_.reset();
  fd_ = -1;
}

bool Turns::fail_open() {
  return settings_.fail_open.value_or(arbiter_fails_open_);
}

int Turns::enter(aiaccel_enter& arg) {
  arg.size = sizeof arg;
  return aiaccel_call(device_.get(), AIACCEL_IOC_ENTER, &arg);
}

int Turns::ask() {
  aiaccel_job job{};
  job.cookie = ++cookie_;
  job.queue = queue_;
  job.width = 1;
  aiaccel_enter arg{};
  arg.jobs = reinterpret_cast<uintptr_t>(&job);
  arg.nr_jobs = 1;
  return enter(arg);
}

int Turns::read(News* news) {
  aiaccel_event event;
  bool any = false;
  while (aiaccel_read_events(device_.get(), &event, 1) == 1) {
    any = true;
    if (event.cookie != cookie_) continue;
    if (event.events & AIACCEL_EVENT_GRANTED) {
      news->granted = true;
      news->generation = generation_ = event.generation;
      news->yield_word = device_->yield_word(event.slot);
    }
    news->yield |= (event.events & AIACCEL_EVENT_YIELD) != 0;
    news->revoked |= (event.events & AIACCEL_EVENT_REVOKED) != 0;
    news->failed |= (event.events & AIACCEL_EVENT_FAILED) != 0;
  }
  if (any) return 0;
  // Readable, and nothing to read: the arbiter is gone, and says so when it is called.
  pollfd fd = {fd_, POLLIN, 0};
  if (poll(&fd, 1, 0) <= 0) return 0;
  aiaccel_enter arg{};
  return enter(arg);
}

int Turns::complete(bool ask_again) {
  const aiaccel_completion completion{cookie_, generation_, 0};
  aiaccel_job job{};
  job.cookie = ++cookie_;
  job.queue = queue_;
  job.width = 1;
  aiaccel_enter arg{};
  arg.completions = reinterpret_cast<uintptr_t>(&completion);
  arg.nr_completions = 1;
  arg.jobs = reinterpret_cast<uintptr_t>(&job);
  arg.nr_jobs = ask_again ? 1 : 0;
  if (const int error = enter(arg)) return error;
  if (!ask_again || arg.nr_jobs == 1) return 0;
  return ask();  // says why it was not taken
}

int Turns::renew() {
  const aiaccel_completion completion{cookie_, generation_, AIACCEL_COMPLETE_RENEW};
  aiaccel_enter arg{};
  arg.completions = reinterpret_cast<uintptr_t>(&completion);
  arg.nr_completions = 1;
  return enter(arg);
}

int Turns::look() {
  return look_at_arbiter(*device_, engine_id_);
}

}  // namespace aiaccel::shim
