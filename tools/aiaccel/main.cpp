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
  tools::add_run(app, globals);
  tools::add_exec(app, globals);
  tools::add_attach(app, globals);
  tools::add_policy(app, globals);
  tools::add_demo(app, globals);

  return tools::parse_command_line(app, argc, argv) ? globals.status : tools::exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");
  return tools::guarded("aiaccel", [&] { return parse_and_run(argc, argv); });
}
