// SPDX-License-Identifier: MIT
//
// Who comes to a host of the simulator (host.hpp), and what became of it, as it sees it itself.
//
// A client is a process: a context with one queue, or a set of them at several engines, which wants
// turns of a known length. It reads its ring as soon as something is there, its work begins with
// its turn, and it says when that has ended, which it does not before even if its turn is revoked,
// unless the work was stopped. While it is frozen it does none of this; work that was begun goes
// on. One of a stream may look whether it is asked to yield; then it renews its turn, or ends it.
// One may have a job after its job, too.
//
// A stream is a crowd of clients to whom jobs come: as many as it needs, since a context holds one
// turn at a time.
//
// A gang are clients whose jobs are a group: when all of them have ended they come again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "core/core.hpp"
#include "sim/times.hpp"

namespace sim {

class Host;
struct Gang;
struct Stream;

// A seat at an engine, with its queue.
struct Place {
  aia_sched_seat seat{};
  aia_sched_queue queue{};
};

struct Client {
  Host* host = nullptr;
  aia_sched_seat seat{};
  aia_sched_queue queue{};
  std::deque<Place> elsewhere{};  // the others of its set; each job is for any of them
  std::vector<aia_any> anys{};    // then one for each of its turns
  aia_turns turns{};
  aia_history_who who{};  // its context is the client's address
  aia_turn turns_of_jobs[2]{};
  aia_turn* turn =
      &turns_of_jobs[0];     // of its job, where it has one; the other is of the one after it
  Stream* stream = nullptr;  // whose it is, or
  Gang* gang = nullptr;      // of which it is one, or
  bool wants_more = false;   // whether it goes on by itself:
  Ns turn_ns = kMs;          // how long its work takes
  Ns think_ns = 0;           // from the end of a turn to the next request
  Ns claimed_ns = 0;         // what it says that it takes
  std::uint32_t width = 1;

  Ns came_ns = 0;   // its job, where it has one
  Ns begun_ns = 0;  // its turn, or when it was renewed
  Ns works_until_ns = 0;
  Ns revoked_ns = 0;  // its turn; 0: it was not
  Ns killed_ns = 0;   // 0: it lives
  bool works = false;
  bool frozen = false;
  bool has_slept = false;   // over what it was to do, since it was frozen
  std::uint64_t epoch = 0;  // what was foreseen in an earlier one is void

  Ns had_ns = 0;      // slots times time of its turns,
  Ns overran_ns = 0;  // and of work that went on after they were revoked
  std::uint64_t turns_had = 0;
  std::uint64_t revoked = 0;  // of these
  Ns longest_turn_ns = 0;
  Ns longest_wait_ns = 0;

  std::uint32_t consumed = 0;
  alignas(64) std::byte ring[16384]{};

  const aia_sched_job& job() const { return turn->job; }
  bool is_engaged() const { return job().state == AIA_SCHED_GRANTED; }
  bool is_being_stopped() const { return job().state == AIA_SCHED_STOPPING; }
  aia_turn* other() { return &turns_of_jobs[turn == &turns_of_jobs[0]]; }
  // The one of its queues that is there, or null.
  const aia_sched_queue* queue_at(const aia_sched_engine& engine) const {
    if (seat.engine == &engine) return &queue;
    for (const Place& p : elsewhere)
      if (p.seat.engine == &engine) return &p.queue;
    return nullptr;
  }
  // What stands for its job in one of its queues, or null.
  const aia_sched_job* job_in(const aia_sched_queue& at) const {
    if (job().any && job().state == AIA_SCHED_HELD) return aia_any_place(&job(), &at);
    return job().queue == &at ? &job() : nullptr;
  }
  bool overruns() const { return job().state == AIA_SCHED_CONTENDED; }
};

struct Stream {
  aia_sched_node* tenant = nullptr;
  std::vector<aia_sched_node*> elsewhere{};  // of other engines: each job is for any of them
  std::uint32_t class_ = AIACCEL_CLASS_NORMAL;
  std::uint32_t weight = 0;
  std::uint32_t width = 1;
  std::size_t contexts = 0;  // at most so many; jobs that find none idle wait in the stream. 0: any
  Ns claimed_ns = 0;         // what it says that turns take
  Ns due_ns = 0;             // from when a job comes to its deadline; 0: it has none
  Ns budget_ns = 0;          // of its turns; 0: that of the engine
  Ns yields_ns = 0;          // so long after they are asked to; 0: they do not look
  bool renews = false;       // rather than yield, if it may
  bool fills = false;
  bool follows = false;                        // each job has one after it
  Times gap{};                                 // from one arrival to the next
  Times service{};                             // how long its work takes
  std::function<void(Ns wait_ns)> began{};     // called for each turn that begins,
  std::function<void(Ns sojourn_ns)> ended{};  // and for each job that is done

  bool stopped = false;
  std::deque<Client> clients{};
  std::vector<Client*> idle{};
  std::deque<Ns> backlog{};  // when they came
  std::uint64_t turns = 0;
  std::uint64_t revoked = 0;  // of these
  Ns had_ns = 0;              // slots times time of its turns,
  Ns overran_ns = 0;          // and of work that went on after they were revoked
};

struct Gang {
  std::vector<Client*> members{};
  std::uint64_t number = 0;
  std::size_t ended = 0;
  bool stopped = false;
};

}  // namespace sim
