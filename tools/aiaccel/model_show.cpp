// SPDX-License-Identifier: MIT
//
// aiaccel model ls, show, log: what the registry holds.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "aiaccel/model_command.hpp"
#include "common/table.hpp"
#include "common/text.hpp"
#include "registry/diff.hpp"

namespace tools {
namespace {

using aiaccel::ModelVersion;

void print_table(const Table& table) {
  for (const std::string& line : table.lines()) fmt::print("{}\n", line);
}

std::string list_text(const std::vector<std::string>& texts) {
  return texts.empty() ? "-" : fmt::format("{}", fmt::join(texts, " "));
}

struct LsCommand : ModelOptions {
  std::string name;
  bool refs = false;
};

// What each stage of a model has, by its version, or its commit where that has none.
std::string stages_text(const std::map<std::string, aiaccel::StageEntry>& stages) {
  std::vector<std::string> texts;
  for (const auto& [stage, entry] : stages)
    texts.push_back(fmt::format("{}={}{}", stage,
                                entry.version.empty() ? short_commit(entry.commit) : entry.version,
                                entry.removed.empty() ? "" : "(removed)"));
  return list_text(texts);
}

// With those that stages have although they are versions no more.
std::vector<ModelVersion> versions_of(const aiaccel::Registry& registry, const std::string& name) {
  std::vector<ModelVersion> versions = registry.versions(name);
  std::set<std::string> commits;
  for (const ModelVersion& version : versions) commits.insert(version.commit);
  for (const auto& [stage, entry] : registry.staged(name))
    if (commits.insert(entry.commit).second) try {
        versions.push_back(registry.resolve(parse_ref(name + ":" + entry.commit)));
      } catch (const aiaccel::Error&) {
        // Somebody tagged what is no model: the stage's own log shows it.
      }
  return versions;
}

// One line a name that other commands take, for completion and for loops of a shell.
int list_refs(const aiaccel::Registry& registry, const std::vector<std::string>& models) {
  for (const std::string& model : models) {
    fmt::print("{}\n", model);
    for (const ModelVersion& version : registry.versions(model)) {
      if (!version.version.empty()) fmt::print("{}@{}\n", model, version.version);
    }
    for (const auto& [stage, entry] : registry.staged(model)) fmt::print("{}#{}\n", model, stage);
  }
  return exit_ok;
}

int list_models(const aiaccel::Registry& registry, const std::vector<std::string>& models,
                bool json) {
  Table table(
      {{"MODEL"}, {"LATEST"}, {"VERSIONS", Align::right, 1}, {"STAGES"}, {"SIZE", Align::right}});
  Json array = Json::array();
  for (const std::string& model : models) {
    const std::vector<ModelVersion> versions = registry.versions(model);
    const auto stages = registry.staged(model);
    std::string latest;
    std::uint64_t bytes = 0;
    if (!versions.empty()) {
      const ModelVersion version = registry.resolve(parse_ref(model + "@latest"));
      latest = version.version;
      bytes = size_of(version);
    }
    table.add({model, latest.empty() ? "-" : latest, std::to_string(versions.size()),
               stages_text(stages), latest.empty() ? "-" : bytes_text(bytes)});
    Json of_stages = Json::object();
    for (const auto& [stage, entry] : stages)
      of_stages[stage] = entry.version.empty() ? entry.commit : entry.version;
    array.push_back({{"name", model},
                     {"latest", latest.empty() ? Json() : Json(latest)},
                     {"versions", versions.size()},
                     {"stages", of_stages},
                     {"size_bytes", bytes}});
  }
  if (json)
    fmt::print("{}\n", json_text({{"models", array}}));
  else if (models.empty())
    fmt::print("no models\n");
  else
    print_table(table);
  return exit_ok;
}

int list_versions(const std::vector<ModelVersion>& versions, bool json) {
  Table table({{"VERSION"},
               {"COMMIT", Align::left, 2},
               {"DATE", Align::left, 3},
               {"SIZE", Align::right},
               {"SIGNED", Align::left, 1},
               {"STAGES"},
               {"MESSAGE", Align::left, 4, 10}});
  Json array = Json::array();
  for (const ModelVersion& version : versions) {
    table.add({version_text(version.version, version.removed), short_commit(version.commit),
               time_text(version.time), bytes_text(size_of(version)),
               version.is_signed ? "yes" : "no", list_text(version.stages),
               first_line(version.message)});
    if (json) array.push_back(version_json(version, false));
  }
  if (json)
    fmt::print("{}\n", json_text({{"versions", array}}));
  else
    print_table(table);
  return exit_ok;
}

int list(const LsCommand& command) {
  const aiaccel::Registry registry = open_registry(command);
  std::vector<std::string> models = registry.models();
  if (!command.name.empty()) {
    if (std::find(models.begin(), models.end(), command.name) == models.end())
      throw Failure(
          fmt::format("there is no model {} in {}", command.name, registry.path().string()),
          "`aiaccel model ls`");
    models = {command.name};
  }
  if (command.refs) return list_refs(registry, models);
  if (!command.name.empty())
    return list_versions(versions_of(registry, command.name), command.json);
  return list_models(registry, models, command.json);
}

struct ShowCommand : ModelOptions {
  std::string ref;
  bool tensors = false;
};

void line(const char* title, const std::string& text) {
  if (!text.empty()) fmt::print("{:<11}{}\n", title, printable(text));
}

std::string opsets_text(const aiaccel::Metadata& metadata) {
  std::string text;
  for (const aiaccel::OpsetVersion& opset : metadata.opsets)
    text +=
        fmt::format(", opset {}{}{}", opset.domain, opset.domain.empty() ? "" : " ", opset.version);
  return text;
}

// The most frequent first.
std::string operators_text(const aiaccel::Metadata& metadata) {
  using Count = std::pair<std::string, std::uint64_t>;
  std::vector<Count> counts(metadata.operators.begin(), metadata.operators.end());
  std::stable_sort(counts.begin(), counts.end(),
                   [](const Count& a, const Count& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [name, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  return text;
}

void print_metadata(const aiaccel::Metadata& metadata, bool tensors) {
  line("format", fmt::format("{} {}{}", to_string(metadata.format), metadata.format_version,
                             opsets_text(metadata)));
  line("producer", metadata.producer_version.empty()
                       ? metadata.producer
                       : metadata.producer + " " + metadata.producer_version);
  line("model", metadata.name);
  line("kind", metadata.architecture);
  line("parameters",
       fmt::format("{} in {}", metadata.parameters, count_text(metadata.tensors.size(), "tensor")));
  for (const aiaccel::ValueInfo& value : metadata.inputs)
    line("input", value.name + ": " + aiaccel::registry::to_text(value));
  for (const aiaccel::ValueInfo& value : metadata.outputs)
    line("output", value.name + ": " + aiaccel::registry::to_text(value));
  line("operators", operators_text(metadata));
  if (!tensors) return;
  for (const aiaccel::TensorRecord& tensor : metadata.tensors)
    line("tensor",
         fmt::format("{}{}{}: {}  {}", tensor.scope, tensor.scope.empty() ? "" : ":", tensor.name,
                     aiaccel::registry::to_text(tensor), bytes_text(tensor.bytes)));
}

// Messages are indented, so that none of their lines looks like one of ours.
void print_message(const std::string& message) {
  for (std::size_t at = 0; at < message.size();) {
    const std::size_t end = std::min(message.find('\n', at), message.size());
    if (end > at)
      fmt::print("{:<11}{}\n", at ? "" : "message", printable(message.substr(at, end - at)));
    at = end + 1;
  }
}

int show(const ShowCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  const ModelVersion version = open_registry(command).resolve(ref);
  if (command.json) {
    fmt::print("{}\n", json_text(version_json(version, true)));
    return exit_ok;
  }
  fmt::print("{}\n", printable(version_name(version)));
  if (!version.removed.empty()) line("was", version_text("", version.removed));
  line("commit", version.commit);
  line("author", version.author);
  line("date", time_text(version.time));
  line("stages", fmt::format("{}", fmt::join(version.stages, " ")));
  line("signed", version.is_signed ? "yes" : "no");
  line("licence", version.licence);
  for (const auto& [key, text] : version.labels) line("label", key + "=" + text);
  line("made from",
       version.parent + (version.parent_commit.empty()
                             ? ""
                             : fmt::format(" ({})", short_commit(version.parent_commit))));
  line("made by", version.training_run);
  print_message(version.message);
  for (const aiaccel::VersionFile& file : version.files)
    line("file",
         fmt::format("{}  {}  sha256 {}", file.path, bytes_text(file.size_bytes), file.sha256));
  if (version.metadata)
    print_metadata(*version.metadata, command.tensors);
  else
    line("main file",
         version.main_file.empty() ? "none" : version.main_file + ", which no reader knows");
  return exit_ok;
}

struct LogCommand : ModelOptions {
  std::string ref;
};

int log_stage(const aiaccel::Registry& registry, const aiaccel::Ref& ref, bool json) {
  std::vector<aiaccel::StageEntry> entries = registry.history(ref.name, ref.what);
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.number > b.number; });
  if (entries.empty())
    throw Failure(fmt::format("{}#{}: was never given anything", ref.name, ref.what),
                  fmt::format("`aiaccel model ls {}` lists versions and their stages", ref.name));
  Table table({{"NUMBER", Align::right},
               {"VERSION"},
               {"COMMIT", Align::left, 2},
               {"DATE", Align::left, 3},
               {"BY", Align::left, 1, 8},
               {"MESSAGE", Align::left, 4, 10}});
  Json array = Json::array();
  for (const aiaccel::StageEntry& entry : entries) {
    table.add({std::to_string(entry.number), version_text(entry.version, entry.removed),
               short_commit(entry.commit), time_text(entry.time), entry.author,
               (entry.rollback ? "(rollback) " : "") + first_line(entry.message)});
    array.push_back(entry_json(entry));
  }
  if (json)
    fmt::print("{}\n", json_text({{"name", ref.name}, {"stage", ref.what}, {"entries", array}}));
  else
    print_table(table);
  return exit_ok;
}

int log(const LogCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  const aiaccel::Registry registry = open_registry(command);
  if (ref.kind == aiaccel::Ref::Kind::stage && ref.number == 0)
    return log_stage(registry, ref, command.json);
  return list_versions(registry.log(ref), command.json);
}

}  // namespace

void add_model_ls(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<LsCommand>();
  CLI::App* command =
      add_model_command(model, globals, options, "ls", "List models, or versions of one", list);
  command->add_option("NAME", options->name, "A model");
  command->add_flag("--refs", options->refs, "Print names that other commands take, one a line");
}

void add_model_show(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<ShowCommand>();
  CLI::App* command =
      add_model_command(model, globals, options, "show", "Print what is known of a version", show);
  command->add_option("REF", options->ref, "Such as NAME@v1.2.3 or NAME#prod")->required();
  command->add_flag("--tensors", options->tensors, "List its tensors too");
}

void add_model_log(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<LogCommand>();
  CLI::App* command = add_model_command(model, globals, options, "log",
                                        "List what a model was, or what a stage was given", log);
  command->add_option("REF", options->ref, "NAME, or NAME#STAGE for the stage's history")
      ->required();
}

}  // namespace tools
