// SPDX-License-Identifier: MIT
//
// What is in the registry: names to commits, commits to versions. Nothing here writes.

#include <aiaccel/registry.hpp>
#include <algorithm>
#include <cerrno>
#include <set>

#include "registry/impl.h"
#include "registry/record.h"
#include "registry/sha256.h"
#include "registry/source.h"

namespace aiaccel::registry {
namespace {

constexpr int kDeepest = 64;

std::string list_some(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 8;
  if (names.empty()) return "none";
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kShown; i++)
    text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kShown ? text + " and " + std::to_string(names.size() - kShown) + " more"
                               : text;
}

std::string commit_of(const Git& git, const RefValue& value) {
  return value.peeled.empty() ? git.peel(value.value) : value.peeled;
}

std::optional<git_oid> folder_in(const Git& git, const git_commit* commit,
                                 const std::string& name) {
  const auto entry = git.entry(git.tree(commit).get(), name);
  if (!entry || entry->mode != GIT_FILEMODE_TREE) return {};
  return entry->id;
}

[[noreturn]] void nothing_there(const Impl& impl, const Git& git, const Ref& ref) {
  std::vector<std::string> there;
  for (const VersionTag& tag : version_tags(impl, git, ref.name, false))
    there.push_back(tag.version);
  throw Error(ENOENT,
              "there is no " + ref.str() + "; versions of " + ref.name + ": " + list_some(there));
}

Place place_at(const Impl& impl, const Git& git, const Ref& ref, const std::string& id,
               const std::string& version) {
  const CommitPtr commit = id.empty() ? nullptr : git.commit(id);
  if (!commit) throw Error(EBADMSG, ref.str() + ": the tag is of no commit");
  const auto folder = folder_in(git, commit.get(), ref.name);
  if (!folder) throw Error(ENOENT, ref.str() + ": commit " + id + " has no folder " + ref.name);
  Place place{ref.name, hex(*git_commit_id(commit.get())), *folder, version};
  if (version.empty()) place.version = version_at(impl, git, ref.name, place.commit, place.folder);
  return place;
}

Place find_head(const Impl& impl, const Git& git, const Ref& ref) {
  const auto dev = impl.refs.find(std::string(kDev));
  const CommitPtr tip = dev ? git.commit(dev->value) : nullptr;
  const auto folder = tip ? folder_in(git, tip.get(), ref.name) : std::nullopt;
  if (!folder) {
    throw Error(ENOENT, "there is no model " + ref.name + " on dev");
  }
  // The version that it says to be, if it is that.
  if (const std::string version = recorded_version(git, *folder); !version.empty()) {
    if (const auto tag = impl.refs.find("refs/tags/" + ref.name + "@" + version)) {
      const CommitPtr commit = git.commit(tag->value);
      const auto same = commit ? folder_in(git, commit.get(), ref.name) : std::nullopt;
      if (same && git_oid_equal(&*same, &*folder) != 0) {
        return {ref.name, hex(*git_commit_id(commit.get())), *folder, version};
      }
    }
  }
  // Else the commit that brought this folder.
  CommitPtr brought;
  git_commit* raw = nullptr;
  git_commit_dup(&raw, tip.get());
  brought.reset(raw);
  while (git_commit_parentcount(brought.get()) > 0) {
    git_commit* parent = nullptr;
    registry::git(git_commit_parent(&parent, brought.get(), 0), "cannot read a commit");
    CommitPtr owned(parent);
    const auto before = folder_in(git, parent, ref.name);
    if (!before || git_oid_equal(&*before, &*folder) == 0) break;
    brought = std::move(owned);
  }
  Place place{ref.name, hex(*git_commit_id(brought.get())), *folder, {}};
  place.version = version_at(impl, git, ref.name, place.commit, place.folder);
  return place;
}

// A tree may be anybody's: a few objects of Git can say that there are more files than atoms, since
// each folder may be in many. So no more is read of one model than add() takes, and its own files.
class TreeWalk {
 public:
  explicit TreeWalk(const Git& git) : git_(git) {}

  void walk(const git_oid& folder, const std::string& inside, int depth) {
    if (depth > kDeepest)
      throw Error(ELOOP, "a tree is " + std::to_string(kDeepest) + " folders deep");
    const TreePtr tree = git_.tree(folder);
    for (std::size_t i = 0; i < git_tree_entrycount(tree.get()); i++) {
      const git_tree_entry* const entry = git_tree_entry_byindex(tree.get(), i);
      const std::string path = inside + git_tree_entry_name(entry);
      if (++entries_ > kMostEntries + kOwnFiles) {
        throw Error(E2BIG,
                    "a tree has more than " + std::to_string(kMostEntries) + " files and folders");
      }
      if (path.size() > kLongestPath) {
        throw Error(ENAMETOOLONG, "a file's name in a tree is longer than " +
                                      std::to_string(kLongestPath) + " bytes");
      }
      if (git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
        walk(*git_tree_entry_id(entry), path + "/", depth + 1);
      } else if (path != ".gitattributes") {
        files.push_back({path, *git_tree_entry_id(entry), git_tree_entry_filemode(entry)});
      }
    }
  }

  std::vector<TreeFile> files;

 private:
  static constexpr std::size_t kOwnFiles = 2;  // aiaccel.json and .gitattributes

  const Git& git_;
  std::size_t entries_ = 0;
};

class ModelSearch {
 public:
  explicit ModelSearch(const Git& git) : git_(git) {}

  // Whether there are any.
  bool find(const git_tree* tree, const std::string& inside, int depth) {
    if (depth > kDeepest) return false;
    bool any = false;
    for (std::size_t i = 0; i < git_tree_entrycount(tree); i++) {
      const git_tree_entry* const entry = git_tree_entry_byindex(tree, i);
      const std::string name = inside + git_tree_entry_name(entry);
      if (git_tree_entry_type(entry) != GIT_OBJECT_TREE || !why_no_name(name).empty()) continue;
      const auto place = std::pair(name.size(), hex(*git_tree_entry_id(entry)));
      if (barren_.contains(place)) continue;
      const TreePtr below = git_.tree(*git_tree_entry_id(entry));
      if (git_tree_entry_byname(below.get(), std::string(kRecord).c_str()) != nullptr) {
        names.insert(name);
        if (names.size() > kMostModels)
          throw Error(E2BIG, "a tree has more than " + std::to_string(kMostModels) + " models");
        any = true;
      } else if (find(below.get(), name + "/", depth + 1)) {
        any = true;
      } else {
        barren_.insert(place);
      }
    }
    return any;
  }

  std::set<std::string> names;

 private:
  static constexpr std::size_t kMostModels = 100000;

  const Git& git_;
  // Folders without models, since each may be in many; with how much of a name is above them, since
  // that has an end.
  std::set<std::pair<std::size_t, std::string>> barren_;
};

}  // namespace

void check_name(const std::string& name) {
  if (const std::string why = why_no_name(name); !why.empty())
    throw Error(EINVAL, "'" + name + "' is no model's name: " + why);
}

void check_stage(std::string_view stage) {
  if (const std::string why = why_no_stage(stage); !why.empty()) {
    throw Error(EINVAL, "'" + std::string(stage) + "' is no stage: " + why);
  }
}

std::vector<VersionTag> version_tags(const Impl& impl, const Git& git, const std::string& name,
                                     bool peel) {
  const std::string prefix = "refs/tags/" + name + "@";
  std::vector<VersionTag> tags;
  for (const RefValue& value : impl.refs.list(prefix)) {
    std::string version = value.name.substr(prefix.size());
    auto order = SemVer::parse(version);
    if (!order) continue;
    std::string commit = peel ? commit_of(git, value) : std::string();
    if (peel && commit.empty()) continue;
    tags.push_back({std::move(version), std::move(*order), value.value, std::move(commit)});
  }
  std::sort(tags.begin(), tags.end(),
            [](const VersionTag& a, const VersionTag& b) { return a.order > b.order; });
  return tags;
}

std::vector<StageTag> stage_tags(const Impl& impl, const std::string& name,
                                 const std::string& stage) {
  std::vector<StageTag> tags;
  const std::string prefix = "refs/tags/" + name + "#" + stage;
  for (const RefValue& value : impl.refs.list(prefix)) {
    const auto tag = TagName::parse(std::string_view(value.name).substr(10));
    if (tag && tag->name == name && !tag->stage.empty() && (stage.empty() || tag->stage == stage)) {
      tags.push_back({tag->stage, tag->number, value.value, tag->over});
    }
  }
  std::sort(tags.begin(), tags.end(),
            [](const StageTag& a, const StageTag& b) { return a.number > b.number; });
  return tags;
}

std::map<std::string, std::string> current_stages(const Impl& impl, const Git& git,
                                                  const std::string& name) {
  std::map<std::string, std::string> now;
  for (const StageTag& tag : stage_tags(impl, name, "")) {
    if (!now.contains(tag.stage)) now[tag.stage] = tag.over ? "" : git.peel(tag.tag);
  }
  return now;
}

std::string recorded_version(const Git& git, const git_oid& folder) {
  const auto record = git.entry(git.tree(folder).get(), std::string(kRecord));
  if (!record || record->mode == GIT_FILEMODE_TREE || git.size(record->id) > kLongestRecord)
    return {};
  ModelVersion version;
  try {
    read_record(git.blob(record->id), false, version);
  } catch (const Error& error) {
    if (error.code().value() != EBADMSG) throw;
    return {};  // then its tags say; who reads the version is told
  }
  return why_no_version(version.version).empty() ? version.version : "";
}

std::string version_at(const Impl& impl, const Git& git, const std::string& name,
                       const std::string& commit, const git_oid& folder) {
  if (const std::string version = recorded_version(git, folder); !version.empty()) {
    const auto tag = impl.refs.find("refs/tags/" + name + "@" + version);
    if (tag && git.peel(tag->value) == commit) return version;
  }
  for (const VersionTag& tag : version_tags(impl, git, name)) {
    if (tag.commit == commit) return tag.version;
  }
  return {};
}

Place find(const Impl& impl, const Git& git, const Ref& ref) {
  check_name(ref.name);
  switch (ref.kind) {
    case Ref::Kind::head:
      return find_head(impl, git, ref);
    case Ref::Kind::version: {
      const auto tag = why_no_version(ref.what).empty()
                           ? impl.refs.find("refs/tags/" + ref.name + "@" + ref.what)
                           : std::nullopt;
      if (!tag) nothing_there(impl, git, ref);
      return place_at(impl, git, ref, git.peel(tag->value), ref.what);
    }
    case Ref::Kind::latest: {
      const std::string prefix = "refs/tags/" + ref.name + "@";
      Highest highest;
      impl.refs.names(prefix,
                      [&](std::string_view name) { highest.add(name.substr(prefix.size())); });
      const std::string version = highest.found();
      const auto tag = version.empty() ? std::nullopt : impl.refs.find(prefix + version);
      if (!tag) nothing_there(impl, git, ref);
      return place_at(impl, git, ref, git.peel(tag->value), version);
    }
    case Ref::Kind::stage: {
      check_stage(ref.what);
      const auto tags = stage_tags(impl, ref.name, ref.what);
      if (tags.empty())
        throw Error(ENOENT, "nothing was ever promoted to " + ref.name + "#" + ref.what);
      const auto tag = ref.number == 0
                           ? tags.begin()
                           : std::find_if(tags.begin(), tags.end(), [&](const StageTag& each) {
                               return each.number == ref.number;
                             });
      if (tag == tags.end()) {
        throw Error(ENOENT, "there is no " + ref.str() + "; the last is number " +
                                std::to_string(tags.front().number));
      }
      if (tag->over) throw Error(ENOENT, "nothing is in " + ref.str() + ": it was taken out");
      return place_at(impl, git, ref, git.peel(tag->tag), {});
    }
    case Ref::Kind::commit: {
      git_oid id;
      git_object* object = nullptr;
      if (git_oid_fromstrn(&id, ref.what.c_str(), ref.what.size()) < 0)
        throw Error(EINVAL, ref.str() + " names no commit");
      const int result =
          git_object_lookup_prefix(&object, git.get(), &id, ref.what.size(), GIT_OBJECT_COMMIT);
      if (result == GIT_ENOTFOUND) throw Error(ENOENT, "there is no commit " + ref.what);
      registry::git(result, ref.str());
      const ObjectPtr owned(object);
      return place_at(impl, git, ref, hex(*git_object_id(object)), {});
    }
  }
  throw Error(EINVAL, "there is no such reference");
}

std::set<std::string> model_names(const Git& git, const git_tree* tree) {
  ModelSearch search(git);
  search.find(tree, "", 0);
  return std::move(search.names);
}

std::vector<TreeFile> tree_files(const Git& git, const git_oid& folder) {
  TreeWalk tree(git);
  tree.walk(folder, "", 0);
  std::sort(tree.files.begin(), tree.files.end(),
            [](const TreeFile& a, const TreeFile& b) { return a.path < b.path; });
  return std::move(tree.files);
}

std::optional<Pointer> pointer_at(const Git& git, const git_oid& blob) {
  if (git.size(blob) >= Pointer::kLongest) return {};
  return Pointer::parse(git.blob(blob));
}

std::string TextReader::read(const TreeFile& file) {
  const std::size_t size = git_.size(file.id);
  // Those as small as pointers are bounded by how many files there may be: add() counts no
  // pointers.
  if (size <= Pointer::kLongest) return git_.blob(file.id);
  if (size > left_) {
    throw Error(EFBIG, file.path + ": Git itself has more than " + std::to_string(kMostText) +
                           " bytes of this version");
  }
  left_ -= size;
  return git_.blob(file.id);
}

std::vector<VersionFile> files_of(const Git& git, const git_oid& folder) {
  TextReader texts(git);
  std::vector<VersionFile> files;
  for (const TreeFile& file : tree_files(git, folder)) {
    if (file.mode != GIT_FILEMODE_BLOB && file.mode != GIT_FILEMODE_BLOB_EXECUTABLE) {
      throw Error(EBADMSG, file.path + " is a link or another repository, and no file");
    }
    const std::string text = texts.read(file);
    if (const auto pointer = Pointer::parse(text)) {
      files.push_back({file.path, pointer->sha256, pointer->size, true});
    } else {
      files.push_back({file.path, Sha256::of(text), text.size(), false});
    }
  }
  return files;
}

std::string message_of(const git_commit* commit) {
  std::string message = git_commit_message(commit);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return message;
}

std::chrono::system_clock::time_point time_of(const git_signature& who) {
  return std::chrono::system_clock::from_time_t(static_cast<std::time_t>(who.when.time));
}

std::string author_of(const git_signature& who) {
  return std::string(who.name) + " <" + who.email + ">";
}

Reader::Reader(const Impl& impl, const Git& git, const std::string& name)
    : git_(git), stages_(current_stages(impl, git, name)) {
  for (const char* const where : {"refs/heads/", "refs/remotes/"}) {
    for (const RefValue& tip : impl.refs.list(where)) {
      const CommitPtr commit = git.commit(tip.value);
      if (!commit) continue;
      const auto folder =
          git.entry(git.tree(commit.get()).get(), std::string(kSignatures) + "/" + name);
      if (folder && folder->mode == GIT_FILEMODE_TREE) signatures_.push_back(git.tree(folder->id));
    }
  }
}

bool Reader::is_signed(const std::string& version, const std::string& commit) const {
  return std::any_of(signatures_.begin(), signatures_.end(), [&](const TreePtr& tree) {
    return git_tree_entry_byname(tree.get(), (commit + ".sig").c_str()) != nullptr ||
           (!version.empty() &&
            git_tree_entry_byname(tree.get(), (version + ".sig").c_str()) != nullptr);
  });
}

ModelVersion Reader::read(const Place& place, bool whole) const {
  const CommitPtr commit = git_.commit(place.commit);
  if (!commit) throw Error(EIO, "cannot read commit " + place.commit);
  ModelVersion version;
  const TreePtr folder = git_.tree(place.folder);
  const git_tree_entry* const record =
      git_tree_entry_byname(folder.get(), std::string(kRecord).c_str());
  if (record != nullptr && git_tree_entry_type(record) == GIT_OBJECT_BLOB) {
    const git_oid& id = *git_tree_entry_id(record);
    if (git_.size(id) > kLongestRecord)
      throw Error(EBADMSG, place.name + ": its " + std::string(kRecord) + " is too large");
    const std::string text = git_.blob(id);
    read_record(text, whole, version);
    if (!whole)
      version.files.insert(version.files.begin(),
                           {std::string(kRecord), Sha256::of(text), text.size(), false});
  }
  // The tree is what there is, whatever the record says.
  if (whole || record == nullptr) version.files = files_of(git_, place.folder);
  std::sort(version.files.begin(), version.files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  if (place.version.empty() && why_no_version(version.version).empty())
    version.removed = version.version;
  version.name = place.name;
  version.version = place.version;
  version.commit = place.commit;
  version.author = author_of(*git_commit_author(commit.get()));
  version.message = message_of(commit.get());
  version.time = time_of(*git_commit_committer(commit.get()));
  for (const auto& [stage, at] : stages_) {
    if (at == place.commit) version.stages.push_back(stage);
  }
  version.is_signed = is_signed(version.version, version.commit);
  return version;
}

}  // namespace aiaccel::registry

namespace aiaccel {

using namespace registry;

ModelVersion Registry::resolve(const Ref& ref) const {
  const auto git = impl_->handles.lend();
  return Reader(*impl_, *git, ref.name).read(find(*impl_, *git, ref), true);
}

std::vector<std::string> Registry::models() const {
  const auto git = impl_->handles.lend();
  std::set<std::string> names;
  for (const RefValue& value : impl_->refs.list("refs/tags/")) {
    const auto tag = TagName::parse(std::string_view(value.name).substr(10));
    if (tag && !tag->over) names.insert(tag->name);
  }
  if (const auto dev = impl_->refs.find(std::string(kDev))) {
    if (const CommitPtr tip = git->commit(dev->value))
      names.merge(model_names(*git, git->tree(tip.get()).get()));
  }
  return {names.begin(), names.end()};
}

std::vector<ModelVersion> Registry::versions(std::string_view name) const {
  const auto git = impl_->handles.lend();
  check_name(std::string(name));
  const Reader reader(*impl_, *git, std::string(name));
  std::vector<ModelVersion> versions;
  for (const VersionTag& tag : version_tags(*impl_, *git, std::string(name))) {
    const CommitPtr commit = git->commit(tag.commit);
    const auto folder = commit ? folder_in(*git, commit.get(), std::string(name)) : std::nullopt;
    // Somebody may have made a tag like ours of something else.
    if (folder)
      versions.push_back(reader.read({std::string(name), tag.commit, *folder, tag.version}, false));
  }
  return versions;
}

std::vector<ModelVersion> Registry::log(const Ref& ref) const {
  const auto git = impl_->handles.lend();
  const Place from = find(*impl_, *git, ref);
  const Reader reader(*impl_, *git, ref.name);
  std::map<std::string, std::string> names;
  for (const VersionTag& tag : version_tags(*impl_, *git, ref.name))
    names.emplace(tag.commit, tag.version);

  git_revwalk* raw = nullptr;
  registry::git(git_revwalk_new(&raw, git->get()), "cannot read the log");
  const WalkPtr walk(raw);
  git_revwalk_sorting(raw, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME);
  const git_oid start = to_oid(from.commit);
  registry::git(git_revwalk_push(raw, &start), "cannot read the log");
  std::vector<ModelVersion> log;
  git_oid id;
  while (git_revwalk_next(&id, raw) == 0) {
    const CommitPtr commit = git->commit(hex(id));
    const auto folder = folder_in(*git, commit.get(), ref.name);
    bool changed = folder.has_value();
    for (unsigned i = 0; changed && i < git_commit_parentcount(commit.get()); i++) {
      const CommitPtr parent = git->commit(hex(*git_commit_parent_id(commit.get(), i)));
      const auto before = parent ? folder_in(*git, parent.get(), ref.name) : std::nullopt;
      changed = !before || git_oid_equal(&*before, &*folder) == 0;
    }
    if (!changed) continue;
    const std::string text = hex(id);
    const auto named = names.find(text);
    log.push_back(
        reader.read({ref.name, text, *folder, named == names.end() ? "" : named->second}, false));
  }
  return log;
}

}  // namespace aiaccel
