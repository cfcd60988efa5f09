// SPDX-License-Identifier: MIT
//
// What an operator types on the second day, against an arbiter that this process uses as well:
// drain, resume, order, leave, evict, explain.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "process.hpp"
#include "tap/tap.hpp"

namespace {

using process::Result;
using process::run;

// In the embedded transport the tools would meet themselves alone.
#define NEED_OTHERS() \
  if (process::transport() == "embedded") SKIP("its arbiter is one process's own")

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string me() {
  return std::to_string(getpid());
}

// A context with a line to the whole first engine.
struct Worker {
  explicit Worker(const std::string& label, aiaccel::Class class_ = aiaccel::Class::normal,
                  std::uint32_t width = 0)
      : engine(device.engine("cpu0")),
        queue(engine.queue(
            {.label = label, .priority = class_, .width = width ? width : engine.info().slots})) {}

  aiaccel::Device device = aiaccel::Device::open(process::transport());
  aiaccel::Engine engine;
  aiaccel::Queue queue;
};

int code_of(const std::function<void()>& body) {
  try {
    body();
    return 0;
  } catch (const aiaccel::Error& error) {
    return error.code().value();
  }
}

struct Resumed {
  ~Resumed() { BOOST_TEST(run({"aiaccel", "resume", "--all"}).status == 0); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(day_two)

BOOST_AUTO_TEST_CASE(a_drained_engine_takes_no_work_until_it_is_resumed) {
  NEED_OTHERS();
  const Resumed after;
  Worker worker("drained-" + me());
  const auto state = [] {
    return run({"aiaccel", "engines", "--json"}).json()["engines"][0]["state"];
  };
  auto grant = worker.queue.acquire();
  BOOST_TEST(run({"aiaccel", "drain", "cpu0"}).status == 0);
  BOOST_TEST(state() == "draining");
  for (int i = 0; i < 3; i++)
    BOOST_TEST(code_of([&] { Worker late("late-" + me()); }) == ESHUTDOWN);
  const Result busy = run({"aiaccel", "drain", "cpu0", "--wait", "0"});
  BOOST_TEST(busy.status == 0);
  const Result held = run({"aiaccel", "drain", "--all", "--wait", "1"});
  BOOST_TEST(held.status == 1);
  BOOST_TEST(has(held.err, "still turns held"));
  grant.complete();
  BOOST_TEST(run({"aiaccel", "drain", "--all", "--wait", "10"}).status == 0);
  BOOST_TEST(code_of([&] { worker.queue.acquire(); }) == ESHUTDOWN);
  BOOST_TEST(run({"aiaccel", "resume", "cpu0"}).status == 0);
  BOOST_TEST(state() == "active");
  worker.queue.acquire().complete();
  const auto told =
      run({"aiaccel", "explain", "drained-" + me(), "--last", "10m", "--json"}).json();
  BOOST_TEST(told["target"] == "label drained-" + me());
  BOOST_TEST(told["engines"][0]["refused"] == 1);
  BOOST_TEST(told["engines"][0]["turns"] == 2);
  BOOST_TEST(has(run({"aiaccel", "explain", "late-" + me(), "--last", "10m"}).out,
                 "drain: 3 requests refused"));
}

BOOST_AUTO_TEST_CASE(an_engine_is_told_who_is_next) {
  NEED_OTHERS();
  struct Fair {
    ~Fair() { BOOST_TEST(run({"aiaccel", "order", "fair", "--all"}).status == 0); }
  } after;
  const auto order = [] {
    return run({"aiaccel", "engines", "--json"}).json()["engines"][0]["order"];
  };
  BOOST_TEST(order() == "fair");
  for (const char* wanted : {"strict", "edf", "fifo"}) {
    BOOST_TEST(run({"aiaccel", "order", wanted, "cpu0"}).status == 0);
    BOOST_TEST(order() == wanted);
  }
  BOOST_TEST(run({"aiaccel", "order", "edf", "--all"}).status == 0);
  BOOST_TEST(order() == "edf");
  const Result unknown = run({"aiaccel", "order", "lifo", "cpu0"});
  BOOST_TEST(unknown.status == 2);
  BOOST_TEST(has(unknown.err, "there is no order 'lifo'"));
  BOOST_TEST(has(unknown.err, "fair, strict, edf or fifo"));
  BOOST_TEST(run({"aiaccel", "order", "edf"}).status == 2);
  BOOST_TEST(run({"aiaccel", "order"}).status == 2);
  BOOST_TEST(order() == "edf");
}

BOOST_AUTO_TEST_CASE(leaving_says_who_has_it_open) {
  NEED_OTHERS();
  const Resumed after;
  {
    Worker worker("leaving");
    const Result result = run({"aiaccel", "leave"});
    BOOST_TEST(result.status == 1);
    BOOST_TEST(has(result.out, "open in " + me()));
    BOOST_TEST(has(result.err, "still open in: " + me()));
    BOOST_TEST(code_of([&] { worker.queue.acquire(); }) == ENODEV);
  }
  const Result result = run({"aiaccel", "leave", "--wait", "30"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out == "nobody has it open\n");
}

BOOST_AUTO_TEST_CASE(leaving_counts_who_has_no_queue) {
  NEED_OTHERS();
  const Resumed after;
  const aiaccel::Device device = aiaccel::Device::open(process::transport());
  const Result result = run({"aiaccel", "leave"});
  BOOST_TEST(result.status == 1);
  // The broker does not say whose it is.
  const bool kernel = process::transport() == "kernel";
  BOOST_TEST(has(result.out, "open in " + (kernel ? me() : "1 context without a queue")),
             result.out);
  BOOST_TEST(has(result.err, kernel ? me() : "1 context without a queue"), result.err);
}

BOOST_AUTO_TEST_CASE(evicting_a_process_ends_its_turn) {
  NEED_OTHERS();
  Worker worker("evicted");
  auto grant = worker.queue.acquire();
  const Result result = run({"aiaccel", "evict", me(), "--turn", "--engine", "cpu0"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out == "process " + me() + ": 1 turns ended\n");
  BOOST_TEST(code_of([&] { grant.complete(); }) == ESTALE);
  BOOST_TEST(has(run({"aiaccel", "explain", me(), "--last", "10m"}).out, "1 turn ended by others"));
}

namespace {

// A process of its own that holds the whole first engine, in a cgroup where one is given.
class Holder {
 public:
  explicit Holder(const std::string& cgroup = "") {
    int ready[2];
    BOOST_REQUIRE(pipe2(ready, O_CLOEXEC) == 0);
    pid_ = fork();
    BOOST_REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (!cgroup.empty()) std::ofstream(cgroup + "/cgroup.procs") << getpid() << std::flush;
      try {
        Worker worker("evicted");
        auto grant = worker.queue.acquire();
        if (write(ready[1], "", 1) == 1) pause();
      } catch (const aiaccel::Error&) {
      }
      _exit(1);
    }
    close(ready[1]);
    char byte;
    BOOST_REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
  }
  ~Holder() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  char state() const {
    std::string skipped;
    char state = 0;
    std::ifstream("/proc/" + std::to_string(pid_) + "/stat") >> skipped >> skipped >> state;
    return state;
  }
  // The signal that it ended by.
  int ended_by() {
    int status = 0;
    BOOST_REQUIRE(waitpid(std::exchange(pid_, -1), &status, 0) > 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

 private:
  pid_t pid_;
};

bool eventually(const std::function<bool()>& holds) {
  for (int tries = 0; tries < 6000; tries++) {
    if (holds()) return true;
    usleep(10'000);
  }
  return false;
}

// Its turn is over: somebody else has the engine.
void check_engine_is_free() {
  Worker worker("next");
  worker.queue.acquire({.timeout = aiaccel::Clock::now() + std::chrono::minutes(1)}).complete();
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_evicted_process_is_stopped_or_killed_first) {
  NEED_OTHERS();
  const Worker first("first");  // where a broker is started, it is this process's
  Holder holder;
  const std::string pid = std::to_string(holder.pid());
  const Result freeze = run({"aiaccel", "evict", pid, "--freeze"});
  BOOST_TEST(freeze.status == 0);
  BOOST_TEST(freeze.out ==
             "process " + pid + ": stopped\nprocess " + pid + ": 1 turns and jobs ended\n");
  BOOST_TEST(eventually([&] { return holder.state() == 'T'; }));
  check_engine_is_free();

  Holder killed;
  const Result kill = run({"aiaccel", "evict", std::to_string(killed.pid()), "--kill"});
  BOOST_TEST(kill.status == 0);
  BOOST_TEST(has(kill.out, "process " + std::to_string(killed.pid()) + ": killed\n"));
  BOOST_TEST(killed.ended_by() == SIGKILL);
  check_engine_is_free();
}

BOOST_AUTO_TEST_CASE(an_evicted_unit_is_frozen_or_killed_as_a_whole) {
  if (process::transport() != "kernel") SKIP("units are cgroups in the module only");
  const std::string name = "evicted-" + me(), cgroup = "/sys/fs/cgroup/" + name;
  if (mkdir(cgroup.c_str(), 0755)) SKIP("there is no cgroup of version 2 to be made here");
  {
    Holder holder(cgroup);
    const Result freeze = run({"aiaccel", "evict", name, "--freeze"});
    BOOST_TEST(freeze.status == 0);
    BOOST_TEST(freeze.out ==
               cgroup + "/cgroup.freeze: 1\nunit /" + name + ": 1 turns and jobs ended\n");
    BOOST_TEST(eventually([&] {
      std::ifstream events(cgroup + "/cgroup.events");
      for (std::string key, value; events >> key >> value;)
        if (key == "frozen") return value == "1";
      return false;
    }));
    check_engine_is_free();
    std::ofstream(cgroup + "/cgroup.freeze") << "0" << std::flush;
  }
  {
    Holder holder(cgroup);
    const Result kill = run({"aiaccel", "evict", name, "--kill"});
    BOOST_TEST(kill.status == 0);
    BOOST_TEST(has(kill.out, cgroup + "/cgroup.kill: 1\n"));
    BOOST_TEST(holder.ended_by() == SIGKILL);
    check_engine_is_free();
  }
  BOOST_TEST(eventually([&] { return rmdir(cgroup.c_str()) == 0; }));
}

// A unit whose processes have ended is no tenant any more, but its cgroup has the number that is on
// record.
BOOST_AUTO_TEST_CASE(a_unit_that_ended_is_found_by_its_cgroup) {
  if (process::transport() != "kernel") SKIP("units are cgroups in the module only");
  const std::string name = "ended-" + me() + ".slice", below = "one-" + me() + ".service";
  const std::string cgroup = "/sys/fs/cgroup/" + name, service = cgroup + "/" + below;
  if (mkdir(cgroup.c_str(), 0755)) SKIP("there is no cgroup of version 2 to be made here");
  BOOST_REQUIRE(mkdir(service.c_str(), 0755) == 0);
  { Holder holder(service); }
  check_engine_is_free();
  for (const std::string& word : {name, below, "/" + name + "/" + below}) {
    const Result result = run({"aiaccel", "explain", word, "--last", "10m", "--json"});
    BOOST_TEST(result.status == 0, word << ": " << result.err);
    if (result.status) continue;
    const auto told = result.json();
    BOOST_TEST(told["target"] == "unit /" + name + (word == name ? "" : "/" + below));
    BOOST_REQUIRE(told["engines"].size() == 1u);
    BOOST_TEST(told["engines"][0]["turns"] == 1);
  }
  BOOST_TEST(run({"aiaccel", "evict", name, "--turn"}).status == 1);  // nobody is there

  // Again under the same number, as a tenant with another one: both turns are its own.
  {
    Holder holder(service);
    const auto told = run({"aiaccel", "explain", below, "--last", "10m", "--json"}).json();
    BOOST_TEST(told["engines"][0]["turns"] == 2);
  }
  check_engine_is_free();
  BOOST_TEST(eventually([&] { return rmdir(service.c_str()) == 0; }));
  BOOST_TEST(run({"aiaccel", "explain", below}).status == 1);
  BOOST_TEST(eventually([&] { return rmdir(cgroup.c_str()) == 0; }));
}

// Its number may be another process's by then, which is not to be stopped.
BOOST_AUTO_TEST_CASE(who_is_only_on_record_is_not_evicted) {
  NEED_OTHERS();
  { Worker("gone").queue.acquire().complete(); }
  BOOST_TEST(run({"aiaccel", "explain", me()}).status == 0);
  const Result result = run({"aiaccel", "evict", me(), "--turn"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(has(result.err, "process " + me() + " has no queue here"), result.err);
}

BOOST_AUTO_TEST_CASE(an_arbiter_of_its_own_is_refused) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"drain", "--all"},
                                             {"order", "edf", "--all"},
                                             {"leave"},
                                             {"evict", me()},
                                             {"explain", me()},
                                             {"policy", "show"}}) {
    std::vector<std::string> line{"aiaccel", "--transport", "embedded"};
    line.insert(line.end(), command.begin(), command.end());
    const Result result = run(line);
    BOOST_TEST(result.status == 3, command[0]);
    BOOST_TEST(has(result.err, "serves one process alone"), result.err);
  }
}

namespace {

// One waits until the other, who has the engine, lets go.
void wait_for(Worker& holder, Worker& waiter) {
  auto grant = holder.queue.acquire();
  std::jthread waiting([&] { waiter.queue.acquire().complete(); });
  usleep(50'000);
  grant.complete();
}

// What made the first wait of this label wait most.
tools::Json most_of(const std::string& label) {
  const auto told = run({"aiaccel", "explain", label, "--last", "10m", "--json"}).json();
  const auto& engine = told["engines"][0];
  BOOST_TEST(engine["waits"] == 1);
  return engine["parts"][0];
}

}  // namespace

BOOST_AUTO_TEST_CASE(who_made_whom_wait) {
  NEED_OTHERS();
  Worker holder("holder-" + me()), waiter("waiter-" + me());
  wait_for(holder, waiter);
  const auto part = most_of("wait*-" + me());
  BOOST_TEST(part["why"] == "share");
  BOOST_TEST(part["label"] == "holder-" + me());
  BOOST_TEST(part["pid"] == getpid());
  const std::string text = run({"aiaccel", "explain", "waiter-" + me(), "--last", "10m"}).out;
  BOOST_TEST(has(text, "share: others of the same class had their turns"));
  BOOST_TEST(has(text, "holder-" + me() + " (normal)"));
}

BOOST_AUTO_TEST_CASE(a_class_above_or_below_is_the_reason) {
  NEED_OTHERS();
  using aiaccel::Class;
  for (const auto& [holders, waiters, why] :
       {std::tuple{Class::high, Class::normal, "class"}, {Class::normal, Class::high, "running"}}) {
    const std::string label = std::string(why) + "-" + me();
    Worker holder("above", holders), waiter(label, waiters);
    wait_for(holder, waiter);
    const auto part = most_of(label);
    BOOST_TEST(part["why"] == why);
    BOOST_TEST(part["label"] == "above");
  }
}

BOOST_AUTO_TEST_CASE(a_ceiling_is_the_reason) {
  NEED_OTHERS();
  Worker holder("capped-holder", aiaccel::Class::normal, 1);
  if (holder.engine.info().slots < 2) SKIP("there is one slot");
  Worker waiter("capped-" + me(), aiaccel::Class::normal, 1);
  const auto set = [&](std::vector<aiaccel_policy_rule> rules) {
    aiaccel_policy arg{};
    arg.size = sizeof arg;
    arg.flags = AIACCEL_POLICY_REPLACE;
    arg.rules = reinterpret_cast<std::uintptr_t>(rules.data());
    arg.count = static_cast<std::uint32_t>(rules.size());
    arg.rule_size = sizeof(aiaccel_policy_rule);
    return aiaccel_call(holder.device.handle(), AIACCEL_IOC_POLICY, &arg);
  };
  aiaccel_policy_rule rule{};
  rule.match = AIACCEL_MATCH_USER;
  rule.sets = AIACCEL_SETS_GRANTS;
  rule.uid = getuid();
  rule.grants = 1;
  BOOST_REQUIRE(set({rule}) == 0);
  wait_for(holder, waiter);
  BOOST_TEST(set({}) == 0);
  const auto part = most_of("capped-" + me());
  BOOST_TEST(part["why"] == "cap");
  BOOST_TEST(part["tenant"].is_null());
}

// One turn, and those who wait behind it: the next one, and one whose turn it is not.
BOOST_AUTO_TEST_CASE(what_waits_now) {
  NEED_OTHERS();
  Worker holder("now-holder-" + me()), next("now-next-" + me(), aiaccel::Class::high),
      last("now-last-" + me());
  std::vector<std::jthread> waiting;
  auto grant = holder.queue.acquire();
  const auto wait = [&](Worker& worker) {
    waiting.emplace_back([&] { worker.queue.acquire().complete(); });
  };
  wait(next), wait(last);
  const auto ask = [] { return run({"aiaccel", "explain", "now-*-" + me(), "--json"}).json(); };
  tools::Json told;
  for (int i = 0; i < 100 && told["waiting"].size() < 2; i++) usleep(20'000), told = ask();
  std::map<std::string, tools::Json> by_why;
  for (const auto& one : told["waiting"]) by_why[one["why"]] = one;
  const std::string text = run({"aiaccel", "explain", "now-*-" + me()}).out;
  const std::string own = run({"aiaccel", "explain", "now-next-" + me()}).out;
  const auto all = run({"aiaccel", "explain", "--json"}).json();
  grant.complete();
  BOOST_TEST_REQUIRE(by_why.size() == 2u, told.dump());
  BOOST_TEST(by_why["slots"]["label"] == "now-next-" + me());
  BOOST_TEST(by_why["slots"]["pid"] == getpid());
  BOOST_TEST(by_why["slots"]["class"] == "high");
  BOOST_TEST(by_why["slots"]["wait_ns"] > 0);
  BOOST_TEST(by_why["slots"]["waits_for"]["label"] == "now-holder-" + me());
  BOOST_TEST(by_why["slots"]["waits_for"]["run_ns"] > 0);
  BOOST_TEST(by_why["order"]["label"] == "now-last-" + me());
  BOOST_TEST(by_why["order"]["waits_for"]["label"] == "now-next-" + me());
  BOOST_TEST(by_why["order"]["waits_for"]["run_ns"].is_null());
  BOOST_TEST(has(text, "waiting now: 2 jobs\n"), text);
  BOOST_TEST(has(text, "slots: it is next; the slots that it needs are held"), text);
  BOOST_TEST(has(text, "now-holder-" + me() + " (normal, for "), text);
  BOOST_TEST(has(own, "waiting now: 1 job\n"), own);
  BOOST_TEST(all["waiting"].size() >= 2u);
  waiting.clear();
  BOOST_TEST(has(run({"aiaccel", "explain", "now-next-" + me()}).out, "waiting now: nothing\n"));
  BOOST_TEST(run({"aiaccel", "explain", "--last", "1s"}).status == 2);
}

// A machine may have more than is told at one moment; what is on record is told all the same.
BOOST_AUTO_TEST_CASE(too_much_for_one_moment_is_said_so) {
  NEED_OTHERS();
  const std::string label = "crowd-" + me();
  std::vector<aiaccel::Device> devices;
  std::vector<aiaccel::Queue> queues;
  for (int i = 0; i < 66; i++) {
    const auto& device = devices.emplace_back(aiaccel::Device::open(process::transport()));
    for (int j = 0; j < 62; j++)
      queues.push_back(device.engine("cpu0").queue({.label = label, .width = 1}));
  }
  const Result result = run({"aiaccel", "explain", label});
  BOOST_TEST(result.status == 0, result.err);
  BOOST_TEST(has(result.out, "waiting now: not told: there is more here than is told at once"),
             result.out);
  BOOST_TEST(run({"aiaccel", "explain", label, "--json"}).json()["waiting"].is_null());
}

// More turns than are kept.
BOOST_AUTO_TEST_CASE(how_far_back_the_record_goes_is_said) {
  NEED_OTHERS();
  const auto begin = aiaccel::Clock::now();
  const std::string label = "many-" + me();
  Worker worker(label);
  for (int i = 0; i < 4200; i++) worker.queue.acquire().complete();
  const auto told = run({"aiaccel", "explain", label, "--last", "1440m", "--json"}).json();
  const std::chrono::nanoseconds elapsed = aiaccel::Clock::now() - begin;
  const auto& engine = told["engines"][0];
  BOOST_TEST(engine["turns"] == 4096);
  BOOST_TEST(engine["record_ns"].get<std::int64_t>() > 0);
  BOOST_TEST(engine["record_ns"].get<std::int64_t>() < elapsed.count());
  const std::string all = run({"aiaccel", "explain", label, "--last", "1440m"}).out;
  const std::string headline = all.substr(0, all.find('\n'));
  BOOST_TEST(headline.starts_with("label " + label + ": the last "), headline);
  BOOST_TEST(has(headline, "; on record are the last "), headline);
  BOOST_TEST(headline.ends_with(" of " + engine["alias"].get<std::string>()), headline);
  // As far back as was asked for.
  worker.queue.acquire().complete();
  BOOST_TEST(!has(run({"aiaccel", "explain", label, "--last", "1ms"}).out, "on record"));
}

// Which is told its own alone, and told so.
BOOST_AUTO_TEST_CASE(another_user_is_not_told_of_others) {
  if (process::transport() != "kernel") SKIP("the broker of a test is this user's alone");
  { Worker("roots-" + me()).queue.acquire().complete(); }
  const auto tool = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
                    "bin" / "aiaccel";
  const int fd = open(tool.c_str(), O_PATH);  // the user may not get there by name
  BOOST_REQUIRE(fd >= 0);
  const auto as_nobody = [&](const std::string& word) {
    return run({"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                "/proc/self/fd/" + std::to_string(fd), "explain", word});
  };
  BOOST_REQUIRE(chmod("/dev/aiaccel", 0666) == 0);
  const Result roots = as_nobody("roots-" + me()), own = as_nobody("uid:65534");
  chmod("/dev/aiaccel", 0660);
  close(fd);
  BOOST_TEST(roots.status == 1);
  BOOST_TEST(has(roots.err, "as root, which lists all of them"), roots.err);
  BOOST_TEST(own.status == 0, own.err);
  BOOST_TEST(has(own.out, "It had no turn in that time"), own.out);
  BOOST_TEST(has(own.out, "The turns of other tenants are shown to root alone"), own.out);
}

BOOST_AUTO_TEST_CASE(what_names_nothing_is_said_so) {
  NEED_OTHERS();
  const Result word = run({"aiaccel", "explain", "nobody.service"});
  BOOST_TEST(word.status == 1);
  BOOST_TEST(has(word.err, "nobody.service is no unit"));
  BOOST_TEST(has(run({"aiaccel", "explain", "1"}).err, "process 1 has no queue"));
  BOOST_TEST(has(run({"aiaccel", "evict", "holder"}).err, "no process"));  // a label is not enough
  BOOST_TEST(run({"aiaccel", "drain"}).status == 2);
  BOOST_TEST(run({"aiaccel", "drain", "cpu0", "--all"}).status == 2);
  const std::string form = ": not a whole number of ms, s or m, such as 10s",
                    day = ": longer than a day";
  for (const auto& [last, why] :
       std::map<std::string, std::string>{{"10", form},
                                          {"-5s", form},
                                          {"1.5s", form},
                                          {"", form},
                                          {"s", form},
                                          {"10h", form},
                                          {"10 s", form},
                                          {"0s", ": no time at all"},
                                          {"1441m", day},
                                          {"86400001ms", day},
                                          {"99999999999999999999999s", day}}) {
    const Result result = run({"aiaccel", "explain", "1", "--last", last});
    BOOST_TEST(result.status == 2, last);
    BOOST_TEST(has(result.err, "--last " + last + why), result.err);
  }
  BOOST_TEST(run({"aiaccel", "explain", "1", "--last", "1440m"}).status == 1);
  BOOST_TEST(run({"aiaccel", "evict", me(), "--freeze", "--kill"}).status == 2);
}

BOOST_AUTO_TEST_SUITE_END()
