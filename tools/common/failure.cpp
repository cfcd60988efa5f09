// SPDX-License-Identifier: MIT
//
// See failure.hpp.
#include "common/failure.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "broker/address.h"
#include "common/text.hpp"

namespace tools {
namespace {

// What to do when `transport` answered `error`.
std::string open_advice(const std::string& transport, int error) {
  if (error == EINVAL) return "the transports are auto, kernel, broker and embedded";
  if (error == EDQUOT)
    return "end programs of this tenant that hold the device open; `aiaccel-top` shows them";
  if (aiaccel::BrokerAddress address;
      error == EACCES && transport != "kernel" && aiaccel::find_broker(&address) == -EACCES)
    return aiaccel::folder_fault(address.path) +
           ": have it removed, or set XDG_RUNTIME_DIR to a folder of your own";
  if (error == EACCES && transport != "broker")
    return "sudo usermod -aG aiaccel \"$USER\", then log in again; or --transport broker";
  return "`aiaccel doctor` says what is missing";
}

// What the command line asks for, else the environment.
std::string asked_transport(const std::string& transport) {
  if (!transport.empty()) return transport;
  const char* environment = std::getenv("AIACCEL_TRANSPORT");
  return environment && *environment ? environment : "auto";
}

}  // namespace

aiaccel::Device open_device(const std::string& transport) {
  const std::string asked = asked_transport(transport);
  try {
    return aiaccel::Device::open(asked);
  } catch (const aiaccel::Error& e) {
    const int error = e.code().value();
    throw Failure(fmt::format("cannot open the transport '{}': {}", asked, e.code().message()),
                  open_advice(asked, error), error == EINVAL ? exit_usage : exit_absent);
  }
}

std::optional<aiaccel::Device> open_running(const std::string& transport, std::string& missing) {
  const std::string asked = asked_transport(transport);
  if (asked != "auto") return open_device(asked);
  missing.clear();
  for (const char* running : {"kernel", "broker"}) {
    if (running == std::string_view("broker") && !aiaccel::broker_listens()) continue;
    try {
      return aiaccel::Device::open(running);
    } catch (const aiaccel::Error& e) {
      // Without the module there is no node.
      const int error = e.code().value();
      if (error == ENOENT || error == ENODEV) continue;
      if (!missing.empty()) missing += "; ";
      missing += fmt::format("{}: {}", running, e.code().message());
    }
  }
  if (missing.empty()) missing = "neither module nor broker runs";
  return std::nullopt;
}

aiaccel::Device need_running(const std::string& transport) {
  std::string missing;
  if (auto device = open_running(transport, missing)) {
    if (std::string_view(device->transport()) == "embedded")
      throw Failure("an embedded arbiter serves one process alone, and here that is this command",
                    "`aiaccel doctor` says how to get the module or a broker", exit_absent);
    return std::move(*device);
  }
  throw Failure(missing, "`aiaccel doctor` says what is missing", exit_absent);
}

std::string reason(const aiaccel::Error& error) {
  std::string text = error.what();
  const std::string kind = ": " + error.code().message();
  while (text.size() > kind.size() && text.ends_with(kind)) text.resize(text.size() - kind.size());
  return text;
}

int guarded(const char* tool, const std::function<int()>& body) {
  int status = exit_failed;
  std::string message;
  std::string advice;
  try {
    status = body();
  } catch (const Failure& e) {
    message = e.what();
    advice = e.advice();
    status = e.status();
  } catch (const aiaccel::Error& e) {
    message = e.what();
    switch (e.code().value()) {
      case ECONNRESET:
        advice = "the broker went away; run the command again";
        break;
      case EPERM:
        advice = "as root; with a broker, as its user";
        break;
      case ESHUTDOWN:
        message = "the engine is being drained and takes no new work";
        advice = "`aiaccel resume`, by who drained it";
        break;
      // Of models: what is wrong with them has been said.
      case EBADMSG:
      case ENODATA:
      case ENOKEY:
      case EKEYEXPIRED:
      case EKEYREJECTED:
        message = reason(e);
        break;
    }
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& e) {
    message = e.what();
  }
  if (std::fflush(stdout) != 0 && message.empty()) {
    message = std::string("cannot write the output: ") + std::strerror(errno);
    status = exit_failed;
  }
  if (!message.empty()) fmt::print(stderr, "{}: {}\n", tool, printable(message));
  if (!advice.empty()) fmt::print(stderr, "{}: hint: {}\n", tool, printable(advice));
  return status;
}

}  // namespace tools
