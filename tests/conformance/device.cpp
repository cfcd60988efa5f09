// SPDX-License-Identifier: MIT
//
// What the conformance tests share; see device.hpp.
#include "device.hpp"

#include <cstring>
#include <ctime>

namespace conformance {

const std::string& transport() {
  static const std::string name = [] {
    const auto& suite = boost::unit_test::framework::master_test_suite();
    const std::string option = "--transport=";
    for (int i = 1; i < suite.argc; ++i)
      if (std::string(suite.argv[i]).starts_with(option)) return suite.argv[i] + option.size();
    throw std::runtime_error("which transport? give `-- --transport=kernel|broker|embedded`");
  }();
  return name;
}

bool on(const std::string& name) {
  return transport() == name;
}

uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t late() {
  return now_ns() + 20'000'000'000;
}

aiaccel_job job(uint64_t cookie, uint32_t queue, const JobOptions& options) {
  aiaccel_job job{};
  job.cookie = cookie;
  job.queue = queue;
  job.width = options.width;
  job.deadline_ns = options.deadline_ns;
  return job;
}

Device::Device() {
  BOOST_REQUIRE_EQUAL(aiaccel_open(transport().c_str(), &handle_), 0);
}

aiaccel_query Device::query() {
  aiaccel_query query{};
  BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_QUERY, query), 0);
  return query;
}

aiaccel_engine_info Device::engine() {
  uint32_t id = 0;
  aiaccel_engine_list list{};
  list.count = 1;
  list.ids = reinterpret_cast<uintptr_t>(&id);
  BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_ENGINE_LIST, list), 0);
  BOOST_REQUIRE_GE(list.count, 1u);
  aiaccel_engine_info info{};
  info.id = id;
  BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_ENGINE_INFO, info), 0);
  return info;
}

aiaccel_queue_create Device::queue_arg() {
  aiaccel_queue_create arg{};
  arg.engine = engine().id;
  arg.class_ = AIACCEL_CLASS_NORMAL;
  std::strcpy(arg.label, "test");
  return arg;
}

uint32_t Device::must_queue(uint32_t class_, uint32_t weight, const char* label) {
  aiaccel_queue_create arg = queue_arg();
  arg.class_ = class_;
  arg.weight = weight;
  std::memset(arg.label, 0, sizeof arg.label);
  std::strcpy(arg.label, label);
  BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_QUEUE_CREATE, arg), 0);
  BOOST_REQUIRE_NE(arg.id, 0u);
  return arg.id;
}

int Device::destroy(uint32_t id) {
  aiaccel_destroy arg{};
  arg.id = id;
  return call(AIACCEL_IOC_DESTROY, arg);
}

aiaccel_alloc Device::must_alloc(uint64_t length) {
  aiaccel_alloc arg{};
  arg.length = length;
  BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_ALLOC, arg), 0);
  return arg;
}

aiaccel_buffer_info Device::must_info(uint32_t id) {
  aiaccel_buffer_info arg{};
  arg.id = id;
  BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_BUFFER_INFO, arg), 0);
  return arg;
}

int Device::submit(const aiaccel_job& job) {
  aiaccel_enter arg{};
  arg.jobs = reinterpret_cast<uintptr_t>(&job);
  arg.nr_jobs = 1;
  return enter(arg);
}

int Device::complete(uint64_t cookie, uint32_t generation, uint32_t flags) {
  const aiaccel_completion completion{cookie, generation, flags};
  aiaccel_enter arg{};
  arg.completions = reinterpret_cast<uintptr_t>(&completion);
  arg.nr_completions = 1;
  return enter(arg);
}

aiaccel_event Device::must_event() {
  aiaccel_event event{};
  if (aiaccel_read_events(handle_, &event, 1) == 1) return event;
  aiaccel_enter arg{};
  arg.min_events = 1;
  arg.timeout_ns = late();
  BOOST_REQUIRE_EQUAL(enter(arg), 0);
  BOOST_REQUIRE_EQUAL(aiaccel_read_events(handle_, &event, 1), 1u);
  return event;
}

aiaccel_event Device::must_event(uint64_t cookie, uint32_t bits) {
  const aiaccel_event event = must_event();
  BOOST_REQUIRE_EQUAL(event.cookie, cookie);
  BOOST_REQUIRE_EQUAL(event.events, bits);
  return event;
}

std::vector<aiaccel_event> Device::events() {
  std::vector<aiaccel_event> events(4096);
  events.resize(aiaccel_read_events(handle_, events.data(), static_cast<unsigned>(events.size())));
  return events;
}

uint32_t Device::must_hold(uint64_t cookie, uint32_t queue, uint32_t width) {
  BOOST_REQUIRE_EQUAL(submit(job(cookie, queue, {.width = width})), 0);
  return must_event(cookie, AIACCEL_EVENT_GRANTED).generation;
}

aiaccel_stats_engine Device::engine_stats() {
  aiaccel_stats_engine record{};
  aiaccel_stats arg{};
  arg.kind = AIACCEL_STATS_ENGINES;
  arg.records = reinterpret_cast<uintptr_t>(&record);
  arg.count = 1;
  arg.record_size = sizeof record;
  BOOST_REQUIRE_EQUAL(call(AIACCEL_IOC_STATS, arg), 0);
  BOOST_REQUIRE_GE(arg.count, 1u);
  return record;
}

namespace {

// All records of one kind; `most` is more than there can be.
template <typename Record>
std::vector<Record> list_stats(Device& device, uint32_t kind, size_t most) {
  std::vector<Record> records(most);
  aiaccel_stats arg{};
  arg.kind = kind;
  arg.records = reinterpret_cast<uintptr_t>(records.data());
  arg.count = static_cast<uint32_t>(records.size());
  arg.record_size = sizeof(Record);
  BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_STATS, arg), 0);
  BOOST_REQUIRE_LE(arg.count, records.size());
  records.resize(arg.count);
  return records;
}

}  // namespace

std::vector<aiaccel_stats_queue> Device::queue_stats() {
  return list_stats<aiaccel_stats_queue>(*this, AIACCEL_STATS_QUEUES, 1024);
}

std::vector<aiaccel_stats_context> Device::context_stats() {
  return list_stats<aiaccel_stats_context>(*this, AIACCEL_STATS_CONTEXTS, 1024);
}

std::vector<aiaccel_stats_turn> Device::turn_stats() {
  return list_stats<aiaccel_stats_turn>(*this, AIACCEL_STATS_TURNS, 65536);
}

std::vector<aiaccel_stats_reservation> Device::reservation_stats() {
  return list_stats<aiaccel_stats_reservation>(*this, AIACCEL_STATS_RESERVATIONS, 1024);
}

aiaccel_stats_tenant Device::own_tenant() {
  const auto records = list_stats<aiaccel_stats_tenant>(*this, AIACCEL_STATS_TENANTS, 256);
  const uint64_t own = query().tenant;
  for (const aiaccel_stats_tenant& record : records)
    if (record.tenant == own) return record;
  BOOST_FAIL("STATS does not list the caller's own tenant");
  return {};
}

}  // namespace conformance
