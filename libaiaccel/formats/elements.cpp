// SPDX-License-Identifier: MIT
//
// The tables of element types. What is not listed was withdrawn, or does not occur in files.

#include "formats/elements.h"

#include <iterator>

namespace aiaccel::formats {
namespace {

struct Named {
  std::string_view dtype;
  Element element;
};

constexpr Named kSafetensors[] = {
    {"BOOL", {"bool", 1, 8}},
    {"F4", {"float4_e2m1", 1, 4}},
    {"F6_E2M3", {"float6_e2m3", 1, 6}},
    {"F6_E3M2", {"float6_e3m2", 1, 6}},
    {"U8", {"uint8", 1, 8}},
    {"I8", {"int8", 1, 8}},
    {"F8_E5M2", {"float8_e5m2", 1, 8}},
    {"F8_E4M3", {"float8_e4m3fn", 1, 8}},
    {"F8_E5M2FNUZ", {"float8_e5m2fnuz", 1, 8}},
    {"F8_E4M3FNUZ", {"float8_e4m3fnuz", 1, 8}},
    {"F8_E8M0", {"float8_e8m0", 1, 8}},
    {"I16", {"int16", 1, 16}},
    {"U16", {"uint16", 1, 16}},
    {"F16", {"float16", 1, 16}},
    {"BF16", {"bfloat16", 1, 16}},
    {"I32", {"int32", 1, 32}},
    {"U32", {"uint32", 1, 32}},
    {"F32", {"float32", 1, 32}},
    {"C64", {"complex64", 1, 64}},
    {"F64", {"float64", 1, 64}},
    {"I64", {"int64", 1, 64}},
    {"U64", {"uint64", 1, 64}},
};

// By ggml_type.
constexpr Element kGgml[] = {
    {"float32", 1, 32},
    {"float16", 1, 16},
    {"q4_0", 32, 18 * 8},
    {"q4_1", 32, 20 * 8},
    {},
    {},
    {"q5_0", 32, 22 * 8},
    {"q5_1", 32, 24 * 8},
    {"q8_0", 32, 34 * 8},
    {"q8_1", 32, 36 * 8},
    {"q2_k", 256, 84 * 8},
    {"q3_k", 256, 110 * 8},
    {"q4_k", 256, 144 * 8},
    {"q5_k", 256, 176 * 8},
    {"q6_k", 256, 210 * 8},
    {"q8_k", 256, 292 * 8},
    {"iq2_xxs", 256, 66 * 8},
    {"iq2_xs", 256, 74 * 8},
    {"iq3_xxs", 256, 98 * 8},
    {"iq1_s", 256, 50 * 8},
    {"iq4_nl", 32, 18 * 8},
    {"iq3_s", 256, 110 * 8},
    {"iq2_s", 256, 82 * 8},
    {"iq4_xs", 256, 136 * 8},
    {"int8", 1, 8},
    {"int16", 1, 16},
    {"int32", 1, 32},
    {"int64", 1, 64},
    {"float64", 1, 64},
    {"iq1_m", 256, 56 * 8},
    {"bfloat16", 1, 16},
    {},
    {},
    {},
    {"tq1_0", 256, 54 * 8},
    {"tq2_0", 256, 66 * 8},
    {},
    {},
    {},
    {"mxfp4", 32, 17 * 8},
    {"nvfp4", 64, 36 * 8},
    {"q1_0", 128, 18 * 8},
    {"q2_0", 64, 18 * 8},
};

// By TensorProto.DataType.
constexpr Element kOnnx[] = {
    {},
    {"float32", 1, 32},
    {"uint8", 1, 8},
    {"int8", 1, 8},
    {"uint16", 1, 16},
    {"int16", 1, 16},
    {"int32", 1, 32},
    {"int64", 1, 64},
    {"string", 1, 0},
    {"bool", 1, 8},
    {"float16", 1, 16},
    {"float64", 1, 64},
    {"uint32", 1, 32},
    {"uint64", 1, 64},
    {"complex64", 1, 64},
    {"complex128", 1, 128},
    {"bfloat16", 1, 16},
    {"float8_e4m3fn", 1, 8},
    {"float8_e4m3fnuz", 1, 8},
    {"float8_e5m2", 1, 8},
    {"float8_e5m2fnuz", 1, 8},
    {"uint4", 1, 4},
    {"int4", 1, 4},
    {"float4_e2m1", 1, 4},
    {"float8_e8m0", 1, 8},
    {"uint2", 1, 2},
    {"int2", 1, 2},
};

}  // namespace

Element safetensors_element(std::string_view dtype) {
  for (const Named& named : kSafetensors)
    if (named.dtype == dtype) return named.element;
  return {};
}

Element ggml_element(std::uint32_t type) {
  return type < std::size(kGgml) ? kGgml[type] : Element{};
}

Element onnx_element(std::uint64_t data_type) {
  return data_type < std::size(kOnnx) ? kOnnx[data_type] : Element{};
}

}  // namespace aiaccel::formats
