// SPDX-License-Identifier: MIT
//
// The program's operator new, replaced; see fail_new.hpp.
#include "fail_new.hpp"

#include <cstdlib>
#include <new>

namespace fail_new {

thread_local long g_until_failure = kNever;

}  // namespace fail_new

void* operator new(std::size_t bytes) {
  using fail_new::g_until_failure;
  if (g_until_failure != fail_new::kNever && g_until_failure-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept try {
  return operator new(bytes);
} catch (const std::bad_alloc&) {
  return nullptr;
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
