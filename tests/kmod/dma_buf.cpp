// SPDX-License-Identifier: MIT
#include "kmod/dma_buf.hpp"

#include <fcntl.h>
#include <libdrm/drm.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace raw {

namespace {

constexpr size_t kPage = 4096;

}  // namespace

int open_vgem() {
  for (int i = 0; i < 16; i++) {
    const int card = open(("/dev/dri/card" + std::to_string(i)).c_str(), O_RDWR | O_CLOEXEC);
    char name[8] = {};
    drm_version version{};
    version.name = name;
    version.name_len = sizeof(name) - 1;
    if (!ioctl(card, DRM_IOCTL_VERSION, &version) && !strcmp(name, "vgem")) return card;
    close(card);
  }
  return -1;
}

int vgem_buffer(size_t bytes) {
  const int card = open_vgem();
  drm_mode_create_dumb create{};
  create.width = static_cast<uint32_t>(bytes / kPage);
  create.height = kPage / 4;
  create.bpp = 32;
  drm_prime_handle prime{};
  prime.flags = DRM_CLOEXEC | DRM_RDWR;
  prime.fd = -1;
  if (!ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &create)) {
    prime.handle = create.handle;
    ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
  }
  close(card);
  return prime.fd;
}

int udmabuf(size_t bytes) {
  const int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
  const int memory = memfd_create("udmabuf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  udmabuf_create create{};
  create.memfd = static_cast<uint32_t>(memory);
  create.flags = UDMABUF_FLAGS_CLOEXEC;
  create.size = bytes;
  int made = -1;
  if (!ftruncate(memory, static_cast<off_t>(bytes)) && !fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
    made = ioctl(device, UDMABUF_CREATE, &create);
  close(memory);
  close(device);
  return made;
}

int heap_buffer(size_t bytes) {
  const int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
  dma_heap_allocation_data arg{};
  arg.len = bytes;
  arg.fd_flags = O_RDWR | O_CLOEXEC;
  const int made = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &arg) ? -1 : static_cast<int>(arg.fd);
  close(heap);
  return made;
}

int dma_buf(size_t bytes) {
  const int made = vgem_buffer(bytes);
  return made < 0 ? udmabuf(bytes) : made;
}

bool dma_buf_lives(size_t bytes) {
  const char* const list = "/sys/kernel/debug/dma_buf/bufinfo";
  if (access(list, F_OK)) mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr);
  std::ifstream lines(list);
  for (std::string line; std::getline(lines, line);)
    if (strtoull(line.c_str(), nullptr, 10) == bytes) return true;
  return false;
}

}  // namespace raw
