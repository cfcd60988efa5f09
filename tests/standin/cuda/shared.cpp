// SPDX-License-Identifier: MIT
//
// See shared.h.
#include "shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace standin {
namespace {

constexpr int kEntries = 1024;
constexpr std::uint64_t kDefaultBytes = std::uint64_t{8} << 30;
constexpr std::uint64_t kSpinNs = 20'000;  // what a sleep may be late by

enum Byte : off_t { kQueue = 0, kEngine = 1, kTable = 2, kFirstEntry = 16 };

// Of the open file, not of the process: closing another descriptor of the file changes nothing.
bool lock(int fd, off_t byte, bool wait) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  int done;
  do {
    done = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
  } while (done != 0 && errno == EINTR);
  return done == 0;
}

void unlock(int fd, off_t byte) {
  struct flock lock = {};
  lock.l_type = F_UNLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  fcntl(fd, F_OFD_SETLK, &lock);
}

bool locked_by_another(int fd, off_t byte) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace

std::uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::uint64_t(now.tv_sec) * 1'000'000'000 + std::uint64_t(now.tv_nsec);
}

void wait_until_ns(std::uint64_t moment) {
  if (now_ns() + 2 * kSpinNs < moment) {
    const std::uint64_t wake = moment - kSpinNs;
    const timespec at = {time_t(wake / 1'000'000'000), long(wake % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
    }
  }
  while (now_ns() < moment) {
  }
}

std::uint64_t device_bytes() {
  const char* bytes = getenv("AIACCEL_STANDIN_BYTES");
  return bytes ? strtoull(bytes, nullptr, 10) : kDefaultBytes;
}

std::vector<Share> shares_of(const std::string& folder) {
  std::vector<Share> living;
  const int fd = ::open((folder + "/device").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return living;
  Share share;
  for (int entry = 0; pread(fd, &share, sizeof share, off_t(sizeof share) * entry) == sizeof share;
       ++entry)
    if (share.pid && locked_by_another(fd, kFirstEntry + entry)) living.push_back(share);
  close(fd);
  return living;
}

bool Shared::open() {
  capacity_ = device_bytes();
  const char* folder = getenv("AIACCEL_STANDIN");
  const std::uint64_t size = sizeof(Share) * kEntries;
  if (folder) {
    device_ = ::open((std::string(folder) + "/device").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    log_ = ::open((std::string(folder) + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                  0666);
    if (device_ < 0 || log_ < 0 || ftruncate(device_, off_t(size)) != 0) {
      fprintf(stderr, "stand-in of libcuda: AIACCEL_STANDIN=%s: %s\n", folder, strerror(errno));
      return false;
    }
  }
  void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        folder ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, device_, 0);
  if (at == MAP_FAILED) return false;
  entries_ = static_cast<Share*>(at);
  return claim_entry();
}

bool Shared::claim_entry() {
  if (device_ < 0) return true;
  for (mine_ = 0; mine_ < kEntries; ++mine_)
    if (lock(device_, kFirstEntry + mine_, false)) {
      entries_[mine_] = {getpid(), 0};
      return true;
    }
  fprintf(stderr, "stand-in of libcuda: more than %d processes\n", kEntries);
  return false;
}

void Shared::close_in_child() {
  if (device_ >= 0) close(device_);
  if (log_ >= 0) close(log_);
  device_ = log_ = -1;
}

void Shared::engine_lock() {
  if (device_ < 0) return;
  lock(device_, kQueue, true);
  lock(device_, kEngine, true);
  unlock(device_, kQueue);
}

void Shared::engine_unlock() {
  if (device_ >= 0) unlock(device_, kEngine);
}

std::uint64_t Shared::sum() {
  std::uint64_t bytes = 0;
  for (int entry = 0; entry < kEntries; ++entry)
    if (entries_[entry].bytes &&
        (entry == mine_ || locked_by_another(device_, kFirstEntry + entry)))
      bytes += entries_[entry].bytes;
  return bytes;
}

std::uint64_t Shared::used() {
  std::lock_guard guard(mutex_);
  if (device_ >= 0) lock(device_, kTable, true);
  const std::uint64_t bytes = sum();
  if (device_ >= 0) unlock(device_, kTable);
  return bytes;
}

bool Shared::take(std::uint64_t bytes) {
  std::lock_guard guard(mutex_);
  if (device_ >= 0) lock(device_, kTable, true);
  const std::uint64_t used = sum();
  const bool fits = used <= capacity_ && bytes <= capacity_ - used;
  if (fits) entries_[mine_].bytes += bytes;
  if (device_ >= 0) unlock(device_, kTable);
  return fits;
}

void Shared::give(std::uint64_t bytes) {
  std::lock_guard guard(mutex_);
  if (device_ >= 0) lock(device_, kTable, true);
  entries_[mine_].bytes -= bytes;
  if (device_ >= 0) unlock(device_, kTable);
}

void Shared::log(std::uint64_t tag, std::uint64_t start_ns, std::uint64_t end_ns) {
  if (log_ < 0) return;
  char line[96];
  const int length = snprintf(line, sizeof line, "%llu %llu %llu %d\n", (unsigned long long)tag,
                              (unsigned long long)start_ns, (unsigned long long)end_ns, getpid());
  if (write(log_, line, size_t(length)) != length) perror("stand-in of libcuda: log");
}

}  // namespace standin
