// SPDX-License-Identifier: MIT
//
// See folder.h.
#include "policy/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace aiaccel::policy {
namespace {

// Why it could not be read; "" when `text` holds all of it.
std::string read_text(const std::string& path, std::string& text) {
  // O_NONBLOCK: a pipe must not hold up the boot.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::strerror(errno);
  std::string why;
  struct stat status;
  if (::fstat(fd, &status) < 0)
    why = std::strerror(errno);
  else if (!S_ISREG(status.st_mode))
    why = "is no regular file";
  while (why.empty()) {
    char block[16384];
    const ssize_t got = ::read(fd, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) why = std::strerror(errno);
    if (got <= 0) break;
    text.append(block, static_cast<std::size_t>(got));
    if (text.size() > kMaxFile) why = fmt::format("has more than {} bytes", kMaxFile);
  }
  ::close(fd);
  return why;
}

}  // namespace

void read_file(const std::string& path, Policy& policy) {
  std::string text;
  if (const std::string why = read_text(path, text); !why.empty())
    policy.problems.push_back({path, 0, why});
  else
    parse(text, path, policy);
}

Policy read_folder(const std::string& folder) {
  Policy policy;
  std::error_code error;
  std::vector<std::string> files;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    if (entry->path().native().ends_with(".conf")) files.push_back(entry->path());
  if (error && error != std::errc::no_such_file_or_directory)
    policy.problems.push_back({folder, 0, error.message()});
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) read_file(file, policy);
  return policy;
}

}  // namespace aiaccel::policy
