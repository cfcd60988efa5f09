// SPDX-License-Identifier: MIT
//
// Pushing and pulling, by git and git-lfs, which know every transport, and whose configuration,
// keys and helpers the user has. Weights go before the references that need them, and come after.

#include <fcntl.h>

#include <aiaccel/registry.hpp>
#include <algorithm>
#include <cerrno>
#include <set>

#include "registry/impl.h"

namespace aiaccel::registry {
namespace {

constexpr std::size_t kBatch = 200;  // references a call
constexpr const char* kNameless = "aiaccel-remote";

// A remote by its name, or by an address that gets a name for as long as a call takes.
class Remote {
 public:
  Remote(const Impl& impl, const Git& git, const std::string& remote)
      : impl_(impl), nothing_(impl.git_dir / "aiaccel/no-files") {
    make_folders(nothing_);
    open_file(nothing_ / ".lfsconfig", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (remote.empty() || remote.front() == '-')
      throw Error(EINVAL, "'" + remote + "' is no remote");
    for (const char c : remote) {
      if (static_cast<unsigned char>(c) < ' ')
        throw Error(EINVAL, "a remote's name has a control character");
    }
    if (git.config("remote." + remote + ".url")) {
      name = remote;
      return;
    }
    std::error_code none;
    const bool folder = std::filesystem::is_directory(remote, none);
    if (!folder && remote.find(':') == std::string::npos) {
      throw Error(ENOENT,
                  "there is no remote '" + remote + "', neither by this name nor as a folder");
    }
    name = kNameless;
    url_ = folder ? std::filesystem::absolute(remote).lexically_normal().string() : remote;
  }

  void git(std::vector<std::string> arguments, int error, const std::string& doing) const {
    // History names weights that gc() took, and those of all that is live were looked for. They
    // are in the store's folder, whatever the user's configuration says; relative, since git-lfs
    // takes this for a remote in a folder, too.
    std::vector<std::string> argv{"git",
                                  "--git-dir=" + impl_.git_dir.string(),
                                  "--work-tree=" + nothing_.string(),
                                  "-c",
                                  "lfs.allowincompletepush=true",
                                  "-c",
                                  "lfs.storage=lfs"};
    if (!url_.empty()) argv.insert(argv.end(), {"-c", "remote." + name + ".url=" + url_});
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const Ran ran = run(argv, impl_.folder);
    if (ran.status == 0) return;
    std::string why = ran.err.empty() ? ran.out : ran.err;
    while (!why.empty() && why.back() == '\n') why.pop_back();
    throw Error(error, "cannot " + doing + ": git says: " + why);
  }

  std::string name;

 private:
  const Impl& impl_;
  // The working tree for git-lfs. It takes a .lfsconfig from there or else from dev, and in dev is
  // what was pulled: that would say to which server weights go. So there is one, which says
  // nothing.
  const Path nothing_;
  std::string url_;
};

// Stages that any model was given.
std::set<std::string> stages(const Impl& impl) {
  std::set<std::string> names;
  for (const RefValue& value : impl.refs.list("refs/tags/")) {
    const auto tag = TagName::parse(std::string_view(value.name).substr(10));
    if (tag && !tag->stage.empty()) names.insert(tag->stage);
  }
  return names;
}

// A model is one side's as a whole: a mix of two versions is one that nobody has ever added.
void check_no_mix(const Git& git, const std::string& branch, const git_oid& merged,
                  const git_commit* ours, const git_commit* theirs) {
  const TreePtr trees[] = {git.tree(merged), git.tree(ours), git.tree(theirs)};
  std::set<std::string> names;
  for (const TreePtr& tree : trees) names.merge(model_names(git, tree.get()));
  const auto id = [&](const TreePtr& tree, const std::string& name) {
    const auto folder = git.entry(tree.get(), name);
    return folder ? hex(folder->id) : std::string();
  };
  for (const std::string& name : names) {
    const std::string now = id(trees[0], name);
    if (now != id(trees[1], name) && now != id(trees[2], name)) {
      throw Error(EEXIST, "branch " + branch + " here and there both changed " + name +
                              ": merge them with git, and pull again");
    }
  }
}

// One branch takes over what the remote's has. What both changed is for the user to decide.
void take_over(const Impl& impl, const Git& git, const std::string& branch,
               const std::string& theirs, std::string& dev_tip) {
  const std::string name = "refs/heads/" + branch;
  Change change(impl.refs);
  for (int tries = 0;; tries++) {
    const auto ours = impl.refs.find(name);
    std::string next;
    if (!ours) {
      next = theirs;
    } else {
      const git_oid a = to_oid(ours->value);
      const git_oid b = to_oid(theirs);
      if (git_oid_equal(&a, &b) != 0) return;
      if (registry::git(git_graph_descendant_of(git.get(), &a, &b), "cannot compare " + branch) ==
          1)
        return;
      if (registry::git(git_graph_descendant_of(git.get(), &b, &a), "cannot compare " + branch) ==
          1) {
        next = theirs;
      } else {
        git_merge_options options = GIT_MERGE_OPTIONS_INIT;
        // A file of one model is no other name of another model's, however alike they are.
        options.flags &= ~static_cast<unsigned>(GIT_MERGE_FIND_RENAMES);
        git_index* raw = nullptr;
        const CommitPtr our_commit = git.commit(ours->value);
        const CommitPtr their_commit = git.commit(theirs);
        registry::git(
            git_merge_commits(&raw, git.get(), our_commit.get(), their_commit.get(), &options),
            "cannot merge " + branch);
        const IndexPtr merged(raw);
        if (git_index_has_conflicts(raw) != 0) {
          std::string path;
          for (std::size_t i = 0; path.empty() && i < git_index_entrycount(raw); i++) {
            const git_index_entry* const entry = git_index_get_byindex(raw, i);
            if (GIT_INDEX_ENTRY_STAGE(entry) != 0) path = entry->path;
          }
          throw Error(EEXIST, "branch " + branch + " here and there both changed " + path +
                                  ": merge them with git, and pull again");
        }
        git_oid tree;
        registry::git(git_index_write_tree_to(&tree, raw, git.get()), "cannot merge " + branch);
        check_no_mix(git, branch, tree, our_commit.get(), their_commit.get());
        next = git.write_commit(tree, {ours->value, theirs}, "Merge " + branch + " of a remote\n");
      }
    }
    check_not_checked_out(impl, git, name);
    if (change.set(name, ours ? ours->value : "", next, git.who_when(), "pull")) {
      if (name == kDev) dev_tip = next;
      settle(impl, git, change, name == kDev ? next : "");
      return;
    }
    if (tries == 100) throw Error(EBUSY, branch + " changes all the time");
  }
}

// Commits of which weights are not here, by model: of what tags and branches have.
std::map<std::string, std::vector<std::string>> lacking(const Impl& impl, const Git& git) {
  std::map<std::string, std::set<std::string>> commits;
  std::set<std::string> seen;
  const auto look = [&](const std::string& name, const std::string& commit) {
    const CommitPtr of = git.commit(commit);
    const auto folder = of ? git.entry(git.tree(of.get()).get(), name) : std::nullopt;
    if (!folder || folder->mode != GIT_FILEMODE_TREE || !seen.insert(hex(folder->id)).second)
      return;
    for (const TreeFile& file : tree_files(git, folder->id)) {
      const auto pointer = pointer_at(git, file.id);
      if (pointer && !impl.store.has(*pointer)) {
        commits[name].insert(commit);
        return;
      }
    }
  };
  for (const RefValue& value : impl.refs.list("refs/tags/")) {
    const auto tag = TagName::parse(std::string_view(value.name).substr(10));
    if (!tag || tag->over) continue;
    const std::string commit = value.peeled.empty() ? git.peel(value.value) : value.peeled;
    if (!commit.empty()) look(tag->name, commit);
  }
  std::set<std::string> branches = stages(impl);
  branches.insert("dev");
  for (const std::string& branch : branches) {
    const auto tip = impl.refs.find("refs/heads/" + branch);
    const CommitPtr commit = tip ? git.commit(tip->value) : nullptr;
    if (!commit) continue;
    for (const std::string& name : model_names(git, git.tree(commit.get()).get()))
      look(name, tip->value);
  }
  std::map<std::string, std::vector<std::string>> all;
  for (const auto& [name, each] : commits) all[name].assign(each.begin(), each.end());
  return all;
}

void check_complete(const Impl& impl, const Git& git, const std::string& doing) {
  const auto missing = lacking(impl, git);
  if (missing.empty()) return;
  const auto& [model, commits] = *missing.begin();
  throw Error(ENODATA,
              doing + ": weights of " + model + " in commit " + commits.front() + " are not here");
}

}  // namespace
}  // namespace aiaccel::registry

namespace aiaccel {

using namespace registry;

void Registry::push(const std::string& name, const OnProgress& progress) {
  const auto git = impl_->handles.lend();
  const Remote remote(*impl_, *git, name);
  const FileLock using_it = impl_->use();
  check_complete(*impl_, *git, "cannot push to " + name);
  if (progress) progress({"weights", 0, 0});
  remote.git({"lfs", "push", "--all", remote.name}, EIO, "push weights to " + name);
  if (progress) progress({"references", 0, 0});
  // The hook would push weights once more.
  std::vector<std::string> arguments{"push", "--atomic", "--no-verify", remote.name,
                                     "refs/tags/*:refs/tags/*"};
  std::set<std::string> branches = stages(*impl_);
  branches.insert("dev");
  for (const std::string& branch : branches) {
    if (impl_->refs.find("refs/heads/" + branch))
      arguments.push_back("refs/heads/" + branch + ":refs/heads/" + branch);
  }
  remote.git(arguments, EIO, "push to " + name);
}

void Registry::pull(const std::string& name, const OnProgress& progress) {
  const auto git = impl_->handles.lend();
  const Remote remote(*impl_, *git, name);
  const FileLock using_it = impl_->use();
  if (progress) progress({"references", 0, 0});
  const std::string tracking = "refs/remotes/" + remote.name + "/";
  remote.git({"fetch", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head", remote.name,
              "+refs/heads/*:" + tracking + "*", "refs/tags/*:refs/tags/*"},
             EIO, "pull from " + name);
  std::set<std::string> branches = stages(*impl_);
  branches.insert("dev");
  std::string dev_tip;
  for (const RefValue& value : impl_->refs.list(tracking)) {
    const std::string branch = value.name.substr(tracking.size());
    if (branches.contains(branch)) take_over(*impl_, *git, branch, value.value, dev_tip);
  }
  if (progress) progress({"weights", 0, 0});
  for (const auto& [model, commits] : lacking(*impl_, *git)) {
    for (std::size_t from = 0; from < commits.size(); from += kBatch) {
      std::vector<std::string> arguments{"lfs", "fetch", "-I",       model + "/**",
                                         "-X",  "",      remote.name};
      const std::size_t to = std::min(commits.size(), from + kBatch);
      arguments.insert(arguments.end(), commits.begin() + static_cast<std::ptrdiff_t>(from),
                       commits.begin() + static_cast<std::ptrdiff_t>(to));
      remote.git(arguments, ENODATA, "pull the weights of " + model + " from " + name);
    }
  }
  check_complete(*impl_, *git, "not all was pulled from " + name);
}

}  // namespace aiaccel
