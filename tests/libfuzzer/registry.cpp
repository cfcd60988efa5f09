// SPDX-License-Identifier: MIT
//
// What a repository that somebody else made is read from: aiaccel.json, pointers of Git LFS, and
// packed-refs, by the input's first byte; and the names of tags. It is refused with a reason, or it
// is what it seems to be, and what is written of it is read as the same.
#include "registry/names.h"

#include "libfuzzer/fuzz.hpp"
#include "registry/record.h"
#include "registry/refs.h"
#include "registry/store.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace {

using namespace aiaccel::registry;

void take_record(const std::string& text) {
  for (const bool metadata : {false, true}) try {
      aiaccel::ModelVersion version;
      read_record(text, metadata, version);
      const std::string written = write_record(version);
      aiaccel::ModelVersion again;
      read_record(written, metadata, again);
      MUST(again.labels == version.labels && again.files.size() == version.files.size());
      for (std::size_t i = 0; i < version.files.size(); i++)
        MUST(again.files[i].size_bytes == version.files[i].size_bytes);
      MUST(again.metadata.has_value() == version.metadata.has_value());
      MUST(write_record(again) == written);
    } catch (const aiaccel::Error& error) {
      MUST(error.code().value() == EBADMSG);
    }
}

void take_pointer(const std::string& text) {
  const auto pointer = Pointer::parse(text);
  if (!pointer) return;
  MUST(text.size() < Pointer::kLongest && pointer->sha256.size() == 64);
  MUST(pointer->sha256.find_first_not_of("0123456789abcdef") == std::string::npos);
  const auto again = Pointer::parse(pointer->text());
  MUST(again && again->sha256 == pointer->sha256 && again->size == pointer->size);
}

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "aiaccel-refs-XXXXXX").string();
    MUST(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code none;
    std::filesystem::remove_all(path, none);
  }
  Path path;
};

// What is listed by its name is listed with what it is.
void take_packed(const std::string& text) {
  static const Folder own;
  const Path& folder = own.path;
  std::ofstream(folder / "packed-refs", std::ios::binary | std::ios::trunc) << text;
  const Refs refs(folder);
  std::size_t names = 0;
  refs.names("refs/tags/", [&](std::string_view name) {
    MUST(name.starts_with("refs/tags/"));
    names++;
  });
  const std::vector<RefValue> all = refs.list("refs/");
  for (const RefValue& value : all) MUST(value.value.size() == 40 && !value.name.empty());
  std::size_t tags = 0;
  for (const RefValue& value : refs.list("refs/tags/")) {
    MUST(value.name.starts_with("refs/tags/"));
    tags++;
    TagName::parse(std::string_view(value.name).substr(10));
  }
  MUST(tags == names);
  refs.find("refs/tags/vad@v1.0.0");
}

void take_name(const std::string& text) {
  const auto tag = TagName::parse(text);
  if (!tag) return;
  MUST(why_no_name(tag->name).empty());
  MUST(tag->stage.empty() != tag->version.empty());
  if (!tag->version.empty()) {
    const auto version = SemVer::parse(tag->version);
    MUST(version && *version == *version);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::uint8_t kind = in.byte();
  const std::string text = in.rest();
  switch (kind) {
    case 'r':
      take_record(text);
      break;
    case 'l':
      take_pointer(text);
      break;
    case 'p':
      take_packed(text);
      break;
    default:
      take_name(text);
      break;
  }
  return 0;
}
