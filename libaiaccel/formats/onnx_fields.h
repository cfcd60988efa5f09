// SPDX-License-Identifier: MIT
//
// The numbers of the fields of ONNX's messages (onnx.proto) that are read, by message. All others
// are stepped over.
#pragma once

#include <cstdint>

namespace aiaccel::formats::onnx_fields {

namespace model {
enum : std::uint32_t {
  ir_version = 1,
  producer = 2,
  producer_version = 3,
  domain = 4,
  version = 5,
  graph = 7,
  opset = 8,
  property = 14,
  function = 25
};
}
namespace opset {
enum : std::uint32_t { domain = 1, version = 2 };
}
namespace graph {
enum : std::uint32_t { node = 1, name = 2, initializer = 5, input = 11, output = 12, sparse = 15 };
}
namespace function {
enum : std::uint32_t { name = 1, node = 7, domain = 10, defaults = 11 };
}
namespace node {
enum : std::uint32_t { input = 1, output = 2, name = 3, op = 4, attribute = 5, domain = 7 };
}
namespace attribute {
enum : std::uint32_t {
  name = 1,
  tensor = 5,
  graph = 6,
  tensors = 10,
  graphs = 11,
  sparse = 22,
  sparses = 23
};
}
namespace tensor {
enum : std::uint32_t {
  dims = 1,
  type = 2,
  segment = 3,
  floats = 4,
  int32s = 5,
  strings = 6,
  int64s = 7,
  name = 8,
  raw = 9,
  doubles = 10,
  uint64s = 11,
  external = 13,
  location = 14
};
}
// Of TensorProto.DataType, those whose numbers are not in int32_data.
namespace data_type {
enum : std::uint32_t {
  float32 = 1,
  int64 = 7,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  complex64 = 14,
  complex128 = 15
};
}
namespace sparse {
enum : std::uint32_t { values = 1, indices = 2, dims = 3 };
}
namespace entry {
enum : std::uint32_t { key = 1, value = 2 };
}
namespace value {
enum : std::uint32_t { name = 1, type = 2 };
}
namespace type {
enum : std::uint32_t { tensor = 1, sequence = 4, map = 5, opaque = 7, sparse = 8, optional = 9 };
}
namespace tensor_type {
enum : std::uint32_t { element = 1, shape = 2 };
}
namespace map_type {
enum : std::uint32_t { key = 1, value = 2 };
}
namespace shape {
enum : std::uint32_t { dimension = 1 };
}
namespace dimension {
enum : std::uint32_t { value = 1, symbol = 2 };
}

}  // namespace aiaccel::formats::onnx_fields
