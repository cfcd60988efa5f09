// SPDX-License-Identifier: MIT
//
// The table, and who is to be found under which address; see table.h.
#include "shim/table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "shim/driver.h"
#include "shim/say.h"

// Defined in work.cpp and others, with their true types: here only addresses matter.
extern "C" {
#define WORK(name, stream_default, bytes, stream, ...) void name();
#define OTHER(name) void name();
#include "shim/functions.def"
#undef WORK
#undef OTHER
}

namespace aiaccel::shim {
namespace {

constexpr size_t kNr = kNrFunctions;

const std::array<Function, kNr> kFunctions = {{
#define WORK(name, stream_default, bytes, stream, ...) {#name, reinterpret_cast<void*>(&name)},
#define OTHER(name) {#name, reinterpret_cast<void*>(&name)},
#include "shim/functions.def"
#undef WORK
#undef OTHER
}};

// The driver's own: nullptr while not looked for, &absent where it has none.
std::array<std::atomic<void*>, kNr> real_functions;
char absent;

// The row of one of the driver's own functions.
Index find_real(const void* address) {
  for (size_t i = 0; i < kNr; ++i)
    if (real_function(static_cast<Index>(i)) == address) return static_cast<Index>(i);
  return kNrFunctions;
}

// A symbol such as cuMemcpyHtoD_v2_ptds taken apart.
struct Parts {
  std::string_view base;
  int number = 1;
  bool per_thread = false;
};

Parts parts_of(std::string_view symbol) {
  Parts parts{symbol};
  if (symbol.ends_with("_ptsz") || symbol.ends_with("_ptds")) {
    parts.per_thread = true;
    parts.base.remove_suffix(5);
  }
  const size_t length = parts.base.size();
  if (length > 3 && parts.base.substr(length - 3, 2) == "_v" && parts.base.back() >= '2' &&
      parts.base.back() <= '9') {
    parts.number = parts.base.back() - '0';
    parts.base.remove_suffix(3);
  }
  return parts;
}

// The version of CUDA since which the second version of a function is the one of its name: 3.2 but
// for these.
struct Second {
  std::string_view base;
  int since;
};
constexpr Second kSecond[] = {{"cuCtxDestroy", 4000},
                              {"cuStreamDestroy", 4000},
                              {"cuStreamBeginCapture", 10010},
                              {"cuDevicePrimaryCtxRelease", 11000},
                              {"cuDevicePrimaryCtxReset", 11000},
                              {"cuMemPrefetchAsync", 12020},
                              {"cuGetProcAddress", 12000},
                              {"cuMemcpyBatchAsync", 13000},
                              {"cuMemcpy3DBatchAsync", 13000}};
constexpr int kSecondSince = 3020;
constexpr int kPerThreadSince = 7000;

int since(const Parts& parts) {
  int since = parts.per_thread ? kPerThreadSince : 0;
  if (parts.number == 1) return since;
  const auto* found = std::find_if(std::begin(kSecond), std::end(kSecond),
                                   [&](const Second& one) { return one.base == parts.base; });
  return std::max(since, found == std::end(kSecond) ? kSecondSince : found->since);
}

// The row that cuGetProcAddress means by a name. None where this driver has a later version of the
// function than we know.
Index find_meant(std::string_view base, int version, bool per_thread) {
  Index best = kNrFunctions;
  Parts best_parts;
  int newest = 0;
  for (size_t i = 0; i < kNr; ++i) {
    const Parts parts = parts_of(kFunctions[i].name);
    if (parts.base != base) continue;
    newest = std::max(newest, parts.number);
    if (since(parts) > version || (parts.per_thread && !per_thread)) continue;
    const auto better = [](const Parts& p) { return std::pair(p.per_thread, p.number); };
    if (best != kNrFunctions && better(parts) < better(best_parts)) continue;
    best = static_cast<Index>(i);
    best_parts = parts;
  }
  if (best == kNrFunctions || !real_function(best)) return kNrFunctions;
  char later[64];
  snprintf(later, sizeof later, "%.*s_v%d", static_cast<int>(base.size()), base.data(), newest + 1);
  return driver_symbol(later) ? kNrFunctions : best;
}

bool in_table(const char* name) {
  const std::string_view base = parts_of(name).base;
  return std::any_of(kFunctions.begin(), kFunctions.end(),
                     [&](const Function& row) { return parts_of(row.name).base == base; });
}

// Ours for an address of the driver, or for ours; nullptr for no row's.
void* find_ours(const void* present) {
  const Index index = find_real(present);
  if (index != kNrFunctions) return kFunctions[index].ours;
  for (const Function& row : kFunctions)
    if (row.ours == present) return row.ours;
  return nullptr;
}

// One topic for all: a program asks for hundreds of functions, and one line is enough to look into
// it.
void tell_of_ungated(const char* name) {
  static Topic topic;
  if (is_launch(name) || in_table(name))
    topic.say("%s of this driver is in no table of ours: what it launches goes ungated", name);
}

}  // namespace

const Function& function(Index index) {
  return kFunctions[index];
}

Index find_function(const char* name) {
  for (size_t i = 0; i < kNr; ++i)
    if (std::strcmp(kFunctions[i].name, name) == 0) return static_cast<Index>(i);
  return kNrFunctions;
}

void* real_function(Index index) {
  void* known = real_functions[index].load(std::memory_order_relaxed);
  if (!known && driver_is_loaded()) {
    known = driver_symbol(kFunctions[index].name);
    if (!known) known = &absent;
    real_functions[index].store(known, std::memory_order_relaxed);
  }
  return known == &absent ? nullptr : known;
}

bool is_launch(const char* name) {
  return std::strncmp(name, "cuLaunch", 8) == 0 || std::strncmp(name, "cuGraphLaunch", 13) == 0;
}

void* stand_in(const char* name, void* present) {
  if (void* ours = find_ours(present)) return ours;
  tell_of_ungated(name);
  return present;
}

void* stand_in(const char* base, void* present, int version, bool per_thread) {
  if (void* ours = find_ours(present)) return ours;
  const Index meant = find_meant(base, version, per_thread);
  if (meant != kNrFunctions) return kFunctions[meant].ours;
  tell_of_ungated(base);
  return present;
}

}  // namespace aiaccel::shim
