// SPDX-License-Identifier: MIT
//
// safetensors files: a header of whatever text, before which its length stands and behind which as
// many bytes as the input says; files of whatever bytes; and indexes of shards, in a folder in
// which one shard is there.
#include "libfuzzer/metadata.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "formats/reader.h"

namespace {

std::string with_length(const std::string& header) {
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i));
  return bytes + header;
}

const std::filesystem::path& folder() {
  static const std::filesystem::path path = [] {
    char name[] = "/tmp/aiaccel-fuzz-XXXXXX";
    MUST(mkdtemp(name));
    std::ofstream(std::filesystem::path(name) / "s", std::ios::binary)
        << with_length(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})") << "wwww";
    std::atexit([] { std::filesystem::remove_all(folder()); });
    return std::filesystem::path(name);
  }();
  return path;
}

void check_index(const std::string& text) {
  aiaccel::formats::Folder beside(folder() / "model.safetensors.index.json", {});
  aiaccel::formats::Budget budget;
  aiaccel::formats::Source source("index", std::as_bytes(std::span<const char>(text)), budget);
  fuzz::check_read(text.size(), [&] {
    aiaccel::Metadata metadata;
    aiaccel::formats::read_safetensors_index(source, beside, metadata);
    return metadata;
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  switch (in.byte() % 3) {
    case 0: {
      const std::size_t tensors = in.byte();
      fuzz::check_bytes(with_length(in.rest()) + std::string(tensors, 'w'),
                        aiaccel::ModelFormat::safetensors);
      break;
    }
    case 1:
      fuzz::check_bytes(in.rest(), aiaccel::ModelFormat::safetensors);
      break;
    default:
      check_index(in.rest());
  }
  return 0;
}
