// SPDX-License-Identifier: MIT
//
// How often the library asks its arbiter, where that may be a system call or a message each time.
#include <aiaccel.hpp>
#include <tap/tap.hpp>

#include <cerrno>

#include "device.h"

namespace {

using aiaccel::Transport;

// Counts the ENTERs.
class Counting : public Transport {
 public:
  Counting(std::unique_ptr<Transport> to, int* enters) : to_(std::move(to)), enters_(enters) {}
  const char* name() const noexcept override { return to_->name(); }
  int call(unsigned long request, void* arg) noexcept override {
    *enters_ += request == AIACCEL_IOC_ENTER;
    return to_->call(request, arg);
  }
  int map(uint64_t offset, size_t length, int prot, void** address) noexcept override {
    return to_->map(offset, length, prot, address);
  }
  int fd() noexcept override { return to_->fd(); }
  void drained() noexcept override { to_->drained(); }

 private:
  const std::unique_ptr<Transport> to_;
  int* const enters_;
};

struct Asking {
  int enters = 0;
  std::unique_ptr<aiaccel_device> device;

  Asking() {
    std::unique_ptr<Transport> embedded;
    BOOST_REQUIRE(aiaccel::open_embedded(&embedded) == 0);
    device =
        std::make_unique<aiaccel_device>(std::make_unique<Counting>(std::move(embedded), &enters));
    BOOST_REQUIRE(device->map_ring() == 0);
  }

  uint32_t must_queue() {
    aiaccel_engine_info cpu;
    BOOST_REQUIRE(aiaccel_find_engine(device.get(), "cpu0", &cpu) == 0);
    aiaccel_queue_create arg{};
    arg.size = sizeof arg;
    arg.engine = cpu.id;
    arg.class_ = AIACCEL_CLASS_NORMAL;
    BOOST_REQUIRE(aiaccel_call(device.get(), AIACCEL_IOC_QUEUE_CREATE, &arg) == 0);
    return arg.id;
  }

  void destroy(uint32_t id) {
    aiaccel_destroy arg{};
    arg.size = sizeof arg;
    arg.id = id;
    BOOST_REQUIRE(aiaccel_call(device.get(), AIACCEL_IOC_DESTROY, &arg) == 0);
  }

  uint64_t must_submit(uint32_t queue) {
    aiaccel_job job{};
    job.queue = queue;
    job.width = 1;
    uint64_t cookie = 0;
    BOOST_REQUIRE(aiaccel_submit(device.get(), &job, &cookie) == 0);
    return cookie;
  }

  // The ENTERs of a wait whose time is over.
  int enters_of_wait(uint64_t cookie) {
    const int before = enters;
    aiaccel_grant grant;
    BOOST_TEST(aiaccel_wait(device.get(), cookie, 1, -1, &grant) == -ETIMEDOUT);
    return enters - before;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(asks, Asking)

BOOST_AUTO_TEST_CASE(a_wait_asks_whether_the_job_went_where_something_was_destroyed_since) {
  const aiaccel::Device beside = aiaccel::Device::open("embedded");
  const aiaccel::Engine cpu = beside.engine("cpu0");
  aiaccel::Queue line = cpu.queue();
  const aiaccel::Grant all = line.acquire({.width = cpu.slots()});
  const uint32_t queue = must_queue();
  BOOST_TEST(enters_of_wait(must_submit(queue)) == 2);  // to wait, and to withdraw
  const uint32_t before = must_queue();
  destroy(before);
  BOOST_TEST(enters_of_wait(must_submit(queue)) == 2);
  const uint32_t other = must_queue();
  const uint64_t cookie = must_submit(queue);
  destroy(other);
  BOOST_TEST(enters_of_wait(cookie) == 3);
}

BOOST_AUTO_TEST_SUITE_END()
