// SPDX-License-Identifier: MIT
//
// What NVML and sysfs tell of GPUs, as engines: names, and which of them are none; and how the
// broker asks.
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

using aiaccel::gpu_engines;
using aiaccel::is_of_render_node;
using aiaccel::drm::RenderNode;
using aiaccel::nvml::Device;
using aiaccel::nvml::engines_of;

namespace fs = std::filesystem;

namespace {

Device gpu(const std::string& pci, const std::string& uuid) {
  Device device;
  device.pci = pci;
  device.uuid = uuid;
  device.total_bytes = 80ULL << 30;
  device.numa_node = 1;
  return device;
}

RenderNode node(int number, const std::string& name, const std::string& driver) {
  RenderNode made;
  made.path = "/dev/dri/renderD" + std::to_string(number);
  made.name = name;
  made.driver = driver;
  made.gpu = true;
  return made;
}

// A folder, and what the stand-in for NVML answers, while it lives.
class Folder {
 public:
  Folder() {
    std::string name = fs::temp_directory_path() / "aiaccel-test-XXXXXX";
    BOOST_REQUIRE(mkdtemp(name.data()));
    path = name;
    setenv("AIACCEL_STANDIN", name.c_str(), 1);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    unsetenv("AIACCEL_STANDIN");
    fs::remove_all(path);
  }

  // A render node in a sysfs below it: a display controller.
  void add_node(const std::string& name, const std::string& device, const std::string& driver) {
    const fs::path folder = path / "devices" / device;
    fs::create_directories(folder / "drm" / name);
    std::ofstream(folder / "class") << "0x030000\n";
    fs::create_directory_symlink("../../bus/drivers/" + driver, folder / "driver");
    fs::create_directory_symlink(folder, folder / "drm" / name / "device");
    fs::create_directories(path / "class/drm");
    fs::create_directory_symlink(folder / "drm" / name, path / "class/drm" / name);
  }

  fs::path path;
};

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

BOOST_AUTO_TEST_CASE(render_nodes_of_other_gpus_come_behind) {
  const auto engines =
      gpu_engines(engines_of({gpu("0000:65:00.0", "GPU-1234")}),
                  {node(128, "0000:65:00.0", "nouveau"), node(129, "0000:03:00.0", "amdgpu"),
                   node(130, "0000:03:00.0", "amdgpu"), node(131, "1c00000.gpu", "msm")});
  BOOST_REQUIRE(engines.size() == 3u);
  BOOST_TEST(std::string(engines[0].alias) == "GPU-1234");  // NVML tells more
  BOOST_TEST(!is_of_render_node(engines[0]));
  BOOST_TEST(std::string(engines[1].name) == "0000:03:00.0");
  BOOST_TEST(std::string(engines[1].alias) == "renderD129");
  BOOST_TEST(std::string(engines[1].provider) == "amdgpu");
  BOOST_TEST(engines[1].kind == static_cast<uint32_t>(AIACCEL_ENGINE_GPU));
  BOOST_TEST(engines[1].enforcement == static_cast<uint32_t>(AIACCEL_ADVISORY));
  BOOST_TEST(engines[1].slots == 1u);
  BOOST_TEST(engines[1].id == 0u);
  BOOST_TEST(is_of_render_node(engines[1]));
  BOOST_TEST(std::string(engines[2].name) == "1c00000.gpu");
}

BOOST_AUTO_TEST_CASE(render_nodes_that_are_left_out) {
  RenderNode vgem = node(128, "vgem", "");
  vgem.gpu = false;
  BOOST_TEST(gpu_engines({}, {vgem}).empty());
  BOOST_TEST(gpu_engines({}, {node(128, "0000:65:00.0", "nvidia")}).empty());
  BOOST_TEST(gpu_engines({}, {node(128, "a b", "amdgpu"), node(129, std::string(64, 'x'), "msm")})
                 .empty());
  BOOST_TEST(gpu_engines({}, {}).empty());
}

BOOST_AUTO_TEST_CASE(only_gpus_are_taken_for_render_nodes) {
  auto engines = gpu_engines({}, {node(128, "0000:03:00.0", "amdgpu")});
  BOOST_REQUIRE(engines.size() == 1u);
  engines[0].kind = AIACCEL_ENGINE_OTHER;  // such as a program makes of what is none
  BOOST_TEST(!is_of_render_node(engines[0]));
}

// The stand-in for NVML reads what it answers from a file: from a pipe that nobody writes to,
// never.
BOOST_AUTO_TEST_CASE(a_driver_that_does_not_answer_is_not_waited_for) {
  const fs::path standin = conformance::standin_of(fs::read_symlink("/proc/self/exe"));
  // What is loaded under this name is what dlopen() of the name finds.
  BOOST_REQUIRE(dlopen((standin / "libnvidia-ml.so.1").c_str(), RTLD_NOW));
  Folder folder;
  folder.add_node("renderD128", "0000:65:00.0", "nouveau");
  folder.add_node("renderD129", "0000:03:00.0", "amdgpu");
  const fs::path file = folder.path / "nvml";
  std::ofstream(file) << "gpu GPU-1\npci 0000:65:00.0\nmemory 1000 0\n";
  auto found = aiacceld::find_gpus(std::chrono::seconds(10), folder.path);
  BOOST_REQUIRE(found.size() == 2u);
  BOOST_TEST(std::string(found[0].alias) == "GPU-1");
  BOOST_TEST(std::string(found[1].alias) == "renderD129");
  BOOST_TEST(aiacceld::find_gpus(std::chrono::seconds(10), folder.path / "none").size() == 1u);
  fs::remove(file);
  BOOST_REQUIRE(mkfifo(file.c_str(), 0600) == 0);
  found = aiacceld::find_gpus(std::chrono::milliseconds(200), folder.path);
  BOOST_REQUIRE(found.size() == 2u);  // render nodes are there all the same
  BOOST_TEST(std::string(found[0].alias) == "renderD128");
  BOOST_TEST(aiacceld::find_gpus(std::chrono::milliseconds(200), folder.path / "none").empty());
}

BOOST_AUTO_TEST_SUITE_END()
