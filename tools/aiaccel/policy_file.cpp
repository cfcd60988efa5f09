// SPDX-License-Identifier: MIT
//
// See policy_file.hpp.
#include "aiaccel/policy_file.hpp"

#include <fmt/format.h>
#include <policy/folder.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "common/failure.hpp"

namespace tools {
namespace {

using aiaccel::policy::By;
using aiaccel::policy::Policy;
using aiaccel::policy::Section;

constexpr By kPrefixed[] = {By::cgroup, By::user, By::group};

[[noreturn]] void fail(const std::string& what, const std::string& file) {
  const int error = errno;
  throw Failure(fmt::format("cannot {} {}: {}", what, file, std::strerror(error)),
                error == EACCES || error == EPERM ? "run it as root" : "");
}

// Letters, digits and what names of units are made of stand for themselves.
std::string escaped(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) || std::strchr("._@-", c))
      result += c;
    else
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

void write_whole(const std::string& file, const std::string& text) {
  std::filesystem::path path(file);
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    errno = error.value();
    fail("make", path.parent_path());
  }
  std::string draft = path.parent_path() / ("." + path.filename().native() + ".XXXXXX");
  const int fd = ::mkstemp(draft.data());
  if (fd < 0) fail("write", file);
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fchmod(fd, 0644) == 0 && ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  errno = why;
  if (written && ::rename(draft.c_str(), file.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(draft.c_str());
  errno = reason;
  fail("write", file);
}

}  // namespace

Section parse_who(const std::string& text) {
  Section section;
  section.by = By::unit;
  section.who = text;
  for (const By by : kPrefixed) {
    const std::string prefix = std::string(by_name(by)) + ":";
    if (!text.starts_with(prefix)) continue;
    section.by = by;
    section.who = text.substr(prefix.size());
  }
  const std::size_t colon = text.find(':');
  if (section.by == By::unit && colon != std::string::npos &&
      std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon),
                  [](unsigned char c) { return std::isalpha(c); }))
    throw Failure(fmt::format("'{}': there is nothing called {}", text, text.substr(0, colon + 1)),
                  "UNIT, cgroup:GLOB, user:NAME or group:NAME; in a unit, ? stands for its colon",
                  exit_usage);
  if (const std::string why = why_not(section.by, section.who); !why.empty())
    throw Failure(fmt::format("'{}': {}", text, why), "UNIT, cgroup:GLOB, user:NAME or group:NAME",
                  exit_usage);
  return section;
}

std::string policy_file(const std::string& folder, const Section& section) {
  const std::string prefix = section.by == By::unit ? "" : std::string(by_name(section.by)) + ":";
  return folder + "/90-" + prefix + escaped(section.who) + ".conf";
}

void set_policy(const std::string& folder, const Section& section) {
  const std::string file = policy_file(folder, section);
  Section whole = section;
  struct stat status;
  if (::lstat(file.c_str(), &status) == 0) {
    Policy policy;
    read_file(file, policy);
    if (policy.sections.size() != 1 || policy.sections[0].by != section.by ||
        policy.sections[0].who != section.who)
      throw Failure(policy.problems.empty() ? file + " is not as this command writes it"
                                            : policy.problems[0].text(),
                    "edit it, or remove it and run the command again");
    whole.gives = policy.sections[0].gives;
    whole.gives.merge(section.gives);
  }
  write_whole(file, "# Written by `aiaccel policy set`.\n" + write(whole));
}

void unset_policy(const std::string& folder, const Section& section) {
  const std::string file = policy_file(folder, section);
  if (::unlink(file.c_str()) < 0) fail("remove", file);
}

}  // namespace tools
