// SPDX-License-Identifier: MIT
//
// cuGetProcAddress: a function by its base name, the CUDA version that the caller was built for,
// and whether it wants the thread's own default stream. A name's newest version that is not newer
// than asked for is the answer. With $AIACCEL_STANDIN_SEPARATE the addresses are not the exported
// ones, but of code that jumps there.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "device.h"
#include "driver.h"

using namespace standin;

namespace {

// Made when first asked for, and never unmade.
void* separate(void* exported) {
#if defined(__x86_64__)
  constexpr std::uint8_t kJump[] = {0xff, 0x25, 0, 0, 0, 0};  // jmp *0(%rip)
#elif defined(__aarch64__)
  constexpr std::uint32_t kJump[] = {0x58000050, 0xd61f0200};  // ldr x16, #8; br x16
#endif
  static std::mutex mutex;
  static auto* const made = new std::unordered_map<void*, void*>;
  const Lock lock(mutex);
  void*& code = (*made)[exported];
  if (code) return code;
  void* const page = mmap(nullptr, sizeof kJump + sizeof exported, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) abort();
  memcpy(page, kJump, sizeof kJump);
  memcpy(static_cast<char*>(page) + sizeof kJump, &exported, sizeof exported);
  __builtin___clear_cache(static_cast<char*>(page), static_cast<char*>(page) + sizeof kJump);
  if (mprotect(page, sizeof kJump, PROT_READ | PROT_EXEC)) abort();
  return code = page;
}

CUresult find(const char* name, void** address, int version, std::uint64_t flags,
              CUdriverProcAddressQueryResult* status) {
  if (!name || !address || flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM ||
      version > kDriverVersion)
    return CUDA_ERROR_INVALID_VALUE;
  const bool per_thread = flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
  const Row* best = nullptr;
  bool known = false;
  for (const Row& row : rows()) {
    if (row.base != name || (row.per_thread && !per_thread)) continue;
    known = true;
    if (row.version > version) continue;
    // A per-thread form is wanted before any other, and of two forms the newer.
    if (!best || row.per_thread > best->per_thread ||
        (row.per_thread == best->per_thread && row.version > best->version))
      best = &row;
  }
  static const bool are_separate = getenv("AIACCEL_STANDIN_SEPARATE") != nullptr;
  *address = !best ? nullptr : are_separate ? separate(best->address) : best->address;
  if (status)
    *status = best    ? CU_GET_PROC_ADDRESS_SUCCESS
              : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                      : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return CUDA_SUCCESS;
}

}  // namespace

// The first form has no other way to say what it did not find.
STANDIN_API cuGetProcAddress(const char* name, void** address, int version, cuuint64_t flags) {
  const CUresult error = find(name, address, version, flags, nullptr);
  return error == CUDA_SUCCESS && !*address ? CUDA_ERROR_NOT_FOUND : error;
}

STANDIN_API cuGetProcAddress_v2(const char* name, void** address, int version, cuuint64_t flags,
                                CUdriverProcAddressQueryResult* status) {
  return find(name, address, version, flags, status);
}

// The tables by which NVIDIA's own libraries talk to its driver: of none of them anything is known.
STANDIN_API cuGetExportTable(const void**, const CUuuid*) {
  return CUDA_ERROR_NOT_FOUND;
}
