// SPDX-License-Identifier: MIT
//
// The broker's loop: one thread, one epoll, one arbiter for all who connect.
//
// Invariant: an event names its client by a number that is never used again. A descriptor's number
// would be: an event that was there before its client went would then end the next one's context.
// Who waits for something, or is to be served before the next look at the epoll, is a client.
#ifndef AIACCELD_SERVER_H
#define AIACCELD_SERVER_H

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "aiacceld/connection.h"
#include "broker/fds.h"
#include "host/host.h"

namespace aiacceld {

class Server {
 public:
  // Keeps SIGTERM and SIGINT for run(). Call it before there is a socket, so that one that comes
  // early leaves none.
  static void hold_signals();

  using Rules = std::vector<aiaccel_policy_rule>;

  // `idle`: how long to stay without a client; nothing: for ever. `read_rules`: the
  // administrator's, checked, as any broker finds them as it starts. Throws std::system_error.
  Server(aiaccel::Fd listener, const std::vector<aiaccel_engine_info>& engines,
         const aiaccel::host::Ceilings& ceilings, std::optional<std::chrono::seconds> idle,
         std::function<Rules()> read_rules);

  // Serves until SIGTERM, SIGINT or until it was idle for so long and keeps nothing that the next
  // one would not know.
  void run();

 private:
  // What an event is about: whose, and whether of its process instead of its socket.
  struct Source {
    uint64_t client;
    bool process;
  };

  void watch(int fd, Source source, uint32_t events, int operation);
  void wake_at(uint64_t ns);
  void tick();
  bool is_needed();
  uint64_t take_rested();
  std::chrono::milliseconds left_to_rest() const;
  void accept_client();
  void listen_again();
  void serve(uint64_t number, uint32_t events);
  bool serve(Connection& connection, uint64_t number, uint32_t events);
  bool too_much_unsent(const Connection& connection) const;
  void drop(uint64_t number);

  aiaccel::host::Host host_;
  aiaccel::Fd listener_;
  aiaccel::Fd signals_;
  aiaccel::Fd timer_;
  aiaccel::Fd epoll_;
  const std::optional<std::chrono::seconds> idle_;
  const std::function<Rules()> read_rules_;
  Rules known_rules_;      // as read last
  bool listening_ = true;  // false while there are no descriptors left for more clients
  std::chrono::steady_clock::time_point listen_again_at_;  // then at the latest
  uint64_t last_client_ = 0;
  std::map<uint64_t, std::unique_ptr<Connection>> clients_;
  // Users who got an answer in this round that did not fit at once, or took long to find.
  std::set<uint64_t> sated_;
  // Clients of whom there is a message that was read along with another.
  std::set<uint64_t> eager_;
  // Clients whose SNAPSHOT waits, by user, and until when. Users take turns; of one it is who came
  // first. Nothing else of them is read meanwhile.
  std::map<uint64_t, std::deque<uint64_t>> resting_;
  uint64_t rested_uid_ = 0;  // whose turn was last
  std::chrono::steady_clock::time_point rested_at_;
};

}  // namespace aiacceld

#endif  // AIACCELD_SERVER_H
