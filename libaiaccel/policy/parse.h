// SPDX-License-Identifier: MIT
//
// The text of one policy file, taken apart:
//
//   # the notebooks of one user; ; begins a comment too
//   [match]
//   user=anna
//   max_class=low
//   device_bytes=10G
//
// A section has one key that says whom it is for and at least one that says what they get. Blanks
// around keys and values do not matter. Nothing here asks the system: whether there is such a user
// is found out when the policy is loaded (expand.h).
//
// All problems of a text are found, not only the first; a text that has any is not to be used.
//
// Threads: any.
#ifndef AIACCEL_POLICY_PARSE_H
#define AIACCEL_POLICY_PARSE_H

#include <string>
#include <string_view>
#include <vector>

#include "policy/settings.h"

namespace aiaccel::policy {

enum class By { unit, cgroup, user, group };
const char* by_name(By by);  // the key: "unit"

struct Section {
  std::string file;
  unsigned line = 0;  // of [match]
  By by = By::unit;
  std::string who;  // a glob, or a name or number
  Settings gives;
};

struct Problem {
  std::string file;
  unsigned line = 0;  // 0: not of one line
  std::string what;
  bool of_section = false;  // which alone is left out; else the whole file is

  std::string text() const;  // "file:line: what"
};

struct Policy {
  std::vector<Section> sections;
  std::vector<Problem> problems;
};

inline constexpr std::size_t kMaxLine = 4096;

// What is wrong with `who` for `by`; "" when nothing is.
std::string why_not(By by, std::string_view who);

// Adds to `policy` what `text`, the content of `file`, says; only problems where there are any.
void parse(std::string_view text, const std::string& file, Policy& policy);

// The text that parse() reads as this section.
std::string write(const Section& section);

}  // namespace aiaccel::policy

#endif  // AIACCEL_POLICY_PARSE_H
