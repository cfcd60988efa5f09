// SPDX-License-Identifier: MIT
//
// Weights, as Git LFS keeps them: `lfs/objects/aa/bb/SHA256` under .git, and in their place in a
// commit a pointer, which is a text of three lines. An object has its name when it is whole and on
// disk, and is read-only from then on.
//
// Bytes are read once: what is copied is hashed as it passes. They are not copied
//   - where the file system clones (FICLONE): the clone is nobody else's, and is hashed;
//   - by a hard link, of a cache whose blobs are named by their SHA-256, and are so never written
//     again: where the file belongs to this user, the right to write is taken from it, and it is
//     linked if no process has it open for writing or mapped (the kernel says so by granting a
//     lease). Other files are somebody's own, who may well write them again.
//
// Any number of threads and processes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "registry/io.h"

namespace aiaccel::registry {

struct Pointer {
  std::string sha256;
  std::uint64_t size = 0;

  std::string text() const;
  // Nothing for what is no pointer as Git LFS writes them (version 1).
  static std::optional<Pointer> parse(std::string_view text);
  static constexpr std::size_t kLongest = 1024;
};

using OnBytes = std::function<void(std::uint64_t done)>;

enum class Put { found, cloned, linked, copied };

struct Stored {
  Pointer pointer;
  Put how = Put::copied;
};

struct PutOptions {
  bool may_link = false;  // the file is of a cache: the right to write may be taken from it
  std::string sha256;     // what it has to have (EBADMSG), if that is known
  const struct stat* seen = nullptr;  // as it has to be still; else as put() finds it
  OnBytes progress;
  std::stop_token stop;
};

class Store {
 public:
  explicit Store(const Path& git_dir);

  Path path(const std::string& sha256) const;
  // There, with the size that it should have.
  bool has(const Pointer& pointer) const;
  // `file` is open for reading; `name` is for what is said. Throws EBUSY where it changed
  // meanwhile.
  Stored put(const Fd& file, const std::string& name, const PutOptions& options) const;
  // Throws ENODATA where it is not there, EBADMSG where it is not what its name says.
  void verify(const Pointer& pointer, const std::string& name, const OnBytes& progress) const;
  // Puts it there, under another name: as a clone, a hard link or a copy.
  void give(const Pointer& pointer, const Path& to) const;
  const Path& objects() const { return objects_; }
  const Path& temporary() const { return temporary_; }

 private:
  // There, and what its name says: of what is damaged, `added` takes the place.
  bool holds(const Pointer& pointer, const struct stat& added, const std::stop_token& stop) const;

  Path objects_;
  Path temporary_;
};

// The SHA-256 of all of a file.
std::string hash_file(int fd, const std::string& name, const OnBytes& progress,
                      const std::stop_token& stop, std::uint64_t* size = nullptr);

}  // namespace aiaccel::registry
