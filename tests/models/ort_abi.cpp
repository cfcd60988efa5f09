// SPDX-License-Identifier: MIT
//
// Our hand-written declarations of ONNX Runtime's C ABI against its real header, wherever one is
// installed (Debian 13: libonnxruntime-dev).

#include <tap/tap.hpp>

#include "backends/ort_api.h"

#if __has_include(<onnxruntime/onnxruntime_c_api.h>)
#include <onnxruntime/onnxruntime_c_api.h>
#define HAVE_HEADER 1
#elif __has_include(<onnxruntime_c_api.h>)
#include <onnxruntime_c_api.h>
#define HAVE_HEADER 1
#endif

#include <aiaccel/tensor.hpp>

BOOST_AUTO_TEST_SUITE(ort_abi)

BOOST_AUTO_TEST_CASE(the_table_of_a_version) {
  using aiaccel::ort::may_have;
  BOOST_TEST(may_have("1.18.0", 18));
  BOOST_TEST(may_have("1.21", 18));
  BOOST_TEST(!may_have("1.17.3", 18));
  BOOST_TEST(!may_have("0.20.0", 18));
  BOOST_TEST(may_have("2.0.0", 18));
  BOOST_TEST(may_have("2.0", 18));
  BOOST_TEST(!may_have("", 18));
  BOOST_TEST(!may_have("unknown", 18));
}

BOOST_AUTO_TEST_CASE(entries_and_constants_agree_with_the_header) {
#ifndef HAVE_HEADER
  SKIP("no ONNX Runtime headers are installed (Debian 13: apt-get install libonnxruntime-dev)");
#else
#define CHECK_INDEX(index, name, result, arguments) \
  BOOST_TEST(offsetof(OrtApi, name) / sizeof(void*) == index##u, "the index of " #name);
  AIACCEL_ORT_ENTRIES(CHECK_INDEX)
#if ORT_API_VERSION >= 18
  AIACCEL_ORT_LATER_ENTRIES(CHECK_INDEX)
#endif
#undef CHECK_INDEX
  BOOST_TEST(offsetof(OrtApiBase, GetApi) == offsetof(aiaccel::ort::ApiBase, GetApi));
  BOOST_TEST(offsetof(OrtApiBase, GetVersionString) ==
             offsetof(aiaccel::ort::ApiBase, GetVersionString));

  using namespace aiaccel;
  BOOST_TEST(ort::kApiVersion <= ORT_API_VERSION);
  BOOST_TEST(ort::kLogFatal == int{ORT_LOGGING_LEVEL_FATAL});
  BOOST_TEST(ort::kSequential == int{ORT_SEQUENTIAL});
  BOOST_TEST(ort::kArenaAllocator == int{OrtArenaAllocator});
  BOOST_TEST(ort::kMemoryDefault == int{OrtMemTypeDefault});
  BOOST_TEST(ort::kTypeTensor == int{ONNX_TYPE_TENSOR});
  BOOST_TEST(int{ort::kFail} == int{ORT_FAIL});
  BOOST_TEST(int{ort::kInvalidArgument} == int{ORT_INVALID_ARGUMENT});
  BOOST_TEST(int{ort::kNoSuchFile} == int{ORT_NO_SUCHFILE});
  BOOST_TEST(int{ort::kNoModel} == int{ORT_NO_MODEL});
  BOOST_TEST(int{ort::kInvalidProtobuf} == int{ORT_INVALID_PROTOBUF});
  BOOST_TEST(int{ort::kNotImplemented} == int{ORT_NOT_IMPLEMENTED});
  BOOST_TEST(int{ort::kInvalidGraph} == int{ORT_INVALID_GRAPH});

#define CHECK_TYPE(ours, theirs) \
  BOOST_TEST(static_cast<int>(ElementType::ours) == int{ONNX_TENSOR_ELEMENT_DATA_TYPE_##theirs})
  CHECK_TYPE(undefined, UNDEFINED);
  CHECK_TYPE(f32, FLOAT);
  CHECK_TYPE(u8, UINT8);
  CHECK_TYPE(i8, INT8);
  CHECK_TYPE(u16, UINT16);
  CHECK_TYPE(i16, INT16);
  CHECK_TYPE(i32, INT32);
  CHECK_TYPE(i64, INT64);
  CHECK_TYPE(string, STRING);
  CHECK_TYPE(boolean, BOOL);
  CHECK_TYPE(f16, FLOAT16);
  CHECK_TYPE(f64, DOUBLE);
  CHECK_TYPE(u32, UINT32);
  CHECK_TYPE(u64, UINT64);
  CHECK_TYPE(c64, COMPLEX64);
  CHECK_TYPE(c128, COMPLEX128);
  CHECK_TYPE(bf16, BFLOAT16);
#undef CHECK_TYPE
#endif
}

BOOST_AUTO_TEST_SUITE_END()
