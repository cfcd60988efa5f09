// SPDX-License-Identifier: MIT
//
// Asking NVML in a child; see gpus.h.
#include "aiacceld/gpus.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "backends/gpu_engines.h"
#include "broker/fds.h"

namespace aiacceld {
namespace {

using aiaccel::Fd;
using Clock = std::chrono::steady_clock;

// More than a host has, MIG instances included.
constexpr size_t kMost = 1024;

// Writes how many engines there are, and the engines.
[[noreturn]] void tell(int fd) {
  // Nothing of the broker's is to stay open because a driver hangs.
  if (dup2(fd, 3) < 0) _exit(1);
  close_range(4, ~0U, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::string reason;
  const auto nvml = aiaccel::nvml::Nvml::open(reason);
  if (!nvml) _exit(1);
  std::vector<aiaccel_engine_info> engines = aiaccel::nvml::engines_of(nvml->devices());
  engines.resize(std::min(engines.size(), kMost));
  const size_t count = engines.size();
  const size_t bytes = count * sizeof engines[0];
  std::string message(sizeof count + bytes, '\0');
  std::memcpy(message.data(), &count, sizeof count);
  if (bytes) std::memcpy(message.data() + sizeof count, engines.data(), bytes);
  for (size_t at = 0; at < message.size();) {
    const ssize_t sent = write(3, message.data() + at, message.size() - at);
    if (sent <= 0) _exit(1);
    at += static_cast<size_t>(sent);
  }
  _exit(0);
}

// All that comes, in `text`; false when it does not end within that time.
bool read_all(int fd, std::chrono::milliseconds patience, std::string* text) {
  const Clock::time_point until = Clock::now() + patience;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd ready{fd, POLLIN, 0};
    const int count = poll(&ready, 1, static_cast<int>(std::max<long>(left, 0)));
    if (count == 0) return false;
    char bytes[4096];
    const ssize_t got = count < 0 ? count : read(fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    text->append(bytes, static_cast<size_t>(got));
  }
}

std::vector<aiaccel_engine_info> ask_nvml(std::chrono::milliseconds patience) {
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) < 0) return {};
  const Fd ours(pair[0]);
  Fd theirs(pair[1]);
  const pid_t child = fork();
  if (child < 0) return {};
  if (child == 0) tell(theirs.get());
  theirs = Fd();
  std::string text;
  const bool ended = read_all(ours.get(), patience, &text);
  // It may take its time to die in the driver: the kernel reaps it then.
  kill(child, SIGKILL);
  signal(SIGCHLD, SIG_IGN);
  waitpid(child, nullptr, WNOHANG);

  size_t count = 0;
  if (text.size() >= sizeof count) std::memcpy(&count, text.data(), sizeof count);
  std::vector<aiaccel_engine_info> engines(std::min(count, kMost));
  const size_t bytes = engines.size() * sizeof(aiaccel_engine_info);
  if (ended && text.empty()) return {};  // no NVML, or no driver
  if (text.size() != sizeof count + bytes) {
    std::fprintf(stderr, "aiacceld: NVML does not answer; going on without its GPUs\n");
    return {};
  }
  if (bytes) std::memcpy(engines.data(), text.data() + sizeof count, bytes);
  return engines;
}

}  // namespace

std::vector<aiaccel_engine_info> find_gpus(std::chrono::milliseconds patience,
                                           const std::string& sys) {
  return aiaccel::gpu_engines(ask_nvml(patience), aiaccel::drm::render_nodes(sys));
}

}  // namespace aiacceld
