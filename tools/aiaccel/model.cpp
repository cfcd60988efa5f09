// SPDX-License-Identifier: MIT
//
// aiaccel model: models under version control. Here is what its commands share.
#include "aiaccel/model_command.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "common/text.hpp"

namespace tools {

namespace {

std::filesystem::path path_of(const ModelOptions& options) {
  return options.registry.empty() ? aiaccel::Registry::default_path()
                                  : std::filesystem::path(options.registry);
}

// RFC 3339, so that it sorts as text.
std::string utc_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

// Of what a registry that cannot be used throws.
[[noreturn]] void fail(const aiaccel::Error& e) {
  if (e.code().value() == EPERM) throw Failure(reason(e), "");  // it says what helps
  if (e.code().value() == ENOTEMPTY)
    throw Failure(reason(e), "another folder, or `git init` there first, if it is the right one");
  throw e;
}

}  // namespace

aiaccel::Registry open_registry(const ModelOptions& options) {
  try {
    return aiaccel::Registry::open(path_of(options));
  } catch (const aiaccel::Error& e) {
    if (e.code().value() == ENOENT)
      throw Failure(e.what(),
                    "`aiaccel model add` makes one; --registry or AIACCEL_REGISTRY names it");
    fail(e);
  }
}

aiaccel::Registry create_registry(const ModelOptions& options) {
  const std::filesystem::path path = path_of(options);
  try {
    return aiaccel::Registry::open(path);
  } catch (const aiaccel::Error& e) {
    if (e.code().value() != ENOENT) fail(e);
  }
  try {
    aiaccel::Registry made = aiaccel::Registry::create(path);
    fmt::print(stderr, "aiaccel: made a registry in {}\n", printable(made.path().string()));
    return made;
  } catch (const aiaccel::Error& e) {
    fail(e);
  }
}

bool is_ref(const std::string& text) {
  try {
    aiaccel::Ref::parse(text);
    return true;
  } catch (const aiaccel::Error&) {
    return false;
  }
}

aiaccel::Ref parse_ref(const std::string& text) {
  try {
    return aiaccel::Ref::parse(text);
  } catch (const aiaccel::Error& e) {
    throw Failure(e.what(), "NAME, NAME@v1.2.3, NAME@latest, NAME#prod, NAME#prod#3 or NAME:COMMIT",
                  exit_usage);
  }
}

std::string short_commit(const std::string& commit) {
  return commit.substr(0, 10);
}

std::string version_text(const std::string& version, const std::string& removed) {
  if (!version.empty()) return version;
  return removed.empty() ? "-" : removed + " (removed)";
}

std::string version_name(const aiaccel::ModelVersion& version) {
  return version.version.empty() ? version.name + ":" + short_commit(version.commit)
                                 : version.name + "@" + version.version;
}

std::string time_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%F %R}", fmt::localtime(std::chrono::system_clock::to_time_t(time)));
}

std::string first_line(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

std::uint64_t size_of(const aiaccel::ModelVersion& version) {
  std::uint64_t bytes = 0;
  for (const aiaccel::VersionFile& file : version.files) bytes += file.size_bytes;
  return bytes;
}

Json version_json(const aiaccel::ModelVersion& version, bool with_metadata) {
  Json files = Json::array();
  for (const aiaccel::VersionFile& file : version.files)
    files.push_back({{"path", file.path},
                     {"sha256", file.sha256},
                     {"size_bytes", file.size_bytes},
                     {"weights", file.weights}});
  Json json{{"name", version.name},
            {"version", version.version.empty() ? Json() : Json(version.version)},
            {"removed", version.removed.empty() ? Json() : Json(version.removed)},
            {"commit", version.commit},
            {"author", version.author},
            {"message", version.message},
            {"time", utc_text(version.time)},
            {"stages", version.stages},
            {"signed", version.is_signed},
            {"licence", version.licence},
            {"labels", version.labels},
            {"parent", version.parent},
            {"parent_commit", version.parent_commit},
            {"training_run", version.training_run},
            {"main_file", version.main_file},
            {"files", files}};
  if (with_metadata)
    json["metadata"] = version.metadata ? Json::parse(version.metadata->to_json()) : Json();
  return json;
}

Json entry_json(const aiaccel::StageEntry& entry) {
  return {{"number", entry.number},
          {"version", entry.version},
          {"commit", entry.commit},
          {"author", entry.author},
          {"message", entry.message},
          {"time", utc_text(entry.time)},
          {"rollback", entry.rollback},
          {"removed", entry.removed.empty() ? Json() : Json(entry.removed)}};
}

void add_model(CLI::App& app, Globals& globals) {
  CLI::App* model = app.add_subcommand("model", "Models and their versions, in a Git repository");
  model->fallthrough();
  model->require_subcommand(1);
  add_model_add(*model, globals);
  add_model_ls(*model, globals);
  add_model_show(*model, globals);
  add_model_log(*model, globals);
  add_model_diff(*model, globals);
  add_model_tag(*model, globals);
  add_model_promote(*model, globals);
  add_model_rollback(*model, globals);
  add_model_verify(*model, globals);
  add_model_sign(*model, globals);
  add_model_rm(*model, globals);
  add_model_gc(*model, globals);
  add_model_push(*model, globals);
  add_model_pull(*model, globals);
  add_model_export(*model, globals);
}

}  // namespace tools
