// SPDX-License-Identifier: MIT
//
// JSON out of files that may be hostile, by nlohmann's SAX interface: no tree is built, nothing
// recurses. A reader derives from JsonEvents and overrides what it expects; all else is refused,
// with the byte at which it stands. One thread at a time.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <iterator>
#include <string>

#include "formats/source.h"

namespace aiaccel::formats {

class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  // `begin` is where the text begins in the file.
  JsonEvents(Source& source, std::uint64_t begin) : source_(source), begin_(begin) {}

  // All of `text` is one JSON value, white space around it aside.
  void parse(const std::string& text);

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_unsigned(number_unsigned_t) override { unexpected("a number"); }
  bool number_float(number_float_t, const string_t&) override {
    unexpected("a number that is not whole");
  }
  bool string(string_t&) override { unexpected("a string"); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool start_object(std::size_t) override { unexpected("an object"); }
  bool start_array(std::size_t) override { unexpected("an array"); }
  bool end_object() override { unexpected("the end of an object"); }
  bool end_array() override { unexpected("the end of an array"); }
  bool key(string_t&) override { unexpected("a key"); }
  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::detail::exception& error) override;

 protected:
  std::uint64_t here() const { return begin_ + seen_; }
  [[noreturn]] void refuse(const std::string& why) const { source_.refuse(here(), why); }
  [[noreturn]] void unexpected(const char* what) const {
    refuse(std::string(what) + " is not expected here");
  }
  void pay(std::uint64_t bytes) const { source_.pay(here(), bytes); }

 private:
  // Tells how far the parser has read: what it is given knows nothing of positions.
  struct Position {
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    const char* at;
    std::size_t* seen;

    reference operator*() const { return *at; }
    Position& operator++() {
      ++at;
      ++*seen;
      return *this;
    }
    Position operator++(int) {
      Position before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Position& other) const { return at == other.at; }
    bool operator!=(const Position& other) const { return at != other.at; }
  };

  Source& source_;
  std::uint64_t begin_;
  std::size_t seen_ = 0;
};

}  // namespace aiaccel::formats
