// SPDX-License-Identifier: MIT
//
// One client of the broker: its socket, its context, and one message each way, with at most
// kUsualRequest bytes of the next. Nothing here blocks, and nothing that a client sends or leaves
// unread costs more than these two messages.
//
// A connection is over when the socket closes, when what comes over it cannot be parsed, or when
// the process that opened it has exited, even if a child of it still has the socket: then its turns
// end and all it held is given back. The owner destroys the object.
//
// Threads: the server's one thread.
#ifndef AIACCELD_CONNECTION_H
#define AIACCELD_CONNECTION_H

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "broker/fds.h"
#include "broker/wire.h"
#include "host/context.h"

namespace aiacceld {

class Connection {
 public:
  // Makes the context of whoever is at the other end and greets: 0 or -errno, of which the client
  // has been told.
  static int open(aiaccel::host::Host& host, aiaccel::Fd socket,
                  std::unique_ptr<Connection>* connection);

  int socket() const { return socket_.get(); }
  int process() const { return process_.get(); }  // readable when it has exited; -1: unknown
  uint64_t uid() const { return uid_; }

  // An answer that the client has not taken yet; until it has, nothing more is read.
  size_t unsent() const { return out_.size() - out_at_; }

  // Whether the last message had us go through what all users did of late, however short the
  // answer.
  bool asked_much() const { return asked_much_; }

  // Whether a whole message was read along with the last one: the socket does not tell of it.
  bool has_message() const;

  // Whether such a message is a user's SNAPSHOT that has to wait until all users' have rested.
  bool rests() const { return rests_; }

  // The socket is ready, or there is such a message. False: the connection is over. A user's
  // SNAPSHOT is not answered before `rested_at`, which is set anew where it is.
  bool receive(std::chrono::steady_clock::time_point* rested_at);
  bool send();

 private:
  explicit Connection(aiaccel::Fd socket) : socket_(std::move(socket)) {}

  int watch(pid_t pid);  // 0 or -errno
  bool greet(int error);
  bool is_acceptable(const aiaccel::wire::Header& header) const;
  bool is_users_snapshot(const aiaccel::wire::Header& header) const;
  bool carry_out(const aiaccel::wire::Header& header);
  bool answer(int result, const void* data, uint32_t struct_bytes,
              const std::vector<std::byte>& array);
  bool answer_poll();
  void tell();

  aiaccel::Fd socket_;
  aiaccel::Fd process_;
  aiaccel::Fd news_;  // our end of the pair that the client polls
  uint64_t uid_ = 0;
  bool privileged_ = false;
  bool asked_much_ = false;
  bool rests_ = false;
  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
  size_t out_at_ = 0;
  // Last, so that it goes first: it calls tell().
  std::unique_ptr<aiaccel::host::Context> context_;
};

}  // namespace aiacceld

#endif  // AIACCELD_CONNECTION_H
