// SPDX-License-Identifier: MIT
//
// How a tool fails: what failed, why, what to do, and with which exit status.
//
// Threads: any.
#pragma once

#include <aiaccel/device.hpp>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

namespace tools {

// Documented in the man pages.
enum Exit {
  exit_ok = 0,
  exit_failed = 1,
  exit_usage = 2,
  exit_absent = 3,  // the transport that was asked for, or the model runtime, is not here
};

class Failure : public std::runtime_error {
 public:
  // `advice` is what to do, a sentence or a command line; may be empty.
  Failure(const std::string& what, std::string advice, Exit status = exit_failed)
      : std::runtime_error(what), advice_(std::move(advice)), status_(status) {}

  const std::string& advice() const { return advice_; }
  Exit status() const { return status_; }

 private:
  std::string advice_;
  Exit status_;
};

// Device::open() whose Failure says what to do.
aiaccel::Device open_device(const std::string& transport);

// The same for those who only look: without a transport asked for, the one that answers now.
// Nothing is started for it; where none answers there is none, and `missing` says why.
std::optional<aiaccel::Device> open_running(const std::string& transport, std::string& missing);

// Likewise for those who have something to say to an arbiter that others use, or to ask it: one of
// this process alone (embedded) is refused.
aiaccel::Device need_running(const std::string& transport);

// What an error says without what its errno is called, which is noise where that only tells
// programs what kind it is ("...: Bad message").
std::string reason(const aiaccel::Error& error);

// Runs `body`, prints on stderr what it throws as `TOOL: what failed: why` and a line `TOOL: try:
// …`, and returns the exit status. Output that could not be written is a failure too.
int guarded(const char* tool, const std::function<int()>& body);

}  // namespace tools
