// SPDX-License-Identifier: MIT
//
// What main.cpp and the commands agree on. Each command lives in a file of its own, which adds a
// subcommand whose callback runs it and leaves its exit status in Globals. What a command throws is
// reported by main.cpp; see common/failure.hpp.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace tools {

struct Globals {
  std::string transport;  // as Device::open() takes it: empty for $AIACCEL_TRANSPORT or auto
  int status = 0;         // of the command that ran
};

void add_attach(CLI::App& app, Globals& globals);
void add_completion(CLI::App& app, Globals& globals);
void add_demo(CLI::App& app, Globals& globals);
void add_doctor(CLI::App& app, Globals& globals);
void add_engines(CLI::App& app, Globals& globals);
void add_exec(CLI::App& app, Globals& globals);
void add_policy(CLI::App& app, Globals& globals);
void add_control(CLI::App& app, Globals& globals);  // drain, resume, leave
void add_evict(CLI::App& app, Globals& globals);
void add_explain(CLI::App& app, Globals& globals);
void add_model(CLI::App& app, Globals& globals);
void add_run(CLI::App& app, Globals& globals);

// The command line with -- before the program that `exec` is to become: what follows is the
// program's, also what looks like an option of ours. Other command lines stay as they are.
std::vector<char*> end_options_of_exec(const CLI::App& app, int argc, char** argv);

}  // namespace tools
