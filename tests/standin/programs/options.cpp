// SPDX-License-Identifier: MIT
//
// See options.h.
#include "options.h"

#include <cstdio>
#include <cstdlib>

namespace {

struct Text {
  const char* name;
  std::string Options::*value;
};

struct Number {
  const char* name;
  std::uint64_t Options::*value;
};

constexpr Text kTexts[] = {
    {"reach", &Options::reach}, {"streams", &Options::streams}, {"exec", &Options::exec}};
constexpr Number kNumbers[] = {{"threads", &Options::threads}, {"kernels", &Options::kernels},
                               {"us", &Options::us},           {"pace_us", &Options::pace_us},
                               {"ahead", &Options::ahead},     {"seconds", &Options::seconds},
                               {"graph", &Options::graph},     {"copy", &Options::copy},
                               {"alloc", &Options::alloc},     {"tag", &Options::tag}};

bool set(Options* options, const std::string& name, const std::string& value) {
  for (const Text& text : kTexts)
    if (name == text.name) {
      options->*text.value = value;
      return true;
    }
  for (const Number& number : kNumbers)
    if (name == number.name) {
      char* end;
      options->*number.value = strtoull(value.c_str(), &end, 10);
      return !value.empty() && !*end;
    }
  return false;
}

}  // namespace

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    if (equals == std::string::npos ||
        !set(&options, word.substr(0, equals), word.substr(equals + 1))) {
      fprintf(stderr, "%s: what is %s?\n", argv[0], argv[i]);
      exit(2);
    }
  }
  return options;
}
