// SPDX-License-Identifier: MIT
//
// What is added: a file or a folder. Links in a folder are followed inside it, and those of a
// snapshot in Hugging Face's cache inside that model's part of the cache; the kernel holds them to
// that (openat2).
//
// One thread at a time.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "registry/io.h"

namespace aiaccel::registry {

// Of one model: files and folders.
constexpr std::size_t kMostEntries = 100000;
constexpr std::size_t kLongestPath = 1024;

struct SourceFile {
  std::string path;  // in the model's folder
  std::uint64_t size = 0;
  struct stat seen {};  // before anything was read
};

struct OpenSource {
  Fd fd;
  std::string name;  // for what is said
  std::uint64_t size = 0;
  struct stat seen {};
  bool cached = false;  // a blob of the cache, named by
  std::string sha256;   // this
};

class Source {
 public:
  // Throws EINVAL for what cannot be kept in Git, with its name.
  explicit Source(const Path& source);

  const std::vector<SourceFile>& files() const { return files_; }
  // A file beside the one that was named, which that one needs. False if it is one of them already.
  bool also(const std::string& path);
  // Throws EBUSY where it is not the file that was found, or was written since.
  OpenSource open(const SourceFile& file) const;
  // What to give read_metadata(): a file's path, and what its links must not leave.
  Path path(const std::string& file) const { return folder_ / file; }
  const Path& beneath() const { return root_; }

 private:
  void walk(const std::string& inside, int depth);
  OpenSource open_any(const std::string& path) const;

  Path folder_;         // that the files are in
  Path root_;           // that links must not leave
  std::string inside_;  // the folder in there, with a slash at its end
  Fd fd_;               // of root_
  std::vector<SourceFile> files_;
  std::size_t entries_ = 0;
};

// What is wrong with the name of a file, "" for what Git and every file system can have.
std::string why_no_file_name(std::string_view path);

}  // namespace aiaccel::registry
