// SPDX-License-Identifier: MIT
//
// Engines that are bound to the process that made them by ENGINE_REGISTER: however that ends, they
// go, their jobs FAILED and their turns REVOKED; and whatever became of them before, nothing is
// left.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "account.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(bound)

namespace {

aiaccel_engine_register bound_engine(uint32_t slots = 1) {
  aiaccel_engine_register arg = engine_of(0, slots);
  arg.flags = AIACCEL_REGISTER_BOUND;
  return arg;
}

bool is_there(const Context& context, uint32_t id) {
  aiaccel_engine_info info{};
  info.id = id;
  return !context(AIACCEL_IOC_ENGINE_INFO, info);
}

int unregister(const Context& context, uint32_t id) {
  aiaccel_engine_unregister arg{};
  arg.id = id;
  return context(AIACCEL_IOC_ENGINE_UNREGISTER, arg);
}

// What has happened to the context's last job, once anything has.
uint32_t must_event(const Context& context, uint32_t number) {
  const Map ring = context.map(context.query().ring_bytes, AIACCEL_RING_OFFSET, PROT_READ);
  const auto* head = reinterpret_cast<const volatile aiaccel_ring*>(ring.data());
  BOOST_REQUIRE(eventually([&] { return head->produced >= number; }));
  return reinterpret_cast<const aiaccel_event*>(ring.data() + head->events_offset)[number - 1]
      .events;
}

// A process that makes an engine, tells its id, does `then` when told to go on, and lasts until
// end().
class Maker {
 public:
  explicit Maker(const std::function<void(Context&)>& then = [](Context&) {}) {
    int told[2], may[2];
    BOOST_REQUIRE(!pipe(told) && !pipe(may));
    pid_ = fork();
    if (!pid_) {
      close(told[0]);
      close(may[1]);
      Context context;
      aiaccel_engine_register arg = bound_engine();
      if (context(AIACCEL_IOC_ENGINE_REGISTER, arg)) _exit(1);
      if (write(told[1], &arg.id, sizeof arg.id) != sizeof arg.id) _exit(2);
      if (read(may[0], &arg.id, 1) != 1) _exit(3);
      then(context);
      _exit(read(may[0], &arg.id, 1) == 0 ? 0 : 4);
    }
    close(told[1]);
    close(may[0]);
    in_ = Fd(may[1]);
    const Fd out(told[0]);
    BOOST_REQUIRE(read(out.get(), &id, sizeof id) == sizeof id);
  }
  Maker(const Maker&) = delete;
  ~Maker() { end(); }
  void go_on() const { BOOST_REQUIRE(write(in_.get(), "", 1) == 1); }
  void end() {
    in_.close();
    if (pid_) kill(pid_, SIGKILL);
    if (pid_) waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  uint32_t id = 0;

 private:
  pid_t pid_;
  Fd in_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(it_goes_with_its_maker) {
  NEED_DEVICE();
  const Context holder, waiter;
  const Use before(holder);
  Maker maker;
  const uint32_t held = holder.queue_at(maker.id), waits = waiter.queue_at(maker.id);
  const uint32_t generation = holder.take_turn(held, 1);
  BOOST_REQUIRE_EQUAL(submit(waiter, job_of(waits, 1)), 0);
  maker.end();
  BOOST_TEST(eventually([&] { return !is_there(holder, maker.id); }));
  BOOST_TEST(must_event(holder, 2) & AIACCEL_EVENT_REVOKED);
  BOOST_TEST(must_event(waiter, 1) == uint32_t{AIACCEL_EVENT_FAILED});
  BOOST_TEST(complete(holder, 1, generation) == ESTALE);
  BOOST_TEST(submit(holder, job_of(held, 2)) == ESHUTDOWN);
  BOOST_TEST(destroy_errno(holder, held) == 0);
  BOOST_TEST(destroy_errno(waiter, waits) == 0);
  BOOST_TEST(eventually([&] { return Use(holder) == before; }));
}

BOOST_AUTO_TEST_CASE(it_goes_with_the_file_and_with_the_address_space) {
  NEED_DEVICE();
  const Context watcher;
  {
    Maker maker([](Context& context) { context.close(); });
    BOOST_TEST(is_there(watcher, maker.id));
    maker.go_on();
    BOOST_TEST(eventually([&] { return !is_there(watcher, maker.id); }));
  }
  {  // a copy of the descriptor in a child keeps nothing
    Maker maker([](Context&) {
      if (fork()) _exit(0);
    });
    maker.go_on();
    BOOST_TEST(eventually([&] { return !is_there(watcher, maker.id); }));
  }
  {
    Maker maker([](Context&) { execl("/bin/sleep", "sleep", "1000", nullptr); });
    maker.go_on();
    BOOST_TEST(eventually([&] { return !is_there(watcher, maker.id); }));
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_bound_stays) {
  NEED_DEVICE();
  const Context watcher;
  uint32_t id = 0;
  {
    const Context maker;
    aiaccel_engine_register arg = engine_of();
    BOOST_REQUIRE_EQUAL(maker(AIACCEL_IOC_ENGINE_REGISTER, arg), 0);
    id = arg.id;
  }
  BOOST_TEST(is_there(watcher, id));
  BOOST_TEST(unregister(watcher, id) == 0);
}

BOOST_AUTO_TEST_CASE(others_may_remove_it_first) {
  NEED_DEVICE();
  const Context watcher;
  const Use before(watcher);
  for (int round = 0; round < 200; round++) {
    Context maker;
    aiaccel_engine_register first = bound_engine(), second = bound_engine();
    BOOST_REQUIRE_EQUAL(maker(AIACCEL_IOC_ENGINE_REGISTER, first), 0);
    BOOST_REQUIRE_EQUAL(maker(AIACCEL_IOC_ENGINE_REGISTER, second), 0);
    const pid_t pid = fork();
    if (!pid) {
      const Context other;
      unregister(other, first.id);
      _exit(0);
    }
    maker.close();
    waitpid(pid, nullptr, 0);
    BOOST_REQUIRE(
        eventually([&] { return !is_there(watcher, first.id) && !is_there(watcher, second.id); }));
  }
  BOOST_TEST(eventually([&] { return Use(watcher) == before; }));
}

BOOST_AUTO_TEST_SUITE_END()
