// SPDX-License-Identifier: MIT
//
// A broker of the test's own, on a socket of its own.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace conformance {

class BrokerServer {
 public:
  // Starts aiacceld with these options besides --socket, and points $AIACCEL_BROKER at it.
  // It may open so many descriptors at once; 0: as many as we.
  explicit BrokerServer(std::vector<std::string> options = {}, unsigned max_descriptors = 0);
  BrokerServer(const BrokerServer&) = delete;
  BrokerServer& operator=(const BrokerServer&) = delete;
  ~BrokerServer();

  static std::string program();  // aiacceld

  // Lets other users connect.
  void open_to_all() const;

  const std::string& path() const { return path_; }
  pid_t pid() const { return pid_; }
  bool running();
  void kill();   // SIGKILL, and reaps it
  int stop();    // SIGTERM; its exit status
  void start();  // again, on the same path

  // Brokers on this path that were started by somebody else.
  std::vector<pid_t> others() const;

  // A raw connection.
  int must_connect() const;

  size_t open_descriptors() const;

 private:
  const std::vector<std::string> options_;
  const unsigned max_descriptors_;
  std::string folder_;
  std::string path_;
  std::string outer_;  // what $AIACCEL_BROKER was
  pid_t pid_ = -1;
};

}  // namespace conformance
