// SPDX-License-Identifier: MIT
//
// What the command lines of the tools have in common.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace tools {

// --help, --version and --transport, and how help looks.
void add_common_options(CLI::App& app, std::string& transport);

// Accepts numbers from `least` to `most`; --help does not show it, the man page does.
template <typename T>
CLI::Validator between(T least, T most) {
  return CLI::Range(least, most).description("");
}

// Accepts all but "", which is what a variable of a shell that is not set gives.
CLI::Validator not_empty();

// False: help or the version was asked for and printed. Throws Failure (usage); what the callbacks
// of subcommands throw passes through.
bool parse_command_line(CLI::App& app, int argc, char** argv);

}  // namespace tools
