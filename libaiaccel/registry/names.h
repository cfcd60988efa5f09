// SPDX-License-Identifier: MIT
//
// Names of models, versions, stages, and the tags that are made of them, in the grammar that GTO
// has for releases in Git: `NAME@v1.2.3`, `NAME#STAGE#N`; with `!` behind version or stage, what it
// says is over. What is valid here is a valid name of a reference, of a folder and of a branch.
//
// Pure functions: safe from everywhere.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aiaccel::registry {

// What is wrong with it, "" for what is right.
std::string why_no_name(std::string_view name);
std::string why_no_stage(std::string_view stage);
std::string why_no_version(std::string_view version);  // of `v1.2.3-rc.1+build`, with its v

// A version by SemVer's precedence; what differs in build metadata alone is ordered by that text,
// so that the order is total.
class SemVer {
 public:
  static std::optional<SemVer> parse(std::string_view version);  // with its v
  bool pre_release() const { return !pre_.empty(); }
  std::strong_ordering operator<=>(const SemVer& other) const;
  bool operator==(const SemVer& other) const { return (*this <=> other) == 0; }

 private:
  // Numbers as text without leading zeros, since they may have any length.
  std::string numbers_[3];
  std::vector<std::string> pre_;
  std::string build_;
};

// Finds the highest of many versions without taking each apart: most are three small numbers.
class Highest {
 public:
  void add(std::string_view version);  // what is none is passed over
  // Of those that are no pre-release, else of all. "" for none.
  std::string found() const;

 private:
  std::array<std::uint64_t, 3> plain_{};  // the highest of three small numbers
  bool any_plain_ = false;
  std::string release_;  // the highest of the others
  std::string pre_;
};

// A tag's name, taken apart. Nothing for a tag that says nothing of a model.
struct TagName {
  std::string name;
  std::string version;       // with its v, or
  std::string stage;         // this
  std::uint64_t number = 0;  // of a stage's assignment
  bool over = false;         // GTO's `!`

  static std::optional<TagName> parse(std::string_view tag);
};

}  // namespace aiaccel::registry
