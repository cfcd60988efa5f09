// SPDX-License-Identifier: MIT
//
// Versions and stages are given: tags, and the stages' branches. What a stage had when is read from
// its tags alone, which are numbered from 1 and never moved.

#include <aiaccel/registry.hpp>
#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include "registry/impl.h"

namespace aiaccel::registry {
namespace {

// What a tag says of itself, and its commit.
struct Given {
  StageEntry entry;
  bool over = false;
};

// The message without what rollback() wrote below it.
std::pair<std::string, bool> without_trailer(std::string message) {
  while (!message.empty() && message.back() == '\n') message.pop_back();
  const std::size_t line = message.rfind('\n');
  const std::size_t last = line == std::string::npos ? 0 : line + 1;
  if (message.compare(last, kRollback.size(), kRollback) != 0) return {std::move(message), false};
  message.resize(last);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return {std::move(message), true};
}

// What a commit was added as. Nothing hangs on it, so what cannot be read is none.
std::string added_as(const Git& git, const std::string& name, const std::string& commit) {
  try {
    const auto folder = git.entry(git.tree(git.commit(commit).get()).get(), name);
    if (folder && folder->mode == GIT_FILEMODE_TREE) return recorded_version(git, folder->id);
  } catch (const Error&) {
  }
  return {};
}

// Nothing where the tag is of no commit.
std::optional<Given> read_tag(const Git& git, const std::string& name, const StageTag& tag,
                              const std::map<std::string, std::string>& versions) {
  Given one;
  one.entry.number = tag.number;
  one.over = tag.over;
  one.entry.commit = git.peel(tag.tag);
  if (one.entry.commit.empty()) return {};
  if (const TagPtr object = git.annotated(tag.tag)) {
    const char* const message = git_tag_message(object.get());
    std::tie(one.entry.message, one.entry.rollback) =
        without_trailer(message == nullptr ? "" : message);
    if (const git_signature* const who = git_tag_tagger(object.get())) {
      one.entry.author = author_of(*who);
      one.entry.time = time_of(*who);
    }
  } else {
    // A lightweight tag, which somebody made: all that is known is the commit's.
    const CommitPtr commit = git.commit(one.entry.commit);
    one.entry.author = author_of(*git_commit_committer(commit.get()));
    one.entry.time = time_of(*git_commit_committer(commit.get()));
  }
  if (const auto version = versions.find(one.entry.commit); version != versions.end())
    one.entry.version = version->second;
  else
    one.entry.removed = added_as(git, name, one.entry.commit);
  return one;
}

// Versions of a model by their commits.
std::map<std::string, std::string> versions_by_commit(const Impl& impl, const Git& git,
                                                      const std::string& name) {
  std::map<std::string, std::string> versions;
  for (const VersionTag& tag : version_tags(impl, git, name))
    versions.emplace(tag.commit, tag.version);
  return versions;
}

// Oldest first.
std::vector<Given> given(const Impl& impl, const Git& git, const std::string& name,
                         const std::string& stage) {
  const auto versions = versions_by_commit(impl, git, name);
  std::vector<Given> all;
  for (const StageTag& tag : stage_tags(impl, name, stage)) {
    if (auto one = read_tag(git, name, tag, versions)) all.push_back(std::move(*one));
  }
  std::reverse(all.begin(), all.end());
  return all;
}

// Commits that the stage went through to where it is now, without those that were rolled back.
std::vector<std::string> way(const std::vector<Given>& all) {
  std::vector<std::string> stack;
  for (const Given& one : all) {
    if (one.over) continue;
    if (one.entry.rollback) {
      const auto back = std::find(stack.rbegin(), stack.rend(), one.entry.commit);
      if (back != stack.rend()) {
        stack.erase(back.base(), stack.end());
        continue;
      }
    }
    if (stack.empty() || stack.back() != one.entry.commit) stack.push_back(one.entry.commit);
  }
  return stack;
}

// Where the stage's branch is, or else where the one remote that has it has it.
std::string tip_of(const Impl& impl, const std::string& stage) {
  if (const auto own = impl.refs.find("refs/heads/" + stage)) return own->value;
  std::string tip;
  for (const RefValue& value : impl.refs.list("refs/remotes/")) {
    const std::size_t slash = value.name.find('/', 13);
    if (slash == std::string::npos || value.name.substr(slash + 1) != stage) continue;
    if (!tip.empty() && tip != value.value) return {};
    tip = value.value;
  }
  return tip;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// The .gitattributes of the stage's branch: without the lines that are above the version where it
// comes from, git would not give its weights to Git LFS there. They are first, so that what
// somebody wrote on that branch has the last word.
std::optional<Entry> attributes_for(const Git& git, const git_tree* version,
                                    const git_tree* stage) {
  constexpr std::size_t kLongest = 1 << 20;
  const auto readable = [&](const std::optional<Entry>& entry) {
    return entry && entry->mode == GIT_FILEMODE_BLOB && git.size(entry->id) <= kLongest;
  };
  const auto above = git.entry(version, ".gitattributes");
  const auto there = stage != nullptr ? git.entry(stage, ".gitattributes") : std::nullopt;
  if (!there) return above;
  if (!readable(above) || !readable(there) || git_oid_equal(&above->id, &there->id) != 0)
    return there;
  const std::string wanted = git.blob(above->id), own = git.blob(there->id);
  const auto lines = lines_of(own);
  const std::set<std::string_view> said(lines.begin(), lines.end());
  std::string text;
  for (const std::string_view line : lines_of(wanted))
    if (!line.empty() && line.front() != '#' && !said.contains(line))
      text += std::string(line) + "\n";
  if (text.empty()) return there;
  return Entry{git.write_blob(text + own), GIT_FILEMODE_BLOB};
}

// The stage's branch gets the folder, and the stage its tag.
StageEntry give(const Impl& impl, const Git& git, Change& change, const Place& place,
                const std::string& stage, const std::string& message, const std::string& trailer) {
  const std::string branch = "refs/heads/" + stage;
  const std::string title =
      place.name + (place.version.empty() ? ":" + place.commit.substr(0, 12) : "@" + place.version);
  const std::string doing = (trailer.empty() ? "promote " : "roll back to ") + title;
  for (int tries = 0;; tries++) {
    const auto there = impl.refs.find(branch);
    const std::string tip = there ? there->value : tip_of(impl, stage);
    const CommitPtr of = git.commit(place.commit);
    const TreePtr version_root = git.tree(of.get());
    const CommitPtr parent = tip.empty() ? nullptr : git.commit(tip);
    TreePtr root = parent ? git.tree(parent.get()) : nullptr;
    if (const auto attributes = attributes_for(git, version_root.get(), root.get()))
      root = git.tree(git.with(root.get(), ".gitattributes", attributes));
    const git_oid tree = git.with(root.get(), place.name, Entry{place.folder, GIT_FILEMODE_TREE});
    // Who died after this and before the tag made the commit already.
    if (there && parent && git_oid_equal(git_commit_tree_id(parent.get()), &tree) != 0) break;
    std::vector<std::string> parents;
    if (!tip.empty()) parents.push_back(tip);
    if (tip != place.commit) parents.push_back(place.commit);
    const std::string text = message.empty() ? doing : message;
    const std::string commit = git.write_commit(tree, parents, text + "\n");
    check_not_checked_out(impl, git, branch);
    if (change.set(branch, there ? there->value : "", commit, git.who_when(), "commit: " + doing))
      break;
    if (tries == 100) throw Error(EBUSY, stage + " changes all the time");
  }
  for (int tries = 0;; tries++) {
    const auto tags = stage_tags(impl, place.name, stage);
    const std::uint64_t number = tags.empty() ? 1 : tags.front().number + 1;
    if (number == 0) throw Error(EOVERFLOW, place.name + "#" + stage + " has no numbers left");
    const std::string tag = place.name + "#" + stage + "#" + std::to_string(number);
    std::string text = message.empty() ? doing : message;
    if (!trailer.empty()) text += "\n\n" + trailer;
    const std::string object = git.write_tag(tag, place.commit, text + "\n");
    if (change.set("refs/tags/" + tag, "", object, {}, {})) break;
    if (tries == 100) throw Error(EBUSY, place.name + "#" + stage + " changes all the time");
  }
  settle(impl, git, change, "");
  return given(impl, git, place.name, stage).back().entry;
}

}  // namespace
}  // namespace aiaccel::registry

namespace aiaccel {

using namespace registry;

namespace {

std::string checked_message(std::string_view message) {
  for (const char c : message) {
    if (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t')
      throw Error(EINVAL, "the message has a control character");
  }
  if (without_trailer(std::string(message)).second) {
    throw Error(EINVAL,
                "the last line of a message does not begin with '" + std::string(kRollback) + "'");
  }
  return without_trailer(std::string(message)).first;
}

}  // namespace

void Registry::tag(const Ref& ref, std::string_view given_version) {
  const std::string version = given_version.starts_with('v') ? std::string(given_version)
                                                             : "v" + std::string(given_version);
  if (const std::string why = why_no_version(version); !why.empty()) {
    throw Error(EINVAL, "'" + std::string(given_version) + "' is no version: " + why);
  }
  const auto git = impl_->handles.lend();
  const FileLock using_it = impl_->use();
  const Place place = find(*impl_, *git, ref);
  for (const VersionTag& other : version_tags(*impl_, *git, place.name))
    if (other.commit == place.commit && other.version != version)
      throw Error(EEXIST, ref.str() + " has a version, which is " + other.version);
  const std::string name = place.name + "@" + version;
  const std::string object = git->write_tag(name, place.commit, "Register " + name + "\n");
  Change change(impl_->refs);
  if (!change.set("refs/tags/" + name, "", object, {}, {}))
    throw Error(EEXIST, name + " is there already");
  settle(*impl_, *git, change, "");
}

StageEntry Registry::promote(const Ref& ref, std::string_view stage, std::string_view message) {
  check_stage(stage);
  const std::string text = checked_message(message);
  const auto git = impl_->handles.lend();
  const FileLock using_it = impl_->use();
  Change change(impl_->refs);
  const Place place = find(*impl_, *git, ref);
  const auto all = given(*impl_, *git, place.name, std::string(stage));
  if (!all.empty() && !all.back().over && all.back().entry.commit == place.commit)
    return all.back().entry;
  return give(*impl_, *git, change, place, std::string(stage), text, {});
}

StageEntry Registry::rollback(std::string_view name, std::string_view stage,
                              std::string_view message) {
  check_name(std::string(name));
  check_stage(stage);
  const std::string text = checked_message(message);
  const auto git = impl_->handles.lend();
  const FileLock using_it = impl_->use();
  Change change(impl_->refs);
  const std::string what = std::string(name) + "#" + std::string(stage);
  const auto all = given(*impl_, *git, std::string(name), std::string(stage));
  if (all.empty()) throw Error(ENOENT, "nothing was ever promoted to " + what);
  std::vector<std::string> stack = way(all);
  // What was taken out of the stage comes back.
  if (!all.back().over && !stack.empty()) stack.pop_back();
  if (stack.empty()) throw Error(ENOENT, what + " had nothing before");
  Ref ref{std::string(name), Ref::Kind::commit, stack.back(), 0};
  const Place place = find(*impl_, *git, ref);
  for (const TreeFile& file : tree_files(*git, place.folder)) {
    const auto pointer = pointer_at(*git, file.id);
    if (pointer && !impl_->store.has(*pointer)) {
      throw Error(ENODATA, what + " is not rolled back to " +
                               (place.version.empty() ? place.commit : place.version) +
                               ": the weights of " + file.path + " are not here (" +
                               pointer->sha256 + ")");
    }
  }
  return give(*impl_, *git, change, place, std::string(stage), text,
              std::string(kRollback) + what + "#" + std::to_string(all.back().entry.number));
}

std::vector<StageEntry> Registry::history(std::string_view name, std::string_view stage) const {
  check_name(std::string(name));
  check_stage(stage);
  const auto git = impl_->handles.lend();
  std::vector<StageEntry> entries;
  for (Given& one : given(*impl_, *git, std::string(name), std::string(stage))) {
    if (!one.over) entries.push_back(std::move(one.entry));
  }
  std::reverse(entries.begin(), entries.end());
  return entries;
}

std::map<std::string, StageEntry> Registry::staged(std::string_view name) const {
  check_name(std::string(name));
  const auto git = impl_->handles.lend();
  const auto versions = versions_by_commit(*impl_, *git, std::string(name));
  std::set<std::string> seen;  // their last, which comes first
  std::map<std::string, StageEntry> stages;
  for (const StageTag& tag : stage_tags(*impl_, std::string(name), "")) {
    if (!seen.insert(tag.stage).second || tag.over) continue;
    if (auto one = read_tag(*git, std::string(name), tag, versions))
      stages.emplace(tag.stage, std::move(one->entry));
  }
  return stages;
}

}  // namespace aiaccel
