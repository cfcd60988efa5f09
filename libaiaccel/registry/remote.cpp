// SPDX-License-Identifier: MIT
//
// Pushing and pulling, by git and git-lfs, which know every transport, and whose configuration,
// keys and helpers the user has. Weights go before the references that need them, and come after.

#include <fcntl.h>

#include <aiaccel/registry.hpp>
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <sstream>

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

  // What it says on its standard output.
  std::string git(std::vector<std::string> arguments, int error, const std::string& doing) const {
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
    if (ran.status == 0) return ran.out;
    std::string why = ran.err.empty() ? ran.out : ran.err;
    while (!why.empty() && why.back() == '\n') why.pop_back();
    const auto says = [&](const char* text) { return why.find(text) != std::string::npos; };
    if (says("'lfs' is not a git command"))
      throw Error(ENOENT, "cannot " + doing + ": git-lfs is not installed (package git-lfs)");
    if (says("does not appear to be a git repository")) {
      throw Error(ENOENT, "cannot " + doing + ": no repository is there (git init --bare makes " +
                              "one to push to): git says: " + why);
    }
    throw Error(error, "cannot " + doing + ": git says: " + why);
  }

  // What it has.
  std::map<std::string, std::string> refs() const {
    std::map<std::string, std::string> all;
    std::istringstream lines(git({"ls-remote", "--refs", name}, EIO, "ask " + name));
    std::string id, ref;
    while (lines >> id >> ref) all[ref] = id;
    return all;
  }

  // Where it keeps weights, if it is a folder. Git-lfs would take our lfs.storage for its.
  std::optional<Store> store() const {
    std::string url = url_;
    if (url.empty()) url = git({"remote", "get-url", "--push", name}, EIO, "find " + name);
    while (url.ends_with('\n')) url.pop_back();
    if (url.starts_with("file://")) url.erase(0, 7);
    const Path folder = impl_.folder / url;
    std::error_code none;
    if (!std::filesystem::is_directory(folder, none)) return {};
    const Git there(folder);
    if (there.config("lfs.storage")) {
      throw Error(EOPNOTSUPP, folder.string() + " keeps weights in a place of its own " +
                                  "(lfs.storage): push to it over a network");
    }
    return Store(there.git_dir());
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

using RefMap = std::map<std::string, std::string>;  // names and what they are of

// A folder of a model that a tag or a branch has, and a commit that has it.
struct Live {
  std::string model, commit;
  git_oid folder;
  bool there;  // a reference has it that is the same at the remote
};

// All of them, each once.
std::vector<Live> live_folders(const Impl& impl, const Git& git, const RefMap& theirs = {}) {
  std::vector<Live> all;
  const auto look = [&](const std::string& model, const std::string& commit, bool there) {
    const CommitPtr of = git.commit(commit);
    const auto folder = of ? git.entry(git.tree(of.get()).get(), model) : std::nullopt;
    if (folder && folder->mode == GIT_FILEMODE_TREE)
      all.push_back({model, commit, folder->id, there});
  };
  const auto is_there = [&](const std::string& name, const std::string& value) {
    const auto found = theirs.find(name);
    return found != theirs.end() && found->second == value;
  };
  for (const RefValue& value : impl.refs.list("refs/tags/")) {
    const auto tag = TagName::parse(std::string_view(value.name).substr(10));
    if (!tag || tag->over) continue;
    const std::string commit = value.peeled.empty() ? git.peel(value.value) : value.peeled;
    if (!commit.empty()) look(tag->name, commit, is_there(value.name, value.value));
  }
  std::set<std::string> branches = stages(impl);
  branches.insert("dev");
  for (const std::string& branch : branches) {
    const std::string name = "refs/heads/" + branch;
    const auto tip = impl.refs.find(name);
    const CommitPtr commit = tip ? git.commit(tip->value) : nullptr;
    if (!commit) continue;
    for (const std::string& model : model_names(git, git.tree(commit.get()).get()))
      look(model, tip->value, is_there(name, tip->value));
  }
  std::stable_partition(all.begin(), all.end(), [](const Live& live) { return live.there; });
  std::set<std::string> seen;
  std::erase_if(all, [&](const Live& live) { return !seen.insert(hex(live.folder)).second; });
  return all;
}

// Commits of which weights are not here, by model: of what tags and branches have.
std::map<std::string, std::vector<std::string>> lacking(const Impl& impl, const Git& git) {
  std::map<std::string, std::set<std::string>> commits;
  for (const Live& live : live_folders(impl, git)) {
    for (const TreeFile& file : tree_files(git, live.folder)) {
      const auto pointer = pointer_at(git, file.id);
      if (!pointer || impl.store.has(*pointer)) continue;
      commits[live.model].insert(live.commit);
      break;
    }
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

// Damage must not spread: what others get is what was added. What they have already is theirs.
void check_sound(const Impl& impl, const Git& git, const RefMap& theirs,
                 const OnProgress& progress) {
  std::map<std::string, std::pair<Pointer, std::string>> weights;
  std::uint64_t total = 0;
  for (const Live& live : live_folders(impl, git, theirs)) {
    if (live.there) continue;
    for (const TreeFile& file : tree_files(git, live.folder)) {
      const auto pointer = pointer_at(git, file.id);
      if (!pointer) continue;
      const std::string what = live.model + "/" + file.path + " of commit " + live.commit;
      if (weights.try_emplace(pointer->sha256, *pointer, what).second) total += pointer->size;
    }
  }
  std::uint64_t before = 0;
  for (const auto& [sha256, each] : weights) {
    const auto& [pointer, what] = each;
    impl.store.verify(pointer, "cannot push: " + what, [&](std::uint64_t done) {
      if (progress) progress({"checking", before + done, total});
    });
    before += pointer.size;
  }
}

// Git-lfs makes hard links in a folder on the same file system, and damage to one would be damage
// to both. So what that lacks is there before git-lfs looks.
void copy_weights(const Impl& impl, const Remote& remote, const OnProgress& progress) {
  const auto to = remote.store();
  if (!to) return;
  // Lines "push OID => PATH".
  std::istringstream lines(
      remote.git({"lfs", "push", "--dry-run", "--all", remote.name}, EIO, "list weights"));
  std::vector<std::pair<Pointer, std::string>> weights;
  std::uint64_t total = 0;
  std::string push, sha256, arrow, path;
  while (lines >> push >> sha256 >> arrow && std::getline(lines >> std::ws, path)) {
    std::error_code none;
    const Pointer pointer{sha256, std::filesystem::file_size(impl.store.path(sha256), none)};
    if (none || to->has(pointer)) continue;
    weights.emplace_back(pointer, path);
    total += pointer.size;
  }
  std::uint64_t before = 0;
  for (const auto& [pointer, name] : weights) {
    PutOptions options;
    options.sha256 = pointer.sha256;
    options.progress = [&, before](std::uint64_t done) {
      if (progress) progress({"weights", before + done, total});
    };
    to->put(open_file(impl.store.path(pointer.sha256), O_RDONLY), "cannot push: " + name, options);
    before += pointer.size;
  }
}

// A tag never changes its meaning; who made one again here has to say which of both it is.
void check_tags(const Impl& impl, const RefMap& theirs, const std::string& remote) {
  for (const RefValue& value : impl.refs.list("refs/tags/")) {
    const auto there = theirs.find(value.name);
    if (there == theirs.end() || there->second == value.value) continue;
    const std::string tag = value.name.substr(10);
    throw Error(EEXIST, tag + " is another one in " + remote +
                            ": give the one here another name, or take it away (git tag -d '" +
                            tag + "')");
  }
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
  const RefMap theirs = remote.refs();
  check_tags(*impl_, theirs, name);
  check_sound(*impl_, *git, theirs, progress);
  copy_weights(*impl_, remote, progress);
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
  check_tags(*impl_, remote.refs(), name);
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
