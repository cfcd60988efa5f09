// SPDX-License-Identifier: MIT
//
// The files of a model: the one that was named, and those that it names itself, which a hostile
// model would like to lie elsewhere. A name in a file is followed only inside its folder, checked
// by the kernel while it opens (openat2), not before.
//
// One thread at a time.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "formats/source.h"

namespace aiaccel::formats {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&&) = delete;
  ~Fd();
  int get() const { return fd_; }

 private:
  int fd_;
};

// A regular file, open for reading.
class OpenFile {
 public:
  // As the user named it: links are followed.
  static OpenFile named(const std::filesystem::path& file);

  OpenFile(Fd fd, std::string name);  // EINVAL unless it is a regular file
  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  std::uint64_t size() const { return static_cast<std::uint64_t>(seen_.st_size); }
  bool has_other_names() const { return seen_.st_nlink > 1; }
  // Throws EBUSY when size or time of change are not what they were when it was opened.
  void check_unchanged() const;

 private:
  Fd fd_;
  std::string name_;
  struct stat seen_;
};

// What is wrong with a name in a model's file, "" for one that stays in its folder as it is
// written. Links are for Folder::open() to find.
std::string why_not_beside(const std::string& location);

// The folder of a model's file.
class Folder {
 public:
  Folder(const std::filesystem::path& file, const MetadataOptions& options);

  // Opens `location`, which the model's file names at `offset` of `source`.
  OpenFile open(const Source& source, std::uint64_t offset, const std::string& location) const;

 private:
  Fd root_;             // the folder, or what MetadataOptions::beneath says
  std::string inside_;  // the folder's name in there, with a slash at its end
  bool follow_links_;
};

}  // namespace aiaccel::formats
