// SPDX-License-Identifier: MIT
#include "fuzz/tally.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace fuzz {

Tally& Tally::create() {
  void* at =
      mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) abort();
  return *static_cast<Tally*>(at);  // zeros
}

uint64_t Tally::all_acts() const {
  uint64_t sum = 0;
  for (const auto& n : acts_) sum += n;
  return sum;
}

uint64_t Tally::made(int call) const {
  uint64_t sum = 0;
  for (const auto& n : results_[call]) sum += n;
  return sum;
}

uint64_t Tally::all_calls() const {
  uint64_t sum = 0;
  for (int call = 0; call < kMaxCalls; call++) sum += made(call);
  return sum;
}

std::string Tally::errors(int call) const {
  std::vector<int> seen;
  for (int error = 1; error < kMaxErrno; error++)
    if (results_[call][error]) seen.push_back(error);
  std::sort(seen.begin(), seen.end(),
            [&](int a, int b) { return results_[call][a] > results_[call][b]; });
  std::string text;
  for (const int error : seen) {
    const char* name = strerrorname_np(error);
    text += (text.empty() ? "" : ", ") + std::string(name ? name : std::to_string(error)) + " " +
            std::to_string(results_[call][error]);
  }
  return text;
}

}  // namespace fuzz
