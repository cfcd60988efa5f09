// SPDX-License-Identifier: MIT
//
// References by hand. Lock files of the dead are found again by `aiaccel/claim-N` under .git, a
// symbolic link that tells which lock file, by its path from .git, is a link to
// `aiaccel/pending-N`.

#include "registry/refs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <aiaccel/error.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>

namespace aiaccel::registry {
namespace {

constexpr std::size_t kId = 40;
constexpr std::size_t kLongest = 4096;  // of a loose reference's file
constexpr auto kPatience = std::chrono::seconds(10);
constexpr std::string_view kHeader = "# pack-refs with: peeled fully-peeled sorted \n";

bool is_id(std::string_view text) {
  return text.size() == kId && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// packed-refs as it is now: Git replaces it by another file and never writes into it.
class Packed {
 public:
  explicit Packed(const Path& git_dir) {
    const Path path = git_dir / "packed-refs";
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
      if (errno == ENOENT) return;
      throw_errno("cannot open " + path.string());
    }
    struct stat seen {};
    if (::fstat(fd.get(), &seen) < 0) throw_errno("cannot look at " + path.string());
    if (seen.st_size == 0) return;
    size_ = static_cast<std::size_t>(seen.st_size);
    mapped_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (mapped_ == MAP_FAILED) {
      mapped_ = nullptr;
      throw_errno("cannot map " + path.string());
    }
    text_ = {static_cast<const char*>(mapped_), size_};
    if (text_.starts_with('#')) {
      const std::size_t end = std::min(text_.find('\n'), text_.size() - 1);
      const std::string_view header = text_.substr(0, end);
      sorted_ = header.find(" sorted") != std::string_view::npos;
      fully_peeled = header.find(" fully-peeled") != std::string_view::npos;
      text_.remove_prefix(end + 1);
    }
  }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;
  ~Packed() {
    if (mapped_ != nullptr) ::munmap(mapped_, size_);
  }

  // Calls back for all that begin with `prefix`, by name; of another order where the file is so.
  void each(std::string_view prefix, const std::function<void(RefValue)>& found) const {
    each_line(prefix, [&](std::string_view name, std::string_view id, std::string_view peeled) {
      found({std::string(name), std::string(id), std::string(peeled)});
    });
  }

  template <typename Found>
  void each_line(std::string_view prefix, const Found& found) const {
    std::size_t at = sorted_ ? lower_bound(prefix) : 0;
    while (at < text_.size()) {
      const std::string_view line = line_at(at);
      at += line.size() + 1;
      if (line.size() <= kId + 1 || line[kId] != ' ') continue;
      const std::string_view name = line.substr(kId + 1);
      if (!name.starts_with(prefix)) {
        if (sorted_) return;
        continue;
      }
      const std::string_view id = line.substr(0, kId);
      if (!is_id(id)) continue;
      std::string_view peeled;
      if (at < text_.size() && text_[at] == '^') {
        peeled = line_at(at).substr(1);
        if (!is_id(peeled)) peeled = {};
      }
      found(name, id, peeled);
    }
  }

  std::optional<RefValue> find(const std::string& name) const {
    std::optional<RefValue> found;
    each(name, [&](RefValue value) {
      if (value.name == name) found = std::move(value);
    });
    return found;
  }

  bool fully_peeled = false;

 private:
  std::string_view line_at(std::size_t at) const {
    return text_.substr(at, std::min(text_.find('\n', at), text_.size()) - at);
  }

  // Where the first line begins whose name is not below `prefix`.
  std::size_t lower_bound(std::string_view prefix) const {
    std::size_t low = 0;
    std::size_t high = text_.size();
    while (low < high) {
      // The line that the middle is in, without what it is peeled to.
      std::size_t middle = low + (high - low) / 2;
      const std::size_t before =
          middle == 0 ? std::string_view::npos : text_.rfind('\n', middle - 1);
      std::size_t begin = before == std::string_view::npos || before + 1 < low ? low : before + 1;
      while (begin > low && text_[begin] == '^') {
        const std::size_t above = begin < 2 ? std::string_view::npos : text_.rfind('\n', begin - 2);
        begin = above == std::string_view::npos || above + 1 < low ? low : above + 1;
      }
      std::size_t end = begin + line_at(begin).size() + 1;
      const std::string_view line = line_at(begin);
      while (end < text_.size() && text_[end] == '^') end += line_at(end).size() + 1;
      if (line.size() > kId && line.substr(kId + 1) < prefix) {
        low = std::min(end, text_.size());
      } else {
        high = begin;
      }
    }
    return low;
  }

  void* mapped_ = nullptr;
  std::size_t size_ = 0;
  std::string_view text_;
  bool sorted_ = false;
};

void list_loose(const Path& folder, const std::string& name, std::string_view prefix,
                const std::function<void(std::string_view)>& found) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()),
                                                 [](DIR* d) { return ::closedir(d); });
  if (open == nullptr) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    throw_errno("cannot list " + folder.string());
  }
  while (const dirent* const entry = ::readdir(open.get())) {
    const std::string_view own = entry->d_name;
    if (own.starts_with('.') || own.ends_with(".lock")) continue;
    const std::string full = name + "/" + std::string(own);
    const std::size_t common = std::min(full.size(), prefix.size());
    if (full.compare(0, common, prefix.substr(0, common)) != 0) continue;
    bool is_folder = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
      struct stat seen {};
      is_folder = ::stat((folder / own).c_str(), &seen) == 0 && S_ISDIR(seen.st_mode);
    }
    if (is_folder) {
      list_loose(folder / own, full, prefix, found);
    } else if (full.size() >= prefix.size()) {
      found(full);
    }
  }
}

std::string parent_name(std::string_view prefix) {
  const std::size_t slash = prefix.rfind('/');
  return std::string(prefix.substr(0, slash == std::string_view::npos ? 0 : slash));
}

// The folder may be removed by Git, as empty, before the file is there.
void with_folder(const Path& file, const std::function<bool()>& make) {
  for (int tries = 0; tries < 100; tries++) {
    if (make()) return;
    if (errno != ENOENT) break;
    make_folders(file.parent_path());
  }
  throw_errno("cannot write " + file.string());
}

}  // namespace

std::optional<RefValue> Refs::find(const std::string& name) const {
  std::string at = name;
  for (int depth = 0; depth < 5; depth++) {
    const Path path = git_dir_ / at;
    struct stat seen {};
    std::optional<std::string> text;
    if (::stat(path.c_str(), &seen) == 0 && S_ISREG(seen.st_mode)) text = read_file(path, kLongest);
    if (!text) {
      const Packed packed(git_dir_);
      return packed.find(at);
    }
    const std::string_view value = trimmed(*text);
    if (is_id(value)) return RefValue{at, std::string(value), {}};
    if (!value.starts_with("ref:")) throw Error(EBADMSG, path.string() + " is no reference");
    at = std::string(value.substr(value.find_first_not_of(" \t", 4)));
  }
  throw Error(ELOOP, name + " points to itself");
}

std::string Refs::symbolic(const std::string& name) const {
  const auto text = read_file(git_dir_ / name, kLongest);
  if (!text || !text->starts_with("ref:")) return {};
  const std::string_view value = trimmed(*text);
  const std::size_t begin = value.find_first_not_of(" \t", 4);
  return begin == std::string_view::npos ? std::string() : std::string(value.substr(begin));
}

void Refs::names(const std::string& prefix,
                 const std::function<void(std::string_view)>& found) const {
  const std::string folder = parent_name(prefix);
  list_loose(git_dir_ / folder, folder, prefix, found);
  Packed(git_dir_).each_line(
      prefix, [&](std::string_view name, std::string_view, std::string_view) { found(name); });
}

std::vector<RefValue> Refs::list(const std::string& prefix) const {
  std::vector<RefValue> loose;
  const std::string folder = parent_name(prefix);
  list_loose(git_dir_ / folder, folder, prefix, [&](std::string_view name) {
    // One that is packed just now is found below.
    if (const auto text = read_file(git_dir_ / name, kLongest)) {
      const std::string_view value = trimmed(*text);
      if (is_id(value)) loose.push_back({std::string(name), std::string(value), {}});
    }
  });
  const auto by_name = [](const RefValue& a, const RefValue& b) { return a.name < b.name; };
  std::sort(loose.begin(), loose.end(), by_name);
  std::vector<RefValue> packed;
  Packed(git_dir_).each(prefix, [&](RefValue value) { packed.push_back(std::move(value)); });
  if (!std::is_sorted(packed.begin(), packed.end(), by_name))
    std::sort(packed.begin(), packed.end(), by_name);
  if (loose.empty()) return packed;
  // Where both have it, the loose one holds.
  std::vector<RefValue> all;
  all.reserve(loose.size() + packed.size());
  std::set_union(std::make_move_iterator(loose.begin()), std::make_move_iterator(loose.end()),
                 std::make_move_iterator(packed.begin()), std::make_move_iterator(packed.end()),
                 std::back_inserter(all), by_name);
  return all;
}

// The lock file of one of Git's files, held. At most kSlots at once.
class Change::FileOfGit {
 public:
  FileOfGit(const Refs& refs, int slot, const Path& file)
      : file_(file),
        lock_(file.string() + ".lock"),
        claim_(refs.git_dir() / ("aiaccel/claim-" + std::to_string(slot))),
        pending_(refs.git_dir() / ("aiaccel/pending-" + std::to_string(slot))) {
    if (::symlink(lock_.lexically_relative(refs.git_dir()).c_str(), claim_.c_str()) < 0)
      throw_errno("cannot write " + claim_.string());
    fd_ = open_file(pending_, O_WRONLY | O_CREAT | O_EXCL, 0644);
    const auto since = std::chrono::steady_clock::now();
    auto pause = std::chrono::milliseconds(1);
    while (true) {
      bool there = false;
      try {
        with_folder(lock_, [&] {
          const bool linked = ::link(pending_.c_str(), lock_.c_str()) == 0;
          there = !linked && errno == EEXIST;
          return linked || there;
        });
      } catch (...) {
        give_up();
        throw;
      }
      if (!there) break;
      if (std::chrono::steady_clock::now() - since > kPatience) {
        give_up();
        throw Error(EBUSY, lock_.string() +
                               " is held by another process, or was left by one that died: "
                               "remove it if no git runs here");
      }
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds(50));
    }
    locked_ = true;
  }
  FileOfGit(const FileOfGit&) = delete;
  FileOfGit& operator=(const FileOfGit&) = delete;
  ~FileOfGit() { give_up(); }

  void commit(std::string_view contents) {
    write_all(fd_.get(), contents, pending_);
    sync(fd_.get(), pending_);
    if (::rename(lock_.c_str(), file_.c_str()) < 0) throw_errno("cannot write " + file_.string());
    locked_ = false;
    sync_folder(file_.parent_path());
  }

  static constexpr int kSlots = 2;

 private:
  void give_up() {
    if (locked_) ::unlink(lock_.c_str());
    locked_ = false;
    ::unlink(pending_.c_str());
    ::unlink(claim_.c_str());
  }

  Path file_, lock_, claim_, pending_;
  Fd fd_;
  bool locked_ = false;
};

Change::Change(const Refs& refs)
    : refs_(refs),
      lock_((make_folders(refs.git_dir() / "aiaccel"), refs.git_dir() / "aiaccel/refs.lock"),
            false) {
  recover();
}

bool Change::was_left(const Refs& refs) {
  struct stat seen {};
  for (int slot = 0; slot < FileOfGit::kSlots; slot++) {
    if (::lstat((refs.git_dir() / ("aiaccel/claim-" + std::to_string(slot))).c_str(), &seen) == 0)
      return true;
  }
  return false;
}

void Change::recover() {
  for (int slot = 0; slot < FileOfGit::kSlots; slot++) {
    const Path claim = refs_.git_dir() / ("aiaccel/claim-" + std::to_string(slot));
    const Path pending = refs_.git_dir() / ("aiaccel/pending-" + std::to_string(slot));
    std::error_code none;
    const Path lock = refs_.git_dir() / std::filesystem::read_symlink(claim, none);
    if (none) continue;
    struct stat a {};
    struct stat b {};
    if (::lstat(lock.c_str(), &a) == 0 && ::lstat(pending.c_str(), &b) == 0 &&
        a.st_ino == b.st_ino && a.st_dev == b.st_dev) {
      ::unlink(lock.c_str());
    }
    ::unlink(pending.c_str());
    ::unlink(claim.c_str());
  }
}

bool Change::set(const std::string& name, const std::string& expected, const std::string& value,
                 const std::string& who_when, const std::string& why) {
  const Path path = refs_.git_dir() / name;
  FileOfGit file(refs_, 0, path);
  const auto now = refs_.find(name);
  if ((now ? now->value : "") != expected) return false;
  // A folder where the file is to be, which Git leaves when it removes what was in it.
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) std::filesystem::remove(path, ignored);
  if (name.starts_with("refs/heads/")) {
    const Path log = refs_.git_dir() / "logs" / name;
    Fd fd;
    with_folder(log, [&] {
      fd = Fd(::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
      return static_cast<bool>(fd);
    });
    // As the log goes first, who dies in between leaves an entry too many, which keeps something
    // alive.
    std::string line = (expected.empty() ? std::string(kId, '0') : expected) + " " + value + " " +
                       who_when + "\t" + why;
    std::replace(line.begin(), line.end(), '\n', ' ');
    write_all(fd.get(), line + "\n", log);
  }
  file.commit(value + "\n");
  return true;
}

void Change::replace(const Path& path, std::string_view contents,
                     const std::function<bool()>& still) {
  FileOfGit file(refs_, 0, path);
  if (still()) file.commit(contents);
}

bool Change::remove(const std::string& name, const std::string& expected) {
  const Path path = refs_.git_dir() / name;
  FileOfGit file(refs_, 0, path);
  const auto now = refs_.find(name);
  if (!now || now->value != expected) return false;
  // From packed-refs first, or what is packed would come to light again; and nobody packs it before
  // its own file is gone, too.
  const Path packed_path = refs_.git_dir() / "packed-refs";
  const FileOfGit held(refs_, 1, packed_path);
  const Packed packed(refs_.git_dir());
  if (packed.find(name)) {
    std::vector<RefValue> left;
    packed.each("", [&](RefValue value) {
      if (value.name != name) left.push_back(std::move(value));
    });
    std::sort(left.begin(), left.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    std::string text(packed.fully_peeled ? kHeader : "# pack-refs with: peeled sorted \n");
    for (const RefValue& value : left) {
      text += value.value + " " + value.name + "\n";
      if (!value.peeled.empty()) text += "^" + value.peeled + "\n";
    }
    make_folders(refs_.git_dir() / "aiaccel/tmp");
    TempFile next(refs_.git_dir() / "aiaccel/tmp");
    write_all(next.fd(), text, next.path());
    sync(next.fd(), next.path());
    next.rename(packed_path);
  }
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) throw_errno("cannot remove " + path.string());
  return true;
}

void Change::pack(std::size_t most, const Peel& peel) {
  std::vector<std::string> names;
  list_loose(refs_.git_dir() / "refs/tags", "refs/tags", "refs/tags/",
             [&](std::string_view name) { names.emplace_back(name); });
  if (names.size() <= most) return;
  std::vector<RefValue> loose;
  {
    FileOfGit packed_file(refs_, 1, refs_.git_dir() / "packed-refs");
    const Packed packed(refs_.git_dir());
    std::vector<RefValue> all;
    packed.each("", [&](RefValue value) {
      if (!packed.fully_peeled && value.peeled.empty()) {
        value.peeled = peel(value.value);
        if (value.peeled == value.value) value.peeled.clear();
      }
      all.push_back(std::move(value));
    });
    for (const std::string& name : names) {
      const auto text = read_file(refs_.git_dir() / name, kLongest);
      if (!text || !is_id(trimmed(*text))) continue;
      RefValue value{name, std::string(trimmed(*text)), {}};
      value.peeled = peel(value.value);
      if (value.peeled == value.value) value.peeled.clear();
      loose.push_back(value);
    }
    std::sort(loose.begin(), loose.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    std::vector<RefValue> merged = loose;
    for (RefValue& value : all) {
      const auto same =
          std::lower_bound(loose.begin(), loose.end(), value,
                           [](const auto& a, const auto& b) { return a.name < b.name; });
      if (same == loose.end() || same->name != value.name) merged.push_back(std::move(value));
    }
    std::sort(merged.begin(), merged.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    std::string text(kHeader);
    for (const RefValue& value : merged) {
      text += value.value + " " + value.name + "\n";
      if (!value.peeled.empty()) text += "^" + value.peeled + "\n";
    }
    packed_file.commit(text);
  }
  for (const RefValue& value : loose) {
    const Path path = refs_.git_dir() / value.name;
    const FileOfGit file(refs_, 0, path);
    const auto text = read_file(path, kLongest);
    if (text && trimmed(*text) == value.value) ::unlink(path.c_str());
  }
}

}  // namespace aiaccel::registry
