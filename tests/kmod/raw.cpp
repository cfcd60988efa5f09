// SPDX-License-Identifier: MIT
#include "raw.hpp"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace raw {

bool have_device() { return access(kDevice, R_OK | W_OK) == 0; }

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

void Fd::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Map::Map(size_t length, int protection, int flags, int fd, uint64_t offset) : size_(length) {
  data_ = mmap(nullptr, length, protection, flags, fd, static_cast<off_t>(offset));
  if (data_ == MAP_FAILED) error_ = errno;
}

Map::Map(Map&& other) noexcept { *this = std::move(other); }

Map& Map::operator=(Map&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(error_, other.error_);
  return *this;
}

void Map::unmap() {
  // It may want memory, and be refused by an injected fault, once.
  while (data_ != MAP_FAILED && munmap(data_, size_) && errno == ENOMEM) continue;
  data_ = MAP_FAILED;
}

Map anonymous(size_t length, int protection) {
  Map map(length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  BOOST_REQUIRE_EQUAL(map.error(), 0);
  return map;
}

Context::Context() : fd_(open(kDevice, O_RDWR | O_CLOEXEC)) {
  BOOST_REQUIRE_MESSAGE(fd() >= 0, "open: " << strerror(errno));
}

int Context::call(unsigned long number, void* arg) const {
  return ioctl(fd(), number, arg) < 0 ? errno : 0;
}

aiaccel_query Context::query() const {
  aiaccel_query query{};
  BOOST_REQUIRE_EQUAL((*this)(AIACCEL_IOC_QUERY, query), 0);
  return query;
}

aiaccel_alloc Context::alloc(uint64_t length) const {
  aiaccel_alloc alloc{};
  alloc.length = length;
  BOOST_REQUIRE_EQUAL((*this)(AIACCEL_IOC_ALLOC, alloc), 0);
  return alloc;
}

aiaccel_engine_info Context::engine() const {
  uint32_t id = 0;
  aiaccel_engine_list list{};
  list.count = 1;
  list.ids = address(&id);
  BOOST_REQUIRE_EQUAL((*this)(AIACCEL_IOC_ENGINE_LIST, list), 0);
  aiaccel_engine_info info{};
  info.id = id;
  BOOST_REQUIRE_EQUAL((*this)(AIACCEL_IOC_ENGINE_INFO, info), 0);
  return info;
}

aiaccel_stats_engine Context::engine_stats() const {
  aiaccel_stats_engine record{};
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_ENGINES;
  stats.records = address(&record);
  stats.count = 1;
  stats.record_size = sizeof(record);
  BOOST_REQUIRE_EQUAL((*this)(AIACCEL_IOC_STATS, stats), 0);
  return record;
}

uint32_t Context::queue(uint32_t class_) const { return queue_at(engine().id, class_); }

uint32_t Context::queue_at(uint32_t engine, uint32_t class_, const char* label) const {
  aiaccel_queue_create create{};
  create.engine = engine;
  create.class_ = class_;
  strncpy(create.label, label, sizeof(create.label) - 1);
  BOOST_REQUIRE_EQUAL((*this)(AIACCEL_IOC_QUEUE_CREATE, create), 0);
  return create.id;
}

uint32_t Context::take_turn(uint32_t queue, uint64_t cookie, uint32_t width) const {
  aiaccel_job job{};
  job.cookie = cookie;
  job.queue = queue;
  job.width = width;
  aiaccel_enter enter{};
  enter.jobs = address(&job);
  enter.nr_jobs = 1;
  enter.min_events = 1;
  enter.timeout_ns = now_ns() + 10'000'000'000;
  BOOST_REQUIRE_EQUAL((*this)(AIACCEL_IOC_ENTER, enter), 0);
  BOOST_REQUIRE_EQUAL(enter.nr_events, 1u);
  const Map ring = map(query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
  BOOST_REQUIRE_EQUAL(ring.error(), 0);
  const auto* head = reinterpret_cast<const aiaccel_ring*>(ring.data());
  const auto* events = reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset);
  const aiaccel_event& event = events[(head->produced - 1) % head->entries];
  BOOST_REQUIRE_EQUAL(event.cookie, cookie);
  BOOST_REQUIRE(event.events & AIACCEL_EVENT_GRANTED);
  const Map consumed = map(kPage, AIACCEL_CONSUMED_OFFSET);
  *reinterpret_cast<volatile uint32_t*>(consumed.data()) = head->produced;
  return event.generation;
}

aiaccel_engine_register engine_of(uint64_t device_bytes, uint32_t slots) {
  static int last;
  aiaccel_engine_register make{};
  make.size = sizeof(make);
  make.kind = AIACCEL_ENGINE_GPU;
  make.enforcement = AIACCEL_GATED;
  make.slots = slots;
  make.numa_node = 0;
  make.device_bytes = device_bytes;
  snprintf(make.name, sizeof(make.name), "gpu-%d-%d", getpid(), ++last);
  strcpy(make.provider, "tests");
  return make;
}

void unregister_all_engines(const Context& context) {
  std::vector<uint32_t> ids(2048);
  aiaccel_engine_list list{};
  list.count = static_cast<uint32_t>(ids.size());
  list.ids = address(ids.data());
  BOOST_TEST(context(AIACCEL_IOC_ENGINE_LIST, list) == 0);
  for (uint32_t i = 0; i < list.count && i < ids.size(); i++) {
    aiaccel_engine_unregister end{};
    end.id = ids[i];
    context(AIACCEL_IOC_ENGINE_UNREGISTER, end);  // ENOENT for one made otherwise
  }
}

int set_rules(const Context& context, const std::vector<aiaccel_policy_rule>& rules) {
  aiaccel_policy policy{};
  policy.flags = AIACCEL_POLICY_REPLACE;
  policy.rules = address(rules.data());
  policy.count = static_cast<uint32_t>(rules.size());
  policy.rule_size = sizeof(aiaccel_policy_rule);
  return context(AIACCEL_IOC_POLICY, policy);
}

void Administrator::set(const std::vector<aiaccel_policy_rule>& rules) const {
  BOOST_REQUIRE_EQUAL(set_rules(context, rules), 0);
}

aiaccel_policy_rule rule_of(uint32_t match, const std::string& pattern, uint32_t uid) {
  aiaccel_policy_rule rule{};
  rule.match = match;
  rule.uid = uid;
  pattern.copy(rule.pattern, sizeof(rule.pattern) - 1);
  return rule;
}

Engine::Engine(const Context& context, uint64_t device_bytes, uint32_t slots, int numa_node)
    : context_(context) {
  aiaccel_engine_register make = engine_of(device_bytes, slots);
  make.numa_node = numa_node;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_REGISTER, make), 0);
  id_ = make.id;
}

int Engine::unregister() const {
  aiaccel_engine_unregister end{};
  end.id = id_;
  return context_(AIACCEL_IOC_ENGINE_UNREGISTER, end);
}

aiaccel_engine_info Engine::info() const {
  aiaccel_engine_info info{};
  info.id = id_;
  BOOST_REQUIRE_EQUAL(context_(AIACCEL_IOC_ENGINE_INFO, info), 0);
  return info;
}

uint32_t reserve(const Context& context, uint32_t engine, uint64_t bytes) {
  aiaccel_reserve reserve{};
  reserve.engine = engine;
  reserve.bytes = bytes;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_RESERVE, reserve), 0);
  return reserve.id;
}

int resize(const Context& context, uint32_t id, uint64_t bytes) {
  aiaccel_reserve reserve{};
  reserve.id = id;
  reserve.bytes = bytes;
  return context(AIACCEL_IOC_RESERVE, reserve);
}

int destroy_errno(const Context& context, uint32_t id) {
  aiaccel_destroy destroy{};
  destroy.id = id;
  return context(AIACCEL_IOC_DESTROY, destroy);
}

aiaccel_job job_of(uint32_t queue, uint64_t cookie, uint32_t width) {
  aiaccel_job job{};
  job.cookie = cookie;
  job.queue = queue;
  job.width = width;
  return job;
}

int submit(const Context& context, aiaccel_job job) {
  aiaccel_enter enter{};
  enter.jobs = address(&job);
  enter.nr_jobs = 1;
  return context(AIACCEL_IOC_ENTER, enter);
}

int complete(const Context& context, uint64_t cookie, uint32_t generation) {
  aiaccel_completion completion{};
  completion.cookie = cookie;
  completion.generation = generation;
  aiaccel_enter enter{};
  enter.completions = address(&completion);
  enter.nr_completions = 1;
  return context(AIACCEL_IOC_ENTER, enter);
}

aiaccel_pin pin_of(const Map& map, uint32_t flags) {
  aiaccel_pin pin{};
  pin.flags = flags;
  pin.addr = map.address();
  pin.length = map.size();
  return pin;
}

int in_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  BOOST_REQUIRE(pid >= 0);
  if (pid == 0) {
    signal(SIGSEGV, SIG_DFL);  // not Boost's
    _exit(body());
  }
  int status = 0;
  BOOST_REQUIRE_EQUAL(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void become_user(unsigned uid) {
  if (setgroups(0, nullptr) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)) _exit(100);
  prctl(PR_SET_DUMPABLE, 1);  // so that /proc/self stays its own
}

uint32_t engine_called(const Context& context, const std::string& name) {
  uint32_t ids[64] = {};
  aiaccel_engine_list list{};
  list.count = 64;
  list.ids = address(ids);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_LIST, list), 0);
  for (uint32_t i = 0; i < list.count; i++) {
    aiaccel_engine_info info{};
    info.id = ids[i];
    if (!context(AIACCEL_IOC_ENGINE_INFO, info) && info.name == name) return info.id;
  }
  return 0;
}

int as_user(unsigned uid, const std::function<int()>& body) {
  chmod(kDevice, 0666);
  const int status = in_child([&] {
    become_user(uid);
    return body();
  });
  chmod(kDevice, 0660);
  return status;
}

bool has_node(int node) {
  return access(("/sys/devices/system/node/node" + std::to_string(node)).c_str(), F_OK) == 0;
}

uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

bool eventually(const std::function<bool()>& true_now) {
  const uint64_t end = now_ns() + 60'000'000'000;
  while (!true_now()) {
    if (now_ns() > end) return false;
    usleep(2000);
  }
  return true;
}

}  // namespace raw
