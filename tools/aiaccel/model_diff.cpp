// SPDX-License-Identifier: MIT
//
// aiaccel model diff: what differs between two versions, or a version and a file that is to become
// one. Structure from the metadata, files and what was said of them from the registry.
#include <fmt/format.h>
#include <aiaccel/metadata.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "aiaccel/model_command.hpp"
#include "common/text.hpp"
#include "registry/diff.hpp"

namespace tools {
namespace {

using aiaccel::ModelVersion;
using aiaccel::VersionFile;
using aiaccel::registry::Change;
using aiaccel::registry::How;
using aiaccel::registry::Part;

struct DiffCommand : ModelOptions {
  std::string before, after;
};

// One of the two: a version, or a file of the user's.
struct Side {
  std::string name;
  std::optional<ModelVersion> version;
  std::optional<aiaccel::Metadata> metadata;
};

Side read_side(const DiffCommand& command, const std::string& text) {
  Side side;
  std::error_code none;
  if (std::filesystem::is_regular_file(text, none)) {
    side.name = text;
    side.metadata = aiaccel::read_metadata(text);
    return side;
  }
  const aiaccel::Ref ref = parse_ref(text);
  side.version = open_registry(command).resolve(ref);
  side.name = version_name(*side.version);
  side.metadata = side.version->metadata;
  return side;
}

// Files by their digests: what the metadata has of them is only sizes, and only the model's own.
// What the registry itself writes beside them says nothing new.
std::vector<Change> diff_files(const std::vector<VersionFile>& before,
                               const std::vector<VersionFile>& after) {
  std::vector<Change> changes;
  const auto text = [](const VersionFile& file) {
    return fmt::format("{} bytes, sha256 {}", file.size_bytes, file.sha256.substr(0, 10));
  };
  auto l = before.begin();
  auto r = after.begin();
  while (l != before.end() || r != after.end()) {
    if (r == after.end() || (l != before.end() && l->path < r->path)) {
      changes.push_back({Part::file, How::removed, l->path, {}, text(*l), {}});
      ++l;
    } else if (l == before.end() || r->path < l->path) {
      changes.push_back({Part::file, How::added, r->path, {}, {}, text(*r)});
      ++r;
    } else {
      if (l->sha256 != r->sha256)
        changes.push_back({Part::file, How::changed, l->path, {}, text(*l), text(*r)});
      ++l;
      ++r;
    }
  }
  return changes;
}

std::vector<Change> diff_sides(const Side& before, const Side& after) {
  std::vector<Change> changes;
  if (before.metadata && after.metadata)
    changes = aiaccel::registry::diff(*before.metadata, *after.metadata);
  if (!before.version || !after.version) return changes;
  std::erase_if(changes, [](const Change& change) { return change.part == Part::file; });
  for (Change& change : diff_files(before.version->files, after.version->files))
    if (change.name != "aiaccel.json") changes.push_back(std::move(change));
  return changes;
}

// A long text, such as a tokenizer's words, is not a line's worth.
std::string shortened(const std::string& text) {
  return fit(printable(text), std::min<std::size_t>(columns(printable(text)), 60));
}

std::string change_text(const Change& change) {
  const bool added = change.before.empty();
  const bool removed = change.after.empty();
  std::string name = change.scope.empty() ? change.name : change.scope + ":" + change.name;
  if (!name.empty()) name = " " + printable(name);
  const std::string values = added ? shortened(change.after)
                             : removed
                                 ? shortened(change.before)
                                 : shortened(change.before) + " -> " + shortened(change.after);
  return fmt::format("{} {}{}: {}",
                     added     ? '+'
                     : removed ? '-'
                               : '~',
                     to_string(change.part), name, values);
}

int diff(const DiffCommand& command) {
  const Side before = read_side(command, command.before);
  const Side after = read_side(command, command.after);
  const std::vector<Change> changes = diff_sides(before, after);
  if (command.json) {
    Json array = Json::array();
    for (const Change& change : changes)
      array.push_back({{"part", to_string(change.part)},
                       {"how", to_string(change.how)},
                       {"name", change.name},
                       {"scope", change.scope},
                       {"before", change.before},
                       {"after", change.after}});
    fmt::print("{}\n",
               json_text({{"before", before.name}, {"after", after.name}, {"changes", array}}));
    return exit_ok;
  }
  for (const Side* side : {&before, &after})
    if (!side->metadata)
      fmt::print(stderr, "aiaccel: {}: no reader knows its format; only files are compared\n",
                 printable(side->name));
  for (const Change& change : changes) fmt::print("{}\n", change_text(change));
  return exit_ok;
}

}  // namespace

void add_model_diff(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<DiffCommand>();
  CLI::App* command = add_model_command(model, globals, options, "diff",
                                        "Print what differs between two versions", diff);
  command->add_option("BEFORE", options->before, "Such as NAME@v1.2.3 or NAME#prod, or a file")
      ->required();
  command->add_option("AFTER", options->after, "The other")->required();
}

}  // namespace tools
