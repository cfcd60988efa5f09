// SPDX-License-Identifier: MIT
#include "account.hpp"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace raw {

namespace {

// The number behind `key` in a file of such lines.
int64_t number_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  int64_t number = 0;
  while (file >> word)
    if (word == key && file >> number) return number;
  BOOST_FAIL(path << " has no " << key);
  return 0;
}

}  // namespace

Use::Use(const Context& watcher) {
  for (const auto& tenant : list<aiaccel_stats_tenant>(watcher, AIACCEL_STATS_TENANTS)) {
    tenants++;
    contexts += tenant.contexts;
    if (tenant.kind != AIACCEL_TENANT_ROOT) continue;
    bytes = tenant.allocated_bytes + tenant.pinned_bytes;
    reserved = tenant.reserved_bytes;
  }
  for (const auto& engine : list<aiaccel_stats_engine>(watcher, AIACCEL_STATS_ENGINES)) {
    jobs += engine.jobs_waiting;
    slots += engine.slots_used;
    engines++;
  }
  // Also those whose engine has gone.
  queues = static_cast<uint32_t>(list<aiaccel_stats_queue>(watcher, AIACCEL_STATS_QUEUES).size());
  reservations = static_cast<uint32_t>(
      list<aiaccel_stats_reservation>(watcher, AIACCEL_STATS_RESERVATIONS).size());
  pinned_kib = static_cast<uint64_t>(number_in("/proc/self/status", "VmPin:"));
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  files = static_cast<size_t>(std::distance(begin(fds), end(fds)));
}

std::ostream& operator<<(std::ostream& out, const Use& use) {
  return out << use.bytes << " bytes, " << use.tenants << " tenants, " << use.contexts
             << " contexts, " << use.queues << " queues, " << use.reservations
             << " reservations of " << use.reserved << " bytes, " << use.engines << " engines, "
             << use.jobs << " jobs, " << use.slots << " slots, " << use.pinned_kib
             << " KiB pinned, " << use.files << " files";
}

int64_t pinned_pages() {
  // The processors' own counts, into the sums.
  std::ofstream("/proc/sys/vm/stat_refresh") << "1" << std::flush;
  return number_in("/proc/vmstat", "nr_foll_pin_acquired") -
         number_in("/proc/vmstat", "nr_foll_pin_released");
}

std::string Ceilings::parameters() const {
  return "contexts=" + std::to_string(contexts) + " queues=" + std::to_string(queues) +
         " jobs=" + std::to_string(jobs);
}

void Ceilings::check() const {
  const std::vector<Context> open_ones(contexts);
  BOOST_TEST(open(kDevice, O_RDWR | O_CLOEXEC) == -1);
  BOOST_TEST(errno == EDQUOT);
  const aiaccel_query limits = open_ones[0].query();
  aiaccel_queue_create create{};
  create.engine = open_ones[0].engine().id;
  for (uint32_t i = 0; i < queues; i++)
    BOOST_REQUIRE_EQUAL(open_ones[i / limits.max_queues](AIACCEL_IOC_QUEUE_CREATE, create), 0);
  BOOST_TEST(open_ones[queues / limits.max_queues](AIACCEL_IOC_QUEUE_CREATE, create) == EDQUOT);
  // All of them in one call, as none is granted before the last was taken.
  BOOST_REQUIRE(jobs < limits.max_jobs && queues % limits.max_queues);
  std::vector<aiaccel_job> wanted;
  for (uint64_t cookie = 0; cookie <= jobs; cookie++) wanted.push_back(job_of(create.id, cookie));
  aiaccel_enter enter{};
  enter.jobs = address(wanted.data());
  enter.nr_jobs = jobs + 1;
  BOOST_TEST(open_ones[(queues - 1) / limits.max_queues](AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_TEST(enter.nr_jobs == jobs);
}

void note(const std::string& text) {
  std::cout << "# " << text << std::endl;
}

}  // namespace raw
