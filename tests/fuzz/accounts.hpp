// SPDX-License-Identifier: MIT
//
// What of the device, and of the kernel's pins, is in use by anybody; the same before and after
// when nothing was left behind. Asked by root.
#pragma once

#include <cstdint>
#include <string>

namespace fuzz {

struct Accounts {
  uint64_t bytes = 0, reserved = 0, contexts = 0, queues = 0, reservations = 0, engines = 0;
  uint64_t jobs = 0, slots = 0, pinned_pages = 0;

  static Accounts read(int device);
  std::string text() const;
  bool operator==(const Accounts&) const = default;
};

}  // namespace fuzz
