// SPDX-License-Identifier: MIT
//
// The transport of the broker: a connection to aiacceld is a context. Calls of several threads go
// over it one after the other; waiting does not use it, so a thread that waits stops nobody.
//
// A server that is gone gives -ECONNRESET to every call from then on, and ends waits within a
// quarter of a second. Memory stays as it is mapped; the pages of allocated buffers are the
// client's own.
//
// Invariant: between calls nothing is under way on the socket. After any failure in mid-message it
// is not used again. A server that talks nonsense counts as gone: it is believed no more than
// what does us no harm.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <vector>

#include "broker/address.h"
#include "broker/fds.h"
#include "broker/wire.h"
#include "host/core.h"
#include "host/host.h"
#include "host/pages.h"
#include "mutex.h"
#include "user/user_transport.h"

namespace aiaccel {
namespace {

bool send_all(int socket, const std::vector<std::byte>& message) {
  for (size_t at = 0; at < message.size();) {
    const ssize_t sent = send_bytes(socket, message.data() + at, message.size() - at, 0);
    if (sent <= 0) return false;
    at += static_cast<size_t>(sent);
  }
  return true;
}

ssize_t receive(int socket, void* data, size_t bytes) {
  ssize_t got;
  do {
    got = recv(socket, data, bytes, 0);
  } while (got < 0 && errno == EINTR);
  return got;
}

// Descriptors may come with the first bytes; they are taken where `fds` is not null.
bool receive_all(int socket, void* data, size_t bytes, std::vector<Fd>* fds) {
  auto* to = static_cast<std::byte*>(data);
  for (size_t at = 0; at < bytes;) {
    const ssize_t got = fds ? receive_with_fds(socket, to + at, bytes - at, fds)
                            : receive(socket, to + at, bytes - at);
    if (got <= 0) return false;
    at += static_cast<size_t>(got);
  }
  return true;
}

// Whether so many bytes are there and stay there: a page that goes from under a mapping is a
// SIGBUS.
bool has(const Fd& pages, size_t bytes) {
  struct stat info;
  const int seals = fcntl(pages.get(), F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(pages.get(), &info) == 0 &&
         static_cast<uint64_t>(info.st_size) >= bytes;
}

constexpr uint32_t kMaxErrno = 4095;

// More engines or records than any host has.
constexpr uint32_t kMaxListed = 1 << 20;

void append(std::vector<std::byte>* message, const void* data, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  message->insert(message->end(), from, from + bytes);
}

class BrokerTransport final : public UserTransport {
 public:
  explicit BrokerTransport(Fd socket) : socket_(std::move(socket)) {}

  // Forked children may have copies of the socket, and outlive us.
  ~BrokerTransport() override {
    if (same_process()) shutdown(socket_.get(), SHUT_RDWR);
  }

  const char* name() const noexcept override { return "broker"; }

  // Takes the server's first word: 0 or -errno.
  int open() {
    wire::Header header;
    wire::Hello hello;
    std::vector<Fd> fds;
    if (!receive_all(socket_.get(), &header, sizeof header, &fds)) return -ECONNREFUSED;
    if (header.word > kMaxErrno) return -EPROTO;
    if (header.word) return -static_cast<int>(header.word);
    if (header.struct_bytes != sizeof hello ||
        !receive_all(socket_.get(), &hello, sizeof hello, &fds))
      return -EPROTO;
    if (hello.version != wire::kVersion || fds.size() != 2) return -EPROTO;
    ring_ = std::move(fds[0]);
    consumed_ = std::move(fds[1]);
    if (hello.ring_bytes < sizeof(aiaccel_ring) || !has(ring_, hello.ring_bytes) ||
        !has(consumed_, host::page_size()))
      return -EPROTO;
    return attach(ring_.get(), hello.ring_bytes, consumed_.get());
  }

  int fd() noexcept override {
    const int fd = poll_fd();
    // Readable from the start where events are unread.
    if (fd >= 0 && !polled_.exchange(true)) drained();
    return fd;
  }

 private:
  int fail() {
    broken_ = true;
    return -ECONNRESET;
  }

  // The server is asked for it once.
  int poll_fd() noexcept try {
    Lock lock(mutex_);
    if (poll_) return poll_.get();
    const wire::Header header{sizeof header, wire::kPollRequest, 0, 0};
    std::vector<std::byte> message;
    append(&message, &header, sizeof header);
    Answer answer;
    std::vector<Fd> fds;
    if (int error = exchange(message, 0, &answer, &fds)) return error;
    if (answer.header.array_bytes) return fail();
    if (answer.header.word) return -static_cast<int>(answer.header.word);
    if (fds.size() != 1) return fail();
    poll_ = std::move(fds[0]);
    return poll_.get();
  } catch (const std::bad_alloc&) {
    broken_ = true;  // an answer may be left on the socket
    return -ENOMEM;
  }

  struct Answer {
    wire::Header header;
    host::Arg arg;
  };

  // Sends one message and takes of its answer the header and a struct of at most so many bytes, in
  // one system call where it comes in one piece. Descriptors are taken where `fds` is not null.
  int exchange(const std::vector<std::byte>& message, uint32_t struct_bytes, Answer* answer,
               std::vector<Fd>* fds) REQUIRES(mutex_) {
    if (broken_) return -ECONNRESET;
    if (!send_all(socket_.get(), message)) return fail();
    auto* to = reinterpret_cast<std::byte*>(answer);
    const wire::Header& header = answer->header;
    size_t wanted = sizeof header;
    for (size_t at = 0; at < wanted;) {
      const size_t room = sizeof header + struct_bytes - at;
      const ssize_t got = fds ? receive_with_fds(socket_.get(), to + at, room, fds)
                              : receive(socket_.get(), to + at, room);
      if (got <= 0) return fail();
      at += static_cast<size_t>(got);
      if (at < sizeof header) continue;
      if (header.struct_bytes > struct_bytes || header.word > kMaxErrno) return fail();
      wanted = sizeof header + header.struct_bytes;
      if (at > wanted) return fail();
    }
    return 0;
  }

  int perform(host::Call& call) noexcept override try {
    if (call.row->request == AIACCEL_IOC_ENTER)
      if (int error = check_arrays(call.arg.enter)) return error;
    if (call.row->request == AIACCEL_IOC_POLICY && replaces(call.arg.policy))
      if (int error = check_rules(call.arg.policy)) return error;
    std::vector<std::byte> message = encode(call);
    Lock lock(mutex_);
    Answer answer{};
    if (int error = exchange(message, call.row->size, &answer, nullptr)) return error;
    const auto [bytes, word, struct_bytes, array_bytes] = answer.header;
    const bool whole = struct_bytes == call.row->size;
    if ((!whole && (struct_bytes || !word)) || array_bytes > (word ? 0 : room_for_array(call)))
      return fail();
    call.array.resize(array_bytes);
    if (!receive_all(socket_.get(), call.array.data(), call.array.size(), nullptr) ||
        (!word && !can_be(call, answer.arg)))
      return fail();
    adopt(call, answer.arg);
    return -static_cast<int>(word);
  } catch (const std::bad_alloc&) {
    broken_ = true;  // an answer may be left on the socket
    return -ENOMEM;
  }

  static bool replaces(const aiaccel_policy& arg) { return arg.flags & AIACCEL_POLICY_REPLACE; }

  // What the caller's array takes, and so the longest that an answer can be.
  static uint64_t room_for_array(const host::Call& call) {
    switch (call.row->request) {
      case AIACCEL_IOC_ENGINE_LIST:
        return uint64_t{call.arg.engine_list.count} * sizeof(uint32_t);
      case AIACCEL_IOC_STATS:
        return uint64_t{call.arg.stats.count} * call.arg.stats.record_size;
      case AIACCEL_IOC_POLICY:
        return replaces(call.arg.policy)
                   ? 0
                   : uint64_t{call.arg.policy.count} * sizeof(aiaccel_policy_rule);
      default:
        return 0;
    }
  }

  static bool ends(const char (&text)[AIACCEL_NAME_LEN]) {
    return std::memchr(text, 0, sizeof text);
  }

  // Whether a call can end so: callers step through their arrays by what an answer
  // counts, and read names to their end.
  static bool can_be(const host::Call& call, const host::Arg& answer) {
    switch (call.row->request) {
      case AIACCEL_IOC_ENTER:
        return answer.enter.nr_completions <= call.arg.enter.nr_completions &&
               answer.enter.nr_jobs <= call.arg.enter.nr_jobs;
      case AIACCEL_IOC_ENGINE_LIST:
        return answer.engine_list.count <= kMaxListed;
      case AIACCEL_IOC_POLICY:
        return answer.policy.count <= AIACCEL_POLICY_MAX &&
               call.array.size() % sizeof(aiaccel_policy_rule) == 0;
      case AIACCEL_IOC_ENGINE_INFO:
        return ends(answer.engine_info.name) && ends(answer.engine_info.alias) &&
               ends(answer.engine_info.provider);
      case AIACCEL_IOC_STATS: {
        const uint32_t size = answer.stats.record_size;
        return answer.stats.count <= kMaxListed && size > 0 && size <= call.arg.stats.record_size &&
               call.array.size() % size == 0 && call.array.size() / size <= call.arg.stats.count;
      }
      default:
        return true;
    }
  }

  // What the server could only answer by hanging up.
  static int check_arrays(const aiaccel_enter& arg) {
    if (int error = aia_check_enter(&arg)) return error;
    const bool missing = (arg.nr_completions && !arg.completions) || (arg.nr_jobs && !arg.jobs);
    return missing ? -EFAULT : 0;
  }

  // Likewise; from who may not set rules it takes none, so that is asked first.
  int check_rules(const aiaccel_policy& arg) {
    if (int error = aia_check_policy(&arg)) return error;
    host::Call look;
    look.row = host::find_row(AIACCEL_IOC_POLICY);
    look.arg.policy.size = sizeof look.arg.policy;
    look.arg.policy.rule_size = arg.rule_size;
    if (int error = perform(look)) return error;
    return arg.count && !arg.rules ? -EFAULT : 0;
  }

  static std::vector<std::byte> encode(const host::Call& call) {
    host::Arg arg = call.arg;
    arg.size = call.row->size;
    const void* first = nullptr;
    const void* second = nullptr;
    size_t first_bytes = 0;
    size_t second_bytes = 0;
    switch (call.row->request) {
      case AIACCEL_IOC_ENTER:
        first = reinterpret_cast<const void*>(arg.enter.completions);
        first_bytes = arg.enter.nr_completions * sizeof(aiaccel_completion);
        second = reinterpret_cast<const void*>(arg.enter.jobs);
        second_bytes = arg.enter.nr_jobs * sizeof(aiaccel_job);
        arg.enter.completions = arg.enter.jobs = 0;
        break;
      case AIACCEL_IOC_POLICY:
        if (replaces(arg.policy)) {
          first = reinterpret_cast<const void*>(arg.policy.rules);
          first_bytes = arg.policy.count * sizeof(aiaccel_policy_rule);
        }
        arg.policy.rules = 0;
        break;
      case AIACCEL_IOC_ENGINE_LIST:
        arg.engine_list.ids = 0;
        break;
      case AIACCEL_IOC_BUFFER_INFO:
        arg.buffer_info.node_bytes = 0;
        break;
      case AIACCEL_IOC_EXPORT:
      case AIACCEL_IOC_IMPORT:
        first = &call.mark;
        first_bytes = sizeof call.mark;
        break;
      case AIACCEL_IOC_STATS:
        arg.stats.records = 0;
        // A record that the server refuses to be so long keeps its size, and its error.
        if (aia_check_stats(&arg.stats) == 0)
          arg.stats.record_size = std::min(arg.stats.record_size, wire::kMaxRecord);
        break;
    }
    wire::Header header{};
    header.word = static_cast<uint32_t>(call.row->request);
    header.struct_bytes = call.row->size;
    header.array_bytes = static_cast<uint32_t>(first_bytes + second_bytes);
    header.bytes = static_cast<uint32_t>(sizeof header) + header.struct_bytes + header.array_bytes;
    std::vector<std::byte> message;
    message.reserve(header.bytes);
    append(&message, &header, sizeof header);
    append(&message, &arg, call.row->size);
    if (first_bytes) append(&message, first, first_bytes);
    if (second_bytes) append(&message, second, second_bytes);
    return message;
  }

  // Takes over what the call gives. What it was given is the caller's: were it taken from an
  // answer, a server could make us allocate more than was asked for, or wait for ever.
  static void adopt(host::Call& call, const host::Arg& answer) {
    host::Arg& arg = call.arg;
    switch (call.row->request) {
      case AIACCEL_IOC_ENTER:
        arg.enter.nr_completions = answer.enter.nr_completions;
        arg.enter.nr_jobs = answer.enter.nr_jobs;
        break;
      case AIACCEL_IOC_ENGINE_LIST:
        arg.engine_list.count = answer.engine_list.count;
        break;
      case AIACCEL_IOC_STATS:
        arg.stats.count = answer.stats.count;
        arg.stats.time_ns = answer.stats.time_ns;
        widen(&call.array, answer.stats.record_size, arg.stats.record_size);
        break;
      case AIACCEL_IOC_ALLOC:
        arg.alloc.id = answer.alloc.id;
        arg.alloc.mmap_offset = answer.alloc.mmap_offset;
        arg.alloc.refused_by = answer.alloc.refused_by;
        break;
      case AIACCEL_IOC_PIN:
        arg.pin.id = answer.pin.id;
        arg.pin.refused_by = answer.pin.refused_by;
        break;
      case AIACCEL_IOC_BUFFER_INFO: {
        const aiaccel_buffer_info asked = arg.buffer_info;
        arg.buffer_info = answer.buffer_info;
        arg.buffer_info.size = asked.size;
        arg.buffer_info.id = asked.id;
        arg.buffer_info.node_bytes = asked.node_bytes;
        break;
      }
      case AIACCEL_IOC_QUOTA:
        arg.quota.tenant_bytes = answer.quota.tenant_bytes;
        arg.quota.module_bytes = answer.quota.module_bytes;
        arg.quota.refused_by = answer.quota.refused_by;
        break;
      case AIACCEL_IOC_EXPORT:
        break;
      case AIACCEL_IOC_IMPORT:
        arg.import.id = answer.import.id;
        arg.import.length = answer.import.length;
        arg.import.refused_by = answer.import.refused_by;
        break;
      case AIACCEL_IOC_BUFFER_REVOKE:
        arg.buffer_revoke.importers = answer.buffer_revoke.importers;
        break;
      case AIACCEL_IOC_RESERVE:
        arg.reserve.id = answer.reserve.id;
        arg.reserve.max_bytes = answer.reserve.max_bytes;
        arg.reserve.free_bytes = answer.reserve.free_bytes;
        arg.reserve.refused_by = answer.reserve.refused_by;
        break;
      case AIACCEL_IOC_QUEUE_CREATE:
        arg.queue_create.id = answer.queue_create.id;
        arg.queue_create.refused_by = answer.queue_create.refused_by;
        break;
      case AIACCEL_IOC_POLICY:
        arg.policy.count = answer.policy.count;
        break;
      case AIACCEL_IOC_CONTROL:
        break;
      case AIACCEL_IOC_REVOKE:
        arg.revoke.count = answer.revoke.count;
        break;
      default: {  // all of it but the size
        const uint32_t size = arg.size;
        arg = answer;
        arg.size = size;
      }
    }
  }

  static void widen(std::vector<std::byte>* records, uint32_t from, uint32_t to) {
    if (from == to || from == 0) return;
    const size_t count = records->size() / from;
    std::vector<std::byte> wide(count * to);
    for (size_t i = 0; i < count; ++i)
      std::memcpy(wide.data() + i * to, records->data() + i * from, std::min(from, to));
    *records = std::move(wide);
  }

  // Only once polled_ tells that poll_ is set, which it then stays.
  void quiet() noexcept override UNCHECKED_LOCKS {
    char bytes[256];
    while (recv(poll_.get(), bytes, sizeof bytes, MSG_DONTWAIT) == sizeof bytes) {
    }
  }

  bool can_die() const noexcept override { return true; }

  bool alive() noexcept override {
    char byte;
    if (broken_) return false;
    const ssize_t got = recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
  }

  const Fd socket_;
  Fd ring_;
  Fd consumed_;
  Mutex mutex_;                 // one call on the socket at a time
  Fd poll_ GUARDED_BY(mutex_);  // set once
  std::atomic<bool> broken_{false};
};

// With a patience of 0 there is no end to it.
int connect_once(const std::string& path, unsigned patience_ms,
                 std::unique_ptr<Transport>* transport) {
  sockaddr_un name;
  if (int error = socket_name(path, &name)) return error;
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return -errno;
  const timeval patience{patience_ms / 1000, static_cast<long>(patience_ms % 1000) * 1000};
  for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO})
    if (patience_ms &&
        setsockopt(socket.get(), SOL_SOCKET, direction, &patience, sizeof patience) < 0)
      return -errno;
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) < 0) return -errno;
  return open_broker_on(std::move(socket), transport);
}

}  // namespace

int open_broker_on(Fd socket, std::unique_ptr<Transport>* transport) {
  auto broker = std::make_unique<BrokerTransport>(std::move(socket));
  if (int error = broker->open()) return error;
  *transport = std::move(broker);
  return 0;
}

int open_broker(std::unique_ptr<Transport>* transport) noexcept try {
  BrokerAddress address;
  if (int error = find_broker(&address)) return error;
  // A broker may be about to end, or another program about to start one: some patience.
  const uint64_t give_up = host::monotonic_ns() + 5'000'000'000;
  for (;;) {
    const int error = connect_once(address.path, 0, transport);
    if (error == -EAGAIN) return -ECONNREFUSED;
    const bool none = error == -ENOENT || error == -ECONNREFUSED;
    if (!none || address.of_system || host::monotonic_ns() >= give_up) return error;
    if (int failed = start_broker(address.path, kIdleSeconds)) return failed;
    const timespec pause{0, 5'000'000};
    nanosleep(&pause, nullptr);
  }
} catch (const std::bad_alloc&) {
  return -ENOMEM;
} catch (const std::system_error& error) {
  return -error.code().value();
}

int open_running_broker(std::unique_ptr<Transport>* transport, const BrokerPlace& place,
                        unsigned patience_ms) noexcept try {
  BrokerAddress address;
  if (int error = find_running_broker(place, &address)) return error;
  const int error = connect_once(address.path, patience_ms, transport);
  return error == -EAGAIN ? -ECONNREFUSED : error;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
} catch (const std::system_error& error) {
  return -error.code().value();
}

}  // namespace aiaccel
