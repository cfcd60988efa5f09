// SPDX-License-Identifier: MIT
//
// The client's side of the wire: the library, through its C interface, against a server that says
// and does whatever the input wants: its greeting, the ring that it passes and keeps writing to,
// its answers. All answers lie in the socket before the first call, and the server then hangs up,
// so that nothing here can wait.
//
// What has to hold: no call crashes, reads beyond what is mapped or takes memory without bound;
// results are 0 or an errno; what a call says it has done is no more than it was asked for.
#include "libfuzzer/fuzz.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <memory>

#include "broker/fds.h"
#include "broker/wire.h"
#include "device.h"
#include "host/core.h"

namespace {

using aiaccel::Fd;
namespace wire = aiaccel::wire;

constexpr std::uint32_t kRingBytes =
    12288;  // whole pages; as aia_ring_bytes(AIA_TURNS_MAX) asks for

class Server {
 public:
  explicit Server(fuzz::Input& in) : in_(in) {
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    ours_ = Fd(pair[0]);
    theirs_ = Fd(pair[1]);
    const bool odd = in_.below(8) == 7;
    ring_ = file(odd ? 512 * in_.below(64) : kRingBytes);
    consumed_ = file(odd ? 512 * in_.below(16) : 4096);
    void* data = mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring_.get(), 0);
    MUST(data != MAP_FAILED);
    words_ = static_cast<std::uint32_t*>(data);
    if (!odd) {
      constexpr std::uint32_t entries = AIA_TURNS_MAX;
      const auto events = static_cast<std::uint32_t>(sizeof(aiaccel_ring));
      const auto yield = static_cast<std::uint32_t>(events + entries * sizeof(aiaccel_event));
      const std::uint32_t head[] = {0, entries, events, yield};
      std::memcpy(words_, head, sizeof head);
      for (unsigned edits = in_.below(3); edits; --edits) scribble();
    }
    whole_ = !odd;
    greet();
    for (unsigned answers = in_.below(24); answers; --answers) answer();
    shutdown(ours_.get(), SHUT_WR);
  }
  ~Server() { munmap(words_, kRingBytes); }

  Fd socket() { return std::move(theirs_); }

  // Somewhere in the ring's head or its first events, while the client uses it.
  void scribble() {
    if (whole_) words_[in_.below(64)] = static_cast<std::uint32_t>(in_.number());
  }

  // Takes the pages away, where whoever mapped them has let that be.
  void shrink() {
    if (ftruncate(ring_.get(), 0) == 0) whole_ = false;
    [[maybe_unused]] const int ignored = ftruncate(consumed_.get(), 0);
  }

 private:
  Fd file(std::uint32_t bytes) {
    Fd fd(memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    MUST(ftruncate(fd.get(), bytes) == 0);
    if (in_.below(16) != 15)
      fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return fd;
  }

  void send(const wire::Header& header, const std::string& rest, bool with_fds) {
    std::string message(reinterpret_cast<const char*>(&header), sizeof header);
    message += rest;
    const ssize_t sent =
        with_fds ? aiaccel::send_with_fds(ours_.get(), message.data(), message.size(),
                                          {ring_.get(), consumed_.get()}, MSG_DONTWAIT)
                 : aiaccel::send_bytes(ours_.get(), message.data(), message.size(), MSG_DONTWAIT);
    MUST(sent == static_cast<ssize_t>(message.size()));
  }

  void greet() {
    wire::Hello hello{wire::kVersion, kRingBytes};
    wire::Header header{sizeof header + sizeof hello, 0, sizeof hello, 0};
    switch (in_.below(16)) {
      case 13:
        header.word = static_cast<std::uint32_t>(in_.number());
        break;
      case 14:
        hello.ring_bytes = static_cast<std::uint32_t>(in_.number());
        break;
      case 15:
        hello.version = static_cast<std::uint32_t>(in_.number());
        break;
      default:
        break;
    }
    send(header, std::string(reinterpret_cast<const char*>(&hello), sizeof hello),
         in_.below(16) != 15);
    // The client asks for this first.
    aiaccel_query query{};
    query.size = sizeof query;
    query.ring_bytes = in_.below(8) == 7 ? static_cast<std::uint32_t>(in_.number()) : kRingBytes;
    const wire::Header first{sizeof first + sizeof query, 0, sizeof query, 0};
    send(first, std::string(reinterpret_cast<const char*>(&query), sizeof query), false);
  }

  void answer() {
    static constexpr std::uint32_t kSizes[] = {0,
                                               sizeof(aiaccel_enter),
                                               sizeof(aiaccel_alloc),
                                               sizeof(aiaccel_queue_create),
                                               sizeof(aiaccel_stats),
                                               sizeof(aiaccel_engine_list),
                                               sizeof(aiaccel_engine_info),
                                               8};
    static constexpr std::uint32_t kMemorySizes[] = {
        sizeof(aiaccel_buffer_info), sizeof(aiaccel_quota),
        sizeof(aiaccel_import),  // EXPORT's and BUFFER_REVOKE's are of one size
        sizeof(aiaccel_export)};
    wire::Header header{};
    header.word = in_.below(4) ? 0 : static_cast<std::uint32_t>(in_.number());
    const unsigned form = in_.below(10);
    header.struct_bytes = form < 8    ? kSizes[form]
                          : form == 8 ? static_cast<std::uint32_t>(in_.number())
                                      : kMemorySizes[in_.below(4)];
    header.array_bytes = in_.below(3) ? 0 : static_cast<std::uint32_t>(in_.number());
    std::string rest(std::min<std::uint32_t>(header.struct_bytes, 512), '\0');
    for (unsigned edits = rest.empty() ? 0 : in_.below(6); edits; --edits)
      rest[in_.below(static_cast<unsigned>(rest.size()))] = static_cast<char>(in_.byte());
    rest.append(std::min<std::uint32_t>(header.array_bytes, 2048), static_cast<char>(in_.byte()));
    send(header, rest, in_.below(16) == 15);
  }

  fuzz::Input& in_;
  Fd ours_, theirs_, ring_, consumed_;
  std::uint32_t* words_ = nullptr;
  bool whole_ = false;
};

bool is_result(int result) {
  return result <= 0 && result > -4096;
}

// What the administrator asks for, and leases.
void administer(aiaccel_device& device, fuzz::Input& in) {
  switch (in.below(4)) {
    case 0: {
      aiaccel_reserve reserve{};
      reserve.size = sizeof reserve;
      reserve.engine = 1;
      reserve.bytes = 1000;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_RESERVE, &reserve)));
      MUST(reserve.engine == 1 && reserve.bytes == 1000);
      return;
    }
    case 1: {
      aiaccel_revoke revoke{};
      revoke.size = sizeof revoke;
      revoke.context = 1;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_REVOKE, &revoke)));
      MUST(revoke.context == 1 && !revoke.tenant && !revoke.flags);
      aiaccel_control control{};
      control.size = sizeof control;
      control.state = AIACCEL_ENGINE_DRAINING;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_CONTROL, &control)));
      MUST(!control.engine && control.state == AIACCEL_ENGINE_DRAINING);
      return;
    }
    default: {
      aiaccel_policy_rule rules[3]{};
      aiaccel_policy policy{};
      policy.size = sizeof policy;
      policy.flags = in.below(2);
      policy.count = 1 + in.below(2);
      policy.rule_size = sizeof rules[0];
      policy.rules = reinterpret_cast<std::uintptr_t>(rules);
      rules[2].match = 77;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_POLICY, &policy)));
      MUST(policy.rules == reinterpret_cast<std::uintptr_t>(rules));
      MUST(policy.count <= AIACCEL_POLICY_MAX && policy.rule_size == sizeof rules[0]);
      MUST(rules[2].match == 77);  // no more than there was room for
      return;
    }
  }
}

// What is told of buffers, and passed on.
void pass_on(aiaccel_device& device, fuzz::Input& in) {
  const std::uint32_t id = in.below(4);
  switch (in.below(4)) {
    case 0: {
      std::uint64_t nodes[] = {7, 7};
      aiaccel_buffer_info info{};
      info.size = sizeof info;
      info.id = id;
      info.node_bytes = reinterpret_cast<std::uintptr_t>(nodes);
      info.nr_nodes = 1;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_BUFFER_INFO, &info)));
      MUST(info.id == id && info.node_bytes == reinterpret_cast<std::uintptr_t>(nodes));
      MUST(info.nr_nodes <= 1 && nodes[1] == 7);
      return;
    }
    case 1: {
      aiaccel_quota quota{};
      quota.size = sizeof quota;
      quota.kind = AIACCEL_BUFFER_ALLOCATED;
      quota.length = 4096;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_QUOTA, &quota)));
      MUST(quota.kind == AIACCEL_BUFFER_ALLOCATED && quota.length == 4096);
      return;
    }
    case 2: {
      aiaccel_buffer_revoke revoke{};
      revoke.size = sizeof revoke;
      revoke.id = id;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_BUFFER_REVOKE, &revoke)));
      MUST(revoke.id == id);
      return;
    }
    default: {
      aiaccel_export made{};
      made.size = sizeof made;
      made.id = id;
      const int result = aiaccel_call(&device, AIACCEL_IOC_EXPORT, &made);
      MUST(is_result(result));
      if (result) return;
      const Fd fd(made.fd);
      MUST(made.id == id && fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
      aiaccel_import taken{};
      taken.size = sizeof taken;
      taken.fd = fd.get();
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_IMPORT, &taken)));
      MUST(taken.fd == fd.get());
      return;
    }
  }
}

void use(aiaccel_device& device, fuzz::Input& in) {
  const unsigned pick = in.below(256);
  if (pick >= 240) return pass_on(device, in);
  if (pick >= 220) return administer(device, in);  // older inputs mean what they did
  switch (pick % 10) {
    case 0: {
      aiaccel_event events[8];
      MUST(aiaccel_read_events(&device, events, 8) <= 8);
      return;
    }
    case 1: {
      aiaccel_job job{};
      job.queue = 1;
      job.width = 1;
      job.cookie = in.below(4);
      aiaccel_grant grant{};
      const int result = aiaccel_acquire(&device, &job, 1, -1, &grant);
      MUST(is_result(result));
      if (result) return;
      [[maybe_unused]] const volatile std::uint32_t word = *grant.yield_word;
      MUST(is_result(aiaccel_complete(&device, &grant)));
      return;
    }
    case 2: {
      aiaccel_engine_info info;
      const int found = aiaccel_find_engine(&device, in.below(2) ? "cpu0" : "cpu-node0", &info);
      MUST(is_result(found));
      if (found == 0) MUST(std::memchr(info.name, 0, sizeof info.name));
      return;
    }
    case 3: {
      std::uint64_t records[32];
      aiaccel_stats stats{};
      stats.size = sizeof stats;
      stats.kind = 1 + in.below(5);
      stats.record_size = 8 * (1 + in.below(80));
      stats.count = static_cast<std::uint32_t>(sizeof records / stats.record_size);
      stats.records = reinterpret_cast<std::uintptr_t>(records);
      const std::uint32_t asked = stats.record_size;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_STATS, &stats)));
      MUST(stats.record_size == asked);
      MUST(stats.records == reinterpret_cast<std::uintptr_t>(records));
      return;
    }
    case 4: {
      aiaccel_alloc alloc{};
      alloc.size = sizeof alloc;
      alloc.length = 1 + in.below(8192);
      if (aiaccel_call(&device, AIACCEL_IOC_ALLOC, &alloc)) return;
      void* address = nullptr;
      if (aiaccel_map(&device, alloc.mmap_offset, 4096, PROT_READ | PROT_WRITE, &address) == 0) {
        *static_cast<volatile char*>(address) = 1;
        munmap(address, 4096);
      }
      return;
    }
    case 5: {
      aiaccel_destroy destroy{sizeof destroy, in.below(4)};
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_DESTROY, &destroy)));
      return;
    }
    case 6: {
      const int fd = aiaccel_fd(&device);
      MUST(fd >= 0 || is_result(fd));
      return;
    }
    case 7: {
      aiaccel_completion completions[2]{};
      aiaccel_job jobs[3]{};
      aiaccel_enter enter{};
      enter.size = sizeof enter;
      enter.nr_completions = in.below(3);
      enter.nr_jobs = in.below(4);
      enter.completions = reinterpret_cast<std::uintptr_t>(completions);
      enter.jobs = reinterpret_cast<std::uintptr_t>(jobs);
      enter.min_events = in.below(3);
      const aiaccel_enter asked = enter;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_ENTER, &enter)));
      MUST(enter.nr_completions <= asked.nr_completions && enter.nr_jobs <= asked.nr_jobs);
      MUST(enter.completions == asked.completions && enter.jobs == asked.jobs);
      return;
    }
    case 8: {
      alignas(4096) static char page[4096];
      aiaccel_pin pin{};
      pin.size = sizeof pin;
      pin.addr = reinterpret_cast<std::uintptr_t>(page);
      pin.length = sizeof page;
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_PIN, &pin)));
      return;
    }
    default: {
      aiaccel_queue_create create{};
      create.size = sizeof create;
      create.engine = 1;
      create.label[0] = 'x';
      MUST(is_result(aiaccel_call(&device, AIACCEL_IOC_QUEUE_CREATE, &create)));
      return;
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  Server server(in);
  std::unique_ptr<aiaccel::Transport> transport;
  const int opened = aiaccel::open_broker_on(server.socket(), &transport);
  MUST(is_result(opened));
  if (opened) return 0;
  aiaccel_device device(std::move(transport));
  const int mapped = device.map_ring();
  MUST(is_result(mapped));
  if (mapped) return 0;
  for (unsigned calls = 0; calls < 32 && !in.done(); ++calls) {
    if (in.below(4) == 0) server.scribble();
    if (in.below(16) == 0) server.shrink();
    use(device, in);
  }
  return 0;
}
