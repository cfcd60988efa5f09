// SPDX-License-Identifier: MIT
//
// The broker's side of the wire: clients made of the input's bytes, each on a socket of its own,
// and the real Connection and Host behind them. The target does what the server's loop does: it
// lets a connection send what is left of its answer, or else read.
//
// What has to hold: who only sent what can be parsed is not hung up on; one client's end gives back
// all it held; when all have gone nothing is left, no descriptor included.
#include "libfuzzer/fuzz.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iterator>
#include <memory>

#include "aiacceld/connection.h"
#include "broker/fds.h"
#include "broker/wire.h"
#include "host/host.h"

namespace {

using aiaccel::Fd;
namespace host = aiaccel::host;
namespace wire = aiaccel::wire;

constexpr unsigned long kCalls[] = {AIACCEL_IOC_QUERY,        AIACCEL_IOC_ENGINE_LIST,
                                    AIACCEL_IOC_ENGINE_INFO,  AIACCEL_IOC_STATS,
                                    AIACCEL_IOC_DESTROY,      AIACCEL_IOC_ALLOC,
                                    AIACCEL_IOC_PIN,          AIACCEL_IOC_BUFFER_INFO,
                                    AIACCEL_IOC_QUEUE_CREATE, AIACCEL_IOC_ENTER};

// Chosen by the larger bytes, so that older inputs mean what they did.
constexpr unsigned long kMoreCalls[] = {
    AIACCEL_IOC_RESERVE, AIACCEL_IOC_POLICY,  AIACCEL_IOC_CONTROL,         AIACCEL_IOC_REVOKE,
    AIACCEL_IOC_IMPORT,  AIACCEL_IOC_RESERVE, AIACCEL_IOC_ENGINE_REGISTER, AIACCEL_IOC_POLICY};

// Likewise, by the largest.
constexpr unsigned long kSharing[] = {AIACCEL_IOC_EXPORT, AIACCEL_IOC_IMPORT,
                                      AIACCEL_IOC_BUFFER_REVOKE, AIACCEL_IOC_QUOTA};

unsigned long call_of(unsigned pick) {
  if (pick < 220) return kCalls[pick % std::size(kCalls)];
  return pick < 240 ? kMoreCalls[pick % std::size(kMoreCalls)]
                    : kSharing[pick % std::size(kSharing)];
}

struct Client {
  Fd socket;
  std::unique_ptr<aiacceld::Connection> connection;
  std::uint32_t* consumed = nullptr;
  bool polite = true;  // whatever it sent could be parsed
  bool asked_to_poll = false;

  ~Client() {
    if (consumed) munmap(consumed, host::page_size());
  }
};

std::vector<aiaccel_engine_info> engines() {
  std::vector<aiaccel_engine_info> infos(2);
  for (std::uint32_t i = 0; i < 2; ++i) {
    infos[i].size = sizeof infos[i];
    infos[i].id = i + 1;
    infos[i].kind = i ? AIACCEL_ENGINE_GPU : AIACCEL_ENGINE_CPU;
    infos[i].state = AIACCEL_ENGINE_ACTIVE;
    infos[i].slots = 2 + i;
    infos[i].device_bytes = i * 1000;
  }
  return infos;
}

constexpr std::size_t kMaxClients = 3;

class World {
 public:
  explicit World(fuzz::Input& in) : in_(in) {}

  void step() {
    if (clients_.empty() || (in_.below(16) == 0 && clients_.size() <= kMaxClients))
      return connect();
    Client& client = *clients_[in_.below(static_cast<unsigned>(clients_.size()))];
    switch (in_.below(12)) {
      case 0:
        client.polite = false;
        return send(client, in_.text(200));
      case 1:
        return send(client, call(client, true));
      case 2:
        return send(client, poll_request(client));
      case 3:
        host_.tick(host::monotonic_ns());
        return read(client);
      case 4:
        __atomic_store_n(client.consumed, static_cast<std::uint32_t>(in_.number()),
                         __ATOMIC_RELEASE);
        return;
      case 5:  // events read as they should be
        __atomic_fetch_add(client.consumed, in_.below(3), __ATOMIC_RELEASE);
        return;
      case 6:
        return go(client);
      case 7:
        return serve(client);
      default:
        send(client, call(client, false));
        return serve(client);
    }
  }

  void end() {
    while (!clients_.empty()) go(*clients_.back());
    MUST(host_.contexts.empty());
    MUST(host_.tenants.empty());
    MUST(host_.exported.empty());
    const host::Tenant& root = host_.root;
    MUST(!root.bytes.used && !root.allocated_bytes && !root.pinned_bytes);
    MUST(!root.jobs.used && !root.lines.used && !root.buffers.used && !root.contexts.used);
    for (const aia_limit& limit : root.device_bytes) MUST(!limit.used);
    for (const auto& engine : host_.engines)
      MUST(!engine->queues && !engine->sched.slots_used && !engine->sched.waiting);
  }

 private:
  void connect() {
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    auto client = std::make_unique<Client>();
    client->socket = Fd(pair[0]);
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    const int opened = aiacceld::Connection::open(host_, Fd(pair[1]), &client->connection);
    MUST(opened == (clients_.size() < kMaxClients ? 0 : -EDQUOT));
    if (opened) return;
    char hello[sizeof(wire::Header) + sizeof(wire::Hello)];
    std::vector<Fd> fds;
    MUST(aiaccel::receive_with_fds(pair[0], hello, sizeof hello, &fds) == sizeof hello);
    MUST(fds.size() == 2);
    void* word =
        mmap(nullptr, host::page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fds[1].get(), 0);
    MUST(word != MAP_FAILED);
    client->consumed = static_cast<std::uint32_t*>(word);
    clients_.push_back(std::move(client));
  }

  void go(Client& client) {
    std::erase_if(clients_, [&](const auto& other) { return other.get() == &client; });
  }

  void send(Client& client, const std::string& bytes) {
    const ssize_t sent =
        ::send(client.socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) client.polite = false;  // cut short
  }

  void serve(Client& client) {
    std::chrono::steady_clock::time_point rested_at;  // long ago
    aiacceld::Connection& connection = *client.connection;
    const bool well = connection.unsent() ? connection.send() : connection.receive(&rested_at);
    if (well) return;
    MUST(!client.polite);
    go(client);
  }

  void read(Client& client) {
    char bytes[4096];
    [[maybe_unused]] const ssize_t got =
        recv(client.socket.get(), bytes, 1 + in_.below(sizeof bytes), MSG_DONTWAIT);
  }

  std::string poll_request(Client& client) {
    const wire::Header header{sizeof header, wire::kPollRequest, 0, 0};
    if (client.asked_to_poll) client.polite = false;
    client.asked_to_poll = true;
    return std::string(reinterpret_cast<const char*>(&header), sizeof header);
  }

  // A call with arguments that may be good; `spoiled`: then some bytes of the message are changed.
  std::string call(Client& client, bool spoiled) {
    const unsigned pick = in_.below(256);
    const host::Row& row = *host::find_row(call_of(pick));
    host::Arg arg{};
    std::string array;
    fill(row, &arg, &array);
    arg.size = row.size;
    std::uint32_t struct_bytes = row.size;
    std::string tail;
    if (in_.below(8) == 7) {  // of a newer header
      tail.assign(8 * in_.below(4), static_cast<char>(in_.below(2)));
      struct_bytes += static_cast<std::uint32_t>(tail.size());
      arg.size = struct_bytes;
    }
    const auto array_bytes = static_cast<std::uint32_t>(array.size());
    wire::Header header{static_cast<std::uint32_t>(sizeof header) + struct_bytes + array_bytes,
                        static_cast<std::uint32_t>(row.request), struct_bytes, array_bytes};
    std::string message(reinterpret_cast<const char*>(&header), sizeof header);
    message.append(reinterpret_cast<const char*>(&arg), row.size);
    message += tail + array;
    if (spoiled) {
      client.polite = false;
      for (unsigned edits = 1 + in_.below(4); edits; --edits)
        message[in_.below(static_cast<unsigned>(message.size()))] = static_cast<char>(in_.byte());
    }
    return message;
  }

  void fill(const host::Row& row, host::Arg* arg, std::string* array) {
    switch (row.request) {
      case AIACCEL_IOC_ENGINE_LIST:
        arg->engine_list.count = static_cast<std::uint32_t>(in_.number());
        break;
      case AIACCEL_IOC_ENGINE_INFO:
        arg->engine_info.id = in_.below(4);
        break;
      case AIACCEL_IOC_STATS:
        arg->stats.kind = in_.below(5);
        arg->stats.record_size = 8 * in_.below(80);
        arg->stats.count = static_cast<std::uint32_t>(in_.number());
        break;
      case AIACCEL_IOC_DESTROY:
      case AIACCEL_IOC_BUFFER_INFO:
        arg->destroy.id = in_.below(16);
        break;
      case AIACCEL_IOC_ALLOC:
        arg->alloc.length = in_.number();
        arg->alloc.placement = in_.below(6);
        arg->alloc.engine = arg->alloc.placement == AIACCEL_PLACE_NEAR ? in_.below(4) : 0;
        break;
      case AIACCEL_IOC_PIN:
        arg->pin.addr = in_.number();
        arg->pin.length = in_.number();
        arg->pin.flags = in_.below(3);
        break;
      case AIACCEL_IOC_EXPORT:
      case AIACCEL_IOC_IMPORT: {
        if (row.request == AIACCEL_IOC_EXPORT) arg->export_.id = in_.below(16);
        const host::Mark mark{in_.below(4), 0};
        array->append(reinterpret_cast<const char*>(&mark), sizeof mark);
        break;
      }
      case AIACCEL_IOC_BUFFER_REVOKE:
        arg->buffer_revoke.id = in_.below(16);
        break;
      case AIACCEL_IOC_QUOTA:
        arg->quota.kind = in_.below(4);
        arg->quota.length = in_.number();
        arg->quota.placement = in_.below(6);
        arg->quota.engine = arg->quota.placement == AIACCEL_PLACE_NEAR ? in_.below(4) : 0;
        break;
      case AIACCEL_IOC_QUEUE_CREATE:
        arg->queue_create.engine = in_.below(4);
        arg->queue_create.class_ = in_.below(5);
        arg->queue_create.weight = static_cast<std::uint32_t>(in_.number());
        arg->queue_create.label[0] = static_cast<char>(in_.below(128));
        break;
      case AIACCEL_IOC_ENTER:
        arg->enter.nr_completions = in_.below(4);
        arg->enter.nr_jobs = in_.below(6);
        arg->enter.min_events = in_.below(3);
        for (unsigned i = 0; i < arg->enter.nr_completions; ++i) {
          const aiaccel_completion completion{in_.below(8), in_.below(8), in_.below(2)};
          array->append(reinterpret_cast<const char*>(&completion), sizeof completion);
        }
        for (unsigned i = 0; i < arg->enter.nr_jobs; ++i) {
          aiaccel_job job{};
          job.cookie = in_.below(8);
          job.queue = in_.below(16);
          job.width = in_.below(5);
          job.cost_ns = in_.number();
          job.deadline_ns = in_.number();
          array->append(reinterpret_cast<const char*>(&job), sizeof job);
        }
        break;
      case AIACCEL_IOC_RESERVE:
        if (in_.below(2))
          arg->reserve.id = in_.below(16);
        else
          arg->reserve.engine = in_.below(4);
        arg->reserve.bytes = in_.number();
        break;
      case AIACCEL_IOC_POLICY:
        arg->policy.flags = in_.below(3);
        arg->policy.count = in_.below(4);
        arg->policy.rule_size = sizeof(aiaccel_policy_rule) + in_.below(8) / 7;
        for (unsigned i = 0; (arg->policy.flags & 1) && i < arg->policy.count; ++i)
          append_rule(array);
        break;
      case AIACCEL_IOC_CONTROL:
        arg->control.engine = in_.below(4);
        arg->control.state = in_.below(6);
        arg->control.order = in_.below(6);
        break;
      case AIACCEL_IOC_REVOKE:
        arg->revoke.flags = in_.below(3);
        arg->revoke.context = in_.below(8);
        arg->revoke.tenant = in_.below(6);
        arg->revoke.engine = in_.below(4);
        break;
      default:
        break;
    }
  }

  // As a rule one that is right, for the user that all clients are of.
  void append_rule(std::string* array) {
    aiaccel_policy_rule rule{};
    rule.match = in_.below(16) == 15 ? in_.below(5) : AIACCEL_MATCH_USER;
    rule.uid = geteuid();
    rule.sets = in_.below(256);
    const unsigned value = in_.below(8);
    if (rule.sets & AIACCEL_SETS_MAX_CLASS) rule.max_class = value;
    if (rule.sets & AIACCEL_SETS_WEIGHT) rule.weight = 1 + value * 1000;
    if (rule.sets & AIACCEL_SETS_PINNED_BYTES) rule.pinned_bytes = value << 20;
    if (rule.sets & AIACCEL_SETS_DEVICE_BYTES) rule.device_bytes = value * 200;
    if (rule.sets & AIACCEL_SETS_ENGINE_TIME) rule.engine_time = 1 + value * 1000;
    if (rule.sets & AIACCEL_SETS_GRANTS) rule.grants = 1 + value;
    if (rule.sets & AIACCEL_SETS_ON_MISSING) rule.on_missing = value & 1;
    array->append(reinterpret_cast<const char*>(&rule), sizeof rule);
  }

  fuzz::Input& in_;
  host::Host host_{engines(),
                   {.tenant_bytes = 64 << 20,
                    .tenant_jobs = 20,
                    .tenant_contexts = kMaxClients,
                    .tenant_lines = 10,
                    .tenant_buffers = 10},
                   AIACCEL_CAP_CRASH};
  std::vector<std::unique_ptr<Client>> clients_;
};

int free_descriptor() {
  const int fd = dup(STDERR_FILENO);
  close(fd);
  return fd;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int before = free_descriptor();
  {
    fuzz::Input in(data, size);
    World world(in);
    while (!in.done()) world.step();
    world.end();
  }
  MUST(free_descriptor() == before);
  return 0;
}
