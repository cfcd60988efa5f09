// SPDX-License-Identifier: MIT
//
// Policy files: whatever bytes stand in one. A text has sections or problems, never both; each
// problem names a line that there is and can be printed; a section that is written reads as itself.
#include "libfuzzer/fuzz.hpp"

#include "policy/parse.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace aiaccel::policy;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Policy policy;
  parse(text, "x.conf", policy);
  MUST(policy.sections.empty() || policy.problems.empty());
  const auto lines = static_cast<unsigned>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const Problem& problem : policy.problems) {
    MUST(problem.line >= 1 && problem.line <= lines && problem.text().size() < 512);
    for (const char c : problem.text()) MUST(static_cast<unsigned char>(c) >= 32 && c != 127);
  }
  for (const Section& section : policy.sections) {
    MUST(!section.gives.empty() && why_not(section.by, section.who).empty());
    Policy again;
    parse(write(section), "y.conf", again);
    MUST(again.problems.empty() && again.sections.size() == 1);
    MUST(again.sections[0].by == section.by && again.sections[0].who == section.who);
    MUST(again.sections[0].gives == section.gives);
  }
  return 0;
}
