// SPDX-License-Identifier: MIT
//
// The engines that a broker finds as it starts. Each case has a server of its own.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "conformance/device.hpp"
#include "gpus.hpp"
#include "server.hpp"

using namespace conformance;

namespace {

int find(Device& device, const char* name, aiaccel_engine_info* info) {
  return aiaccel_find_engine(device.handle(), name, info);
}

// How many engines it has of NVML.
long of_nvml(Device& device) {
  uint32_t ids[64];
  aiaccel_engine_list list{};
  list.size = sizeof list;
  list.count = 64;
  list.ids = reinterpret_cast<uintptr_t>(ids);
  BOOST_REQUIRE(device.call(AIACCEL_IOC_ENGINE_LIST, list) == 0);
  return std::count_if(ids, ids + std::min<uint32_t>(list.count, 64), [&](uint32_t id) {
    aiaccel_engine_info info{};
    info.size = sizeof info;
    info.id = id;
    BOOST_REQUIRE(device.call(AIACCEL_IOC_ENGINE_INFO, info) == 0);
    return std::string_view(info.provider) == "nvml";
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gpu_engines)

BOOST_AUTO_TEST_CASE(gpus_have_their_memory_and_two_names) {
  StandInGpus gpus(
      "gpu GPU-1\npci 0000:65:00.0\nmemory 1000000 0\n"
      "gpu GPU-2\npci 0000:66:00.0\nmemory 2000000 5000\n");
  BrokerServer server;
  Device device;
  aiaccel_engine_info info{};
  for (const char* name : {"gpu1", "GPU-2", "0000:66:00.0"}) {
    BOOST_REQUIRE(find(device, name, &info) == 0);
    BOOST_TEST(std::string(info.name) == "0000:66:00.0");
    BOOST_TEST(std::string(info.alias) == "GPU-2");
    BOOST_TEST(info.kind == static_cast<uint32_t>(AIACCEL_ENGINE_GPU));
    BOOST_TEST(info.enforcement == static_cast<uint32_t>(AIACCEL_GATED));
    BOOST_TEST(info.slots == 1u);
    BOOST_TEST(info.device_bytes == 2000000u);
    BOOST_TEST(info.reserved_bytes == 0u);
  }
  BOOST_TEST(of_nvml(device) == 2);  // behind them may be the render nodes of this machine
  BOOST_TEST(find(device, "cpu0", &info) == 0);
}

BOOST_AUTO_TEST_CASE(a_divided_gpu_is_its_instances) {
  StandInGpus gpus(
      "gpu GPU-1\npci 0000:65:00.0\nmemory 8000 0\nmig 1\n"
      "instance 0 MIG-a\nmemory 1000 0\ninstance 3 MIG-b\nmemory 2000 0\n");
  BrokerServer server;
  Device device;
  aiaccel_engine_info info{};
  BOOST_REQUIRE(find(device, "MIG-b", &info) == 0);
  BOOST_TEST(info.device_bytes == 2000u);
  BOOST_REQUIRE(find(device, "gpu0", &info) == 0);
  BOOST_TEST(std::string(info.name) == "MIG-a");
  BOOST_TEST(find(device, "GPU-1", &info) == -ENOENT);
  BOOST_TEST(of_nvml(device) == 2);
}

BOOST_AUTO_TEST_CASE(without_a_driver_there_are_no_gpus) {
  StandInGpus gpus("fail nvmlInit_v2 9\n");
  BrokerServer server;
  Device device;
  aiaccel_engine_info info{};
  BOOST_TEST(of_nvml(device) == 0);
  BOOST_TEST(find(device, "cpu0", &info) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
