// SPDX-License-Identifier: MIT
//
// Programs for accelerators: whatever bytes stand in an xclbin, PTX or cubin file; the first byte
// says which. An xclbin's header is long, so that its beginning is made here unless the input
// brings one.
#include "libfuzzer/metadata.hpp"

namespace {

// The part of the header in front of its numbers.
std::string xclbin_front() {
  std::string bytes = "xclbin2";
  bytes.resize(304);
  return bytes;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  switch (in.byte() % 4) {
    case 0:
      fuzz::check_bytes(in.rest(), aiaccel::ModelFormat::ptx);
      break;
    case 1:
      fuzz::check_bytes(in.rest(), aiaccel::ModelFormat::cubin);
      break;
    case 2:
      fuzz::check_bytes(xclbin_front() + in.rest(), aiaccel::ModelFormat::xclbin);
      break;
    default:
      fuzz::check_bytes(in.rest(), aiaccel::ModelFormat::xclbin);
  }
  return 0;
}
