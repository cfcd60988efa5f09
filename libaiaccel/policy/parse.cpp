// SPDX-License-Identifier: MIT
//
// See parse.h.
#include "policy/parse.h"

#include <fmt/format.h>
#include <uapi/aiaccel.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "host/core.h"

namespace aiaccel::policy {
namespace {

constexpr const char* kBy[] = {"unit", "cgroup", "user", "group"};
constexpr std::string_view kBlanks = " \t";

std::optional<By> find_by(std::string_view name) {
  const auto* found = std::find(std::begin(kBy), std::end(kBy), name);
  if (found == std::end(kBy)) return {};
  return static_cast<By>(found - std::begin(kBy));
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// What others wrote, as a message can show it.
std::string quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text.substr(0, 60)) result += c >= ' ' && c < 127 ? c : '?';
  return result + (text.size() > 60 ? "…'" : "'");
}

class Parser {
 public:
  Parser(const std::string& file, Policy& into) : file_(file), into_(into) {}

  void run(std::string_view text) {
    while (!text.empty()) {
      line_++;
      const std::size_t end = std::min(text.find('\n'), text.size());
      take(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    end_section();
    if (problems_.empty())
      std::move(sections_.begin(), sections_.end(), std::back_inserter(into_.sections));
    else
      std::move(problems_.begin(), problems_.end(), std::back_inserter(into_.problems));
  }

 private:
  void problem(std::string what, unsigned line = 0) {
    problems_.push_back({file_, line ? line : line_, std::move(what)});
    open_.broken = true;
  }

  void take(std::string_view line) {
    if (line.size() > kMaxLine)
      return problem(fmt::format("the line has {} bytes; {} at most", line.size(), kMaxLine));
    if (line.find('\0') != line.npos) return problem("a NUL byte; a text file is expected");
    if (line.ends_with('\r')) return problem("the line ends in CR LF; LF alone is expected");
    line = trimmed(line);
    if (line.empty() || line.front() == '#' || line.front() == ';') return;
    if (line.front() == '[')
      begin_section(line);
    else
      assign(line);
  }

  void begin_section(std::string_view line) {
    end_section();
    open_.begun = true;
    open_.section.file = file_;
    open_.section.line = line_;
    if (line != "[match]") problem(quoted(line) + " is no section; [match] is expected");
  }

  void assign(std::string_view line) {
    const std::size_t equals = line.find('=');
    if (equals == line.npos) return problem(quoted(line) + " is no line; KEY=VALUE is expected");
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::string_view value = trimmed(line.substr(equals + 1));
    if (!open_.begun) {
      open_.begun = true;  // said once
      return problem(fmt::format("{} stands before the first [match]", quoted(name)));
    }
    if (const auto by = find_by(name))
      set_who(*by, value);
    else if (const auto key = find_key(name))
      set_value(*key, value);
    else
      unknown(name);
  }

  void set_who(By by, std::string_view value) {
    Section& section = open_.section;
    if (open_.who_line) {
      problem(section.by == by
                  ? fmt::format("{}= stands in line {} already", by_name(by), open_.who_line)
                  : fmt::format("{}= beside {}= of line {}: a section is for one of them",
                                by_name(by), by_name(section.by), open_.who_line));
      return;
    }
    open_.who_line = line_;
    section.by = by;
    section.who = value;
    if (const std::string why = why_not(by, value); !why.empty())
      problem(fmt::format("{}={}: {}", by_name(by), quoted(value), why));
  }

  void set_value(Key key, std::string_view value) {
    unsigned& line = open_.lines[static_cast<unsigned>(key)];
    if (line) return problem(fmt::format("{}= stands in line {} already", info(key).name, line));
    line = line_;
    auto& setting = open_.section.gives[key];
    setting = read_value(key, value);
    if (!setting)
      problem(
          fmt::format("{}={}: {} is expected", info(key).name, quoted(value), info(key).expected));
  }

  void unknown(std::string_view name) {
    std::string known;
    for (const char* by : kBy) known += fmt::format("{}, ", by);
    for (unsigned i = 0; i < kKeys; i++)
      known += fmt::format("{}{}", info(static_cast<Key>(i)).name,
                           i + 2 < kKeys    ? ", "
                           : i + 2 == kKeys ? " or "
                                            : "");
    problem(fmt::format("{} is no key; {} is expected", quoted(name), known));
  }

  void end_section() {
    if (open_.begun && !open_.broken) {
      const unsigned line = open_.section.line;
      if (!open_.who_line)
        problem("the section says not whom it is for: unit, cgroup, user or group is expected",
                line);
      else if (open_.section.gives.empty())
        problem("the section gives nothing; max_class=, for one, is expected", line);
      else
        sections_.push_back(std::move(open_.section));
    }
    open_ = Open{};
  }

  // The section that is being read.
  struct Open {
    bool begun = false;
    Section section;
    unsigned who_line = 0;
    unsigned lines[kKeys] = {};  // where each key was set
    bool broken = false;         // something was said already
  };

  const std::string& file_;
  Policy& into_;
  std::vector<Section> sections_;
  std::vector<Problem> problems_;
  Open open_;
  unsigned line_ = 0;
};

}  // namespace

const char* by_name(By by) {
  return kBy[static_cast<unsigned>(by)];
}

std::string Problem::text() const {
  return line ? fmt::format("{}:{}: {}", file, line, what) : fmt::format("{}: {}", file, what);
}

std::string why_not(By by, std::string_view who) {
  if (who.empty()) return fmt::format("a {} is expected", by_name(by));
  const bool printable =
      std::all_of(who.begin(), who.end(), [](char c) { return c > ' ' && c != 127; });
  // Names of cgroups may be anything; the interface takes what can be read and typed.
  if (!printable || std::any_of(who.begin(), who.end(), [](char c) { return c < 0; }))
    return "printable ASCII without blanks is expected";
  if (who.size() >= AIACCEL_PATTERN_LEN)
    return fmt::format("{} characters at most are expected", AIACCEL_PATTERN_LEN - 1);
  const bool glob = by == By::unit || by == By::cgroup;
  if (glob && !aia_rule_is_pattern(std::string(who).c_str()))
    return "a [ without its ], or a \\ at the end";
  if (by == By::unit && who.find('/') != who.npos)
    return "a name without / is expected; cgroup= takes a path";
  if (by == By::cgroup && who.front() != '/')
    return "a path below the mount point is expected, such as /user.slice/*";
  if (by == By::cgroup && who.size() > 1 && who.back() == '/')
    return "a path that does not end in / is expected";
  return {};
}

void parse(std::string_view text, const std::string& file, Policy& policy) {
  Parser(file, policy).run(text);
}

std::string write(const Section& section) {
  std::string text = fmt::format("[match]\n{}={}\n", by_name(section.by), section.who);
  for (unsigned i = 0; i < kKeys; i++) {
    const Key key = static_cast<Key>(i);
    if (const auto& value = section.gives[key])
      text += fmt::format("{}={}\n", info(key).name, write_value(key, *value));
  }
  return text;
}

}  // namespace aiaccel::policy
