// SPDX-License-Identifier: MIT
//
// What an operator types on the second day, against an arbiter that this process uses as well:
// drain, resume, leave, evict, explain.
#include <unistd.h>
#include <aiaccel/device.hpp>

#include <cerrno>
#include <functional>
#include <string>
#include <thread>

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
  explicit Worker(const std::string& label)
      : engine(device.engine("cpu0")),
        queue(engine.queue({.label = label, .width = engine.info().slots})) {}

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
  BOOST_TEST(code_of([&] { Worker late("late"); }) == ESHUTDOWN);
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
  const auto told = run({"aiaccel", "explain", "drained-" + me(), "--json"}).json();
  BOOST_TEST(told["target"] == "label drained-" + me());
  BOOST_TEST(told["engines"][0]["refused"] == 1);
  BOOST_TEST(told["engines"][0]["turns"] == 2);
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

BOOST_AUTO_TEST_CASE(evicting_a_process_ends_its_turn) {
  NEED_OTHERS();
  Worker worker("evicted");
  auto grant = worker.queue.acquire();
  const Result result = run({"aiaccel", "evict", me(), "--turn", "--engine", "cpu0"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out == "process " + me() + ": 1 turns ended\n");
  BOOST_TEST(code_of([&] { grant.complete(); }) == ESTALE);
  BOOST_TEST(has(run({"aiaccel", "explain", me()}).out, "1 turn ended by others"));
}

BOOST_AUTO_TEST_CASE(who_made_whom_wait) {
  NEED_OTHERS();
  Worker holder("holder-" + me()), waiter("waiter-" + me());
  auto grant = holder.queue.acquire();
  std::jthread waiting([&] { waiter.queue.acquire().complete(); });
  usleep(50'000);
  grant.complete();
  waiting.join();
  const auto told = run({"aiaccel", "explain", "wait*-" + me(), "--last", "1m", "--json"}).json();
  const auto& engine = told["engines"][0];
  BOOST_TEST(engine["waits"] == 1);
  const auto& part = engine["parts"][0];
  BOOST_TEST(part["why"] == "share");
  BOOST_TEST(part["label"] == "holder-" + me());
  BOOST_TEST(part["pid"] == getpid());
  const std::string text = run({"aiaccel", "explain", "waiter-" + me()}).out;
  BOOST_TEST(has(text, "share: others of the same class had their turns"));
  BOOST_TEST(has(text, "holder-" + me() + " (normal)"));
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
  BOOST_TEST(run({"aiaccel", "explain", "1", "--last", "10"}).status == 2);
  BOOST_TEST(run({"aiaccel", "evict", me(), "--freeze", "--kill"}).status == 2);
}

BOOST_AUTO_TEST_SUITE_END()
