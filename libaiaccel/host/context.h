// SPDX-License-Identifier: MIT
//
// What one client owns at a Host: the twin of an open file of the module. It carries out every call
// of the UAPI header but waits for nothing and touches no memory of the client: the transport waits
// on the ring, and the memory of buffers is made on the client's side once it is charged here.
//
// Invariants: an id names one buffer, queue or reservation; a seat exists for each engine to which
// the context had a queue; whatever is charged is uncharged by the destructor.
//
// Threads: public members take the Host's mutex themselves, but for what says otherwise.
#ifndef AIACCEL_HOST_CONTEXT_H
#define AIACCEL_HOST_CONTEXT_H

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "host/buffer.h"
#include "host/call.h"
#include "host/host.h"
#include "host/pages.h"

namespace aiaccel::host {

// What a record of STATS takes, before any filling; 0: no such kind.
uint32_t record_bytes(uint32_t kind);

// Who opens a context.
struct Client {
  uint64_t uid = 0;
  pid_t pid = 0;
  std::string comm;
  bool privileged = false;  // an administrator: sees the statistics of all tenants, too
};

class Context {
 public:
  // `on_events` is called under the Host's mutex when the ring got news: it must not block.
  // 0 or -errno: -EDQUOT, -ENOMEM, -EMFILE.
  static int create(Host& host, Client client, std::function<void()> on_events,
                    std::unique_ptr<Context>* context) noexcept;
  ~Context();

  // Carries out a call. The pointers to arrays in an ENTER and to the rules of a POLICY are read;
  // those of other calls are not followed: what belongs there is in call.array. Does not wait for
  // min_events. Of EXPORT and IMPORT the descriptor is the client's: call.mark tells which file it
  // is. Of QUOTA only the ceilings are answered, the rest is known at the client's side.
  int call(Call& call) noexcept;

  // The pages behind AIACCEL_RING_OFFSET and AIACCEL_CONSUMED_OFFSET.
  const Pages& ring() const { return ring_; }
  const Pages& consumed() const { return consumed_; }

  // Once the client has its own mappings, ours are enough.
  void close_page_fds();

 private:
  friend class Host;

  struct Seat {
    aia_sched_seat sched;
  };
  struct Queue {
    aia_sched_queue sched{};
    Engine* engine = nullptr;
    uint32_t weight = 0;
    uint32_t class_ = 0;     // as created; sched.class_: as it counts now
    bool unbounded = false;  // created with the right to exceed the tenant's ceiling
    aia_history_who who{};
  };
  // An id of a buffer.
  struct Handle {
    std::shared_ptr<Buffer> buffer;
    bool foreign;          // by IMPORT, else by who made it
    uint64_t mmap_offset;  // 0 where pinned
  };
  struct Reservation {
    Engine* engine;
    uint64_t bytes;
  };
  // Standard layout, so that the core's aia_turns leads back to its context.
  struct Turns {
    aia_turns core;
    Context* context;
  };

  Context(Host& host, Client client, std::function<void()> on_events);

  static Context& of(aia_turns* turns) { return *reinterpret_cast<Turns*>(turns)->context; }

  int perform(Call& call) REQUIRES(host_.mutex);
  int query(aiaccel_query& arg) REQUIRES(host_.mutex);
  int engine_list(Call& call) REQUIRES(host_.mutex);
  int engine_info(aiaccel_engine_info& arg) REQUIRES(host_.mutex);
  int destroy(const aiaccel_destroy& arg) REQUIRES(host_.mutex);
  int alloc(aiaccel_alloc& arg) REQUIRES(host_.mutex);
  int pin(aiaccel_pin& arg) REQUIRES(host_.mutex);
  int buffer_info(aiaccel_buffer_info& arg) REQUIRES(host_.mutex);
  int quota(aiaccel_quota& arg) REQUIRES(host_.mutex);
  int export_buffer(Call& call) REQUIRES(host_.mutex);
  int import_buffer(Call& call) REQUIRES(host_.mutex);
  int revoke_buffer(aiaccel_buffer_revoke& arg) REQUIRES(host_.mutex);
  int reserve(aiaccel_reserve& arg) REQUIRES(host_.mutex);
  int resize(Reservation& reservation, aiaccel_reserve& arg) REQUIRES(host_.mutex);
  void end_reservation(const Reservation& reservation) REQUIRES(host_.mutex);
  int queue_create(aiaccel_queue_create& arg) REQUIRES(host_.mutex);
  int enter(aiaccel_enter& arg) REQUIRES(host_.mutex);
  int submit(const aiaccel_job& job, uint64_t now_ns, aia_news& news) REQUIRES(host_.mutex);
  int complete(const aiaccel_completion& completion, bool first, uint64_t now_ns, aia_news& news)
      REQUIRES(host_.mutex);
  int policy(Call& call) REQUIRES(host_.mutex);
  uint32_t counted_class(const Queue& queue) const REQUIRES(host_.mutex);
  void follow_policy() REQUIRES(host_.mutex);
  int control(const aiaccel_control& arg) REQUIRES(host_.mutex);
  int revoke(aiaccel_revoke& arg) REQUIRES(host_.mutex);
  uint32_t revoke_queue(Queue& queue, uint32_t flags, uint64_t now_ns, aia_news& news)
      REQUIRES(host_.mutex);
  void fail_waiting(uint64_t now_ns, aia_news& news) REQUIRES(host_.mutex);
  int stats(Call& call) REQUIRES(host_.mutex);
  void stats_engines(Call& call) const REQUIRES(host_.mutex);
  void stats_tenants(Call& call) const REQUIRES(host_.mutex);
  void stats_queues(Call& call) const REQUIRES(host_.mutex);
  void stats_turns(Call& call) const REQUIRES(host_.mutex);
  void stats_reservations(Call& call) const REQUIRES(host_.mutex);
  void stats_contexts(Call& call) const REQUIRES(host_.mutex);
  aiaccel_stats_engine describe(const Engine& engine) const REQUIRES(host_.mutex);
  aiaccel_stats_tenant describe(const Tenant& tenant) const REQUIRES(host_.mutex);
  aiaccel_stats_context describe() const REQUIRES(host_.mutex);
  aiaccel_stats_queue describe(const Queue& queue) const REQUIRES(host_.mutex);  // of its own
  class Snapshot;
  int stats_snapshot(Call& call, uint64_t now_ns) const REQUIRES(host_.mutex);
  // As `viewer` may see it.
  void add_to(Snapshot& snapshot, const Context& viewer, uint64_t now_ns) const
      REQUIRES(host_.mutex);
  bool sees(const Tenant& tenant) const;

  uint32_t unread() const REQUIRES(host_.mutex);
  uint32_t new_id() REQUIRES(host_.mutex);
  int add_buffer(const Buffer& buffer, uint32_t* id, uint32_t* refused_by) REQUIRES(host_.mutex);
  int add_handle(Handle handle, uint32_t* id, uint32_t* refused_by) REQUIRES(host_.mutex);
  int next_offset(uint64_t bytes, uint64_t* offset, uint32_t* refused_by) REQUIRES(host_.mutex);
  int charge_line(uint32_t* refused_by) REQUIRES(host_.mutex);
  int charge(const Handle& handle, uint32_t* refused_by) REQUIRES(host_.mutex);
  void let_go(const Handle& handle) REQUIRES(host_.mutex);
  void end_queue(Queue& queue, uint64_t now_ns, aia_news& news) REQUIRES(host_.mutex);

  Host& host_;
  const Client client_;
  const std::function<void()> on_events_;

  // Set by create(), then fixed.
  Tenant* tenant_ PT_GUARDED_BY(host_.mutex) = nullptr;
  aia_history_who who_{};  // but for the queue
  Pages ring_;
  Pages consumed_;

  Turns turns_ GUARDED_BY(host_.mutex){};
  std::map<Engine*, std::unique_ptr<Seat>> seats_ GUARDED_BY(host_.mutex);
  std::map<uint32_t, std::unique_ptr<Queue>> queues_ GUARDED_BY(host_.mutex);
  std::map<uint32_t, Handle> buffers_ GUARDED_BY(host_.mutex);
  std::map<uint32_t, Reservation> reservations_ GUARDED_BY(host_.mutex);
  uint32_t last_id_ GUARDED_BY(host_.mutex) = 0;
  uint64_t next_offset_ GUARDED_BY(host_.mutex) = 1ULL << 32;  // clear of the ring's offsets
};

}  // namespace aiaccel::host

#endif  // AIACCEL_HOST_CONTEXT_H
