// SPDX-License-Identifier: MIT
//
// What we use of libdrm.so.2 and of the kernel's DRM interface, declared by hand, since libdrm's
// headers need not be installed where this is built. Both are stable; a test compares them with the
// real headers.
#pragma once

#include <linux/ioctl.h>

#include <cstdint>

namespace aiaccel::drm {

// struct drm_gem_close
struct GemClose {
  std::uint32_t handle;
  std::uint32_t pad;
};

constexpr unsigned long kGemClose = _IOW('d', 0x09, GemClose);  // DRM_IOCTL_GEM_CLOSE
constexpr std::uint32_t kCloseOnExec = 02000000;                // DRM_CLOEXEC
constexpr std::uint32_t kReadWrite = 2;                         // DRM_RDWR

// E(name, (arguments)); each returns 0, or -1 with errno.
#define AIACCEL_DRM_FUNCTIONS(E)                                    \
  E(drmIoctl, (int fd, unsigned long request, void* arg))           \
  E(drmPrimeFDToHandle, (int fd, int prime, std::uint32_t* handle)) \
  E(drmPrimeHandleToFD, (int fd, std::uint32_t handle, std::uint32_t flags, int* prime))

struct Api {
#define AIACCEL_DRM_MEMBER(name, arguments) int(*name) arguments = nullptr;
  AIACCEL_DRM_FUNCTIONS(AIACCEL_DRM_MEMBER)
#undef AIACCEL_DRM_MEMBER
};

}  // namespace aiaccel::drm
