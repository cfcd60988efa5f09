// SPDX-License-Identifier: MIT
//
// What the library reads of the system and of its caller's short words: lists of processors, lines
// of /proc/self/maps, names of engines, paths of sockets, labels of queues.
#include "libfuzzer/fuzz.hpp"

#include <sys/un.h>

#include <cerrno>
#include <sstream>

#include "aiaccel.h"
#include "broker/address.h"
#include "host/number_list.h"
#include "user/own_pages.h"

namespace {

aiaccel_device& device() {
  static aiaccel_device* const opened = [] {
    aiaccel_device* made = nullptr;
    MUST(aiaccel_open("embedded", &made) == 0);
    return made;
  }();
  return *opened;
}

void number_list(const std::string& text) {
  std::istringstream from(text);
  const std::vector<int> numbers = aiaccel::host::read_number_list(from);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    MUST(numbers[i] >= 0 && numbers[i] < 65536);
    if (i) MUST(numbers[i] > numbers[i - 1]);  // as a binary search needs them
  }
}

void mapping(const std::string& text) {
  aiaccel::Mapping mapping;
  if (!aiaccel::parse_mapping(text.c_str(), &mapping)) return;
  MUST(mapping.start < mapping.end);
  MUST(strnlen(mapping.access, sizeof mapping.access) == 4);
  MUST(mapping.path.size() < text.size());
}

void engine_name(const std::string& text) {
  aiaccel_engine_info info{};
  const int result = aiaccel_find_engine(&device(), text.c_str(), &info);
  MUST(result == 0 || result == -ENOENT);
  if (result == 0) MUST(text.c_str() == std::string(info.name) || text.starts_with("cpu"));
}

void socket_path(const std::string& text) {
  sockaddr_un name;
  const int result = aiaccel::socket_name(text, &name);
  MUST(result == (text.empty() || text.size() >= sizeof name.sun_path ? -ENAMETOOLONG : 0));
  if (result == 0) MUST(name.sun_path[text.size()] == 0);
}

void label(const std::string& text) {
  aiaccel_queue_create create{};
  create.size = sizeof create;
  create.engine = 1;
  std::memcpy(create.label, text.data(), std::min(text.size(), sizeof create.label));
  const int result = aiaccel_call(&device(), AIACCEL_IOC_QUEUE_CREATE, &create);
  MUST(result == 0 || result == -EINVAL);
  if (result) return;
  aiaccel_destroy destroy{sizeof destroy, create.id};
  MUST(aiaccel_call(&device(), AIACCEL_IOC_DESTROY, &destroy) == 0);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (*data) {
    case 'l':
      number_list(text);
      break;
    case 'm':
      mapping(text);
      break;
    case 'e':
      engine_name(text);
      break;
    case 's':
      socket_path(text);
      break;
    case 'q':
      label(text);
      break;
    default:
      break;
  }
  return 0;
}
