// SPDX-License-Identifier: MIT
//
// The C interface (<aiaccel.h>): opening, calling, looking up. Turns are in capi_turns.cpp. No C++
// exception leaves these functions.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "device.h"

namespace {

using aiaccel::Transport;
using Open = int (*)(std::unique_ptr<Transport>*) noexcept;

struct Choice {
  std::string_view name;
  Open open;
};

constexpr int kMostTries = 10;

constexpr Choice kChoices[] = {
    {"kernel", aiaccel::open_kernel},
    {"broker", aiaccel::open_broker},
    {"embedded", aiaccel::open_embedded},
};

// Whether the error means that nobody is there.
bool is_absent(int error) {
  return error == -ENOENT || error == -ENODEV || error == -ENXIO || error == -ECONNREFUSED;
}

// The first that is there. Where it says no, or could not be asked, that is the answer: what it
// arbitrates must not be gone round in silence.
int open_first(std::unique_ptr<Transport>* transport) {
  int error = -ENODEV;
  for (const Choice& choice : kChoices) {
    error = choice.open(transport);
    if (!is_absent(error)) break;
  }
  return error;
}

int open_named(std::string_view name, std::unique_ptr<Transport>* transport) {
  if (name == "auto") return open_first(transport);
  for (const Choice& choice : kChoices)
    if (choice.name == name) return choice.open(transport);
  return -EINVAL;
}

const char* default_transport() {
  const char* named = secure_getenv("AIACCEL_TRANSPORT");
  return named && *named ? named : "auto";
}

constexpr const char* kKinds[] = {"", "cpu", "gpu", "fpga", "other"};

// "gpu1" is the second engine of kind gpu. False where `name` is of no such form.
bool parse_place(std::string_view name, uint32_t* kind, unsigned long* place) {
  for (uint32_t i = 1; i < std::size(kKinds); ++i) {
    const std::string_view prefix = kKinds[i];
    if (!name.starts_with(prefix)) continue;
    const std::string digits(name.substr(prefix.size()));
    if (digits.empty() || digits.size() > 6 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      continue;
    *kind = i;
    *place = std::strtoul(digits.c_str(), nullptr, 10);
    return true;
  }
  return false;
}

int list_engines(Transport& transport, std::vector<uint32_t>* ids) {
  ids->resize(16);
  for (;;) {
    aiaccel_engine_list list{};
    list.size = sizeof list;
    list.count = static_cast<uint32_t>(ids->size());
    list.ids = reinterpret_cast<uintptr_t>(ids->data());
    if (int error = transport.call(AIACCEL_IOC_ENGINE_LIST, &list)) return error;
    const bool all = list.count <= ids->size();
    ids->resize(list.count);
    if (all) return 0;
  }
}

}  // namespace

const char* aiaccel_version(void) {
  return AIACCEL_VERSION;
}

int aiaccel_open(const char* transport, aiaccel_device** device) try {
  for (int tries = 0;; ++tries) {
    std::unique_ptr<Transport> opened;
    if (int error = open_named(transport ? transport : default_transport(), &opened)) return error;
    auto made = std::make_unique<aiaccel_device>(std::move(opened));
    const int error = made->map_ring();
    // A broker that ended as soon as it had let us in: there is another one, or none, by now.
    if (error == -ECONNRESET && tries < kMostTries) continue;
    if (error) return error;
    *device = made.release();
    return 0;
  }
} catch (const std::bad_alloc&) {
  return -ENOMEM;
} catch (const std::system_error& error) {
  return -error.code().value();
}

void aiaccel_close(aiaccel_device* device) {
  delete device;
}

const char* aiaccel_transport(const aiaccel_device* device) {
  return device->transport->name();
}

int aiaccel_call(aiaccel_device* device, unsigned long request, void* arg) {
  const int result = device->transport->call(request, arg);
  // After it, so that who reads the count and then submits has a queue that is there, or asks.
  if (request == AIACCEL_IOC_DESTROY) device->destroyed.fetch_add(1);
  return result;
}

int aiaccel_map(aiaccel_device* device, uint64_t offset, size_t length, int prot, void** address) {
  return device->transport->map(offset, length, prot, address);
}

int aiaccel_fd(const aiaccel_device* device) {
  if (!device->guard.same_process()) return -EPERM;
  return device->transport->fd();
}

int aiaccel_find_engine(aiaccel_device* device, const char* name, aiaccel_engine_info* info) try {
  std::vector<uint32_t> ids;
  if (int error = list_engines(*device->transport, &ids)) return error;
  uint32_t kind = 0;
  unsigned long place = 0;
  const bool by_place = parse_place(name, &kind, &place);
  bool found = false;
  for (uint32_t id : ids) {
    aiaccel_engine_info engine{};
    engine.size = sizeof engine;
    engine.id = id;
    const int error = device->transport->call(AIACCEL_IOC_ENGINE_INFO, &engine);
    if (error == -ENOENT) continue;  // it went away since the list was made
    if (error) return error;
    // Its own names win.
    if (std::strcmp(engine.name, name) == 0 || (*name && std::strcmp(engine.alias, name) == 0)) {
      *info = engine;
      return 0;
    }
    if (by_place && !found && engine.kind == kind && place-- == 0) {
      *info = engine;
      found = true;
    }
  }
  return found ? 0 : -ENOENT;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

const char* aiaccel_refusal_name(uint32_t refused_by) {
  switch (refused_by) {
    case AIACCEL_REFUSED_NOT:
      return "nothing";
    case AIACCEL_REFUSED_RLIMIT:
      return "RLIMIT_MEMLOCK";
    case AIACCEL_REFUSED_TENANT:
      return "the tenant's ceiling";
    case AIACCEL_REFUSED_MODULE:
      return "the ceiling of the whole arbiter";
    case AIACCEL_REFUSED_MEMCG:
      return "the memory cgroup";
    case AIACCEL_REFUSED_MEMORY:
      return "free memory";
    case AIACCEL_REFUSED_CONTEXT:
      return "the context's limit";
    case AIACCEL_REFUSED_CLASS:
      return "the tenant's highest class";
    case AIACCEL_REFUSED_ENGINE:
      return "the memory of the engine";
    case AIACCEL_REFUSED_DEADLINES:
      return "what REALTIME was or would be promised";
  }
  return "an unknown limit";
}
