// SPDX-License-Identifier: MIT
//
// The caller's side of an arbiter in user space; see user_transport.h.
#include "user/user_transport.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "host/core.h"
#include "host/host.h"
#include "host/pages.h"
#include "user/marked_file.h"

namespace aiaccel {
namespace {

// In the page of the consumed word: how many threads wait, so that the arbiter need not make a
// system call to wake nobody. A client that writes nonsense there misleads only itself.
constexpr size_t kWaiters = 1;

class Announced {
 public:
  explicit Announced(uint32_t* waiters) : waiters_(waiters) {
    __atomic_fetch_add(waiters_, 1, __ATOMIC_SEQ_CST);
  }
  Announced(const Announced&) = delete;
  Announced& operator=(const Announced&) = delete;
  ~Announced() { __atomic_fetch_sub(waiters_, 1, __ATOMIC_RELAXED); }

 private:
  uint32_t* const waiters_;
};

// Waits until *word is not `value`, until the time, or for a signal: 0 or -errno.
int wait_word(const uint32_t* word, uint32_t value, uint64_t until_ns) noexcept {
  timespec until{};
  until.tv_sec = static_cast<time_t>(until_ns / 1'000'000'000);
  until.tv_nsec = static_cast<long>(until_ns % 1'000'000'000);
  const long result =
      syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result < 0 ? -errno : 0;
}

}  // namespace

void wake_ring(void* ring, const void* consumed) noexcept {
  // The ring's word before the waiters', as a waiter announces itself before it looks at the
  // ring's. Adds nothing: a fence would do, but thread sanitizers do not know what it orders.
  uint32_t* produced = &static_cast<aiaccel_ring*>(ring)->produced;
  __atomic_fetch_add(produced, 0, __ATOMIC_SEQ_CST);
  const auto* words = static_cast<const uint32_t*>(consumed);
  if (!__atomic_load_n(words + kWaiters, __ATOMIC_SEQ_CST)) return;
  syscall(SYS_futex, produced, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

UserTransport::~UserTransport() {
  if (!same_process()) {
    buffers_.forget_pins();
    return;  // the ring was never ours here
  }
  if (ring_) munmap(ring_, ring_bytes_);
  if (consumed_) munmap(consumed_, host::page_size());
}

int UserTransport::attach(int ring_fd, size_t ring_bytes, int consumed_fd) {
  ring_fd_ = ring_fd;
  consumed_fd_ = consumed_fd;
  ring_bytes_ = ring_bytes;
  void* ring;
  void* consumed;
  if (int error = map(AIACCEL_RING_OFFSET, ring_bytes, PROT_READ, &ring)) return error;
  ring_ = static_cast<aiaccel_ring*>(ring);
  if (int error =
          map(AIACCEL_CONSUMED_OFFSET, host::page_size(), PROT_READ | PROT_WRITE, &consumed))
    return error;
  consumed_ = static_cast<uint32_t*>(consumed);
  return 0;
}

uint32_t UserTransport::produced() const noexcept {
  return __atomic_load_n(&ring_->produced, __ATOMIC_ACQUIRE);
}

// As the core counts: nonsense in the reader's word is a full ring.
uint32_t UserTransport::unread() const noexcept {
  const uint32_t consumed = __atomic_load_n(consumed_, __ATOMIC_ACQUIRE);
  return std::min(produced() - consumed, ring_->entries);
}

int UserTransport::call(unsigned long request, void* arg) noexcept try {
  const host::Row* row = host::find_row(request);
  if (!row) return -ENOTTY;
  if (!same_process()) return -EPERM;
  host::Call call;
  if (int error = host::take_arg(*row, arg, &call)) return error;
  const int result = run(call);
  host::give_arg(call, result, arg);
  return result;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int UserTransport::run(host::Call& call) {
  const host::Arg& arg = call.arg;
  switch (call.row->request) {
    case AIACCEL_IOC_ENGINE_LIST:
      return list(call, arg.engine_list.ids, uint64_t{arg.engine_list.count} * sizeof(uint32_t));
    case AIACCEL_IOC_STATS:
      return list(call, arg.stats.records, uint64_t{arg.stats.count} * arg.stats.record_size);
    case AIACCEL_IOC_POLICY:
      if (arg.policy.flags & AIACCEL_POLICY_REPLACE) return perform(call);
      return list(call, arg.policy.rules, uint64_t{arg.policy.count} * arg.policy.rule_size);
    case AIACCEL_IOC_ALLOC:
      return alloc(call);
    case AIACCEL_IOC_PIN:
      return pin(call);
    case AIACCEL_IOC_ENTER:
      return enter(call);
    case AIACCEL_IOC_DESTROY: {
      const int result = perform(call);
      if (result == 0) buffers_.remove(arg.destroy.id);
      return result;
    }
    case AIACCEL_IOC_BUFFER_INFO:
      return buffer_info(call);
    case AIACCEL_IOC_QUOTA:
      return quota(call);
    case AIACCEL_IOC_EXPORT:
      return export_buffer(call);
    case AIACCEL_IOC_IMPORT:
      return import_buffer(call);
    case AIACCEL_IOC_BUFFER_REVOKE: {
      // Had before nobody pays for it any more: another thread may DESTROY the buffer meanwhile.
      const std::shared_ptr<const Fd> file = buffers_.file(arg.buffer_revoke.id);
      if (int error = perform(call)) return error;
      return file && ftruncate(file->get(), 0) < 0 ? -errno : 0;
    }
    default:
      return perform(call);
  }
}

int UserTransport::list(host::Call& call, uint64_t array, uint64_t array_bytes) {
  const int result = perform(call);
  if (result) return result;
  const size_t bytes = std::min<uint64_t>(array_bytes, call.array.size());
  if (bytes == 0) return 0;
  if (!array) return -EFAULT;
  std::memcpy(reinterpret_cast<void*>(array), call.array.data(), bytes);
  return 0;
}

void UserTransport::give_back(uint32_t id) noexcept {
  host::Call call;
  call.row = host::find_row(AIACCEL_IOC_DESTROY);
  call.arg.destroy = {sizeof(aiaccel_destroy), id};
  perform(call);
}

int UserTransport::alloc(host::Call& call) {
  aiaccel_alloc& arg = call.arg.alloc;
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = Buffers::check_alloc(arg)) return error;
  int near_node = -1;
  if (arg.placement == AIACCEL_PLACE_NEAR) {
    host::Call info;
    info.row = host::find_row(AIACCEL_IOC_ENGINE_INFO);
    info.arg.engine_info.size = sizeof(aiaccel_engine_info);
    info.arg.engine_info.id = arg.engine;
    if (int error = perform(info)) return error;
    near_node = info.arg.engine_info.numa_node;
  }
  if (int error = perform(call)) return error;
  const int error = buffers_.add_alloc(arg, near_node);
  if (error) give_back(arg.id);
  return error;
}

int UserTransport::pin(host::Call& call) {
  aiaccel_pin& arg = call.arg.pin;
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = Buffers::check_pin(arg)) return error;
  if (int error = perform(call)) return error;
  const int error = buffers_.add_pin(arg);
  if (error) give_back(arg.id);
  return error;
}

int UserTransport::buffer_info(host::Call& call) {
  if (int error = perform(call)) return error;
  aiaccel_buffer_info& arg = call.arg.buffer_info;
  arg.numa_node = buffers_.node(arg.id);
  arg.nr_nodes = 0;  // what is on each node is not known
  return 0;
}

int UserTransport::quota(host::Call& call) {
  aiaccel_quota& arg = call.arg.quota;
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = Buffers::check_quota(arg)) return error;
  if (int error = perform(call)) return error;
  Buffers::complete(arg);
  return 0;
}

int UserTransport::export_buffer(host::Call& call) {
  aiaccel_export& arg = call.arg.export_;
  call.mark = buffers_.mark(arg.id);
  if (int error = perform(call)) return error;
  const int fd = buffers_.share(arg.id);
  if (fd < 0) return fd;
  arg.fd = fd;
  return 0;
}

int UserTransport::import_buffer(host::Call& call) {
  aiaccel_import& arg = call.arg.import;
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = aia_check_import(&arg)) return error;
  Fd file;
  if (int error = take_marked_file(arg.fd, &file, &call.mark)) return error;
  if (int error = perform(call)) return error;
  host::Call info;
  info.row = host::find_row(AIACCEL_IOC_BUFFER_INFO);
  info.arg.buffer_info.size = sizeof(aiaccel_buffer_info);
  info.arg.buffer_info.id = arg.id;
  int error = perform(info);
  if (!error)
    error = buffers_.add_import(arg.id, std::move(file), call.mark, arg.length,
                                info.arg.buffer_info.mmap_offset);
  if (error) give_back(arg.id);
  return error;
}

int UserTransport::enter(host::Call& call) {
  aiaccel_enter& arg = call.arg.enter;
  const uint32_t nr_completions = arg.nr_completions;
  const uint32_t nr_jobs = arg.nr_jobs;
  if (polled_.load(std::memory_order_acquire) && unread() == 0) drained();
  if (int error = perform(call)) return error;
  const bool any = arg.nr_completions || arg.nr_jobs;
  if (arg.nr_completions == nr_completions && arg.nr_jobs == nr_jobs) {
    const int error = wait(arg.min_events, arg.timeout_ns);
    if (error && !any) return error;
  }
  arg.nr_events = unread();
  return 0;
}

int UserTransport::wait(uint32_t min_events, uint64_t timeout_ns) noexcept {
  if (unread() >= min_events) return 0;
  const Announced announced(consumed_ + kWaiters);
  for (;;) {
    const uint32_t seen = produced();
    if (unread() >= min_events) return 0;
    const uint64_t now = host::monotonic_ns();
    if (now >= timeout_ns) return -ETIMEDOUT;
    if (can_die() && !alive()) return -ECONNRESET;
    // Far enough to be for ever, near enough for a timespec.
    uint64_t until = std::min<uint64_t>(timeout_ns, INT64_MAX);
    if (can_die()) until = std::min(until, now + kAskNs);
    if (wait_word(&ring_->produced, seen, until) == -EINTR)
      return unread() >= min_events ? 0 : -EINTR;
  }
}

void UserTransport::drained() noexcept {
  if (!polled_.load(std::memory_order_acquire)) return;
  quiet();
  // Events may have come before that; and after a whole ring of them more may wait for room. An
  // ENTER with nothing in it looks for both and makes fd() readable again.
  const uint32_t now = produced();
  if (unread() == 0 && now - drained_at_.exchange(now) < ring_->entries) return;
  host::Call look;
  look.row = host::find_row(AIACCEL_IOC_ENTER);
  look.arg.enter.size = sizeof(aiaccel_enter);
  perform(look);
}

int UserTransport::map(uint64_t offset, size_t length, int prot, void** address) noexcept {
  if (!same_process()) return -EPERM;
  const bool ring = offset == AIACCEL_RING_OFFSET;
  if (!ring && offset != AIACCEL_CONSUMED_OFFSET)
    return buffers_.map(offset, length, prot, address);
  if (length == 0 || length > (ring ? ring_bytes_ : host::page_size())) return -EINVAL;
  void* mapped = mmap(nullptr, length, prot, MAP_SHARED, ring ? ring_fd_ : consumed_fd_, 0);
  if (mapped == MAP_FAILED) return -errno;
  if (madvise(mapped, length, MADV_DONTFORK) < 0) {
    const int error = errno;
    munmap(mapped, length);
    return -error;
  }
  *address = mapped;
  return 0;
}

}  // namespace aiaccel
