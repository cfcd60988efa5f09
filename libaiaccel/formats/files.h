// SPDX-License-Identifier: MIT
//
// The files of a model: the one that was named, and those that it names itself, which a hostile
// model would like to lie elsewhere. A name in a file is followed only inside its folder, checked
// by the kernel while it opens (openat2), not before.
//
// One thread at a time.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

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

// Which file it is, whatever its names.
using FileId = std::pair<dev_t, ino_t>;

// A file as it was seen once.
struct FileState {
  FileId id;
  off_t size = 0;
  timespec changed{};

  FileState() = default;
  explicit FileState(const struct stat& seen)
      : id(seen.st_dev, seen.st_ino), size(seen.st_size), changed(seen.st_ctim) {}
  // By the time of change of the inode: that of the contents is what its writer says it is.
  bool operator==(const FileState& other) const {
    return id == other.id && size == other.size && changed.tv_sec == other.changed.tv_sec &&
           changed.tv_nsec == other.changed.tv_nsec;
  }
};

// A regular file, open for reading.
class OpenFile {
 public:
  // As the user named it: links are followed.
  static OpenFile named(const std::filesystem::path& file);

  OpenFile(Fd fd, std::string name);  // EINVAL unless it is a regular file
  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  std::uint64_t size() const { return static_cast<std::uint64_t>(seen_.size); }
  FileId id() const { return seen_.id; }
  const FileState& seen() const { return seen_; }
  bool has_other_names() const { return names_ > 1; }
  // Throws EBUSY when size or time of change are not what they were when it was opened.
  void check_unchanged() const;

 private:
  Fd fd_;
  std::string name_;
  FileState seen_;
  nlink_t names_ = 0;
};

// What is wrong with a name in a model's file, "" for one that stays in its folder as it is
// written. Links are for Folder::open() to find.
std::string why_not_beside(const std::string& location);

// The folder of a model's file.
class Folder {
 public:
  Folder(const std::filesystem::path& file, const MetadataOptions& options);

  // Opens `location`, which the model's file names at `offset` of `source`.
  OpenFile open(const Source& source, std::uint64_t offset, const std::string& location);

  // Throws EBUSY when a file that was opened is not what it was, or another has its name.
  void check_unchanged() const;

 private:
  struct Opened {
    std::string location;
    FileState seen;
  };

  int open_fd(const std::string& location, std::uint64_t flags) const;

  Fd root_;             // the folder, or what MetadataOptions::beneath says
  std::string inside_;  // the folder's name in there, with a slash at its end
  bool follow_links_;
  std::vector<Opened> opened_;
};

}  // namespace aiaccel::formats
