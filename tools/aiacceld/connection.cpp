// SPDX-License-Identifier: MIT
//
// Reading, carrying out and answering the messages of one client; see connection.h and
// broker/wire.h.
#include "aiacceld/connection.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "user/user_transport.h"

namespace aiacceld {
namespace {

using aiaccel::Fd;
namespace host = aiaccel::host;
namespace wire = aiaccel::wire;
using Clock = std::chrono::steady_clock;

// After a user's SNAPSHOT there is none of users for so many times as long as it took, as in the
// module: whatever they ask for, the others have most of the time.
constexpr int kRest = 8;

std::string command_of(pid_t pid) {
  std::string comm;
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::getline(file, comm);
  return comm;
}

void append(std::vector<std::byte>* to, const void* data, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  to->insert(to->end(), from, from + bytes);
}

// Whether the array of an ENTER is what its counts say.
bool is_whole(const aiaccel_enter& arg, size_t array_bytes) {
  return arg.nr_completions <= AIACCEL_ENTER_MAX && arg.nr_jobs <= AIACCEL_ENTER_MAX &&
         array_bytes ==
             arg.nr_completions * sizeof(aiaccel_completion) + arg.nr_jobs * sizeof(aiaccel_job);
}

}  // namespace

int Connection::open(host::Host& arbiter, Fd socket, std::unique_ptr<Connection>* result) {
  std::unique_ptr<Connection> connection(new Connection(std::move(socket)));
  Connection* made = connection.get();
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(made->socket(), SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return -errno;
  int error = made->watch(peer.pid);
  if (error == -ESRCH) return error;  // it is gone
  made->uid_ = peer.uid;
  made->privileged_ = peer.uid == 0 || peer.uid == geteuid();
  host::Client client{peer.uid, peer.pid, command_of(peer.pid), made->privileged_};
  if (!error)
    error = host::Context::create(
        arbiter, std::move(client), [made] { made->tell(); }, &made->context_);
  if (!made->greet(error)) return -EPIPE;
  if (error) return error;
  made->context_->close_page_fds();
  *result = std::move(connection);
  return 0;
}

// A peer outside our pid namespace has no number here: its socket alone tells of its end. So it
// does where there is no such system call, or a container forbids it.
int Connection::watch(pid_t pid) {
  if (pid <= 0) return 0;
  process_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return process_ || errno == ENOSYS || errno == EPERM ? 0 : -errno;
}

bool Connection::greet(int error) {
  wire::Hello hello{wire::kVersion, 0};
  wire::Header header{sizeof header + sizeof hello, static_cast<uint32_t>(-error), sizeof hello, 0};
  if (!error) hello.ring_bytes = static_cast<uint32_t>(context_->ring().bytes());
  std::vector<std::byte> message;
  append(&message, &header, sizeof header);
  append(&message, &hello, sizeof hello);
  // The first bytes of a fresh socket: there is room, or something is wrong.
  const ssize_t sent =
      error ? aiaccel::send_bytes(socket(), message.data(), message.size(), MSG_DONTWAIT)
            : aiaccel::send_with_fds(socket(), message.data(), message.size(),
                                     {context_->ring().fd(), context_->consumed().fd()},
                                     MSG_DONTWAIT);
  return sent == static_cast<ssize_t>(message.size());
}

// Called by the context when its ring got news.
void Connection::tell() {
  aiaccel::wake_ring(context_->ring().data(), context_->consumed().data());
  // Full is as good as sent: it polls readable.
  if (news_) aiaccel::send_bytes(news_.get(), "", 1, MSG_DONTWAIT);
}

bool Connection::is_acceptable(const wire::Header& header) const {
  const uint32_t max_request = privileged_ && header.word == AIACCEL_IOC_POLICY
                                   ? wire::kMaxPolicyRequest
                                   : wire::kMaxRequest;
  const uint64_t sum = sizeof header + uint64_t{header.struct_bytes} + header.array_bytes;
  return header.bytes == sum && header.bytes <= max_request &&
         header.struct_bytes <= host::kMaxStruct;
}

// To be had by who is not privileged. The whole message is there.
bool Connection::is_users_snapshot(const wire::Header& header) const {
  aiaccel_stats arg;
  constexpr size_t kNeeded = offsetof(aiaccel_stats, kind) + sizeof arg.kind;
  if (privileged_ || header.word != AIACCEL_IOC_STATS || header.struct_bytes < kNeeded)
    return false;
  std::memcpy(&arg, in_.data() + sizeof header, kNeeded);
  return arg.kind == AIACCEL_STATS_SNAPSHOT;
}

bool Connection::has_message() const {
  wire::Header header;
  if (in_.size() < sizeof header) return false;
  std::memcpy(&header, in_.data(), sizeof header);
  return in_.size() >= header.bytes;
}

bool Connection::receive(Clock::time_point* rested_at) {
  asked_much_ = rests_ = false;
  // One message at a time, so that a client that talks without end does not keep others from
  // talking. Descriptors that a client passes are not taken: the kernel closes them.
  wire::Header header;
  for (int reads = 0;; ++reads) {
    size_t wanted = wire::kUsualRequest;
    if (in_.size() >= sizeof header) {
      std::memcpy(&header, in_.data(), sizeof header);
      if (!is_acceptable(header)) return false;
      if (in_.size() >= header.bytes) break;
      wanted = header.bytes;
    }
    if (reads == 2) return true;
    const size_t have = in_.size();
    in_.resize(wanted);
    const ssize_t got = recv(socket(), in_.data() + have, wanted - have, MSG_DONTWAIT);
    if (got == 0) return false;
    in_.resize(have + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return errno == EAGAIN || errno == EINTR;
  }
  const bool paced = is_users_snapshot(header);
  const Clock::time_point began = paced ? Clock::now() : Clock::time_point();
  rests_ = paced && began < *rested_at;
  if (rests_) return true;
  const bool well = carry_out(header);
  if (paced) {
    const Clock::time_point ended = Clock::now();
    *rested_at = ended + kRest * (ended - began);
  }
  in_.erase(in_.begin(), in_.begin() + header.bytes);
  return well;
}

bool Connection::carry_out(const wire::Header& header) {
  if (header.word == wire::kPollRequest) return answer_poll();
  const host::Row* row = host::find_row(header.word);
  if (!row) return answer(-ENOTTY, nullptr, 0, {});

  const std::byte* data = in_.data() + sizeof header;
  uint32_t size;
  if (header.struct_bytes < sizeof size) return false;
  std::memcpy(&size, data, sizeof size);
  if (size > header.struct_bytes) return false;
  host::Call call;
  if (const int error = host::take_arg(*row, data, &call)) return answer(error, nullptr, 0, {});

  // The message begins where memory was allocated, so what the array holds is aligned.
  if (header.array_bytes && header.struct_bytes % alignof(aiaccel_job)) return false;
  const auto array = reinterpret_cast<uintptr_t>(data + header.struct_bytes);
  if (row->request == AIACCEL_IOC_ENTER) {
    aiaccel_enter& arg = call.arg.enter;
    if (!is_whole(arg, header.array_bytes)) return false;
    arg.completions = array;
    arg.jobs = array + arg.nr_completions * sizeof(aiaccel_completion);
  } else if (row->request == AIACCEL_IOC_POLICY) {
    aiaccel_policy& arg = call.arg.policy;
    const bool replace = arg.flags & AIACCEL_POLICY_REPLACE;
    if (header.array_bytes != (replace ? arg.count * sizeof(aiaccel_policy_rule) : 0)) return false;
    arg.rules = array;
  } else if (row->request == AIACCEL_IOC_EXPORT || row->request == AIACCEL_IOC_IMPORT) {
    if (header.array_bytes != sizeof call.mark) return false;
    std::memcpy(&call.mark, data + header.struct_bytes, sizeof call.mark);
  } else if (header.array_bytes) {
    return false;
  }
  // The client fills records up: that need not go over the socket.
  if (row->request == AIACCEL_IOC_STATS && aia_check_stats(&call.arg.stats) == 0)
    call.arg.stats.record_size =
        std::min(call.arg.stats.record_size, host::record_bytes(call.arg.stats.kind));
  const uint32_t kind = call.arg.stats.kind;
  asked_much_ = row->request == AIACCEL_IOC_STATS &&
                (kind == AIACCEL_STATS_TURNS || kind == AIACCEL_STATS_SNAPSHOT);
  const int result = context_->call(call);
  if (row->request == AIACCEL_IOC_ENTER) call.arg.enter.completions = call.arg.enter.jobs = 0;
  if (row->request == AIACCEL_IOC_POLICY) call.arg.policy.rules = 0;
  return answer(result, &call.arg, row->size, call.array);
}

bool Connection::answer(int result, const void* data, uint32_t struct_bytes,
                        const std::vector<std::byte>& array) {
  wire::Header header{};
  header.word = static_cast<uint32_t>(-result);
  header.struct_bytes = struct_bytes;
  header.array_bytes = static_cast<uint32_t>(array.size());
  header.bytes = static_cast<uint32_t>(sizeof header) + struct_bytes + header.array_bytes;
  out_.clear();
  out_.reserve(header.bytes);
  out_at_ = 0;
  append(&out_, &header, sizeof header);
  if (struct_bytes) append(&out_, data, struct_bytes);
  if (!array.empty()) append(&out_, array.data(), array.size());
  return send();
}

bool Connection::answer_poll() {
  // One is all that a client needs, and what it leaves unread counts against our descriptors.
  if (news_) return false;
  int pair[2];
  wire::Header header{sizeof header, 0, 0, 0};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
    header.word = static_cast<uint32_t>(errno);
    return aiaccel::send_bytes(socket(), &header, sizeof header, MSG_DONTWAIT) == sizeof header;
  }
  news_ = Fd(pair[0]);
  const Fd theirs(pair[1]);
  return aiaccel::send_with_fds(socket(), &header, sizeof header, {theirs.get()}, MSG_DONTWAIT) ==
         sizeof header;
}

bool Connection::send() {
  while (unsent()) {
    const ssize_t sent =
        aiaccel::send_bytes(socket(), out_.data() + out_at_, unsent(), MSG_DONTWAIT);
    if (sent == -EAGAIN) return true;
    if (sent < 0) return false;
    out_at_ += static_cast<size_t>(sent);
  }
  out_.clear();
  out_at_ = 0;
  if (out_.capacity() > wire::kMaxRequest) out_.shrink_to_fit();
  return true;
}

}  // namespace aiacceld
