// SPDX-License-Identifier: MIT
//
// The broker's loop; see server.h.
#include "aiacceld/server.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

namespace aiacceld {
namespace {

using aiaccel::Fd;
using namespace std::chrono_literals;

// What all answers together may take that the clients of one user have left unread.
constexpr size_t kMaxUnsent = 16 << 20;

// For how long nobody is let in where a descriptor or memory could not be had.
constexpr std::chrono::milliseconds kShortage(100);

// In place of a client's number: the listener's events, and as if of its process, the signals'.
constexpr uint64_t kOurs = 0;
// Likewise: the arbiter's timer.
constexpr uint64_t kTimer = ~0ULL >> 1;

Fd made(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return Fd(fd);
}

bool same(const Server::Rules& one, const Server::Rules& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const aiaccel_policy_rule& a, const aiaccel_policy_rule& b) {
                      return std::memcmp(&a, &b, sizeof a) == 0;
                    });
}

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

Fd receive_signals() {
  const sigset_t set = ending_signals();
  return made(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
}

}  // namespace

void Server::hold_signals() {
  const sigset_t set = ending_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

Server::Server(Fd listener, const std::vector<aiaccel_engine_info>& engines,
               const aiaccel::host::Ceilings& ceilings, std::optional<std::chrono::seconds> idle,
               std::function<Rules()> read_rules)
    : host_(engines, ceilings, AIACCEL_CAP_CRASH | AIACCEL_CAP_STRICT),
      listener_(std::move(listener)),
      signals_(receive_signals()),
      timer_(made(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create")),
      epoll_(made(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      idle_(idle),
      read_rules_(std::move(read_rules)),
      known_rules_(read_rules_()) {
  watch(listener_.get(), {kOurs, false}, EPOLLIN, EPOLL_CTL_ADD);
  watch(signals_.get(), {kOurs, true}, EPOLLIN, EPOLL_CTL_ADD);
  watch(timer_.get(), {kTimer, false}, EPOLLIN, EPOLL_CTL_ADD);
  host_.wake_at = [this](uint64_t ns) { wake_at(ns); };
  aiaccel::Lock lock(host_.mutex);
  host_.set_rules(known_rules_, aiaccel::host::monotonic_ns());
}

void Server::watch(int fd, Source source, uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = source.client << 1 | source.process;
  if (epoll_ctl(epoll_.get(), operation, fd, &event) < 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

// A ceiling that can be shaken off by waiting for the broker to end is none.
bool Server::is_needed() {
  aiaccel::Lock lock(host_.mutex);
  if (host_.is_needed(aiaccel::host::monotonic_ns())) return true;
  if (same(host_.rules(), known_rules_)) return false;
  known_rules_ = read_rules_();
  return !same(host_.rules(), known_rules_);
}

void Server::wake_at(uint64_t ns) {
  itimerspec at{};
  at.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
  at.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

void Server::tick() {
  uint64_t times;
  [[maybe_unused]] const ssize_t bytes = read(timer_.get(), &times, sizeof times);
  host_.tick(aiaccel::host::monotonic_ns());
}

void Server::run() {
  for (;;) {
    epoll_event events[64];
    const bool may_end = idle_ && clients_.empty() && listening_;
    const std::chrono::milliseconds forever(-1);
    auto patience = !eager_.empty() ? std::chrono::milliseconds(0)
                    : !listening_   ? kShortage
                    : may_end       ? *idle_
                                    : forever;
    if (!resting_.empty())
      patience = patience == forever ? left_to_rest() : std::min(patience, left_to_rest());
    const int count = epoll_wait(epoll_.get(), events, 64, static_cast<int>(patience.count()));
    if (count == 0 && may_end && !is_needed()) return;
    if (!listening_ && std::chrono::steady_clock::now() >= listen_again_at_) listen_again();
    sated_.clear();
    for (int i = 0; i < count; ++i) {
      const Source source{events[i].data.u64 >> 1, (events[i].data.u64 & 1) != 0};
      if (source.client == kOurs && source.process) return;  // told to end
      if (source.client == kOurs)
        accept_client();
      else if (source.client == kTimer)
        tick();
      else if (source.process)
        drop(source.client);
      else
        serve(source.client, events[i].events);
    }
    for (const uint64_t number : std::exchange(eager_, {})) serve(number, EPOLLIN);
    if (!resting_.empty() && left_to_rest() == 0ms) {
      serve(take_rested(), EPOLLIN);
    }
  }
}

uint64_t Server::take_rested() {
  auto next = resting_.upper_bound(rested_uid_);
  if (next == resting_.end()) next = resting_.begin();
  rested_uid_ = next->first;
  const uint64_t number = next->second.front();
  next->second.pop_front();
  if (next->second.empty()) resting_.erase(next);
  return number;
}

std::chrono::milliseconds Server::left_to_rest() const {
  const auto left = rested_at_ - std::chrono::steady_clock::now();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(left), 0ms);
}

void Server::accept_client() {
  Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      // There is nothing to be had, and epoll would tell us of it without end. Until a client goes;
      // or for a while, since it may be others who have it all.
      listening_ = false;
      listen_again_at_ = std::chrono::steady_clock::now() + kShortage;
      watch(listener_.get(), {kOurs, false}, 0, EPOLL_CTL_MOD);
    }
    return;
  }
  const uint64_t number = ++last_client_;
  try {
    std::unique_ptr<Connection> made;
    if (Connection::open(host_, std::move(socket), &made)) return;
    const Connection& connection = *clients_.emplace(number, std::move(made)).first->second;
    watch(connection.socket(), {number, false}, EPOLLIN, EPOLL_CTL_ADD);
    if (connection.process() >= 0)
      watch(connection.process(), {number, true}, EPOLLIN, EPOLL_CTL_ADD);
  } catch (const std::exception&) {
    // No memory, or no room in the epoll. The socket closes, and the client knows.
    drop(number);
  }
}

void Server::listen_again() {
  if (listening_) return;
  listening_ = true;
  watch(listener_.get(), {kOurs, false}, EPOLLIN, EPOLL_CTL_MOD);
}

void Server::serve(uint64_t number, uint32_t events) {
  const auto found = clients_.find(number);
  if (found == clients_.end()) return;  // went earlier in this round
  bool well = false;
  try {
    well = serve(*found->second, number, events);
  } catch (const std::exception&) {
    // What one client asks for may be too much; that is the end of this one only.
  }
  if (!well) drop(number);
}

bool Server::serve(Connection& connection, uint64_t number, uint32_t events) {
  // One long answer a round, or one that took long to find: many connections of one user do not
  // keep others waiting for theirs.
  const bool asks = !(events & EPOLLOUT) && (events & EPOLLIN);
  if (asks && sated_.contains(connection.uid())) {
    if (connection.has_message()) eager_.insert(number);
    return true;
  }
  const bool waited = connection.unsent() > 0, rested = connection.rests();
  bool well = false;  // an error or a hang-up, and nothing left to read
  if (events & EPOLLOUT)
    well = connection.send();
  else if (asks)
    well = connection.receive(&rested_at_);
  const bool waits = connection.unsent() > 0;
  if (asks && (waits || connection.asked_much())) sated_.insert(connection.uid());
  if (!well || (waits && too_much_unsent(connection))) return false;
  const bool rests = connection.rests();
  if (rests)
    resting_[connection.uid()].push_back(number);
  else if (!waits && connection.has_message())
    eager_.insert(number);
  if (waits != waited || rests != rested) {
    const uint32_t wanted = waits ? EPOLLOUT : EPOLLIN;
    watch(connection.socket(), {number, false}, rests ? 0 : wanted, EPOLL_CTL_MOD);
  }
  return true;
}

bool Server::too_much_unsent(const Connection& connection) const {
  size_t unsent = 0;
  for (const auto& [number, other] : clients_)
    if (other->uid() == connection.uid()) unsent += other->unsent();
  return unsent > kMaxUnsent;
}

void Server::drop(uint64_t number) {
  const auto found = clients_.find(number);
  if (found != clients_.end()) {
    if (const auto users = resting_.find(found->second->uid()); users != resting_.end()) {
      std::erase(users->second, number);
      if (users->second.empty()) resting_.erase(users);
    }
    eager_.erase(number);
    clients_.erase(found);  // closing takes both descriptors out of the epoll
  }
  listen_again();
}

}  // namespace aiacceld
