// SPDX-License-Identifier: MIT
//
// See command_line.hpp.
#include "common/command_line.hpp"

#include <aiaccel.h>

#include "common/failure.hpp"

namespace tools {

void add_common_options(CLI::App& app, std::string& transport) {
  app.set_version_flag("--version", app.get_name() + " " + aiaccel_version(),
                       "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.add_option("--transport", transport, "kernel, broker, embedded or auto [auto]")
      ->type_name("NAME")
      ->check(CLI::IsMember({"kernel", "broker", "embedded", "auto"}).description(""));
  app.get_formatter()->column_width(28);
}

CLI::Validator not_empty() {
  return {[](std::string& value) { return value.empty() ? "must not be empty" : std::string(); },
          ""};
}

bool parse_command_line(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0) {
      std::string command = app.get_name();
      for (const CLI::App* sub : app.get_subcommands()) command += " " + sub->get_name();
      throw Failure(e.what(), "`" + command + " --help`", exit_usage);
    }
    app.exit(e);  // prints what was asked for
    return false;
  }
}

}  // namespace tools
