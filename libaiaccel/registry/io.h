// SPDX-License-Identifier: MIT
//
// Files, as a store needs them that may be killed at any time: what is written gets its name when
// it is whole and on disk. And programs that are run, without a shell.
//
// Functions hold no state: safe from everywhere. An Fd is for one thread at a time.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aiaccel::registry {

using Path = std::filesystem::path;

[[noreturn]] void throw_errno(const std::string& what);

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Throws with the path where the system refuses.
Fd open_file(const Path& path, int flags, unsigned mode = 0666);
void write_all(int fd, std::string_view bytes, const Path& name);
// Whether it is one file, and its contents are those that it had. To link it, or to take the right
// to write, changes the time of change as well: there, the time of the contents has to do.
bool is_unchanged(const struct stat& before, const struct stat& now);

void sync(int fd, const Path& name);
void sync_folder(const Path& folder);
// All of a file of at most `limit` bytes (EFBIG), nothing where there is none.
std::optional<std::string> read_file(const Path& path, std::size_t limit);
// Makes a folder and those above, each synced into the one above.
void make_folders(const Path& folder);

// A file under a name that nobody else has, in a folder for such; gone when this is, unless it was
// renamed.
class TempFile {
 public:
  explicit TempFile(const Path& folder);
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile();
  int fd() const { return fd_.get(); }
  const Path& path() const { return path_; }
  // To its own name; the folder is synced.
  void rename(const Path& to);

 private:
  Path path_;
  Fd fd_;
  bool named_ = true;
};

// A name for a temporary file or folder of this thread.
std::string unique_name();

// Held till it goes, and given back by the system when the process dies.
class FileLock {
 public:
  FileLock(const Path& file, bool shared);

 private:
  Fd fd_;
};

struct Ran {
  int status = 0;  // of exit, or 128 + the signal
  std::string out, err;
};

// Runs a program, found by $PATH, in `folder`, with nothing to read. Throws where it cannot be
// started.
Ran run(const std::vector<std::string>& argv, const Path& folder);

}  // namespace aiaccel::registry
