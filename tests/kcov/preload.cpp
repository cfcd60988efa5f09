// SPDX-License-Identifier: MIT
//
// build/tests/kcov.so: preloaded into test programs, notes which places of aiaccel.ko they reach,
// by KCOV of a kernel that has it. See `run` beside this file; without AIACCEL_KCOV it does
// nothing.
//
// The kernel writes the places that a task passes into memory of that task, until it exits. So each
// thread asks for it before its first call of the device, and each call looks through what was
// written since the last: also by page faults and forks between them. What is not seen: the
// part of a task's end that comes after its last call (its mappings, turns and files going), the
// kernel's own threads, and what a killed task did since its last call.
//
// AIACCEL_KCOV names a file that all of them map: a byte for each byte of the module's sections
// below, kSectionBytes for each section, 1 where a task has been.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace {

constexpr const char* kDevice = "/dev/aiaccel";
constexpr unsigned kIoctlType = 0xE1;
constexpr const char* kSections[] = {".text", ".exit.text", ".init.text"};
constexpr uint64_t kSectionBytes = 1 << 18;
constexpr uint64_t kWords = 1 << 17;

constexpr unsigned long kInitTrace = 0x80086301, kEnable = 0x6364;  // KCOV_INIT_TRACE, KCOV_ENABLE

volatile uint8_t* g_hits = nullptr;  // shared by all processes
uint64_t g_starts[std::size(kSections)];
bool g_wanted = false;
thread_local uint64_t* g_places = nullptr;  // their number, then them
thread_local bool g_tried = false;

void map_hits() {
  const char* path = getenv("AIACCEL_KCOV");
  const long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
  if (fd < 0) return;
  const long at = syscall(SYS_mmap, 0, std::size(kSections) * kSectionBytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (at > 0) g_hits = reinterpret_cast<volatile uint8_t*>(at);
}

// Where the module lies now: tests load it again.
void find_sections() {
  for (size_t i = 0; i < std::size(kSections); i++) {
    char path[64] = "/sys/module/aiaccel/sections/", text[32] = {};
    strcat(path, kSections[i]);
    const long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) continue;
    if (syscall(SYS_read, fd, text, sizeof(text) - 1) > 0)
      g_starts[i] = strtoull(text, nullptr, 16);
    syscall(SYS_close, fd);
  }
}

void enable() {
  g_tried = true;
  const long fd = syscall(SYS_openat, AT_FDCWD, "/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) return;
  long at = -1;
  if (syscall(SYS_ioctl, fd, kInitTrace, kWords) == 0)
    at = syscall(SYS_mmap, 0, kWords * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at > 0 && syscall(SYS_ioctl, fd, kEnable, 0) == 0) g_places = reinterpret_cast<uint64_t*>(at);
  syscall(SYS_close, fd);  // the mapping keeps it
}

void note() {
  if (!g_places) return;
  const uint64_t nr = __atomic_load_n(g_places, __ATOMIC_RELAXED);
  for (uint64_t i = 1; i <= nr && i < kWords; i++)
    for (size_t section = 0; section < std::size(kSections); section++)
      if (const uint64_t at = g_places[i] - g_starts[section]; at < kSectionBytes)
        g_hits[section * kSectionBytes + at] = 1;
  __atomic_store_n(g_places, 0, __ATOMIC_RELAXED);
}

// Around each call: what is the device's own concern turns it on.
void before(bool concerned, bool opens) {
  const int error = errno;
  if (concerned && !g_wanted && !g_hits) map_hits();
  if (concerned && g_hits) g_wanted = true;
  if (g_wanted && !g_tried) enable();
  note();
  if (g_wanted && opens) find_sections();
  errno = error;
}

long after(long result) {
  const int error = errno;
  note();
  errno = error;
  return result;
}

// The kernel does not go on in a child; what is mapped there is still the parent's.
void in_child() {
  g_places = nullptr;
  g_tried = false;
}

__attribute__((constructor)) void start() {
  pthread_atfork(nullptr, nullptr, in_child);
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int ioctl(int fd, unsigned long number, ...) noexcept {
  va_list arguments;
  va_start(arguments, number);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  before((number >> 8 & 0xff) == kIoctlType, false);
  return static_cast<int>(after(syscall(SYS_ioctl, fd, number, argument)));
}

EXPORT int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, unsigned) : 0;
  va_end(arguments);
  const bool device = strcmp(path, kDevice) == 0;
  before(device, device);
  return static_cast<int>(after(syscall(SYS_openat, AT_FDCWD, path, flags, mode)));
}

EXPORT int close(int fd) {
  before(false, false);
  return static_cast<int>(after(syscall(SYS_close, fd)));
}

EXPORT void* mmap(void* at, size_t bytes, int protection, int flags, int fd,
                  off_t offset) noexcept {
  before(false, false);
  return reinterpret_cast<void*>(
      after(syscall(SYS_mmap, at, bytes, protection, flags, fd, offset)));
}

EXPORT int munmap(void* at, size_t bytes) noexcept {
  before(false, false);
  return static_cast<int>(after(syscall(SYS_munmap, at, bytes)));
}

EXPORT void _exit(int status) {
  before(false, false);
  for (;;) syscall(SYS_exit_group, status);
}
