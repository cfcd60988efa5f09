// SPDX-License-Identifier: MIT
//
// PTX, the text that NVIDIA's driver compiles for the GPU it finds: its version, its target, and
// the kernels with their parameters. Bodies are only walked to where they end; what stands in them
// is the driver's matter.

#include <algorithm>
#include <cctype>

#include "formats/reader.h"

namespace aiaccel::formats {
namespace {

constexpr std::uint64_t kMostWord = 65536;
constexpr unsigned kMostParameters = 4096;
// Longer than any program is, and short enough to be walked byte by byte.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

class Ptx {
 public:
  Ptx(Source& source, Metadata& metadata, std::uint64_t end)
      : source_(source), metadata_(metadata), end_(end) {}

  // Whether the first word is what every file has to begin with.
  bool begins() {
    next();
    return word_ == ".version";
  }

  void read() {
    if (!begins()) source_.refuse(word_at_, "PTX begins with .version");
    next();
    metadata_.format_version = shortened(word_);
    if (next(); word_ != ".target") source_.refuse(word_at_, ".target is expected here");
    next();
    if (word_.empty()) source_.refuse(word_at_, "the target is missing");
    metadata_.architecture = shortened(word_);
    unsigned depth = 0;
    while (next(), !word_.empty()) {
      if (word_ == "{") {
        ++depth;
      } else if (word_ == "}") {
        if (!depth) source_.refuse(word_at_, "a brace is closed that was not opened");
        --depth;
      } else if (depth) {
        continue;
      } else if (word_ == ".version") {
        source_.refuse(word_at_, "there is a second .version");
      } else if (word_ == ".address_size") {
        next();
        source_.pay(word_at_, sizeof(metadata_.properties[0]) + word_.size());
        add_property(metadata_, "address_size", word_);
      } else if (word_ == ".entry") {
        entry();
      }
    }
    if (depth) source_.refuse(word_at_, "a brace is opened and not closed");
  }

 private:
  static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
  }
  static bool is_part_of_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '.' ||
           c == '%';
  }

  bool at_end() const { return at_ == end_; }
  char peek() { return static_cast<char>(*source_.at(at_, 1)); }
  bool follows(char c) { return at_ + 1 < end_ && static_cast<char>(*source_.at(at_ + 1, 1)) == c; }

  void skip_comment() {
    const std::uint64_t begin = at_;
    const bool line = follows('/');
    at_ += 2;
    for (; !at_end(); ++at_) {
      if (line && peek() == '\n') return;
      if (!line && peek() == '*' && follows('/')) {
        at_ += 2;
        return;
      }
    }
    if (!line) source_.refuse(begin, "a comment does not end");
  }

  void skip_text() {
    const std::uint64_t begin = at_++;
    while (!at_end() && peek() != '"' && peek() != '\n') ++at_;
    if (at_end() || peek() != '"') source_.refuse(begin, "a text does not end");
    ++at_;
  }

  // The next word, or character that is none; "" at the end. Texts in quotes are `"`.
  void next() {
    word_.clear();
    while (!at_end()) {
      const char c = peek();
      if (is_space(c))
        ++at_;
      else if (c == '/' && (follows('/') || follows('*')))
        skip_comment();
      else
        break;
    }
    word_at_ = at_;
    if (at_end()) return;
    const char first = peek();
    // Writers of C end the text with a NUL.
    if (first == '\0' && at_ + 1 == end_) return;
    if (first <= ' ' || first >= 0x7f) source_.refuse(at_, "this is no text");
    if (first == '"') {
      skip_text();
      word_.assign(1, '"');
      return;
    }
    do {
      word_ += peek();
      ++at_;
      if (word_.size() > kMostWord) source_.refuse(word_at_, "a word is too long");
    } while (is_part_of_word(first) && !at_end() && is_part_of_word(peek()));
  }

  // NAME ( .param .TYPE NAME, … ), of which the list may be missing.
  void entry() {
    const std::uint64_t at = word_at_;
    EntryPoint entry;
    next();
    if (word_.empty() || !is_part_of_word(word_[0]))
      source_.refuse(word_at_, "a kernel has no name");
    entry.name = word_;
    source_.pay(at, entry.name.size());
    const std::uint64_t after = at_;
    if (next(); word_ != "(") {
      at_ = after;
    } else {
      while (parameter(entry)) {
      }
    }
    add_entry_point(source_, at, metadata_, std::move(entry));
  }

  // False with the last one.
  bool parameter(EntryPoint& entry) {
    std::string type, name, size;
    bool any = false;
    while (next(), word_ != "," && word_ != ")") {
      if (word_.empty()) source_.refuse(word_at_, "the parameters of a kernel do not end");
      any = true;
      if (word_ == ".align") {
        next();  // its number
      } else if (word_ == "[") {
        next();
        size.assign(1, '[');
        if (word_ != "]") {
          size += word_;
          if (next(); word_ != "]")
            source_.refuse(word_at_, "the size of a parameter does not end");
        }
        size += ']';
      } else if (word_[0] == '.') {
        // .param and .ptr with its space aside, the type.
        if ((word_.size() > 2 && std::isdigit(static_cast<unsigned char>(word_[2]))) ||
            word_ == ".pred" || word_.ends_with("ref"))
          type = word_.substr(1);
      } else if (is_part_of_word(word_[0])) {
        name = word_;
      } else {
        source_.refuse(word_at_, "a parameter of a kernel is something else");
      }
    }
    if (any) {
      if (name.empty()) source_.refuse(word_at_, "a parameter of a kernel has no name");
      if (entry.parameters.size() == kMostParameters)
        source_.refuse(word_at_, "a kernel has too many parameters");
      if (type.empty()) source_.refuse(word_at_, "a parameter of a kernel has no type");
      type += size;
      type += ' ';
      type += name;
      entry.parameters.push_back(std::move(type));
      source_.pay(word_at_, entry.parameters.back().size());
    }
    return word_ == ",";
  }

  Source& source_;
  Metadata& metadata_;
  std::uint64_t at_ = 0, word_at_ = 0;
  const std::uint64_t end_;  // of the file, or of what is looked at of it
  std::string word_;
};

}  // namespace

bool is_ptx(Source& source) {
  // What is no PTX need not be text either, nor end soon.
  try {
    Metadata none;
    return Ptx(source, none, std::min<std::uint64_t>(source.size(), Source::kWindow)).begins();
  } catch (const FormatError&) {
    return false;
  }
}

void read_ptx(Source& source, Metadata& metadata) {
  if (source.size() > kMostBytes)
    source.refuse(0, "a program of " + std::to_string(source.size()) +
                         " bytes is not read, only of " + std::to_string(kMostBytes));
  Ptx(source, metadata, source.size()).read();
}

}  // namespace aiaccel::formats
