// SPDX-License-Identifier: MIT
//
// What the parts of Registry share. A Registry is this and nothing else; it has no state but
// handles, so that what others write is seen at once.
//
// Of locks between processes: who adds objects that nothing refers to yet holds `aiaccel/users`
// shared, and gc() holds it alone; who changes references makes a Change (refs.h), inside of that.
#pragma once

#include <aiaccel/registry.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "registry/git.h"
#include "registry/names.h"
#include "registry/refs.h"
#include "registry/store.h"

namespace aiaccel {

class [[gnu::visibility("hidden")]] Registry::Impl {
 public:
  explicit Impl(const std::filesystem::path& folder);

  const std::filesystem::path folder;
  registry::Handles handles;
  const std::filesystem::path git_dir;
  const registry::Refs refs;
  const registry::Store store;

  registry::FileLock use() const;        // while objects are made
  registry::FileLock use_alone() const;  // while they are removed
};

namespace registry {

using Impl = Registry::Impl;

constexpr std::string_view kDev = "refs/heads/dev";
constexpr std::string_view kSignatures = ".signatures";
constexpr std::string_view kRollback = "Rollback-from: ";
constexpr std::size_t kMostLoose = 256;  // tags, before they are packed

// A version tag and the commit that it is of.
struct VersionTag {
  std::string version;
  SemVer order;
  std::string tag;  // the object
  std::string commit;
};
// Highest first. `peel`: commits of all of them, or of none.
std::vector<VersionTag> version_tags(const Impl& impl, const Git& git, const std::string& name,
                                     bool peel = true);

// What a stage was given, latest first.
struct StageTag {
  std::string stage;
  std::uint64_t number = 0;
  std::string tag;
  bool over = false;
};
std::vector<StageTag> stage_tags(const Impl& impl, const std::string& name,
                                 const std::string& stage);
// Stages and the commit that each has now.
std::map<std::string, std::string> current_stages(const Impl& impl, const Git& git,
                                                  const std::string& name);

// Where the files of a model are: a commit, and its folder in there.
struct Place {
  std::string name;
  std::string commit;
  git_oid folder;
  std::string version;  // as far as the reference says
};
Place find(const Impl& impl, const Git& git, const Ref& ref);

// Of a commit's tree: the folders that are models.
std::set<std::string> model_names(const Git& git, const git_tree* tree);

// Every file in a folder, with its blob. Throws E2BIG, ELOOP, ENAMETOOLONG for what nobody added.
struct TreeFile {
  std::string path;
  git_oid id;
  git_filemode_t mode;
};
std::vector<TreeFile> tree_files(const Git& git, const git_oid& folder);
// Of a version: what Git itself keeps.
constexpr std::uint64_t kMostText = 256 << 20;
// Reads that, up to its end: a small pack can hold gigabytes of zeros.
class TextReader {
 public:
  explicit TextReader(const Git& git) : git_(git) {}
  std::string read(const TreeFile& file);  // throws EFBIG

 private:
  const Git& git_;
  std::uint64_t left_ = kMostText;
};
// The pointer that a blob is, if it is one.
std::optional<Pointer> pointer_at(const Git& git, const git_oid& blob);
// Of all of a folder's files. Throws EBADMSG for links and whatever else no model has.
std::vector<VersionFile> files_of(const Git& git, const git_oid& folder);

std::string message_of(const git_commit* commit);
std::chrono::system_clock::time_point time_of(const git_signature& who);
std::string author_of(const git_signature& who);

// Reads versions of one model: what is the same for all of them, once.
class Reader {
 public:
  Reader(const Impl& impl, const Git& git, const std::string& name);
  // The commit and what aiaccel.json says; `whole`: with its metadata, and files as the tree has
  // them.
  ModelVersion read(const Place& place, bool whole) const;

 private:
  bool is_signed(const std::string& version, const std::string& commit) const;

  const Git& git_;
  std::map<std::string, std::string> stages_;
  std::vector<TreePtr> signatures_;  // the model's folder of them, on each tip
};

// Of a model's folder: which version its aiaccel.json says that it is, "" for none.
std::string recorded_version(const Git& git, const git_oid& folder);
// Of a commit's folder: which version it is by its tags, "" for none.
std::string version_at(const Impl& impl, const Git& git, const std::string& name,
                       const std::string& commit, const git_oid& folder);

// After references changed: the index follows dev's new tip ("": it has none), tags are packed if
// many.
// Throws EBUSY where somebody has the files of that branch here, which nothing brings along when it
// moves: to be called before it does.
void check_not_checked_out(const Impl& impl, const Git& git, std::string_view branch);
void settle(const Impl& impl, const Git& git, Change& change, const std::string& new_tip);

// It was added again: see gc.cpp.
void forget_removal(const Impl& impl, const git_oid& folder);

void check_name(const std::string& name);
void check_stage(std::string_view stage);

}  // namespace registry
}  // namespace aiaccel
