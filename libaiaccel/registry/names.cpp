// SPDX-License-Identifier: MIT
//
// The grammar of names, by hand: each refusal tells the character or the rule.

#include "registry/names.h"

#include <aiaccel/registry.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace aiaccel::registry {
namespace {

// Together, with what is between and `.lock` behind, they are names of files: of 255 bytes.
constexpr std::size_t kLongestName = 128;
constexpr std::size_t kLongestVersion = 100;
constexpr std::size_t kLongestStage = 32;  // below 40: no branch may look like a commit

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_edge(char c) {
  return is_lower(c) || is_digit(c);
}

std::string quoted(char c) {
  if (c >= ' ' && c < 0x7f) return std::string("'") + c + "'";
  constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return std::string("byte 0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

std::string why_no_word(std::string_view text, bool slashes) {
  if (text.empty()) return "it is empty";
  for (std::size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (c == '/' && slashes && i > 0 && text[i - 1] == '/') return "two slashes follow each other";
    if (!is_edge(c) && c != '-' && !(c == '/' && slashes)) {
      return quoted(c) +
             " does not fit: " + (slashes ? "a-z, 0-9, '-' and '/' do" : "a-z, 0-9 and '-' do");
    }
  }
  if (!is_edge(text.front())) return "it begins with " + quoted(text.front());
  if (!is_edge(text.back())) return "it ends with " + quoted(text.back());
  return {};
}

// "" for a number without leading zeros.
std::string why_no_number(std::string_view text) {
  if (text.empty()) return "a number is missing";
  for (const char c : text) {
    if (!is_digit(c)) return quoted(c) + " is no digit";
  }
  if (text.size() > 1 && text.front() == '0') return "a number begins with 0";
  return {};
}

bool is_number(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_digit);
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Pre-releases and build metadata: words of letters, digits and '-', with dots between.
std::string why_no_words(std::string_view text, bool numbers) {
  for (const std::string_view word : split(text, '.')) {
    if (word.empty()) return "a word between dots is missing";
    for (const char c : word) {
      if (!is_letter(c) && !is_digit(c) && c != '-') return quoted(c) + " does not fit";
    }
    if (numbers && is_number(word) && word.size() > 1 && word.front() == '0') {
      return "a number begins with 0";
    }
  }
  return {};
}

struct Parts {
  std::vector<std::string_view> numbers;
  std::optional<std::string_view> pre;
  std::optional<std::string_view> build;
};

Parts take_apart(std::string_view version) {
  Parts parts;
  version.remove_prefix(1);
  if (const auto plus = version.find('+'); plus != std::string_view::npos) {
    parts.build = version.substr(plus + 1);
    version = version.substr(0, plus);
  }
  if (const auto dash = version.find('-'); dash != std::string_view::npos) {
    parts.pre = version.substr(dash + 1);
    version = version.substr(0, dash);
  }
  parts.numbers = split(version, '.');
  return parts;
}

std::strong_ordering compare_numbers(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

std::strong_ordering compare_words(const std::string& a, const std::string& b) {
  const bool a_number = is_number(a);
  const bool b_number = is_number(b);
  if (a_number && b_number) return compare_numbers(a, b);
  if (a_number != b_number)
    return a_number ? std::strong_ordering::less : std::strong_ordering::greater;
  return a.compare(b) <=> 0;
}

}  // namespace

std::string why_no_name(std::string_view name) {
  if (name.size() > kLongestName)
    return "it is longer than " + std::to_string(kLongestName) + " characters";
  return why_no_word(name, true);
}

std::string why_no_stage(std::string_view stage) {
  if (stage.size() > kLongestStage)
    return "it is longer than " + std::to_string(kLongestStage) + " characters";
  if (stage == "dev") return "dev is where models are added, and nothing is promoted to it";
  return why_no_word(stage, false);
}

std::string why_no_version(std::string_view version) {
  if (version.empty()) return "it is empty";
  if (version.front() != 'v') return "it does not begin with 'v'";
  if (version.size() > kLongestVersion)
    return "it is longer than " + std::to_string(kLongestVersion) + " characters";
  const Parts parts = take_apart(version);
  if (parts.numbers.size() != 3) return "a version is three numbers, as in v1.2.3";
  for (const std::string_view number : parts.numbers) {
    if (auto why = why_no_number(number); !why.empty()) return why;
  }
  // Git takes neither two dots in a row nor ".lock" at the end.
  if (version.ends_with(".lock")) return "Git has no references that end with .lock";
  if (parts.pre) {
    if (auto why = why_no_words(*parts.pre, true); !why.empty()) return why;
  }
  if (parts.build) return why_no_words(*parts.build, false);
  return {};
}

std::optional<SemVer> SemVer::parse(std::string_view version) {
  if (!why_no_version(version).empty()) return {};
  const Parts parts = take_apart(version);
  SemVer result;
  for (std::size_t i = 0; i < 3; i++) result.numbers_[i] = parts.numbers[i];
  if (parts.pre) {
    for (const std::string_view word : split(*parts.pre, '.')) result.pre_.emplace_back(word);
  }
  if (parts.build) result.build_ = *parts.build;
  return result;
}

std::strong_ordering SemVer::operator<=>(const SemVer& other) const {
  for (std::size_t i = 0; i < 3; i++) {
    if (const auto order = compare_numbers(numbers_[i], other.numbers_[i]); order != 0)
      return order;
  }
  if (pre_.empty() != other.pre_.empty()) {
    return pre_.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  }
  for (std::size_t i = 0; i < pre_.size() && i < other.pre_.size(); i++) {
    if (const auto order = compare_words(pre_[i], other.pre_[i]); order != 0) return order;
  }
  if (const auto order = pre_.size() <=> other.pre_.size(); order != 0) return order;
  return build_.compare(other.build_) <=> 0;
}

void Highest::add(std::string_view version) {
  std::array<std::uint64_t, 3> numbers{};
  const char* at = version.data();
  const char* const end = at + version.size();
  bool plain = at != end && *at == 'v';
  for (std::size_t i = 0; plain && i < numbers.size(); i++) {
    at++;  // the v, or a dot
    const auto [stop, error] = std::from_chars(at, end, numbers[i]);
    plain = error == std::errc() && (*at != '0' || stop == at + 1) &&
            (i + 1 < numbers.size() ? stop != end && *stop == '.' : stop == end);
    at = stop;
  }
  if (plain) {
    if (!any_plain_ || numbers > plain_) plain_ = numbers;
    any_plain_ = true;
    return;
  }
  const auto order = SemVer::parse(version);
  if (!order) return;
  std::string& highest = order->pre_release() ? pre_ : release_;
  if (highest.empty() || *order > *SemVer::parse(highest)) highest = version;
}

std::string Highest::found() const {
  std::string plain;
  if (any_plain_) {
    for (const std::uint64_t number : plain_)
      plain += (plain.empty() ? "v" : ".") + std::to_string(number);
    if (release_.empty()) return plain;
    return *SemVer::parse(release_) > *SemVer::parse(plain) ? release_ : plain;
  }
  return release_.empty() ? pre_ : release_;
}

std::optional<TagName> TagName::parse(std::string_view tag) {
  const std::size_t mark = tag.find_first_of("@#");
  if (mark == std::string_view::npos) return {};
  TagName result;
  result.name = tag.substr(0, mark);
  if (!why_no_name(result.name).empty()) return {};
  std::string_view rest = tag.substr(mark + 1);
  bool numbered = false;
  if (const std::size_t hash = rest.find('#'); hash != std::string_view::npos) {
    const std::string_view number = rest.substr(hash + 1);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), result.number);
    if (error != std::errc() || end != number.data() + number.size()) return {};
    rest = rest.substr(0, hash);
    numbered = true;
  }
  if (rest.ends_with('!')) {
    result.over = true;
    rest.remove_suffix(1);
  }
  if (tag[mark] == '@') {
    // A number behind a version is only for what is over.
    if (!why_no_version(rest).empty() || (numbered && !result.over)) return {};
    result.version = rest;
  } else {
    if (!why_no_stage(rest).empty() || !numbered) return {};
    result.stage = rest;
  }
  return result;
}

}  // namespace aiaccel::registry

namespace aiaccel {
namespace {

[[noreturn]] void no_reference(std::string_view text, const std::string& why) {
  throw Error(EINVAL, "'" + std::string(text) + "' names no model: " + why);
}

}  // namespace

Ref Ref::parse(std::string_view text) {
  const auto check = [text](const char* of, std::string_view part, const std::string& why) {
    if (!why.empty()) no_reference(text, std::string(of) + " '" + std::string(part) + "': " + why);
  };
  const std::size_t mark = text.find_first_of("@#:");
  Ref ref;
  ref.name = text.substr(0, mark);
  check("name", ref.name, registry::why_no_name(ref.name));
  if (mark == std::string_view::npos) return ref;

  std::string_view rest = text.substr(mark + 1);
  if (text[mark] == '@') {
    if (rest == "latest") {
      ref.kind = Kind::latest;
      return ref;
    }
    ref.kind = Kind::version;
    ref.what = rest.empty() || rest.starts_with('v') ? std::string(rest) : "v" + std::string(rest);
    check("version", rest, registry::why_no_version(ref.what));
  } else if (text[mark] == '#') {
    ref.kind = Kind::stage;
    const std::size_t hash = rest.find('#');
    ref.what = rest.substr(0, hash);
    check("stage", ref.what, registry::why_no_stage(ref.what));
    if (hash == std::string_view::npos) return ref;
    rest.remove_prefix(hash + 1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), ref.number);
    if (error != std::errc() || end != rest.data() + rest.size() || ref.number == 0) {
      no_reference(text, "number '" + std::string(rest) + "': one from 1 on is meant");
    }
  } else {
    ref.kind = Kind::commit;
    ref.what = rest;
    for (const char c : rest) {
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
        no_reference(text, "commit '" + std::string(rest) + "': 0-9 and a-f are meant");
      }
    }
    if (rest.size() < 4 || rest.size() > 40) {
      no_reference(text, "commit '" + std::string(rest) + "': 4 to 40 digits are meant");
    }
  }
  return ref;
}

std::string Ref::str() const {
  switch (kind) {
    case Kind::head:
      return name;
    case Kind::version:
      return name + "@" + what;
    case Kind::latest:
      return name + "@latest";
    case Kind::stage:
      return name + "#" + what + (number != 0 ? "#" + std::to_string(number) : "");
    case Kind::commit:
      return name + ":" + what;
  }
  return name;
}

}  // namespace aiaccel
