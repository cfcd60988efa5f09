// SPDX-License-Identifier: MIT
//
// References of a Git repository, in files as Git has them: loose ones, `packed-refs`, lock files
// of its kind (`NAME.lock`), the branches' logs. By hand, because
//   - to find one tag among 10,000 must not need all of them: packed-refs is mapped and bisected;
//   - a process that is killed must not leave a lock file that nobody dares to remove. A lock file
//   is a
//     hard link to a file of ours, made and removed under a lock that dies with its process: who
//     has that lock finds what the dead left, and knows by the inode that it was theirs.
//
// Reading takes no lock: a loose file before packed-refs, as packing goes the other way. Only a
// Change writes, one at a time among all processes that use this; Git's own processes are kept out
// by the lock files. Any number of threads: each makes its own Change.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/io.h"

namespace aiaccel::registry {

struct RefValue {
  std::string name;    // in full: refs/tags/…
  std::string value;   // 40 hexadecimal digits
  std::string peeled;  // of an annotated tag: what it is of, where packed-refs says so; or ""
};

// The commit that an object is or is a tag of, "" for none that is one.
using Peel = std::function<std::string(const std::string& object)>;

class Refs {
 public:
  explicit Refs(Path git_dir) : git_dir_(std::move(git_dir)) {}

  // Follows symbolic references. Nothing where there is none.
  std::optional<RefValue> find(const std::string& name) const;
  // All that begin with this, by name.
  std::vector<RefValue> list(const std::string& prefix) const;
  // Only their names, in any order, some perhaps twice: without a look at what each is.
  void names(const std::string& prefix, const std::function<void(std::string_view)>& found) const;
  // What a symbolic reference points to: HEAD's branch; "" for none.
  std::string symbolic(const std::string& name) const;
  const Path& git_dir() const { return git_dir_; }

 private:
  Path git_dir_;
};

class Change {
 public:
  explicit Change(const Refs& refs);
  // Whether one is being made, or was when its process died: then the next mends it.
  static bool was_left(const Refs& refs);

  // From `expected` ("": there is none) to `value`. False where it is something else. A branch's
  // log gets `who_when` and `why`.
  bool set(const std::string& name, const std::string& expected, const std::string& value,
           const std::string& who_when, const std::string& why);
  bool remove(const std::string& name, const std::string& expected);
  // Puts loose tags into packed-refs, if there are more than `most`.
  void pack(std::size_t most, const Peel& peel);
  // Replaces a file of Git's as Git would, under its lock, if `still` says so then.
  void replace(const Path& file, std::string_view contents, const std::function<bool()>& still);

 private:
  class FileOfGit;
  void recover();

  const Refs& refs_;
  FileLock lock_;
};

}  // namespace aiaccel::registry
