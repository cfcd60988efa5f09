// SPDX-License-Identifier: MIT
//
// JSON out of files: the parser called, its refusals in our words.

#include "formats/json_events.h"

namespace aiaccel::formats {

void JsonEvents::parse(const std::string& text) {
  // The parser takes a NUL for the end of the text, whatever comes behind it.
  if (const std::size_t nul = text.find('\0'); nul != std::string::npos)
    source_.refuse(begin_ + nul, "there is a NUL in JSON");
  seen_ = 0;
  const Position begin{text.data(), &seen_};
  const Position end{text.data() + text.size(), &seen_};
  if (!nlohmann::json::sax_parse(begin, end, this)) unexpected("this");
}

bool JsonEvents::parse_error(std::size_t position, const std::string& last_token,
                             const nlohmann::detail::exception& error) {
  // Its own words quote what it read, which may be anything.
  if (error.id == 101)
    source_.refuse(begin_ + (position ? position - 1 : 0),
                   "this is no JSON, at " + in_quotes(last_token));
  refuse("a number is out of range");
}

}  // namespace aiaccel::formats
