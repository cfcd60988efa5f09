// SPDX-License-Identifier: MIT
//
// The part of ONNX Runtime's C ABI that aiaccel uses, declared by hand.
//
// Debian 12 ships no ONNX Runtime headers and the library is found at run time, so nothing here may
// need them. The ABI is one table of function pointers that only ever grows at its end: an entry is
// known for good by its index. AIACCEL_ORT_ENTRIES names each entry that we call, with its index;
// tests/models/ort_abi.cpp compares the indices and the constants below with the real header
// wherever one is installed.
//
// No state, so no threading rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace aiaccel::ort {

// Opaque objects of the runtime. We hold pointers only, and give them back by the Release entries.
struct OrtEnv;
struct OrtStatus;
struct OrtMemoryInfo;
struct OrtSession;
struct OrtValue;
struct OrtRunOptions;
struct OrtTypeInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtSessionOptions;
struct OrtAllocator;

// The oldest version of the table that has every entry below; each later runtime still answers it.
inline constexpr std::uint32_t kApiVersion = 8;

inline constexpr int kLogFatal = 4;        // OrtLoggingLevel: errors come back as statuses
inline constexpr int kSequential = 0;      // ExecutionMode
inline constexpr int kArenaAllocator = 1;  // OrtAllocatorType
inline constexpr int kMemoryDefault = 0;   // OrtMemType
inline constexpr int kTypeTensor = 1;      // ONNXType

enum ErrorCode : int {
  kFail = 1,
  kInvalidArgument = 2,
  kNoSuchFile = 3,
  kNoModel = 4,
  kInvalidProtobuf = 7,
  kNotImplemented = 9,
  kInvalidGraph = 10,
};

// E(index, name, return type, (arguments))
#define AIACCEL_ORT_ENTRIES(E)                                                                     \
  E(1, GetErrorCode, int, (const OrtStatus*))                                                      \
  E(2, GetErrorMessage, const char*, (const OrtStatus*))                                           \
  E(3, CreateEnv, OrtStatus*, (int log_level, const char* log_id, OrtEnv**))                       \
  E(8, CreateSessionFromArray, OrtStatus*,                                                         \
    (const OrtEnv*, const void* model, std::size_t bytes, const OrtSessionOptions*, OrtSession**)) \
  E(9, Run, OrtStatus*,                                                                            \
    (OrtSession*, const OrtRunOptions*, const char* const* input_names,                            \
     const OrtValue* const* inputs, std::size_t input_count, const char* const* output_names,      \
     std::size_t output_count, OrtValue** outputs))                                                \
  E(10, CreateSessionOptions, OrtStatus*, (OrtSessionOptions**))                                   \
  E(13, SetSessionExecutionMode, OrtStatus*, (OrtSessionOptions*, int mode))                       \
  E(24, SetIntraOpNumThreads, OrtStatus*, (OrtSessionOptions*, int threads))                       \
  E(25, SetInterOpNumThreads, OrtStatus*, (OrtSessionOptions*, int threads))                       \
  E(30, SessionGetInputCount, OrtStatus*, (const OrtSession*, std::size_t*))                       \
  E(31, SessionGetOutputCount, OrtStatus*, (const OrtSession*, std::size_t*))                      \
  E(33, SessionGetInputTypeInfo, OrtStatus*, (const OrtSession*, std::size_t, OrtTypeInfo**))      \
  E(34, SessionGetOutputTypeInfo, OrtStatus*, (const OrtSession*, std::size_t, OrtTypeInfo**))     \
  E(36, SessionGetInputName, OrtStatus*, (const OrtSession*, std::size_t, OrtAllocator*, char**))  \
  E(37, SessionGetOutputName, OrtStatus*, (const OrtSession*, std::size_t, OrtAllocator*, char**)) \
  E(49, CreateTensorWithDataAsOrtValue, OrtStatus*,                                                \
    (const OrtMemoryInfo*, void* data, std::size_t bytes, const std::int64_t* shape,               \
     std::size_t rank, int element_type, OrtValue**))                                              \
  E(51, GetTensorMutableData, OrtStatus*, (OrtValue*, void**))                                     \
  E(55, CastTypeInfoToTensorInfo, OrtStatus*,                                                      \
    (const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**))                                       \
  E(56, GetOnnxTypeFromTypeInfo, OrtStatus*, (const OrtTypeInfo*, int*))                           \
  E(60, GetTensorElementType, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, int*))                \
  E(61, GetDimensionsCount, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, std::size_t*))          \
  E(62, GetDimensions, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, std::int64_t*, std::size_t)) \
  E(63, GetSymbolicDimensions, OrtStatus*,                                                         \
    (const OrtTensorTypeAndShapeInfo*, const char* names[], std::size_t))                          \
  E(65, GetTensorTypeAndShape, OrtStatus*, (const OrtValue*, OrtTensorTypeAndShapeInfo**))         \
  E(69, CreateCpuMemoryInfo, OrtStatus*, (int allocator_type, int memory_type, OrtMemoryInfo**))   \
  E(76, AllocatorFree, OrtStatus*, (OrtAllocator*, void*))                                         \
  E(78, GetAllocatorWithDefaultOptions, OrtStatus*, (OrtAllocator**))                              \
  E(92, ReleaseEnv, void, (OrtEnv*))                                                               \
  E(93, ReleaseStatus, void, (OrtStatus*))                                                         \
  E(94, ReleaseMemoryInfo, void, (OrtMemoryInfo*))                                                 \
  E(95, ReleaseSession, void, (OrtSession*))                                                       \
  E(96, ReleaseValue, void, (OrtValue*))                                                           \
  E(98, ReleaseTypeInfo, void, (OrtTypeInfo*))                                                     \
  E(99, ReleaseTensorTypeAndShapeInfo, void, (OrtTensorTypeAndShapeInfo*))                         \
  E(100, ReleaseSessionOptions, void, (OrtSessionOptions*))                                        \
  E(130, AddSessionConfigEntry, OrtStatus*,                                                        \
    (OrtSessionOptions*, const char* key, const char* value))

// The same, of versions after kApiVersion: null in a runtime that is older.
inline constexpr std::uint32_t kWeightsVersion = 18;  // what has it
#define AIACCEL_ORT_LATER_ENTRIES(E)                                       \
  E(279, AddExternalInitializersFromFilesInMemory, OrtStatus*,             \
    (OrtSessionOptions*, const char* const* locations, char* const* files, \
     const std::size_t* file_bytes, std::size_t count))

// Whether a runtime of that version, such as "1.21.0", can be asked for a version of the table. To
// ask one for what it does not have makes it write to stderr; what is no version is not asked.
inline bool may_have(const std::string& version, std::uint32_t api) {
  unsigned major = 0, minor = 0;
  return std::sscanf(version.c_str(), "%u.%u", &major, &minor) == 2 &&
         (major > 1 || (major == 1 && minor >= api));
}

// Our copy of the entries, filled from the runtime's table: api.Run(...) reads as the real one
// does.
struct Api {
#define AIACCEL_ORT_MEMBER(index, name, result, arguments) result(*name) arguments;
  AIACCEL_ORT_ENTRIES(AIACCEL_ORT_MEMBER)
  AIACCEL_ORT_LATER_ENTRIES(AIACCEL_ORT_MEMBER)
#undef AIACCEL_ORT_MEMBER
};

// What dlsym("OrtGetApiBase") returns when called.
struct ApiBase {
  const void* const* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};

}  // namespace aiaccel::ort
