// SPDX-License-Identifier: MIT
//
// The table, and who is to be found under which address; see table.h.
#include "shim/table.h"

#include <array>
#include <atomic>
#include <cstring>

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

// Without _v2, _ptsz, _ptds.
bool same_base(const char* symbol, const char* name) {
  const size_t length = std::strlen(name);
  if (std::strncmp(symbol, name, length) != 0) return false;
  const char* rest = symbol + length;
  return *rest == '\0' || std::strncmp(rest, "_v", 2) == 0 || std::strncmp(rest, "_pt", 3) == 0;
}

bool in_table(const char* name) {
  for (const Function& row : kFunctions)
    if (same_base(row.name, name)) return true;
  return false;
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
  const Index index = find_real(present);
  if (index != kNrFunctions) return kFunctions[index].ours;
  for (const Function& row : kFunctions)
    if (row.ours == present) return present;
  if (is_launch(name) || in_table(name)) {
    // One topic for all: a program asks for hundreds of functions, and one line is enough to look
    // into it.
    static Topic topic;
    topic.say("%s of this driver is in no table of ours: what it launches goes ungated", name);
  }
  return present;
}

}  // namespace aiaccel::shim
