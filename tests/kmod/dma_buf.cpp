// SPDX-License-Identifier: MIT
#include "dma_buf.hpp"

#include <fcntl.h>
#include <libdrm/drm.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

namespace raw {

namespace {

Fd open_vgem() {
  for (int i = 0; i < 16; i++) {
    Fd card(open(("/dev/dri/card" + std::to_string(i)).c_str(), O_RDWR | O_CLOEXEC));
    char name[8] = {};
    drm_version version{};
    version.name = name;
    version.name_len = sizeof(name) - 1;
    if (!ioctl(card.get(), DRM_IOCTL_VERSION, &version) && !strcmp(name, "vgem")) return card;
  }
  return Fd();
}

}  // namespace

Fd vgem_buffer(size_t bytes) {
  const Fd card = open_vgem();
  if (card.get() < 0) return Fd();
  drm_mode_create_dumb create{};
  create.width = static_cast<uint32_t>(bytes / kPage);
  create.height = kPage / 4;
  create.bpp = 32;
  BOOST_REQUIRE_EQUAL(ioctl(card.get(), DRM_IOCTL_MODE_CREATE_DUMB, &create), 0);
  drm_prime_handle prime{};
  prime.handle = create.handle;
  prime.flags = DRM_CLOEXEC | DRM_RDWR;
  BOOST_REQUIRE_EQUAL(ioctl(card.get(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), 0);
  return Fd(prime.fd);
}

Fd udmabuf(size_t bytes) {
  const Fd device(open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
  if (device.get() < 0) return Fd();
  const Fd memory(memfd_create("udmabuf", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  BOOST_REQUIRE_EQUAL(ftruncate(memory.get(), static_cast<off_t>(bytes)), 0);
  BOOST_REQUIRE_EQUAL(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  udmabuf_create create{};
  create.memfd = static_cast<uint32_t>(memory.get());
  create.flags = UDMABUF_FLAGS_CLOEXEC;
  create.size = bytes;
  return Fd(ioctl(device.get(), UDMABUF_CREATE, &create));
}

Fd dma_buf(size_t bytes) {
  Fd made = vgem_buffer(bytes);
  return made.get() < 0 ? udmabuf(bytes) : std::move(made);
}

bool dma_buf_lives(size_t bytes) {
  const char* const list = "/sys/kernel/debug/dma_buf/bufinfo";
  if (access(list, F_OK)) mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr);
  std::ifstream lines(list);
  BOOST_REQUIRE_MESSAGE(lines, "cannot read " << list);
  for (std::string line; std::getline(lines, line);)
    if (strtoull(line.c_str(), nullptr, 10) == bytes) return true;
  return false;
}

}  // namespace raw
