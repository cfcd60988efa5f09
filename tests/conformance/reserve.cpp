// SPDX-License-Identifier: MIT
//
// Reservations of an engine's memory, through the calls and through the C++ classes. Most need an
// engine that has memory: with the module the test registers one.
#include <unistd.h>
#include <aiaccel/device.hpp>
#include <aiaccel/units.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <vector>

#include "child.hpp"
#include "device.hpp"

using namespace conformance;
using namespace aiaccel::literals;

namespace {

// An engine with memory of its own; nothing where there is none to be had.
class MemoryEngine {
 public:
  explicit MemoryEngine(Device& device) : device_(device) {
    if (device.query().capabilities & AIACCEL_CAP_REGISTER) {
      aiaccel_engine_register arg{};
      arg.kind = AIACCEL_ENGINE_OTHER;
      arg.enforcement = AIACCEL_ADVISORY;
      arg.slots = 1;
      arg.numa_node = -1;
      arg.device_bytes = 8_GiB;
      std::strcpy(arg.name, "conformance-memory");
      std::strcpy(arg.alias, "conformance-alias");
      std::strcpy(arg.provider, "conformance");
      BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_ENGINE_REGISTER, arg), 0);
      registered_ = arg.id;
    }
    std::vector<uint32_t> ids(device.query().nr_engines + 8);
    aiaccel_engine_list list{};
    list.count = static_cast<uint32_t>(ids.size());
    list.ids = reinterpret_cast<uintptr_t>(ids.data());
    BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_ENGINE_LIST, list), 0);
    for (uint32_t i = 0; i < list.count; ++i) {
      aiaccel_engine_info info{};
      info.id = ids[i];
      BOOST_REQUIRE_EQUAL(device.call(AIACCEL_IOC_ENGINE_INFO, info), 0);
      if (info.device_bytes && (!registered_ || info.id == registered_)) info_ = info;
    }
  }
  MemoryEngine(const MemoryEngine&) = delete;
  MemoryEngine& operator=(const MemoryEngine&) = delete;
  ~MemoryEngine() {
    if (!registered_) return;
    aiaccel_engine_unregister arg{};
    arg.id = registered_;
    BOOST_TEST(device_.call(AIACCEL_IOC_ENGINE_UNREGISTER, arg) == 0);
  }

  explicit operator bool() const { return info_.has_value(); }
  uint32_t id() const { return info_->id; }
  uint64_t bytes() const { return info_->device_bytes; }
  const aiaccel_engine_info& info() const { return *info_; }

  uint64_t reserved() const {
    aiaccel_engine_info info{};
    info.id = id();
    BOOST_REQUIRE_EQUAL(device_.call(AIACCEL_IOC_ENGINE_INFO, info), 0);
    return info.reserved_bytes;
  }

 private:
  Device& device_;
  uint32_t registered_ = 0;
  std::optional<aiaccel_engine_info> info_;
};

constexpr const char* kNoMemory = "no engine here has memory of its own";

int reserve(Device& device, aiaccel_reserve& arg, uint32_t engine, uint64_t bytes,
            uint32_t id = 0) {
  arg = {};
  arg.engine = engine;
  arg.id = id;
  arg.bytes = bytes;
  return device.call(AIACCEL_IOC_RESERVE, arg);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reserving)

BOOST_AUTO_TEST_CASE(an_engine_without_memory_has_none_to_give) {
  Device device;
  const uint32_t cpu = device.engine().id;
  aiaccel_reserve arg{};
  BOOST_REQUIRE(reserve(device, arg, cpu, 0) == 0);
  BOOST_TEST(arg.id != 0u);
  BOOST_TEST(arg.max_bytes == 0u);
  BOOST_TEST(arg.free_bytes == 0u);
  const uint32_t id = arg.id;
  BOOST_TEST(reserve(device, arg, 0, 1, id) == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_ENGINE));
  BOOST_TEST(reserve(device, arg, cpu, 1) == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_ENGINE));
  BOOST_TEST(device.destroy(id) == 0);
  BOOST_TEST(device.destroy(id) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(all_of_it_and_no_more) {
  Device device;
  MemoryEngine engine(device);
  if (!engine) SKIP(kNoMemory);
  Device other;
  aiaccel_reserve arg{};
  BOOST_REQUIRE(reserve(device, arg, engine.id(), engine.bytes() - 10) == 0);
  BOOST_TEST(arg.max_bytes == engine.bytes());
  BOOST_TEST(arg.free_bytes == 10u);
  const uint32_t id = arg.id;
  BOOST_TEST(reserve(other, arg, engine.id(), 11) == -EDQUOT);
  BOOST_TEST(arg.refused_by == static_cast<uint32_t>(AIACCEL_REFUSED_ENGINE));
  BOOST_TEST(arg.id == 0u);
  BOOST_TEST(reserve(other, arg, engine.id(), ~0ULL) == -EDQUOT);
  BOOST_REQUIRE(reserve(other, arg, engine.id(), 10) == 0);
  BOOST_TEST(arg.free_bytes == 0u);
  BOOST_TEST(engine.reserved() == engine.bytes());
  BOOST_TEST(reserve(device, arg, 0, engine.bytes() - 9, id) == -EDQUOT);
  BOOST_TEST(engine.reserved() == engine.bytes());  // as it was
  BOOST_REQUIRE(reserve(device, arg, 0, 5, id) == 0);
  BOOST_TEST(arg.id == id);
  BOOST_TEST(engine.reserved() == 15u);
  BOOST_TEST(device.destroy(id) == 0);
  BOOST_TEST(engine.reserved() == 10u);
}

BOOST_AUTO_TEST_CASE(a_closed_context_gives_back) {
  Device device;
  MemoryEngine engine(device);
  if (!engine) SKIP(kNoMemory);
  aiaccel_reserve arg{};
  {
    Device other;
    BOOST_REQUIRE(reserve(other, arg, engine.id(), 1000) == 0);
    BOOST_TEST(engine.reserved() == 1000u);
  }
  BOOST_TEST(eventually([&] { return engine.reserved() == 0; }));
}

BOOST_AUTO_TEST_CASE(what_a_killed_process_reserved_comes_back) {
  if (on("embedded")) SKIP("its arbiter is one process's own");
  Device device;
  MemoryEngine engine(device);
  if (!engine) SKIP(kNoMemory);
  Child child([&](Child& self) {
    Device own;
    aiaccel_reserve arg{};
    if (reserve(own, arg, engine.id(), 4096)) return 1;
    self.tell(1);
    self.sleep();
    return 0;
  });
  BOOST_REQUIRE(child.must_hear() == 1u);
  BOOST_TEST(engine.reserved() == 4096u);
  child.kill(SIGKILL);
  BOOST_TEST(eventually([&] { return engine.reserved() == 0; }));
}

// It has copies of all descriptors.
BOOST_AUTO_TEST_CASE(what_a_killed_process_reserved_comes_back_although_its_child_lives) {
  if (on("embedded")) SKIP("its arbiter is one process's own");
  Device device;
  MemoryEngine engine(device);
  if (!engine) SKIP(kNoMemory);
  Child child([&](Child& self) {
    Device own;
    aiaccel_reserve arg{};
    if (reserve(own, arg, engine.id(), 4096)) return 1;
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      self.sleep();
      _exit(0);
    }
    self.tell(static_cast<uint64_t>(grandchild));
    for (;;) pause();
    return 0;
  });
  const auto grandchild = static_cast<pid_t>(child.must_hear());
  BOOST_TEST(engine.reserved() == 4096u);
  child.kill(SIGKILL);
  BOOST_TEST(eventually([&] { return engine.reserved() == 0; }));
  BOOST_TEST(kill(grandchild, 0) == 0);
  child.go_on();
}

BOOST_AUTO_TEST_CASE(statistics_show_it) {
  Device device;
  MemoryEngine engine(device);
  if (!engine) SKIP(kNoMemory);
  aiaccel_reserve arg{};
  BOOST_REQUIRE(reserve(device, arg, engine.id(), 12345) == 0);
  bool found = false;
  for (const auto& record : device.reservation_stats()) {
    if (record.engine != engine.id()) continue;
    found = true;
    BOOST_TEST(record.id == arg.id);
    BOOST_TEST(record.bytes == 12345u);
    BOOST_TEST(record.pid == getpid());
    BOOST_TEST(record.tenant == device.query().tenant);
    BOOST_TEST(std::string(record.comm) != "");
  }
  BOOST_TEST(found);
  BOOST_TEST(device.own_tenant().reserved_bytes == 12345u);
}

BOOST_AUTO_TEST_CASE(engines_are_found_by_their_alias) {
  Device device;
  MemoryEngine engine(device);
  if (!engine || !engine.info().alias[0]) SKIP("no engine here has an alias");
  aiaccel_engine_info found{};
  BOOST_REQUIRE(aiaccel_find_engine(device.handle(), engine.info().alias, &found) == 0);
  BOOST_TEST(found.id == engine.id());
}

BOOST_AUTO_TEST_CASE(a_reservation_of_the_classes_ends_with_its_scope) {
  Device device;
  MemoryEngine engine(device);
  if (!engine) SKIP(kNoMemory);
  aiaccel::Device dev = aiaccel::Device::open(transport());
  {
    aiaccel::Engine gpu = dev.engine(engine.info().name);
    aiaccel::Reservation first = gpu.reserve(1_GiB);
    aiaccel::Reservation lease = std::move(first);
    BOOST_TEST(lease.bytes() == 1_GiB);
    BOOST_TEST(engine.reserved() == 1_GiB);
    lease.resize(2_GiB);
    BOOST_TEST(lease.bytes() == 2_GiB);
    BOOST_TEST(engine.reserved() == 2_GiB);
    BOOST_CHECK_EXCEPTION(
        lease.resize(engine.bytes() + 1), aiaccel::Error, [](const aiaccel::Error& error) {
          return error.code().value() == EDQUOT && error.refused_by() == AIACCEL_REFUSED_ENGINE &&
                 std::string(error.what()).find("engine") != std::string::npos;
        });
    std::error_code error;
    lease.resize(engine.bytes() + 1, error);
    BOOST_TEST(error.value() == EDQUOT);
    BOOST_TEST(lease.bytes() == 2_GiB);
    lease.resize(1_MiB, error);
    BOOST_TEST(!error);
    BOOST_TEST(engine.reserved() == 1_MiB);
    BOOST_CHECK_EXCEPTION(gpu.reserve(engine.bytes()), aiaccel::Error, [](const auto& refused) {
      return refused.refused_by() == AIACCEL_REFUSED_ENGINE;
    });
    lease = gpu.reserve(3);
  }
  BOOST_TEST(engine.reserved() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
