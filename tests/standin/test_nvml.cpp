// SPDX-License-Identifier: MIT
//
// The stand-in for NVML, asked by what aiaccel asks with.
#include <dlfcn.h>
#include <libgen.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "backends/nvml.h"
#include "fixture.hpp"

using namespace standin_test;
using aiaccel::nvml::Nvml;

namespace {

// By its own path: what is loaded under this name is what dlopen() of the name finds.
std::unique_ptr<const Nvml> open_nvml(std::string& reason) {
  char self[4096] = {};
  BOOST_REQUIRE(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  const std::string path = std::string(dirname(self)) + "/../standin/libnvidia-ml.so.1";
  BOOST_REQUIRE(dlopen(path.c_str(), RTLD_NOW));
  return Nvml::open(reason, "/nowhere");
}

std::unique_ptr<const Nvml> open_nvml() {
  std::string reason;
  auto nvml = open_nvml(reason);
  BOOST_REQUIRE_MESSAGE(nvml, reason);
  return nvml;
}

// What it answers, for one test case.
class Answers {
 public:
  explicit Answers(const char* text) { std::ofstream(path()) << text; }
  ~Answers() { unlink(path().c_str()); }

 private:
  static std::string path() { return folder() + "/nvml"; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(nvml)

BOOST_AUTO_TEST_CASE(without_a_file_it_tells_of_the_device_of_libcuda) {
  Device device;
  const auto nvml = open_nvml();
  const auto gpus = nvml->devices();
  BOOST_REQUIRE_EQUAL(gpus.size(), 1);
  CUuuid uuid;
  CU_OK(cuDeviceGetUuid_v2(&uuid, 0));
  char text[64], *at = text + sprintf(text, "GPU-");
  for (int i = 0; i < 16; ++i)
    at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                  static_cast<unsigned char>(uuid.bytes[i]));
  BOOST_CHECK_EQUAL(gpus[0].uuid, text);
  char pci[32];
  CU_OK(cuDeviceGetPCIBusId(pci, sizeof pci, 0));
  BOOST_CHECK_EQUAL(gpus[0].pci, pci);
  BOOST_CHECK_EQUAL(gpus[0].total_bytes.value(), kDeviceBytes);
  BOOST_CHECK_EQUAL(gpus[0].used_bytes.value(), 512);  // the cell
  const auto users = nvml->processes(gpus[0]);
  BOOST_REQUIRE_EQUAL(users.size(), 1);
  BOOST_CHECK_EQUAL(int(users[0].pid), getpid());
  BOOST_CHECK_EQUAL(users[0].device_bytes.value(), 512);
}

BOOST_AUTO_TEST_CASE(it_answers_what_the_file_says) {
  const Answers answers(
      "driver 1.2\n"
      "gpu GPU-1\nname A B\npci 0001:0a:00.0\nmemory 1000 400\nbusy 61\n"
      "compute 10 300\ncompute 11 -\ngraphics 10 300\nsample 10 5 20\nsample 10 6 40\n"
      "gpu GPU-2\nmig 1\ninstance 0 MIG-a\nmemory 10 1\ninstance 2 MIG-b\ncompute 12 1\n");
  const auto nvml = open_nvml();
  BOOST_CHECK_EQUAL(nvml->driver_version(), "1.2");
  const auto all = nvml->devices();
  BOOST_REQUIRE_EQUAL(all.size(), 4);
  BOOST_CHECK_EQUAL(all[0].uuid, "GPU-1");
  BOOST_CHECK_EQUAL(all[0].name, "A B");
  BOOST_CHECK_EQUAL(all[0].pci, "0001:0a:00.0");
  BOOST_CHECK_EQUAL(all[0].used_bytes.value(), 400);
  BOOST_CHECK_EQUAL(all[0].busy.value(), 0.61);
  const auto users = nvml->processes(all[0]);
  BOOST_REQUIRE_EQUAL(users.size(), 2);
  BOOST_CHECK_EQUAL(users[0].device_bytes.value(), 300);
  BOOST_CHECK_EQUAL(users[0].busy.value(), 0.4);
  BOOST_CHECK(!users[1].device_bytes);
  BOOST_CHECK(all[1].divided && !all[1].busy && !all[1].total_bytes);
  BOOST_CHECK_EQUAL(all[2].uuid, "MIG-a");
  BOOST_CHECK_EQUAL(all[2].parent, "GPU-2");
  BOOST_CHECK_EQUAL(all[3].uuid, "MIG-b");
  BOOST_CHECK_EQUAL(all[3].index, 2);
  BOOST_CHECK_EQUAL(nvml->processes(all[3]).size(), 1);
}

BOOST_AUTO_TEST_CASE(it_fails_as_the_file_says) {
  {
    const Answers answers("gpu GPU-1\nmemory 10 1\nfail nvmlDeviceGetMemoryInfo 4\n");
    BOOST_CHECK(!open_nvml()->devices().at(0).total_bytes);
  }
  const Answers answers("fail nvmlInit_v2 9\n");
  std::string reason;
  BOOST_CHECK(!open_nvml(reason));
  BOOST_CHECK_EQUAL(reason, "libnvidia-ml.so.1: NVIDIA driver is not loaded (9)");
}

BOOST_AUTO_TEST_CASE(a_list_that_does_not_fit_is_asked_for_again) {
  std::string text = "gpu GPU-1\n";
  for (int pid = 1; pid <= 500; ++pid) text += "compute " + std::to_string(pid) + " 1\n";
  const Answers answers(text.c_str());
  const auto nvml = open_nvml();
  BOOST_CHECK_EQUAL(nvml->processes(nvml->devices().at(0)).size(), 500);
}

BOOST_AUTO_TEST_SUITE_END()
