// SPDX-License-Identifier: MIT
#include "fuzz/accounts.hpp"

#include <sys/ioctl.h>
#include <uapi/aiaccel.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace fuzz {

namespace {

template <typename Record>
std::vector<Record> list(int device, uint32_t kind) {
  std::vector<Record> records(256);
  aiaccel_stats stats{};
  stats.size = sizeof(stats);
  stats.kind = kind;
  stats.records = reinterpret_cast<uint64_t>(records.data());
  stats.count = static_cast<uint32_t>(records.size());
  stats.record_size = sizeof(Record);
  if (ioctl(device, AIACCEL_IOC_STATS, &stats) || stats.count > records.size()) {
    perror("fuzz: STATS");
    exit(1);
  }
  records.resize(stats.count);
  return records;
}

}  // namespace

Accounts Accounts::read(int device) {
  Accounts accounts;
  for (const auto& tenant : list<aiaccel_stats_tenant>(device, AIACCEL_STATS_TENANTS)) {
    accounts.contexts += tenant.contexts;
    if (tenant.kind == AIACCEL_TENANT_ROOT)
      accounts.bytes = tenant.allocated_bytes + tenant.pinned_bytes;
  }
  for (const auto& engine : list<aiaccel_stats_engine>(device, AIACCEL_STATS_ENGINES)) {
    accounts.queues += engine.queues;
    accounts.jobs += engine.jobs_waiting;
    accounts.slots += engine.slots_used;
    accounts.reserved += engine.reserved_bytes;
    accounts.engines++;
  }
  accounts.reservations =
      list<aiaccel_stats_reservation>(device, AIACCEL_STATS_RESERVATIONS).size();
  // the processors' own counts, into the sums
  std::ofstream("/proc/sys/vm/stat_refresh") << "1";
  std::ifstream vmstat("/proc/vmstat");
  std::string name;
  for (uint64_t value; vmstat >> name >> value;) {
    if (name == "nr_foll_pin_acquired") accounts.pinned_pages += value;
    if (name == "nr_foll_pin_released") accounts.pinned_pages -= value;
  }
  return accounts;
}

std::string Accounts::text() const {
  return std::to_string(bytes) + " bytes, " + std::to_string(contexts) + " contexts, " +
         std::to_string(queues) + " queues, " + std::to_string(jobs) + " jobs, " +
         std::to_string(reservations) + " reservations of " + std::to_string(reserved) +
         " bytes, " + std::to_string(engines) + " engines, " + std::to_string(slots) + " slots, " +
         std::to_string(pinned_pages) + " pinned pages";
}

}  // namespace fuzz
