// SPDX-License-Identifier: MIT
//
// The broker's loop: one thread, one epoll, one arbiter for all who connect.
#ifndef AIACCELD_SERVER_H
#define AIACCELD_SERVER_H

#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "aiacceld/connection.h"
#include "broker/fds.h"
#include "host/host.h"

namespace aiacceld {

class Server {
 public:
  // `idle`: how long to stay without a client; nothing: for ever. Throws std::system_error.
  Server(aiaccel::Fd listener, const aiaccel::host::Ceilings& ceilings,
         std::optional<std::chrono::seconds> idle);

  // Serves until SIGTERM, SIGINT or until it was idle for so long.
  void run();

 private:
  void watch(int fd, uint32_t events, int operation);
  void accept_client();
  void listen_again();
  void serve(int fd, uint32_t events);
  bool too_much_unsent(const Connection& connection) const;
  void drop(int socket);

  aiaccel::host::Host host_;
  aiaccel::Fd listener_;
  aiaccel::Fd signals_;
  aiaccel::Fd epoll_;
  const std::optional<std::chrono::seconds> idle_;
  bool listening_ = true;  // false while there are no descriptors left for more clients
  std::map<int, std::unique_ptr<Connection>> clients_;  // by socket
  std::map<int, int> processes_;                        // pidfd to socket
};

}  // namespace aiacceld

#endif  // AIACCELD_SERVER_H
