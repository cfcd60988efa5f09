// SPDX-License-Identifier: MIT
//
// See host.hpp.
#include "host.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "broker/rules.hpp"

namespace shim_test {
namespace {

namespace fs = std::filesystem;

constexpr int kPatienceMs = 60'000;

// build/, seen from build/tests/shim.
fs::path build() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path();
}

// What STATS lists, of which there may be so many.
template <typename Record>
std::vector<Record> listed(aiaccel_device* device, uint32_t kind, size_t most) {
  std::vector<Record> records(most);
  aiaccel_stats stats{};
  stats.size = sizeof stats;
  stats.kind = kind;
  stats.records = reinterpret_cast<uintptr_t>(records.data());
  stats.count = static_cast<uint32_t>(records.size());
  stats.record_size = sizeof(Record);
  BOOST_REQUIRE_EQUAL(aiaccel_call(device, AIACCEL_IOC_STATS, &stats), 0);
  records.resize(std::min<size_t>(stats.count, records.size()));
  return records;
}

}  // namespace

std::string build_folder() {
  return build().native();
}

uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return uint64_t(now.tv_sec) * 1'000'000'000 + uint64_t(now.tv_nsec);
}

uint64_t late() {
  return now_ns() + kPatienceMs * kMs;
}

Operator::Operator(const char* engine, const char* transport) {
  BOOST_REQUIRE_EQUAL(aiaccel_open(transport, &device_), 0);
  aiaccel_engine_info info{};
  BOOST_REQUIRE_EQUAL(aiaccel_find_engine(device_, engine, &info), 0);
  engine_ = info.id;
}

void Operator::hold(uint32_t class_) {
  aiaccel_queue_create create{};
  create.size = sizeof create;
  create.engine = engine_;
  create.class_ = class_;
  create.budget_ns = AIACCEL_BUDGET_MAX_NS;  // on a busy machine the tests' programs begin late
  BOOST_REQUIRE_EQUAL(aiaccel_call(device_, AIACCEL_IOC_QUEUE_CREATE, &create), 0);
  aiaccel_job job{};
  job.queue = create.id;
  job.width = 1;
  BOOST_REQUIRE_EQUAL(aiaccel_acquire(device_, &job, late(), -1, &grant_), 0);
}

void Operator::let_go() {
  BOOST_REQUIRE_EQUAL(aiaccel_complete(device_, &grant_), 0);
}

void Operator::set_state(uint32_t state) {
  aiaccel_control control{};
  control.size = sizeof control;
  control.engine = state == AIACCEL_ENGINE_LEAVING ? 0 : engine_;
  control.state = state;
  BOOST_REQUIRE_EQUAL(aiaccel_call(device_, AIACCEL_IOC_CONTROL, &control), 0);
}

void Operator::evict(pid_t pid) {
  for (const auto& queue : listed<aiaccel_stats_queue>(device_, AIACCEL_STATS_QUEUES, 32)) {
    if (queue.pid != pid) continue;
    aiaccel_revoke revoke{};
    revoke.size = sizeof revoke;
    revoke.flags = AIACCEL_REVOKE_WAITING;
    revoke.context = queue.context;
    BOOST_REQUIRE_EQUAL(aiaccel_call(device_, AIACCEL_IOC_REVOKE, &revoke), 0);
    return;
  }
  BOOST_FAIL("it has no queue");
}

void Operator::limit_memory(uint64_t bytes) {
  aiaccel_policy_rule rule = conformance::rule(geteuid());
  rule.sets = AIACCEL_SETS_DEVICE_BYTES;
  rule.device_bytes = bytes;
  aiaccel_policy policy{};
  policy.size = sizeof policy;
  policy.flags = AIACCEL_POLICY_REPLACE;
  policy.rules = reinterpret_cast<uintptr_t>(&rule);
  policy.count = 1;
  policy.rule_size = sizeof rule;
  BOOST_REQUIRE_EQUAL(aiaccel_call(device_, AIACCEL_IOC_POLICY, &policy), 0);
}

void Operator::wait_until_free() {
  const uint64_t until = late();
  while (stats().slots_used != 0 && now_ns() < until) usleep(1000);
  BOOST_REQUIRE_EQUAL(stats().slots_used, 0U);
}

aiaccel_stats_engine Operator::stats() {
  for (const auto& engine : listed<aiaccel_stats_engine>(device_, AIACCEL_STATS_ENGINES, 32))
    if (engine.id == engine_) return engine;
  BOOST_FAIL("no such engine");
  return {};
}

aiaccel_engine_info Operator::info() {
  aiaccel_engine_info info{};
  info.size = sizeof info;
  info.id = engine_;
  BOOST_REQUIRE_EQUAL(aiaccel_call(device_, AIACCEL_IOC_ENGINE_INFO, &info), 0);
  return info;
}

std::vector<aiaccel_stats_turn> Operator::turns_of(pid_t pid) {
  auto turns = listed<aiaccel_stats_turn>(device_, AIACCEL_STATS_TURNS, 8192);
  std::erase_if(turns, [&](const auto& turn) { return turn.pid != pid; });
  return turns;
}

uint64_t Operator::others() {
  uint64_t contexts = 0;
  for (const auto& tenant : listed<aiaccel_stats_tenant>(device_, AIACCEL_STATS_TENANTS, 64))
    contexts += tenant.contexts;
  return contexts - 1;
}

uint64_t Operator::reserved() {
  return stats().reserved_bytes;
}

Program::Program(const std::string& way, const std::string& steps, const Environment& more,
                 const std::vector<std::string>& under) {
  char errors[] = "/tmp/aiaccel-shim-stderr-XXXXXX";
  const int error_fd = mkostemp(errors, O_CLOEXEC);
  BOOST_REQUIRE(error_fd >= 0);
  errors_ = errors;
  int to[2];
  int from[2];
  BOOST_REQUIRE(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);

  const bool is_client = !way.starts_with("cuda-");
  const std::string program =
      (is_client ? build() / "shim" / (way == "linked" ? "client-linked" : "client")
                 : build() / "standin" / way)
          .native();
  std::vector<std::string> words = under;
  words.push_back(program);
  if (is_client) words.push_back(way);
  std::istringstream in(steps);
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  pid_ = fork();
  BOOST_REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    dup2(error_fd, STDERR_FILENO);
    if (under.empty()) setenv("LD_PRELOAD", (build() / "lib/libaiaccel-cuda.so").c_str(), 1);
    setenv("AIACCEL_TRANSPORT", "broker", 1);
    for (const auto& [name, value] : more) setenv(name.c_str(), value.c_str(), 1);
    execv(words.front().c_str(), arguments.data());
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  close(error_fd);
  in_ = to[1];
  out_ = from[0];
}

Program::~Program() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (in_ >= 0) close(in_);
  if (out_ >= 0) close(out_);
  unlink(errors_.c_str());
}

std::string Program::line() {
  for (;;) {
    if (const size_t end = unread_.find('\n'); end != std::string::npos) {
      const std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      output_ += line + "\n";
      return line;
    }
    pollfd fd = {out_, POLLIN, 0};
    BOOST_REQUIRE_MESSAGE(poll(&fd, 1, kPatienceMs) == 1,
                          "nothing comes after: " + output_ + complaints());
    char bytes[4096];
    const ssize_t got = read(out_, bytes, sizeof bytes);
    if (got <= 0) return "";
    unread_.append(bytes, static_cast<size_t>(got));
  }
}

void Program::expect(const std::string& wanted) {
  for (;;) {
    const std::string came = line();
    if (came == wanted) return;
    BOOST_REQUIRE_MESSAGE(!came.empty(), wanted + " did not come: " + output_ + complaints());
  }
}

void Program::go_on() {
  BOOST_REQUIRE_EQUAL(write(in_, "\n", 1), 1);
}

int Program::end() {
  while (!line().empty()) {
  }
  int status = 0;
  BOOST_REQUIRE_EQUAL(waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void Program::kill() {
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string Program::complaints() {
  std::ifstream file(errors_);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

void wait_until_waiting(Operator& operator_, uint32_t jobs) {
  const uint64_t until = late();
  while (operator_.stats().jobs_waiting < jobs && now_ns() < until) usleep(1000);
  BOOST_REQUIRE_GE(operator_.stats().jobs_waiting, jobs);
}

Gpu::Gpu() {
  char name[] = "/tmp/aiaccel-shim-XXXXXX";
  BOOST_REQUIRE(mkdtemp(name));
  folder_ = name;
  setenv("AIACCEL_STANDIN", name, 1);
  setenv("LD_LIBRARY_PATH", (build() / "standin").c_str(), 1);
}

Gpu::~Gpu() {
  unsetenv("AIACCEL_STANDIN");
  unsetenv("LD_LIBRARY_PATH");
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::vector<Ran> Gpu::log() const {
  std::ifstream log(folder_ + "/log");
  std::vector<Ran> all;
  for (Ran ran; log >> ran.tag >> ran.start_ns >> ran.end_ns >> ran.pid;) all.push_back(ran);
  return all;
}

std::vector<Ran> Gpu::log_of(pid_t pid) const {
  std::vector<Ran> all = log();
  std::erase_if(all, [&](const Ran& ran) { return ran.pid != pid; });
  return all;
}

Host::Host(const std::string& nvml) {
  if (!nvml.empty()) std::ofstream(folder_ + "/nvml") << nvml;
  broker_ = std::make_unique<conformance::BrokerServer>();
}

}  // namespace shim_test
