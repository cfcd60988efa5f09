// SPDX-License-Identifier: MIT
//
// Our hand-written declarations of NVML against its real header, wherever one is installed.

#include <tap/tap.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>

#include "backends/nvml_api.h"

#if __has_include(<nvml.h>)
#include <nvml.h>
#define HAVE_HEADER 1
#elif __has_include("/usr/local/cuda/include/nvml.h")
#include "/usr/local/cuda/include/nvml.h"
#define HAVE_HEADER 1
#endif

BOOST_AUTO_TEST_SUITE(nvml_abi)

#ifdef HAVE_HEADER
namespace {

// Passed in the same way: both pointers, or numbers of one size.
template <typename A, typename B>
constexpr bool alike = std::is_pointer_v<A> == std::is_pointer_v<B> &&
                       sizeof(A) == sizeof(B) && std::is_signed_v<A> == std::is_signed_v<B>;

template <typename... A, typename R, typename... B>
constexpr bool same_call(int (*)(A...), R (*)(B...)) {
  if constexpr (sizeof...(A) != sizeof...(B))
    return false;
  else
    return (alike<A, B> && ...);
}

}  // namespace
#endif

BOOST_AUTO_TEST_CASE(structs_calls_and_constants_agree_with_the_header) {
#ifndef HAVE_HEADER
  SKIP("no nvml.h is installed (it comes with the CUDA toolkit)");
#else
  namespace ours = aiaccel::nvml;
#define CHECK_FIELD(type, field, their_type, their_field)                       \
  BOOST_TEST(offsetof(ours::type, field) == offsetof(their_type, their_field)); \
  BOOST_TEST(sizeof(ours::type::field) == sizeof(their_type::their_field));     \
  BOOST_TEST(sizeof(ours::type) == sizeof(their_type))
  CHECK_FIELD(PciInfo, domain, nvmlPciInfo_t, domain);
  CHECK_FIELD(PciInfo, bus, nvmlPciInfo_t, bus);
  CHECK_FIELD(PciInfo, device, nvmlPciInfo_t, device);
  CHECK_FIELD(PciInfo, bus_id, nvmlPciInfo_t, busId);
  CHECK_FIELD(Memory, total, nvmlMemory_t, total);
  CHECK_FIELD(Memory, used, nvmlMemory_t, used);
  CHECK_FIELD(Utilization, gpu, nvmlUtilization_t, gpu);
  CHECK_FIELD(ProcessInfo, pid, nvmlProcessInfo_t, pid);
  CHECK_FIELD(ProcessInfo, used_bytes, nvmlProcessInfo_t, usedGpuMemory);
  CHECK_FIELD(ProcessSample, pid, nvmlProcessUtilizationSample_t, pid);
  CHECK_FIELD(ProcessSample, time_us, nvmlProcessUtilizationSample_t, timeStamp);
  CHECK_FIELD(ProcessSample, sm, nvmlProcessUtilizationSample_t, smUtil);
#undef CHECK_FIELD

  const ours::Api api;
#define CHECK_CALL(name, arguments) \
  BOOST_TEST(same_call(api.name, static_cast<decltype(&::name)>(nullptr)), "the call " #name);
  AIACCEL_NVML_REQUIRED(CHECK_CALL)
  AIACCEL_NVML_OPTIONAL(CHECK_CALL)
#undef CHECK_CALL

  BOOST_TEST(ours::kSuccess == int{NVML_SUCCESS});
  BOOST_TEST(ours::kInsufficientSize == int{NVML_ERROR_INSUFFICIENT_SIZE});
  BOOST_TEST(ours::kNotSupported == int{NVML_ERROR_NOT_SUPPORTED});
  BOOST_TEST(ours::kNotFound == int{NVML_ERROR_NOT_FOUND});
  BOOST_TEST(ours::kGpuIsLost == int{NVML_ERROR_GPU_IS_LOST});
  BOOST_TEST(ours::kNameBytes == unsigned{NVML_DEVICE_NAME_V2_BUFFER_SIZE});
  BOOST_TEST(ours::kUuidBytes == unsigned{NVML_DEVICE_UUID_V2_BUFFER_SIZE});
  BOOST_TEST(ours::kDriverVersionBytes == unsigned{NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE});
#endif
}

BOOST_AUTO_TEST_SUITE_END()
