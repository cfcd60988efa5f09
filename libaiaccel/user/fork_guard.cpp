// SPDX-License-Identifier: MIT
//
// The page that is empty after a fork; see fork_guard.h.
#include "user/fork_guard.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <system_error>

#include "host/pages.h"

namespace aiaccel {
namespace {

using Word = std::atomic<uint64_t>;
static_assert(Word::is_always_lock_free);

// Inherited by children, so that a child's number is never its parent's.
Word g_last_process{0};

Word& process_word() {
  static Word& word = [&]() -> Word& {
    void* page = mmap(nullptr, host::page_size(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, host::page_size(), MADV_WIPEONFORK) < 0)
      throw std::system_error(errno, std::generic_category(), "fork guard");
    return *static_cast<Word*>(page);
  }();
  return word;
}

}  // namespace

ForkGuard::ForkGuard() {
  Word& word = process_word();
  uint64_t number = word.load();
  if (number == 0) {  // the first of this process
    const uint64_t fresh = ++g_last_process;
    if (word.compare_exchange_strong(number, fresh)) number = fresh;
  }
  made_in_ = number;
}

bool ForkGuard::same_process() const noexcept {
  return process_word().load(std::memory_order_relaxed) == made_in_;
}

}  // namespace aiaccel
