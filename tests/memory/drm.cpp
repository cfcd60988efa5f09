// SPDX-License-Identifier: MIT
//
// DRM's render nodes as engines, and buffers as objects of a driver: vgem, which is a GPU that has
// only memory, and which the virtual machine has.
#include <fcntl.h>
#include <libdrm/drm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <aiaccel/drm.hpp>

#include "backends/drm_api.h"
#include "memory.hpp"

using namespace aiaccel;
using namespace aiaccel::literals;
using namespace memory_test;
namespace fs = std::filesystem;

namespace {

// A tree like that of sysfs.
class Sysfs {
 public:
  Sysfs() {
    std::string name = fs::temp_directory_path() / "sysfs.XXXXXX";
    BOOST_REQUIRE(mkdtemp(name.data()));
    root_ = name;
    fs::create_directories(root_ / "class/drm");
  }
  ~Sysfs() { fs::remove_all(root_); }

  // A node below a device.
  void add(const std::string& node, const std::string& device, const std::string& driver) const {
    const fs::path folder = root_ / "devices" / device;
    fs::create_directories(folder / "drm" / node);
    fs::create_directory_symlink(folder, folder / "drm" / node / "device");
    fs::create_directory_symlink(folder / "drm" / node, root_ / "class/drm" / node);
    if (!driver.empty() && !fs::exists(fs::symlink_status(folder / "driver")))
      fs::create_directory_symlink("../../bus/drivers/" + driver, folder / "driver");
  }
  void write(const std::string& device, const std::string& file, const std::string& text) const {
    std::ofstream(root_ / "devices" / device / file) << text << '\n';
  }
  void link(const std::string& device, const std::string& file, const std::string& to) const {
    fs::create_directory_symlink(to, root_ / "devices" / device / file);
  }
  std::string path() const { return root_; }

 private:
  fs::path root_;
};

// vgem's primary node, where it makes and maps objects; none where it is not loaded.
Descriptor open_vgem() {
  for (int i = 0; i < 16; ++i) {
    Descriptor card(open(("/dev/dri/card" + std::to_string(i)).c_str(), O_RDWR | O_CLOEXEC));
    char name[8] = {};
    drm_version version{};
    version.name = name;
    version.name_len = sizeof name - 1;
    if (card && !ioctl(card.get(), DRM_IOCTL_VERSION, &version) && !std::strcmp(name, "vgem"))
      return card;
  }
  return {};
}

std::uint32_t make_object(const drm::Node& card, std::uint32_t pages) {
  drm_mode_create_dumb create{};
  create.width = pages;
  create.height = page / 4;
  create.bpp = 32;
  BOOST_REQUIRE_EQUAL(ioctl(card.fd(), DRM_IOCTL_MODE_CREATE_DUMB, &create), 0);
  return create.handle;
}

Memory map_object(const drm::Node& card, std::uint32_t handle, std::size_t bytes) {
  drm_mode_map_dumb map{};
  map.handle = handle;
  BOOST_REQUIRE_EQUAL(ioctl(card.fd(), DRM_IOCTL_MODE_MAP_DUMB, &map), 0);
  void* const address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, card.fd(),
                             static_cast<off_t>(map.offset));
  BOOST_REQUIRE(address != MAP_FAILED);
  return {address, bytes};
}

bool is_object(const drm::Node& card, std::uint32_t handle) {
  drm_prime_handle prime{};
  prime.handle = handle;
  if (ioctl(card.fd(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime)) return false;
  close(prime.fd);
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(drm_nodes)

BOOST_AUTO_TEST_CASE(declarations_agree_with_the_headers) {
  BOOST_TEST(drm::kGemClose == static_cast<unsigned long>(DRM_IOCTL_GEM_CLOSE));
  BOOST_TEST(sizeof(drm::GemClose) == sizeof(drm_gem_close));
  BOOST_TEST(offsetof(drm::GemClose, handle) == offsetof(drm_gem_close, handle));
  BOOST_TEST(drm::kCloseOnExec == static_cast<std::uint32_t>(DRM_CLOEXEC));
  BOOST_TEST(drm::kReadWrite == static_cast<std::uint32_t>(DRM_RDWR));
}

BOOST_AUTO_TEST_CASE(are_listed_as_sysfs_has_them) {
  const Sysfs sys;
  sys.add("card0", "0000:65:00.0", "amdgpu");
  sys.add("renderD129", "0000:65:00.0", "amdgpu");
  sys.write("0000:65:00.0", "class", "0x030000");
  sys.write("0000:65:00.0", "numa_node", "1");
  sys.write("0000:65:00.0", "mem_info_vram_total", "17163091968");
  sys.add("renderD128", "0000:00:02.0", "i915");
  sys.write("0000:00:02.0", "class", "0x030000");
  sys.write("0000:00:02.0", "numa_node", "-1");
  sys.add("renderD130", "vgem", "");
  sys.add("renderD131", "1c00000.gpu", "msm");
  sys.add("renderD132", "0000:03:00.0", "nic");
  sys.write("0000:03:00.0", "class", "0x020000");
  sys.add("renderD133", "vgem-on-its-bus", "faux_driver");
  sys.link("vgem-on-its-bus", "subsystem", "../../bus/faux");
  sys.add("renderD", "0000:04:00.0", "none");
  sys.add("renderDx", "0000:04:00.0", "none");
  const auto nodes = drm::render_nodes(sys.path());
  BOOST_REQUIRE_EQUAL(nodes.size(), 6u);
  BOOST_TEST(nodes[0].path == "/dev/dri/renderD128");
  BOOST_TEST(nodes[0].name == "0000:00:02.0");
  BOOST_TEST(nodes[0].driver == "i915");
  BOOST_TEST(nodes[0].numa_node == -1);
  BOOST_TEST(nodes[0].device_bytes == 0u);
  BOOST_TEST(nodes[0].gpu);
  BOOST_TEST(nodes[1].name == "0000:65:00.0");
  BOOST_TEST(nodes[1].numa_node == 1);
  BOOST_TEST(nodes[1].device_bytes == 17163091968u);
  BOOST_TEST(nodes[2].name == "vgem");
  BOOST_TEST(nodes[2].driver == "");
  BOOST_TEST(!nodes[2].gpu);
  BOOST_TEST(nodes[3].name == "1c00000.gpu");
  BOOST_TEST(nodes[3].gpu);
  BOOST_TEST(!nodes[4].gpu);
  BOOST_TEST(nodes[5].driver == "faux_driver");
  BOOST_TEST(!nodes[5].gpu);
  BOOST_TEST(drm::render_nodes(sys.path() + "/nowhere").empty());

  const aiaccel_engine_register engine = drm::engine_of(nodes[1]);
  BOOST_TEST(std::string(engine.name) == "0000:65:00.0");
  BOOST_TEST(std::string(engine.alias) == "renderD129");
  BOOST_TEST(std::string(engine.provider) == "amdgpu");
  BOOST_TEST(engine.kind == static_cast<std::uint32_t>(AIACCEL_ENGINE_GPU));
  BOOST_TEST(engine.enforcement == static_cast<std::uint32_t>(AIACCEL_ADVISORY));
  BOOST_TEST(engine.numa_node == 1);
  BOOST_TEST(engine.device_bytes == 17163091968u);
  BOOST_TEST(std::string(drm::engine_of(nodes[2]).provider) == "drm");
  BOOST_TEST(drm::engine_of(nodes[2]).kind == static_cast<std::uint32_t>(AIACCEL_ENGINE_OTHER));
  drm::RenderNode odd = nodes[0];
  for (const std::string& name : {std::string(), std::string("a b"), std::string(64, 'x')}) {
    odd.name = name;
    BOOST_TEST(error_of([&] { drm::engine_of(odd); }) == EINVAL);
  }
}

BOOST_AUTO_TEST_CASE(one_is_registered_and_found) {
  const std::vector<drm::RenderNode> nodes = drm::render_nodes();
  if (nodes.empty()) SKIP("there is no render node here");
  const Device device = open_device();
  if (!(device.query().capabilities & AIACCEL_CAP_REGISTER))
    SKIP("this transport registers no engines");
  aiaccel_engine_register engine = drm::engine_of(nodes[0]);
  engine.flags = AIACCEL_REGISTER_BOUND;
  BOOST_REQUIRE_EQUAL(aiaccel_call(device.handle(), AIACCEL_IOC_ENGINE_REGISTER, &engine), 0);
  BOOST_TEST(device.engine(nodes[0].name).id() == engine.id);
  BOOST_TEST(device.engine(fs::path(nodes[0].path).filename()).id() == engine.id);
  BOOST_CHECK_NO_THROW(device.engine(nodes[0].name).queue().acquire().complete());
}

BOOST_AUTO_TEST_CASE(what_is_no_node_is_an_error) {
  if (const int error = error_of([] { drm::Node node("/there/is/none"); }); error == ENOSYS)
    SKIP("libdrm is not installed");
  BOOST_TEST(error_of([] { drm::Node node("/there/is/none"); }) == ENOENT);
  const drm::Node null("/dev/null");
  BOOST_TEST(error_of([&] { null.adopt(1).export_fd(); }) != 0);
}

BOOST_AUTO_TEST_CASE(an_object_of_a_driver_is_imported) {
  const Device device = open_device();
  if (!(device.query().capabilities & AIACCEL_CAP_IMPORT)) SKIP("this transport has no dma-bufs");
  Descriptor opened = open_vgem();
  if (!opened) SKIP("vgem is not loaded");
  const drm::Node card(std::move(opened));
  const std::uint32_t handle = make_object(card, 5);
  std::optional<drm::Object> object = card.adopt(handle);
  const Memory mapped = map_object(card, handle, 5 * page);
  const Buffer buffer = object->to(device);
  const BufferInfo info = buffer.info();
  BOOST_TEST(info.kind == static_cast<std::uint32_t>(AIACCEL_BUFFER_IMPORTED));
  BOOST_TEST(info.length == 5 * page);
  BOOST_TEST(info.charged_bytes == 0u);
  BOOST_TEST(buffer.bytes().empty());
  // The same bytes by the descriptor.
  fill(mapped.bytes(), 3);
  const Descriptor exported = object->export_fd();
  void* const address = mmap(nullptr, 5 * page, PROT_READ, MAP_SHARED, exported.get(), 0);
  BOOST_REQUIRE(address != MAP_FAILED);
  BOOST_TEST(filled(Memory(address, 5 * page).bytes(), 3));
  // The last Object closes the handle.
  drm::Object again = card.adopt(handle);
  object.reset();
  BOOST_TEST(is_object(card, handle));
  { const drm::Object last = std::move(again); }
  BOOST_TEST(!is_object(card, handle));
}

BOOST_AUTO_TEST_CASE(a_buffer_is_an_object_of_a_driver) {
  const Device device = open_device();
  Descriptor opened = open_vgem();
  if (!opened) SKIP("vgem is not loaded");
  if (!(device.query().capabilities & AIACCEL_CAP_IMPORT)) SKIP("this transport has no dma-bufs");
  const Buffer buffer = device.alloc(7 * page);
  const drm::Node card(std::move(opened));
  fill(buffer.bytes(), 8);
  const Descriptor exported = buffer.export_fd();
  std::optional<drm::Object> object = card.import(exported);
  BOOST_TEST(buffer.info().importers == 1u);
  // Once more is the same handle, which the first to go leaves.
  const std::uint32_t handle = object->handle();
  {
    const drm::Object same = card.import(exported);
    BOOST_TEST(same.handle() == handle);
    // Another export is another object.
    const drm::Object other = card.import(buffer);
    BOOST_TEST(other.handle() != handle);
    BOOST_TEST(buffer.info().importers == 2u);
  }
  BOOST_TEST(is_object(card, handle));
  // Back again it is the same buffer.
  const Buffer back = object->to(device);
  BOOST_TEST(back.info().foreign());
  BOOST_TEST(back.info().handles == 2u);
  BOOST_REQUIRE_EQUAL(back.size(), 7 * page);
  BOOST_TEST(filled(back.bytes(), 8));
  fill(back.bytes(), 9);
  BOOST_TEST(filled(buffer.bytes(), 9));
  object.reset();
  BOOST_TEST(!is_object(card, handle));
  BOOST_TEST(conformance::eventually([&] { return buffer.info().importers == 0; }));
}

BOOST_AUTO_TEST_SUITE_END()
