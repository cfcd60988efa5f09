// SPDX-License-Identifier: MIT
//
// cuGetProcAddress: a function by its base name, the CUDA version that the caller was built for,
// and whether it wants the thread's own default stream. A name's newest version that is not newer
// than asked for is the answer.
#include "device.h"
#include "driver.h"

using namespace standin;

namespace {

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
  *address = best ? best->address : nullptr;
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
