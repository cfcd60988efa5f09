// SPDX-License-Identifier: MIT
//
// The transport that needs nothing: the arbiter is in this process, one for all of its contexts,
// and a call is a function call. It arbitrates between the threads of one program and ends with it.
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <new>
#include <string>
#include <system_error>

#include "broker/fds.h"
#include "host/alarm.h"
#include "host/context.h"
#include "user/per_process.h"
#include "user/user_transport.h"

namespace aiaccel {
namespace {

struct Arbiter {
  host::Host host{host::find_cpu_engines(), host::Ceilings(), AIACCEL_CAP_STRICT};
  host::Alarm alarm{host};

  Arbiter() {
    host.wake_at = [this](uint64_t ns) { alarm.set(ns); };
  }
};

// One a process.
host::Host& process_host() {
  constinit static PerProcess<Arbiter> arbiter;
  return arbiter.get([] { return std::make_unique<Arbiter>(); }).host;
}

host::Client this_process() {
  host::Client client;
  client.uid = geteuid();
  client.pid = getpid();
  std::ifstream("/proc/self/comm") >> std::ws >> client.comm;
  client.privileged = true;  // there is only one tenant
  return client;
}

class EmbeddedTransport final : public UserTransport {
 public:
  ~EmbeddedTransport() override {
    // In a forked child the arbiter's copy is not to be touched.
    if (!same_process()) (void)context_.release();
  }

  int open(host::Host& host) {
    event_fd_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_fd_) return -errno;
    if (int error = host::Context::create(
            host, this_process(), [this] { tell(); }, &context_))
      return error;
    return attach(context_->ring().fd(), context_->ring().bytes(), context_->consumed().fd());
  }

  const char* name() const noexcept override { return "embedded"; }

  int fd() noexcept override {
    if (polled_.exchange(true)) return event_fd_.get();
    drained();  // readable from the start where events are unread
    return event_fd_.get();
  }

 private:
  // Under the host's mutex: there is news in the ring.
  void tell() noexcept {
    wake_ring(context_->ring().data(), context_->consumed().data());
    if (!polled_.load(std::memory_order_relaxed)) return;
    const uint64_t one = 1;
    [[maybe_unused]] const auto bytes = write(event_fd_.get(), &one, sizeof one);
  }

  int perform(host::Call& call) noexcept override { return context_->call(call); }

  void quiet() noexcept override {
    uint64_t count;
    [[maybe_unused]] const auto bytes = read(event_fd_.get(), &count, sizeof count);
  }

  Fd event_fd_;
  // Last, so that it goes first, and by its destructor: another thread may be in tell() until it is
  // gone, and reset() would make the pointer null before that.
  std::unique_ptr<host::Context> context_;
};

}  // namespace

int open_embedded(std::unique_ptr<Transport>* transport) noexcept try {
  auto embedded = std::make_unique<EmbeddedTransport>();
  if (int error = embedded->open(process_host())) return error;
  *transport = std::move(embedded);
  return 0;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
} catch (const std::system_error& error) {
  return -error.code().value();
}

}  // namespace aiaccel
