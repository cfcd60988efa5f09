// SPDX-License-Identifier: MIT
//
// Holding the caller's own pages in place from user space: what PIN does where no module does it.
// Pages are locked (mlock): they stay resident, but unlike the module's pins they may still be
// moved within memory, and RLIMIT_MEMLOCK counts by process.
//
// mlock does not nest, so one table for the process counts how often each page is held. Pages that
// the program locked by itself are unlocked with the last pin on them.
//
// Threads: any.
#ifndef AIACCEL_USER_OWN_PAGES_H
#define AIACCEL_USER_OWN_PAGES_H

#include <cstdint>
#include <string>

namespace aiaccel {

// One line of /proc/self/maps.
struct Mapping {
  uint64_t start, end;
  char access[5];
  unsigned long inode;
  std::string path;

  bool shared() const { return access[3] == 's'; }
};

// False where the line is none.
bool parse_mapping(const char* line, Mapping* mapping);

// What /proc/self/maps says of a range: -EFAULT where it is not mapped, or not with the access that
// is wanted; -EOPNOTSUPP for what PIN does not take; else 0.
int check_own_range(uint64_t addr, uint64_t length, bool write);

// What RLIMIT_MEMLOCK leaves this process, AIACCEL_UNLIMITED where it does not hold. Pages that are
// held already do not count again where they are held once more.
uint64_t lock_headroom();

// Whole pages. 0, or -ENOMEM for RLIMIT_MEMLOCK; or throws bad_alloc.
int hold_own_range(uint64_t addr, uint64_t length);
void release_own_range(uint64_t addr, uint64_t length);

}  // namespace aiaccel

#endif  // AIACCEL_USER_OWN_PAGES_H
