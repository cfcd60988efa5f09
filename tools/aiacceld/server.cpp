// SPDX-License-Identifier: MIT
//
// The broker's loop; see server.h.
#include "aiacceld/server.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

namespace aiacceld {
namespace {

using aiaccel::Fd;

// What all answers together may take that the clients of one user have left unread.
constexpr size_t kMaxUnsent = 16 << 20;

Fd made(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return Fd(fd);
}

Fd block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return made(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
}

}  // namespace

Server::Server(Fd listener, const aiaccel::host::Ceilings& ceilings,
               std::optional<std::chrono::seconds> idle)
    : host_(aiaccel::host::find_cpu_engines(), ceilings, AIACCEL_CAP_CRASH | AIACCEL_CAP_STRICT),
      listener_(std::move(listener)),
      signals_(block_signals()),
      epoll_(made(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      idle_(idle) {
  watch(listener_.get(), EPOLLIN, EPOLL_CTL_ADD);
  watch(signals_.get(), EPOLLIN, EPOLL_CTL_ADD);
}

void Server::watch(int fd, uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), operation, fd, &event) < 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

void Server::run() {
  for (;;) {
    epoll_event events[64];
    const bool may_end = idle_ && clients_.empty();
    const int timeout = may_end ? static_cast<int>(std::chrono::milliseconds(*idle_).count()) : -1;
    const int count = epoll_wait(epoll_.get(), events, 64, timeout);
    if (count == 0 && may_end) return;
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == signals_.get()) return;
      if (fd == listener_.get())
        accept_client();
      else
        serve(fd, events[i].events);
    }
  }
}

void Server::accept_client() {
  Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      // Until a client goes there is nothing to be had, and epoll would tell us of it without end.
      if (clients_.empty()) {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(100));  // it is others who have it all
        return;
      }
      listening_ = false;
      watch(listener_.get(), 0, EPOLL_CTL_MOD);
    }
    return;
  }
  std::unique_ptr<Connection> connection;
  try {
    if (Connection::open(host_, std::move(socket), &connection)) return;
    const int fd = connection->socket();
    const int process = connection->process();
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    if (process >= 0) {
      watch(process, EPOLLIN, EPOLL_CTL_ADD);
      processes_[process] = fd;
    }
    clients_[fd] = std::move(connection);
  } catch (const std::bad_alloc&) {
    // The socket closes, and the client knows.
  }
}

void Server::listen_again() {
  if (listening_) return;
  listening_ = true;
  watch(listener_.get(), EPOLLIN, EPOLL_CTL_MOD);
}

void Server::serve(int fd, uint32_t events) {
  if (const auto process = processes_.find(fd); process != processes_.end()) {
    drop(process->second);
    return;
  }
  const auto found = clients_.find(fd);
  if (found == clients_.end()) return;  // went earlier in this round
  Connection& connection = *found->second;
  const bool waited = connection.unsent() > 0;
  bool well = true;
  try {
    if (events & EPOLLOUT)
      well = connection.send();
    else if (events & EPOLLIN)
      well = connection.receive();
    else
      well = false;  // an error or a hang-up, and nothing left to read
  } catch (const std::bad_alloc&) {
    well = false;
  }
  const bool waits = connection.unsent() > 0;
  if (!well || (waits && too_much_unsent(connection)))
    drop(fd);
  else if (waits != waited)
    watch(fd, waits ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

bool Server::too_much_unsent(const Connection& connection) const {
  size_t unsent = 0;
  for (const auto& [fd, other] : clients_)
    if (other->uid() == connection.uid()) unsent += other->unsent();
  return unsent > kMaxUnsent;
}

void Server::drop(int socket) {
  const auto found = clients_.find(socket);
  processes_.erase(found->second->process());
  clients_.erase(found);  // closing takes both descriptors out of the epoll
  listen_again();
}

}  // namespace aiacceld
