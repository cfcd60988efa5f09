// SPDX-License-Identifier: MIT
//
// aiaccel model rm, gc: what is no longer wanted.
#include <fmt/format.h>

#include "aiaccel/model_command.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

struct RemoveCommand : ModelOptions {
  std::string ref;
  bool dry_run = false;
};

int print_removed(const std::vector<aiaccel::Removed>& removed, const RemoveCommand& command) {
  std::uint64_t bytes = 0;
  Json array = Json::array();
  for (const aiaccel::Removed& one : removed) {
    bytes += one.bytes;
    array.push_back({{"what", one.what}, {"bytes", one.bytes}});
    if (command.json) continue;
    const std::string size = one.bytes ? "  " + bytes_text(one.bytes) : "";
    fmt::print("{} {}{}\n", command.dry_run ? "would remove" : "removed", printable(one.what),
               size);
  }
  if (command.json)
    fmt::print("{}\n",
               json_text({{"dry_run", command.dry_run}, {"bytes", bytes}, {"removed", array}}));
  else if (removed.empty())
    fmt::print("nothing to remove\n");
  else if (bytes)
    fmt::print("{} in all\n", bytes_text(bytes));
  return exit_ok;
}

int remove(const RemoveCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  return print_removed(open_registry(command).remove(ref, command.dry_run), command);
}

int gc(const RemoveCommand& command) {
  return print_removed(open_registry(command).gc(command.dry_run), command);
}

}  // namespace

void add_model_rm(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<RemoveCommand>();
  CLI::App* command = add_model_command(model, globals, options, "rm",
                                        "Take a version's tag away; gc then frees weights", remove);
  command->add_option("REF", options->ref, "The version, such as NAME@v1.2.3")->required();
  command->add_flag("--dry-run", options->dry_run, "Only say what would be removed");
}

void add_model_gc(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<RemoveCommand>();
  CLI::App* command = add_model_command(model, globals, options, "gc",
                                        "Free weights that no tag or branch reaches", gc);
  command->add_flag("--dry-run", options->dry_run, "Only say what would be removed");
}

}  // namespace tools
