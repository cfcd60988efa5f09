// SPDX-License-Identifier: MIT
//
// Finding the files of a model.

#include "registry/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <aiaccel/error.hpp>
#include <algorithm>
#include <cerrno>
#include <memory>

#include "registry/record.h"

namespace aiaccel::registry {
namespace {

constexpr int kDeepest = 32;

// What belongs to how the model came here, and not to it.
bool is_left_out(const std::string& inside, std::string_view name) {
  if (name == ".git" || name == ".gitattributes" || name == ".gitignore" || name == ".gitmodules" ||
      name == ".lfsconfig") {
    return true;
  }
  // The last: what a version that was added before says of itself.
  return inside.empty() && (name == ".cache" || name == kRecord);
}

Fd open_beneath(int root, const std::string& path, std::uint64_t flags, const std::string& name,
                bool anywhere = false) {
  open_how how{};
  how.flags = flags | O_CLOEXEC | ((flags & O_PATH) != 0 ? 0U : O_NOCTTY | O_NONBLOCK);
  how.resolve = RESOLVE_NO_MAGICLINKS | (anywhere ? 0U : RESOLVE_BENEATH);
  while (true) {
    Fd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
    if (fd) return fd;
    if (errno == EAGAIN || errno == EINTR) continue;  // something was renamed meanwhile
    if (errno == EXDEV)
      throw Error(EINVAL, name + " is a link that leads out of the model's folder");
    throw_errno("cannot open " + name);
  }
}

Path real(const Path& path) {
  std::error_code failed;
  Path result = std::filesystem::canonical(path, failed);
  if (failed) throw Error(failed.value(), "cannot resolve " + path.string());
  return result;
}

// Of a snapshot's folder, CACHE/models--…/snapshots/COMMIT: the model's part of the cache. Else "".
Path cache_of(const Path& folder) {
  const Path model = folder.parent_path().parent_path();
  const std::string name = model.filename().string();
  std::error_code none;
  if (folder.parent_path().filename() != "snapshots" || !name.starts_with("models--") ||
      !std::filesystem::is_directory(model / "blobs", none)) {
    return {};
  }
  return model;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t more = first < 0x80                    ? 0
                             : first >= 0xc2 && first < 0xe0 ? 1
                             : first >= 0xe0 && first < 0xf0 ? 2
                             : first >= 0xf0 && first < 0xf5 ? 3
                                                             : 4;
    if (more == 4 || i + more >= text.size()) return false;
    for (std::size_t j = 1; j <= more; j++) {
      if ((static_cast<unsigned char>(text[i + j]) & 0xc0) != 0x80) return false;
    }
    if (more > 1) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
          (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return false;
      }
    }
    i += more + 1;
  }
  return true;
}

}  // namespace

std::string why_no_file_name(std::string_view path) {
  if (path.empty()) return "it is empty";
  if (path.size() > kLongestPath)
    return "it is longer than " + std::to_string(kLongestPath) + " bytes";
  if (!is_utf8(path)) return "it is no UTF-8";
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return "it has a control character";
    if (c == '\\') return "it has a '\\', which parts folders elsewhere";
  }
  while (true) {
    const std::size_t end = std::min(path.find('/'), path.size());
    std::string part(path.substr(0, end));
    std::transform(part.begin(), part.end(), part.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (part.empty() || part == "." || part == "..") return "a part of it is '" + part + "'";
    if (part == ".git" || part.starts_with("git~") || part.starts_with(".git.") ||
        part.starts_with(".git ")) {
      return "'" + part + "' is Git's own";
    }
    if (end == path.size()) return {};
    path.remove_prefix(end + 1);
  }
}

Source::Source(const Path& source) {
  struct stat seen {};
  if (::stat(source.c_str(), &seen) < 0) throw_errno("cannot open " + source.string());
  const bool folder = S_ISDIR(seen.st_mode);
  if (!folder && !S_ISREG(seen.st_mode))
    throw Error(EINVAL, source.string() + " is neither a file nor a folder");
  folder_ =
      folder ? real(source) : real(source.has_parent_path() ? source.parent_path() : Path("."));
  root_ = cache_of(folder_);
  if (root_.empty()) root_ = folder_;
  const std::string between = folder_.lexically_relative(root_).string();
  inside_ = between == "." ? "" : between + "/";
  if (folder) {
    fd_ = open_file(root_, O_PATH | O_DIRECTORY);
    walk("", 0);
    if (files_.empty()) throw Error(EINVAL, source.string() + " has no files in it");
    std::sort(files_.begin(), files_.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    return;
  }
  // The user named this one himself, so it may be a link that leads anywhere.
  const std::string name = source.filename().string();
  if (root_ == folder_) {
    const Path target = real(source);
    if (target != folder_ / name) {
      root_ = "/";
      inside_ = folder_.string().substr(1) + "/";
    }
  }
  fd_ = open_file(root_, O_PATH | O_DIRECTORY);
  if (const std::string why = why_no_file_name(name); !why.empty())
    throw Error(EINVAL, "'" + name + "' cannot be added: " + why);
  files_.push_back({name, static_cast<std::uint64_t>(seen.st_size), seen});
}

void Source::walk(const std::string& inside, int depth) {
  const std::string shown = (folder_ / inside).string();
  if (depth > kDeepest)
    throw Error(ELOOP, shown + " is " + std::to_string(kDeepest) + " folders deep");
  Fd fd = open_beneath(fd_.get(), inside_.empty() && inside.empty() ? "." : inside_ + inside,
                       O_RDONLY | O_DIRECTORY, shown);
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(::dup(fd.get())),
                                                   [](DIR* d) { return ::closedir(d); });
  if (folder == nullptr) throw_errno("cannot list " + shown);
  while (const dirent* const entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || is_left_out(inside, name)) continue;
    const std::string path = inside + name;
    if (++entries_ > kMostEntries)
      throw Error(E2BIG, folder_.string() + " has more than " + std::to_string(kMostEntries) +
                             " files and folders");
    if (const std::string why = why_no_file_name(path); !why.empty()) {
      throw Error(EINVAL, "'" + path + "' cannot be added: " + why);
    }
    // Not opened but looked at: a device may not like to be opened.
    const Fd file = open_beneath(fd_.get(), inside_ + path, O_PATH, (folder_ / path).string());
    struct stat seen {};
    if (::fstat(file.get(), &seen) < 0) throw_errno("cannot look at " + path);
    if (S_ISDIR(seen.st_mode)) {
      walk(path + "/", depth + 1);
    } else if (S_ISREG(seen.st_mode)) {
      files_.push_back({path, static_cast<std::uint64_t>(seen.st_size), seen});
    } else {
      throw Error(EINVAL, (folder_ / path).string() + " is neither a file nor a folder");
    }
  }
}

bool Source::also(const std::string& path) {
  for (const SourceFile& file : files_) {
    if (file.path == path) return false;
  }
  if (const std::string why = why_no_file_name(path); !why.empty())
    throw Error(EINVAL, "'" + path + "' cannot be added: " + why);
  const OpenSource open = open_any(path);
  files_.push_back({path, open.size, open.seen});
  std::sort(files_.begin(), files_.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return true;
}

OpenSource Source::open(const SourceFile& file) const {
  OpenSource open = open_any(file.path);
  if (!is_unchanged(file.seen, open.seen))
    throw Error(EBUSY, open.name + " was changed while it was added");
  return open;
}

OpenSource Source::open_any(const std::string& path) const {
  OpenSource open;
  open.name = (folder_ / path).string();
  open.fd = open_beneath(fd_.get(), inside_ + path, O_RDONLY, open.name, root_ == "/");
  if (::fstat(open.fd.get(), &open.seen) < 0) throw_errno("cannot look at " + open.name);
  if (!S_ISREG(open.seen.st_mode)) throw Error(EINVAL, open.name + " is no regular file");
  open.size = static_cast<std::uint64_t>(open.seen.st_size);
  char target[4096];
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(open.fd.get())).c_str(),
                                    target, sizeof(target));
  if (root_ != folder_ && length > 0) {
    const Path blob(std::string(target, static_cast<std::size_t>(length)));
    const std::string name = blob.filename().string();
    if (blob.parent_path() == root_ / "blobs" && name.size() == 64 &&
        name.find_first_not_of("0123456789abcdef") == std::string::npos) {
      open.cached = true;
      open.sha256 = name;
    }
  }
  return open;
}

}  // namespace aiaccel::registry
