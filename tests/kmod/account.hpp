// SPDX-License-Identifier: MIT
//
// What is in use, as far as it can be seen from outside: by STATS, in /proc, and by whether
// ceilings can be reached again. Equal before and after means that nothing was left behind.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "raw.hpp"

namespace raw {

// All records that STATS has of a kind, or of it what `context` may see.
template <typename T>
std::vector<T> list(const Context& context, uint32_t kind) {
  std::vector<T> records(1024);
  aiaccel_stats stats{};
  do {
    records.resize(std::max<size_t>(records.size(), stats.count));
    stats.kind = kind;
    stats.records = address(records.data());
    stats.count = static_cast<uint32_t>(records.size());
    stats.record_size = sizeof(T);
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_STATS, stats), 0);
  } while (stats.count > records.size());
  records.resize(stats.count);
  return records;
}

struct Use {
  uint64_t bytes = 0;     // allocated and pinned, of all
  uint64_t reserved = 0;  // of all engines, also of those that are gone
  uint32_t tenants = 0, contexts = 0, queues = 0, reservations = 0, engines = 0;
  uint32_t jobs = 0, slots = 0;
  uint64_t pinned_kib = 0;  // by the calling process
  size_t files = 0;         // of the calling process

  // As `watcher` sees it, which needs CAP_SYS_ADMIN.
  explicit Use(const Context& watcher);
  bool operator==(const Use&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Use& use);

// Pages of the host that are pinned for long, exactly.
int64_t pinned_pages();

// The module's own ceilings, for tests that load it with small ones.
struct Ceilings {
  uint32_t contexts, queues, jobs;
  std::string parameters() const;
  // Asserts that each can be reached, and not passed: a charge that was not given back takes away
  // from it, one given back twice adds to it. Nothing may be in use.
  void check() const;
};

// A figure, for who reads the log.
void note(const std::string& text);

}  // namespace raw
