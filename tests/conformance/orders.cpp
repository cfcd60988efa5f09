// SPDX-License-Identifier: MIT
//
// The order of an engine, which the administrator changes while jobs wait. Each case leaves it as
// engines begin, and active.
#include <cerrno>

#include "device.hpp"

using namespace conformance;

namespace {

int control(Device& device, uint32_t engine, uint32_t order, uint32_t state = 0) {
  aiaccel_control arg{};
  arg.engine = engine;
  arg.state = state;
  arg.order = order;
  return device.call(AIACCEL_IOC_CONTROL, arg);
}

// Ends what a case did, however it ends.
struct Fair {
  Device device;
  ~Fair() { BOOST_TEST(control(device, 0, AIACCEL_ORDER_FAIR, AIACCEL_ENGINE_ACTIVE) == 0); }
};

// The whole engine is held; jobs of contexts of their own wait for it.
struct Line {
  Line() { generation = holder.must_hold(1, holder.must_queue(), holder.slots()); }
  void add(uint64_t cookie, uint32_t class_, uint64_t deadline_ns = 0) {
    Device& device = waiting.emplace_back();
    BOOST_REQUIRE(device.submit(job(cookie, device.must_queue(class_),
                                    {.width = holder.slots(), .deadline_ns = deadline_ns})) == 0);
  }
  // In which order they have their turns once it is let go.
  std::vector<uint64_t> granted() {
    BOOST_REQUIRE(holder.complete(1, generation) == 0);
    std::vector<uint64_t> cookies;
    while (cookies.size() < waiting.size()) {
      aiaccel_event event{};
      Device* who = nullptr;
      BOOST_REQUIRE(eventually([&] {
        for (Device& device : waiting)
          if (!who && aiaccel_read_events(device.handle(), &event, 1) == 1) who = &device;
        return who != nullptr;
      }));
      cookies.push_back(event.cookie);
      BOOST_REQUIRE(who->complete(event.cookie, event.generation) == 0);
    }
    return cookies;
  }

  Device holder;
  uint32_t generation = 0;
  std::vector<Device> waiting;
};

using Cookies = std::vector<uint64_t>;

}  // namespace

BOOST_AUTO_TEST_SUITE(orders)

BOOST_AUTO_TEST_CASE(an_engine_tells_its_order) {
  Fair fair;
  Device& device = fair.device;
  const uint32_t engine = device.engine().id;
  BOOST_TEST(device.engine().order == static_cast<uint32_t>(AIACCEL_ORDER_FAIR));
  for (uint32_t order :
       {AIACCEL_ORDER_FIFO, AIACCEL_ORDER_STRICT, AIACCEL_ORDER_EDF, AIACCEL_ORDER_FAIR}) {
    BOOST_REQUIRE(control(device, order % 2 ? engine : 0, order) == 0);
    BOOST_TEST(device.engine().order == order);
    BOOST_TEST(device.engine().state == static_cast<uint32_t>(AIACCEL_ENGINE_ACTIVE));
  }
  BOOST_REQUIRE(control(device, engine, AIACCEL_ORDER_EDF, AIACCEL_ENGINE_DRAINING) == 0);
  BOOST_REQUIRE(control(device, engine, 0, AIACCEL_ENGINE_ACTIVE) == 0);
  BOOST_TEST(device.engine().order == static_cast<uint32_t>(AIACCEL_ORDER_EDF));
  BOOST_TEST(control(device, engine, AIACCEL_ORDER_FIFO + 1) == -EOPNOTSUPP);
  BOOST_TEST(control(device, engine, 0) == -EOPNOTSUPP);
  BOOST_TEST(control(device, 999999, AIACCEL_ORDER_FIFO) == -ENOENT);
  BOOST_TEST(device.engine().order == static_cast<uint32_t>(AIACCEL_ORDER_EDF));
}

BOOST_AUTO_TEST_CASE(those_who_wait_line_up_by_age) {
  Fair fair;
  Line line;
  line.add(10, AIACCEL_CLASS_LOW);
  line.add(11, AIACCEL_CLASS_NORMAL);
  line.add(12, AIACCEL_CLASS_IDLE);
  BOOST_REQUIRE(control(fair.device, 0, AIACCEL_ORDER_FIFO) == 0);
  line.add(13, AIACCEL_CLASS_HIGH);
  line.add(14, AIACCEL_CLASS_NORMAL, 1);
  BOOST_TEST(line.holder.events().empty());  // nobody is asked to yield
  BOOST_TEST(line.granted() == (Cookies{10, 11, 12, 13, 14}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(those_who_wait_line_up_by_deadline) {
  Fair fair;
  Line line;
  const uint64_t soon = late();
  line.add(10, AIACCEL_CLASS_NORMAL);
  line.add(11, AIACCEL_CLASS_NORMAL, soon + 2000);
  line.add(12, AIACCEL_CLASS_NORMAL, soon + 1000);
  BOOST_REQUIRE(control(fair.device, 0, AIACCEL_ORDER_EDF) == 0);
  line.add(13, AIACCEL_CLASS_NORMAL, soon);
  line.add(14, AIACCEL_CLASS_HIGH);
  BOOST_TEST(line.granted() == (Cookies{14, 13, 12, 11, 10}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(classes_come_back) {
  Fair fair;
  Line line;
  BOOST_REQUIRE(control(fair.device, 0, AIACCEL_ORDER_FIFO) == 0);
  line.add(10, AIACCEL_CLASS_IDLE);
  line.add(11, AIACCEL_CLASS_NORMAL);
  line.add(12, AIACCEL_CLASS_HIGH);
  BOOST_REQUIRE(control(fair.device, 0, AIACCEL_ORDER_STRICT) == 0);
  BOOST_TEST(line.granted() == (Cookies{12, 11, 10}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
