// SPDX-License-Identifier: MIT
//
// See files.hpp. Plain system calls: aiaccel-top reads some thousand files of procfs a second.
#include "observe/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <memory>

namespace observe {

std::optional<std::string> read_file(const std::string& path) {
  constexpr std::size_t most = 64 << 20;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::string text(4096, '\0');
  std::size_t got = 0;
  ssize_t bytes = 0;
  for (;;) {
    bytes = ::read(fd, text.data() + got, text.size() - got);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    got += static_cast<std::size_t>(bytes);
    if (got >= most) break;
    if (got == text.size()) text.resize(2 * text.size());
  }
  ::close(fd);
  // A process that ends while it is read is gone (ESRCH).
  if (bytes < 0) return std::nullopt;
  text.resize(got);
  return text;
}

std::string read_line(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return {};
  std::string_view rest = *text;
  std::string_view line = take_line(rest);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\0')) line.remove_suffix(1);
  return std::string(line);
}

std::optional<std::uint64_t> read_number(const std::string& path) {
  return number(read_line(path));
}

std::string read_link(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t bytes = ::readlink(path.c_str(), target, sizeof target);
  return bytes < 0 ? std::string() : std::string(target, static_cast<std::size_t>(bytes));
}

std::optional<std::vector<std::string>> names_in(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  if (!open) return std::nullopt;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(open.get()))
    if (const std::string_view name = entry->d_name; name != "." && name != "..")
      names.emplace_back(name);
  return names;
}

std::optional<std::vector<std::pair<std::string, std::string>>> links_in(
    const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  if (!open) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> links;
  char target[PATH_MAX];
  while (const dirent* entry = ::readdir(open.get())) {
    const ssize_t bytes = ::readlinkat(::dirfd(open.get()), entry->d_name, target, sizeof target);
    if (bytes >= 0)
      links.emplace_back(entry->d_name, std::string(target, static_cast<std::size_t>(bytes)));
  }
  return links;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string_view take_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const std::size_t end = std::min(text.find_first_of(" \t", begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> amount(std::string_view text) {
  const auto value = number(take_word(text));
  const std::string_view unit = take_word(text);
  int shift = 0;
  if (unit == "kB" || unit == "KiB")
    shift = 10;
  else if (unit == "MiB")
    shift = 20;
  else if (unit == "GiB")
    shift = 30;
  else if (!unit.empty())
    return std::nullopt;
  if (!value || *value > UINT64_MAX >> shift) return std::nullopt;
  return *value << shift;
}

}  // namespace observe
