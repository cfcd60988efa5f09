// SPDX-License-Identifier: MIT
//
// Opening the files of a model.

#include "formats/files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace aiaccel::formats {
namespace {

constexpr std::size_t kMostLocation = 4095;  // PATH_MAX without its NUL
constexpr unsigned kMostTries = 100;

Fd open_folder(const std::filesystem::path& folder) {
  Fd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) throw Error(errno, "cannot open " + folder.string());
  return fd;
}

// Where `folder` lies under `root`, with a slash at its end; both as the kernel resolves them.
std::string inside(const std::filesystem::path& root, const std::filesystem::path& folder) {
  std::error_code failed;
  const auto real_root = std::filesystem::canonical(root, failed);
  if (failed) throw Error(failed.value(), "cannot resolve " + root.string());
  const auto real_folder = std::filesystem::canonical(folder, failed);
  if (failed) throw Error(failed.value(), "cannot resolve " + folder.string());
  const std::string between = real_folder.lexically_relative(real_root).string();
  if (between == ".") return "";
  if (between.empty() || between == ".." || between.starts_with("../"))
    throw Error(EINVAL, folder.string() + " is not beneath " + root.string());
  return between + "/";
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

OpenFile::OpenFile(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {
  struct stat now;
  if (::fstat(fd_.get(), &now) < 0) throw Error(errno, "cannot read " + name_);
  if (!S_ISREG(now.st_mode)) throw Error(EINVAL, name_ + " is not a regular file");
  seen_ = FileState(now);
  names_ = now.st_nlink;
}

OpenFile OpenFile::named(const std::filesystem::path& file) {
  // Without O_NONBLOCK, opening a FIFO waits for its writer.
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (fd.get() < 0) throw Error(errno, "cannot open " + file.string());
  return {std::move(fd), file.string()};
}

void OpenFile::check_unchanged() const {
  struct stat now;
  if (::fstat(fd_.get(), &now) < 0) throw Error(errno, "cannot read " + name_);
  if (FileState(now) != seen_) throw Error(EBUSY, name_ + " was changed while it was read");
}

std::string why_not_beside(const std::string& location) {
  if (location.empty()) return "is empty";
  if (location.size() > kMostLocation) return "is longer than any path";
  if (location.find('\0') != std::string::npos) return "has a NUL in it";
  if (location.front() == '/') return "is absolute";
  if (location.back() == '/') return "is a folder";
  for (std::size_t begin = 0; begin <= location.size();) {
    const std::size_t end = std::min(location.find('/', begin), location.size());
    if (location.compare(begin, end - begin, "..") == 0) return "has '..' in it";
    begin = end + 1;
  }
  return {};
}

Folder::Folder(const std::filesystem::path& file, const MetadataOptions& options)
    : root_(open_folder(!options.beneath.empty() ? options.beneath
                        : file.has_parent_path() ? file.parent_path()
                                                 : std::filesystem::path("."))),
      follow_links_(!options.beneath.empty()) {
  if (follow_links_)
    inside_ = inside(options.beneath, file.has_parent_path() ? file.parent_path() : ".");
}

int Folder::open_fd(const std::string& location, std::uint64_t flags) const {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  if (!follow_links_) how.resolve |= RESOLVE_NO_SYMLINKS;
  const std::string path = inside_ + location;
  // EAGAIN: something was renamed meanwhile, so that the kernel cannot tell. Or somebody has a
  // lease of the file, and for as long as he likes.
  for (unsigned tries = 0;; ++tries) {
    const auto fd =
        static_cast<int>(::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how));
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN) || tries == kMostTries) return fd;
  }
}

OpenFile Folder::open(const Source& source, std::uint64_t offset, const std::string& location) {
  if (std::string why = why_not_beside(location); !why.empty())
    source.refuse(offset, "the location " + in_quotes(location) + " " + why);
  source.pay(offset, sizeof(Opened) + location.size());
  const int fd = open_fd(location, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (fd < 0 && errno == EXDEV)
    source.refuse(offset, "the location " + in_quotes(location) + " leads out of its folder");
  if (fd < 0 && errno == ELOOP)
    source.refuse(offset,
                  "the location " + in_quotes(location) + " is, or passes, a symbolic link");
  if (fd < 0)
    throw Error(errno, source.name() + ": byte " + std::to_string(offset) + ": cannot open " +
                           in_quotes(location));
  OpenFile file(Fd(fd), in_quotes(location));
  // A second name may be one of another folder, whose owner was not asked.
  if (!follow_links_ && file.has_other_names())
    source.refuse(offset, "the location " + in_quotes(location) + " has other names (hard links)");
  opened_.push_back({location, file.seen()});
  return file;
}

void Folder::check_unchanged() const {
  for (const Opened& each : opened_) {
    const Fd fd(open_fd(each.location, O_PATH));
    struct stat now;
    if (fd.get() < 0 || ::fstat(fd.get(), &now) < 0 || FileState(now) != each.seen)
      throw Error(EBUSY, in_quotes(each.location) + " was changed while the model was read");
  }
}

}  // namespace aiaccel::formats
