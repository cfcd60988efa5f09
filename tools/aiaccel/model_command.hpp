// SPDX-License-Identifier: MIT
//
// What the commands of `aiaccel model` agree on. Each is added by a function here, in a file of its
// own or with its likes, and leaves its exit status in Globals.
//
// The same thing is the same JSON everywhere: a version is what version_json() makes of it, a
// stage's entry what entry_json() makes.
#pragma once

#include <CLI/CLI.hpp>
#include <aiaccel/registry.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "aiaccel/command.hpp"
#include "common/failure.hpp"
#include "common/json.hpp"

namespace tools {

// Options of each command of `model`.
struct ModelOptions {
  std::string registry;  // "": $AIACCEL_REGISTRY, else the user's own
  bool json = false;
};

// A stage has changed, and a program that the registry's configuration names has failed. Documented
// in the man page.
constexpr int kExitHook = 4;

aiaccel::Registry open_registry(const ModelOptions& options);    // one that is there
aiaccel::Registry create_registry(const ModelOptions& options);  // or a new one

bool is_ref(const std::string& text);
// Failure (usage) where the text is none.
aiaccel::Ref parse_ref(const std::string& text);

std::string version_name(
    const aiaccel::ModelVersion& version);  // "NAME@v1.0.0", else "NAME:COMMIT"
std::string short_commit(const std::string& commit);
// As a column has it: "v1.0.0", "v1.0.0 (removed)" once that is no version any more, or "-".
std::string version_text(const std::string& version, const std::string& removed);
std::string time_text(std::chrono::system_clock::time_point time);  // of the local clock
std::string first_line(const std::string& message);
std::uint64_t size_of(const aiaccel::ModelVersion& version);

Json version_json(const aiaccel::ModelVersion& version, bool with_metadata);
Json entry_json(const aiaccel::StageEntry& entry);

// Adds a subcommand with --registry, and --json where it has something to print; `body` gives the
// exit status.
template <typename Options>
CLI::App* add_model_command(CLI::App& model, Globals& globals,
                            const std::shared_ptr<Options>& options, const char* name,
                            const char* what, int (*body)(const Options&)) {
  CLI::App* command = model.add_subcommand(name, what);
  command
      ->add_option("--registry", options->registry,
                   "The repository [$AIACCEL_REGISTRY, else the user's]")
      ->type_name("DIR");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([&globals, options, body] { globals.status = body(*options); });
  return command;
}

// Runs a program of the user's, without a shell, after `stage` was given `entry`: the one that the
// registry's git configuration names by `key` (aiaccel.onPromote, aiaccel.onRollback). What it
// prints goes to stderr. Returns exit_ok, also where none is named, or kExitHook, having said why.
int run_hook(const aiaccel::Registry& registry, const char* key, const std::string& name,
             const std::string& stage, const aiaccel::StageEntry& entry);

void add_model_add(CLI::App& model, Globals& globals);
void add_model_tag(CLI::App& model, Globals& globals);
void add_model_ls(CLI::App& model, Globals& globals);
void add_model_show(CLI::App& model, Globals& globals);
void add_model_log(CLI::App& model, Globals& globals);
void add_model_diff(CLI::App& model, Globals& globals);
void add_model_promote(CLI::App& model, Globals& globals);
void add_model_rollback(CLI::App& model, Globals& globals);
void add_model_verify(CLI::App& model, Globals& globals);
void add_model_sign(CLI::App& model, Globals& globals);
void add_model_rm(CLI::App& model, Globals& globals);
void add_model_gc(CLI::App& model, Globals& globals);
void add_model_push(CLI::App& model, Globals& globals);
void add_model_pull(CLI::App& model, Globals& globals);
void add_model_export(CLI::App& model, Globals& globals);

}  // namespace tools
