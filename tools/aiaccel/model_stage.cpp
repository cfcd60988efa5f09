// SPDX-License-Identifier: MIT
//
// aiaccel model promote, rollback: which version a stage has.
//
// The hook is run before anything is printed: whoever reads the output may be gone, and that ends
// the program.
#include <fmt/format.h>

#include "aiaccel/model_command.hpp"
#include "aiaccel/model_trust.hpp"
#include "common/command_line.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

struct PromoteCommand : ModelOptions {
  std::string ref, stage, message;
};

void print_entry(const std::string& name, const std::string& stage,
                 const aiaccel::StageEntry& entry, bool json) {
  if (json)
    fmt::print("{}\n", json_text({{"name", name}, {"stage", stage}, {"entry", entry_json(entry)}}));
  else
    fmt::print("{}#{}  is {}{}  ({}#{}#{})\n", printable(name), printable(stage),
               entry.version.empty() ? short_commit(entry.commit) : printable(entry.version),
               entry.removed.empty() ? "" : fmt::format(", which was {}", entry.removed),
               printable(name), printable(stage), entry.number);
}

void warn_of(const aiaccel::Registry& registry, const std::string& name,
             const aiaccel::StageEntry& entry) {
  aiaccel::ModelVersion version;
  version.name = name;
  version.version = entry.version;
  version.commit = entry.commit;
  warn_of_signature(registry, version);
}

int promote(const PromoteCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  aiaccel::Registry registry = open_registry(command);
  const aiaccel::StageEntry entry = registry.promote(ref, command.stage, command.message);
  const int status = run_hook(registry, "aiaccel.onPromote", ref.name, command.stage, entry);
  print_entry(ref.name, command.stage, entry, command.json);
  warn_of(registry, ref.name, entry);
  return status;
}

int rollback(const PromoteCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  if (ref.kind != aiaccel::Ref::Kind::stage || ref.number)
    throw Failure(fmt::format("{}: a stage is expected", command.ref), "NAME#STAGE", exit_usage);
  aiaccel::Registry registry = open_registry(command);
  const aiaccel::StageEntry entry = registry.rollback(ref.name, ref.what, command.message);
  const int status = run_hook(registry, "aiaccel.onRollback", ref.name, ref.what, entry);
  print_entry(ref.name, ref.what, entry, command.json);
  warn_of(registry, ref.name, entry);
  return status;
}

}  // namespace

void add_model_promote(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<PromoteCommand>();
  CLI::App* command =
      add_model_command(model, globals, options, "promote", "Give a version to a stage", promote);
  command->add_option("REF", options->ref, "The version, such as NAME@v1.2.3")->required();
  command->add_option("STAGE", options->stage, "Such as staging or prod")
      ->required()
      ->check(not_empty());
  command->add_option("-m,--message", options->message, "What is to be said of it")
      ->type_name("TEXT");
}

void add_model_rollback(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<PromoteCommand>();
  CLI::App* command = add_model_command(model, globals, options, "rollback",
                                        "Give a stage what it had before", rollback);
  command->add_option("REF", options->ref, "The stage, such as NAME#prod")->required();
  command->add_option("-m,--message", options->message, "What is to be said of it")
      ->type_name("TEXT");
}

}  // namespace tools
