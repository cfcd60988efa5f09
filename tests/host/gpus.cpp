// SPDX-License-Identifier: MIT
//
// What NVML tells of GPUs, as engines: names, and which of them are none; and how the broker asks.
#include "backends/gpu_engines.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "aiacceld/gpus.h"
#include "broker/gpus.hpp"
#include "tap/tap.hpp"

using aiaccel::nvml::Device;
using aiaccel::nvml::engines_of;

namespace {

Device gpu(const std::string& pci, const std::string& uuid) {
  Device device;
  device.pci = pci;
  device.uuid = uuid;
  device.total_bytes = 80ULL << 30;
  device.numa_node = 1;
  return device;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gpus)

BOOST_AUTO_TEST_CASE(a_gpu_is_named_by_its_address_and_its_uuid) {
  const auto engines = engines_of({gpu("0000:65:00.0", "GPU-1234")});
  BOOST_REQUIRE(engines.size() == 1u);
  BOOST_TEST(std::string(engines[0].name) == "0000:65:00.0");
  BOOST_TEST(std::string(engines[0].alias) == "GPU-1234");
  BOOST_TEST(std::string(engines[0].provider) == "nvml");
  BOOST_TEST(engines[0].kind == static_cast<uint32_t>(AIACCEL_ENGINE_GPU));
  BOOST_TEST(engines[0].enforcement == static_cast<uint32_t>(AIACCEL_GATED));
  BOOST_TEST(engines[0].slots == 1u);
  BOOST_TEST(engines[0].numa_node == 1);
  BOOST_TEST(engines[0].device_bytes == 80ULL << 30);
}

BOOST_AUTO_TEST_CASE(what_is_not_known_is_left_open) {
  Device device;
  device.uuid = "GPU-1234";
  const auto engines = engines_of({device});
  BOOST_REQUIRE(engines.size() == 1u);
  BOOST_TEST(std::string(engines[0].name) == "GPU-1234");
  BOOST_TEST(std::string(engines[0].alias) == "");
  BOOST_TEST(engines[0].numa_node == -1);
  BOOST_TEST(engines[0].device_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(of_a_divided_gpu_its_instances_are_engines) {
  Device whole = gpu("0000:65:00.0", "GPU-1234");
  whole.divided = true;
  Device part = gpu("0000:65:00.0", "MIG-1");
  part.parent = "GPU-1234";
  Device other = part;
  other.uuid = "MIG-2";
  const auto engines = engines_of({whole, part, other});
  BOOST_REQUIRE(engines.size() == 2u);
  BOOST_TEST(std::string(engines[0].name) == "MIG-1");
  BOOST_TEST(std::string(engines[0].alias) == "");
  BOOST_TEST(std::string(engines[1].name) == "MIG-2");
}

BOOST_AUTO_TEST_CASE(what_no_engine_can_be_called_is_left_out) {
  Device nameless;
  nameless.parent = "GPU-1234";
  BOOST_TEST(engines_of({nameless, gpu("0000:65:00.0", "GPU 1"), gpu("0000:65:00.0", "GPU-\xe9"),
                         gpu(std::string(64, 'x'), "GPU-1")})
                 .empty());
  BOOST_TEST(engines_of({gpu(std::string(63, 'x'), "GPU-1")}).size() == 1u);
}

// The stand-in for NVML reads what it answers from a file: from a pipe that nobody writes to,
// never.
BOOST_AUTO_TEST_CASE(a_driver_that_does_not_answer_is_not_waited_for) {
  namespace fs = std::filesystem;
  const fs::path standin = conformance::standin_of(fs::read_symlink("/proc/self/exe"));
  // What is loaded under this name is what dlopen() of the name finds.
  BOOST_REQUIRE(dlopen((standin / "libnvidia-ml.so.1").c_str(), RTLD_NOW));
  char folder[] = "/tmp/aiaccel-test-XXXXXX";
  BOOST_REQUIRE(mkdtemp(folder));
  setenv("AIACCEL_STANDIN", folder, 1);
  const std::string file = std::string(folder) + "/nvml";
  std::ofstream(file) << "gpu GPU-1\npci 0000:65:00.0\nmemory 1000 0\n";
  const auto found = aiacceld::find_gpus();
  BOOST_REQUIRE(found.size() == 1u);
  BOOST_TEST(std::string(found[0].alias) == "GPU-1");
  fs::remove(file);
  BOOST_REQUIRE(mkfifo(file.c_str(), 0600) == 0);
  BOOST_TEST(aiacceld::find_gpus(std::chrono::milliseconds(200)).empty());
  unsetenv("AIACCEL_STANDIN");
  fs::remove_all(folder);
}

BOOST_AUTO_TEST_SUITE_END()
