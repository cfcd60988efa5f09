// SPDX-License-Identifier: MIT
#include "handed.hpp"

#include <fcntl.h>
#include <libdrm/drm.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dma_buf.hpp"

namespace raw {

// ---- calls ----

int export_errno(const Context& context, uint32_t id, Fd* made) {
  aiaccel_export arg{};
  arg.id = id;
  const int err = context(AIACCEL_IOC_EXPORT, arg);
  if (!err) *made = Fd(arg.fd);
  return err;
}

int import_errno(const Context& context, const Fd& dma_buf, aiaccel_import* made) {
  *made = {};
  made->fd = dma_buf.get();
  return context(AIACCEL_IOC_IMPORT, *made);
}

int revoke_errno(const Context& context, uint32_t id, uint32_t* importers) {
  aiaccel_buffer_revoke arg{};
  arg.id = id;
  const int err = context(AIACCEL_IOC_BUFFER_REVOKE, arg);
  if (importers) *importers = arg.importers;
  return err;
}

Fd export_of(const Context& context, uint32_t id) {
  Fd made;
  BOOST_REQUIRE_EQUAL(export_errno(context, id, &made), 0);
  return made;
}

aiaccel_import import_of(const Context& context, const Fd& dma_buf) {
  aiaccel_import made;
  BOOST_REQUIRE_EQUAL(import_errno(context, dma_buf, &made), 0);
  return made;
}

uint32_t revoke(const Context& context, uint32_t id) {
  uint32_t importers;
  BOOST_REQUIRE_EQUAL(revoke_errno(context, id, &importers), 0);
  return importers;
}

uint32_t pin(const Context& context, const Map& map, uint32_t flags) {
  aiaccel_pin arg = pin_of(map, flags);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, arg), 0);
  return arg.id;
}

aiaccel_buffer_info info_of(const Context& context, uint32_t id) {
  aiaccel_buffer_info info{};
  info.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_BUFFER_INFO, info), 0);
  return info;
}

Map map_shared(const Fd& dma_buf, size_t length, uint64_t offset, int protection) {
  return Map(length, protection, MAP_SHARED, dma_buf.get(), offset);
}

// ---- signals ----

namespace {

thread_local sigjmp_buf g_back;
thread_local volatile sig_atomic_t g_guarded;

void jump_back(int signal) {
  if (g_guarded) siglongjmp(g_back, signal);
  _exit(99);
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = jump_back;
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace

int touch(char* at, bool write) {
  catch_signals();
  if (const int signal = sigsetjmp(g_back, 1)) {
    g_guarded = 0;
    return signal;
  }
  g_guarded = 1;
  auto* byte = static_cast<volatile char*>(at);
  const char value = *byte;
  if (write) *byte = value;
  g_guarded = 0;
  return 0;
}

// ---- who imports ----

Importer::Importer() : fd_(open("/dev/aiaccel-importer", O_RDWR | O_CLOEXEC)) {
  BOOST_REQUIRE(fd() >= 0);
}

int Importer::call(unsigned long number, void* arg) const {
  return ioctl(fd(), number, arg) ? errno : 0;
}

int Importer::attach(const Fd& dma_buf, bool listens) const {
  importer_attach arg{dma_buf.get(), listens};
  return call(IMPORTER_ATTACH, &arg);
}

int Importer::map(uint32_t direction, importer_map* got, uint32_t max_segment) const {
  importer_map arg{};
  arg.direction = direction;
  arg.max_segment = max_segment;
  const int err = call(IMPORTER_MAP, &arg);
  if (got) *got = arg;
  return err;
}

char Importer::get(uint64_t offset, bool by_vmap) const {
  importer_copy arg{};
  arg.offset = offset;
  arg.by_vmap = by_vmap;
  BOOST_REQUIRE_EQUAL(call(IMPORTER_COPY, &arg), 0);
  return static_cast<char>(arg.byte);
}

void Importer::put(uint64_t offset, char byte, bool by_vmap) const {
  importer_copy arg{};
  arg.offset = offset;
  arg.by_vmap = by_vmap;
  arg.write = 1;
  arg.byte = static_cast<uint8_t>(byte);
  BOOST_REQUIRE_EQUAL(call(IMPORTER_COPY, &arg), 0);
}

uint32_t Importer::told() const {
  uint32_t told = 0;
  BOOST_REQUIRE_EQUAL(call(IMPORTER_TOLD, &told), 0);
  return told;
}

Vgem::Vgem() : fd_(open_vgem()) {}

int Vgem::import_errno(const Fd& dma_buf, uint32_t* handle) const {
  drm_prime_handle prime{};
  prime.fd = dma_buf.get();
  const int err = ioctl(fd(), DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) ? errno : 0;
  *handle = prime.handle;
  return err;
}

Fd Vgem::export_of(uint32_t handle) const {
  drm_prime_handle prime{};
  prime.handle = handle;
  prime.flags = DRM_CLOEXEC | DRM_RDWR;
  prime.fd = -1;
  BOOST_TEST(ioctl(fd(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
  return Fd(prime.fd);
}

void Vgem::close(uint32_t handle) const {
  drm_gem_close arg{};
  arg.handle = handle;
  BOOST_TEST(ioctl(fd(), DRM_IOCTL_GEM_CLOSE, &arg) == 0);
}

}  // namespace raw
