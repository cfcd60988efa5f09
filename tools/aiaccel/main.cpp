// SPDX-License-Identifier: MIT
//
// aiaccel: what people type. Reads the command line; the commands do the rest.
#include <clocale>

#include "aiaccel/command.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"

namespace {

int parse_and_run(int argc, char** argv) {
  CLI::App app("Accelerators shared: who runs on what, and models that run there.", "aiaccel");
  tools::Globals globals;
  tools::add_common_options(app, globals.transport);
  app.fallthrough();  // --transport may stand behind the command too
  app.require_subcommand(1);

  tools::add_doctor(app, globals);
  tools::add_engines(app, globals);
  tools::add_explain(app, globals);
  tools::add_control(app, globals);
  tools::add_evict(app, globals);
  tools::add_model(app, globals);
  tools::add_run(app, globals);
  tools::add_exec(app, globals);
  tools::add_attach(app, globals);
  tools::add_policy(app, globals);
  tools::add_demo(app, globals);
  tools::add_completion(app, globals);

  std::vector<char*> arguments = tools::end_options_of_exec(app, argc, argv);
  const int count = static_cast<int>(arguments.size());
  return tools::parse_command_line(app, count, arguments.data()) ? globals.status : tools::exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");
  return tools::guarded("aiaccel", [&] { return parse_and_run(argc, argv); });
}
