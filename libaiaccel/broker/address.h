// SPDX-License-Identifier: MIT
//
// Where the broker's socket is, and starting a broker for the user.
//
//   $AIACCEL_BROKER                        if set
//   /run/aiaccel/broker.sock               if it is there: the system's instance
//   $XDG_RUNTIME_DIR/aiaccel/broker.sock   the user's instance
//   /tmp/aiaccel-UID/broker.sock           likewise, where that folder is not the user's own
//
// None of these variables count in a program with more rights than its caller.
//
// Threads: any.
#ifndef AIACCEL_BROKER_ADDRESS_H
#define AIACCEL_BROKER_ADDRESS_H

#include <sys/un.h>

#include <string>

namespace aiaccel {

struct BrokerAddress {
  std::string path;
  bool of_system = false;  // not ours to start
};

// What the environment says of it, for who reads that once.
struct BrokerPlace {
  std::string given;           // $AIACCEL_BROKER
  std::string runtime_folder;  // $XDG_RUNTIME_DIR

  static BrokerPlace from_environment();
};

// Makes the folder of a user's instance, and sees that nobody else can get at it: 0, or -EACCES
// where it is not the user's own.
int find_broker(BrokerAddress* address);

// For who starts none: makes nothing. -ENOENT where there is no such folder.
int find_running_broker(const BrokerPlace& place, BrokerAddress* address);

// Whether a broker listens at that address now. Makes no folder and starts nothing.
bool broker_listens();

// What find_broker() holds against the folder of the user's instance, after -EACCES.
std::string folder_fault(const std::string& path);

// -ENAMETOOLONG: longer than a socket's name can be.
int socket_name(const std::string& path, sockaddr_un* name);

// Whether nobody but root and this user can have put a program there.
bool may_run_broker(const std::string& program);

// Starts aiacceld on this path and returns when it listens, or when another one is about to. The
// program is $AIACCELD, else aiacceld beside this program or library where may_run_broker(), else
// in $PATH. It ends after so long without a client. 0 or -errno.
inline constexpr unsigned kIdleSeconds = 60;
int start_broker(const std::string& path, unsigned idle_s);

}  // namespace aiaccel

#endif  // AIACCEL_BROKER_ADDRESS_H
