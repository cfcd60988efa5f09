// SPDX-License-Identifier: MIT
//
// The end of a turn as a program of <aiaccel/queue.hpp> meets it: budgets, renewal, the yield word,
// Revoked. Waits are for what must come; nothing here fails for being slow.
#include <aiaccel/device.hpp>

#include <cerrno>
#include <optional>
#include <thread>

#include "device.hpp"
#include "gated_engine.hpp"

using namespace conformance;
using namespace std::chrono_literals;

namespace {

// A context with one queue.
struct Worker {
  explicit Worker(const aiaccel::QueueOptions& options = {}, const std::string& engine = "cpu0")
      : device(aiaccel::Device::open(transport())),
        engine(device.engine(engine)),
        queue(this->engine.queue(options)) {}

  aiaccel::Grant acquire() {
    return queue.acquire({.timeout = aiaccel::Clock::time_point(std::chrono::nanoseconds(late())),
                          .width = engine.slots()});
  }

  // In another thread, which has the turn for a moment; the context is that thread's meanwhile.
  std::jthread acquire_elsewhere() {
    return std::jthread([this] { acquire().complete(); });
  }

  uint32_t waiting() const {
    Device reader;
    for (const aiaccel_stats_queue& record : reader.queue_stats())
      if (record.engine == engine.id() && record.id == queue.id() && record.waiting)
        return record.waiting;
    return 0;
  }

  aiaccel::Device device;
  aiaccel::Engine engine;
  aiaccel::Queue queue;
};

// On a machine so busy that we come too late, as often as it takes.
template <typename Work>
bool unless_revoked(Work work) {
  return eventually([&] {
    try {
      work();
      return true;
    } catch (const aiaccel::Revoked&) {
      return false;
    }
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(grants)

BOOST_AUTO_TEST_CASE(a_turn_is_renewed_while_nobody_waits_and_not_beside_its_like) {
  Worker holder({.budget = 10s});
  Worker rival;
  std::jthread waits;
  aiaccel::Grant grant = holder.acquire();
  BOOST_TEST(grant.renew());
  waits = rival.acquire_elsewhere();
  BOOST_REQUIRE(eventually([&] { return rival.waiting() == 1; }));
  BOOST_TEST(!grant.renew());
  BOOST_TEST(!grant.yield_wanted());  // its budget is not over
  grant.complete();
  BOOST_TEST(!grant.renew());
}

BOOST_AUTO_TEST_CASE(who_renews_in_time_is_asked_anew) {
  BOOST_TEST(unless_revoked([] {
    Worker holder({.priority = aiaccel::Class::high, .budget = 1ms});
    Worker lower;
    std::jthread waits;
    aiaccel::Grant grant = holder.acquire();
    waits = lower.acquire_elsewhere();
    // Beside a lower class it goes on, each time with a budget of its own.
    for (int i = 0; i < 3; ++i) {
      BOOST_REQUIRE(eventually([&] { return grant.yield_wanted(); }));
      BOOST_TEST(grant.renew());
    }
    BOOST_REQUIRE(eventually([&] { return grant.yield_wanted(); }));
  }));
}

BOOST_AUTO_TEST_CASE(a_revoked_turn_has_an_exception_of_its_own) {
  Worker holder({.budget = 20ms});
  Worker rival;
  Device reader;
  aiaccel::Grant grant = holder.acquire();
  rival.acquire().complete();
  // Work goes on until it is completed, whatever came of renewing it.
  BOOST_CHECK_THROW(grant.renew(), aiaccel::Revoked);
  BOOST_TEST(reader.engine().contended == reader.slots());
  BOOST_CHECK_THROW(grant.complete(), aiaccel::Revoked);
  BOOST_TEST(reader.engine().contended == 0u);
  grant.complete();  // it is over
  holder.acquire().complete();
}

BOOST_AUTO_TEST_CASE(a_revoked_turn_that_goes_out_of_scope_is_given_back_in_silence) {
  Worker holder({.budget = 20ms});
  Worker rival;
  {
    aiaccel::Grant grant = holder.acquire();
    rival.acquire().complete();
  }
  Device reader;
  BOOST_TEST(reader.engine().contended == 0u);
}

BOOST_AUTO_TEST_CASE(what_fills_loses_its_turn_to_a_higher_class_without_a_budget) {
  Worker fills({.priority = aiaccel::Class::idle, .fill = true});
  Worker low({.priority = aiaccel::Class::low});
  aiaccel::Grant grant = fills.acquire();
  low.acquire().complete();
  BOOST_CHECK_THROW(grant.complete(), aiaccel::Revoked);
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be_are_refused) {
  const auto code = [](const aiaccel::QueueOptions& options) {
    try {
      Worker worker(options);
      return 0;
    } catch (const aiaccel::Error& error) {
      return error.code().value();
    }
  };
  BOOST_TEST(code({.budget = 99us}) == EINVAL);
  BOOST_TEST(code({.budget = 11s}) == EINVAL);
  BOOST_TEST(code({.budget = -1s}) == EINVAL);
  BOOST_TEST(code({.fill = true}) == EINVAL);  // of class normal
  BOOST_TEST(code({.budget = 100us}) == 0);
  BOOST_TEST(code({.budget = 10s}) == 0);
}

// What a program with work longer than a second does: it looks at the yield word, renews where it
// may, and else gives the turn back and asks for the next.
BOOST_AUTO_TEST_CASE(work_longer_than_the_budget_is_done_beside_others) {
  GatedEngine engine;
  if (!engine) SKIP(kNoGatedEngine);
  Worker holder({}, engine.name());
  Worker rival({}, engine.name());
  std::jthread rivals([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      aiaccel::Grant grant = rival.acquire();
      std::this_thread::sleep_for(5ms);
    }
  });
  BOOST_TEST(unless_revoked([&] {
    std::optional<aiaccel::Grant> grant = holder.acquire();
    unsigned turns = 1;
    const auto end = aiaccel::Clock::now() + 1500ms;
    const aiaccel::Clock::time_point hang{std::chrono::nanoseconds(late())};
    for (auto now = end - 1500ms; now < end || (turns < 2 && now < hang);
         now = aiaccel::Clock::now()) {
      std::this_thread::sleep_for(1ms);
      if (!grant->yield_wanted() || grant->renew()) continue;
      grant->complete();
      grant = holder.acquire();
      ++turns;
    }
    grant->complete();
    BOOST_TEST(turns >= 2u);
  }));
}

BOOST_AUTO_TEST_CASE(who_does_not_look_loses_its_turn_on_a_gated_engine) {
  GatedEngine engine;
  if (!engine) SKIP(kNoGatedEngine);
  Worker holder({}, engine.name());
  Worker rival({}, engine.name());
  aiaccel::Grant grant = holder.acquire();
  rival.acquire().complete();
  BOOST_CHECK_THROW(grant.complete(), aiaccel::Revoked);
}

BOOST_AUTO_TEST_SUITE_END()
