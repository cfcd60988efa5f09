// SPDX-License-Identifier: MIT
//
// Patterns of rules once more, as their description in the UAPI header reads, without a thought for
// time: what aia_rule_glob() is held against. For patterns that aia_rule_is_pattern() lets pass.
#pragma once

#include <string>

namespace naive {

// Takes one character off the front, out of its quotes.
inline unsigned char unquote(const std::string& pattern, std::size_t* at) {
  if (pattern[*at] == '\\') ++*at;
  return static_cast<unsigned char>(pattern[(*at)++]);
}

// `at` stands on the bracket; moved past the set.
inline bool in_set(const std::string& pattern, std::size_t* at, unsigned char c) {
  const bool negated = pattern[++*at] == '!';
  if (negated) ++*at;
  bool found = false;
  for (const std::size_t first = *at; *at == first || pattern[*at] != ']';) {
    const unsigned char low = unquote(pattern, at);
    unsigned char high = low;
    if (pattern[*at] == '-' && pattern[*at + 1] != ']') high = unquote(pattern, &++*at);
    if (low <= c && c <= high) found = true;
  }
  ++*at;
  return found != negated && c != '/';
}

inline bool glob(const std::string& pattern, const std::string& text, std::size_t p = 0,
                 std::size_t t = 0) {
  if (p == pattern.size()) return t == text.size();
  if (pattern[p] == '*') {
    const bool slashes = p + 1 < pattern.size() && pattern[p + 1] == '*';
    const std::size_t rest = p + (slashes ? 2 : 1);
    for (; t <= text.size(); ++t) {
      if (glob(pattern, text, rest, t)) return true;
      if (t < text.size() && text[t] == '/' && !slashes) return false;
    }
    return false;
  }
  if (t == text.size()) return false;
  const auto c = static_cast<unsigned char>(text[t]);
  bool taken;
  if (pattern[p] == '?') {
    taken = c != '/', ++p;
  } else if (pattern[p] == '[') {
    taken = in_set(pattern, &p, c);
  } else {
    taken = unquote(pattern, &p) == c;
  }
  return taken && glob(pattern, text, p, t + 1);
}

}  // namespace naive
