// SPDX-License-Identifier: MIT
//
// Sets of CPUs and of nodes, as the kernel's calls want them.
//
// Threads: any.
#ifndef AIACCEL_MEMORY_CPUS_H
#define AIACCEL_MEMORY_CPUS_H

#include <numa.h>

#include <memory>
#include <vector>

namespace aiaccel::numa {

struct FreeMask {
  void operator()(bitmask* mask) const { numa_bitmask_free(mask); }
};
using Mask = std::unique_ptr<bitmask, FreeMask>;

// Whether libnuma works here: its functions may only be called then.
bool available();

// The nodes with memory that the caller's cpuset allows.
Mask allowed_mask();

// Those that the calling thread may use.
std::vector<int> own_cpus();
// 0 or a positive errno.
int set_own_cpus(const std::vector<int>& cpus);

// Some kernels take the length of a mask as one more than the number of its bits.
Mask mask_of(const std::vector<int>& nodes);
inline unsigned long bits_of(const bitmask& mask) {
  return mask.size + 1;
}

}  // namespace aiaccel::numa

#endif  // AIACCEL_MEMORY_CPUS_H
