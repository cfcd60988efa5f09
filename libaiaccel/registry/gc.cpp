// SPDX-License-Identifier: MIT
//
// What is taken away. gc() removes weights that nothing reaches: it walks all that references,
// their logs, stashes and indexes name, and throws where it cannot, rather than to take what it did
// not see for unused.
//
// History names every version for ever, since it is never rewritten. So remove() marks the folder
// of the version that it takes away (`aiaccel/removed/TREE`, in this repository alone), and the
// walk passes over it in old commits; what a branch has now, or a tag is of, counts all the same.

#include <fcntl.h>
#include <git2/sys/repository.h>
#include <sys/stat.h>
#include <unistd.h>

#include <aiaccel/registry.hpp>
#include <algorithm>
#include <cerrno>
#include <ctime>
#include <unordered_set>

#include "registry/impl.h"

namespace aiaccel::registry {
namespace {

using Names = std::unordered_set<std::string>;

constexpr std::size_t kLongestFetchHead = 64 << 20;

Path removed_folder(const Impl& impl) {
  return impl.git_dir / "aiaccel/removed";
}

Names removed(const Impl& impl) {
  Names names;
  std::error_code none;
  for (const auto& each : std::filesystem::directory_iterator(removed_folder(impl), none))
    names.insert(each.path().filename().string());
  return names;
}

class Reach {
 public:
  Reach(const Impl& impl, const Git& git, Names removed)
      : impl_(impl), git_(git), removed_(std::move(removed)) {}

  // All there is, but for one reference.
  void walk(const std::string& without) {
    git_revwalk* raw = nullptr;
    registry::git(git_revwalk_new(&raw, git_.get()), "cannot walk");
    const WalkPtr walk(raw);
    const auto push = [&](const std::string& id) {
      const git_oid oid = to_oid(id);
      registry::git(git_revwalk_push(raw, &oid), "cannot walk from " + id);
    };
    std::vector<std::string> tips;
    for (const RefValue& value : impl_.refs.list("refs/")) {
      if (value.name == without) continue;
      const std::string commit = git_.peel(value.value);
      if (commit.empty()) {
        object(value.value);
        continue;
      }
      push(commit);
      const auto tag = value.name.starts_with("refs/tags/")
                           ? TagName::parse(std::string_view(value.name).substr(10))
                           : std::nullopt;
      const CommitPtr of = git_.commit(commit);
      const TreePtr root = git_.tree(of.get());
      const auto folder = tag ? git_.entry(root.get(), tag->name) : std::nullopt;
      if (folder && folder->mode == GIT_FILEMODE_TREE) {
        tree(folder->id, false);
      } else {
        tree(*git_tree_id(root.get()), false);
      }
    }
    for (const char* const name :
         {"HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"})
      head(name, push);
    index(impl_.git_dir / "index");
    std::error_code none;
    for (const auto& each :
         std::filesystem::directory_iterator(impl_.git_dir / "worktrees", none)) {
      head("worktrees/" + each.path().filename().string() + "/HEAD", push);
      index(each.path() / "index");
    }
    logs(push);
    if (const auto fetched = read_file(impl_.git_dir / "FETCH_HEAD", kLongestFetchHead)) {
      for (std::size_t at = 0; at + 40 <= fetched->size();) {
        if (const std::string commit = peel_known(fetched->substr(at, 40)); !commit.empty())
          push(commit);
        at = std::min(fetched->find('\n', at), fetched->size() - 1) + 1;
      }
    }
    git_oid id;
    int result = 0;
    while ((result = git_revwalk_next(&id, raw)) == 0) {
      const CommitPtr commit = git_.commit(hex(id));
      tree(*git_commit_tree_id(commit.get()), true);
    }
    if (result != GIT_ITEROVER) registry::git(result, "cannot walk all commits");
  }

  bool weights(const std::string& sha256) const { return weights_.contains(sha256); }
  bool folder(const std::string& tree) const { return whole_.contains(tree); }

 private:
  template <typename Push>
  void head(const std::string& name, const Push& push) {
    std::error_code none;
    if (!std::filesystem::exists(impl_.git_dir / name, none)) return;
    const auto value = impl_.refs.find(name);
    if (!value) return;  // a branch that has no commit yet
    push(value->value);
    const CommitPtr commit = git_.commit(value->value);
    tree(*git_commit_tree_id(commit.get()), false);
  }

  std::string peel_known(const std::string& id) const {
    if (id.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
    return git_.peel(id);
  }

  // Both ends of each line, stashes among them. What an old entry named may be gone.
  template <typename Push>
  void logs(const Push& push) {
    std::vector<Path> folders{impl_.git_dir / "logs"};
    std::error_code none;
    for (const auto& each : std::filesystem::directory_iterator(impl_.git_dir / "worktrees", none))
      folders.push_back(each.path() / "logs");
    Names seen;
    for (const Path& folder : folders) {
      for (const auto& each : std::filesystem::recursive_directory_iterator(folder, none)) {
        if (!each.is_regular_file()) continue;
        const auto text = read_file(each.path(), std::size_t{1} << 30);
        // A stash is nowhere else, so what it has now counts as a branch does.
        const bool stash = each.path().filename() == "stash";
        for (std::size_t at = 0; text && at + 81 <= text->size();) {
          for (const std::size_t from : {at, at + 41}) {
            const std::string id = text->substr(from, 40);
            if (!seen.insert(id).second) continue;
            const std::string commit = peel_known(id);
            if (commit.empty()) continue;
            push(commit);
            if (stash) tree(*git_commit_tree_id(git_.commit(commit).get()), false);
          }
          at = std::min(text->find('\n', at), text->size() - 1) + 1;
        }
      }
    }
  }

  void index(const Path& path) {
    std::error_code none;
    if (!std::filesystem::exists(path, none)) return;
    git_index* raw = nullptr;
    registry::git(git_index_open(&raw, path.c_str()), "cannot read " + path.string());
    const IndexPtr index(raw);
    for (std::size_t i = 0; i < git_index_entrycount(raw); i++) {
      const git_index_entry* const entry = git_index_get_byindex(raw, i);
      if (entry->mode != GIT_FILEMODE_COMMIT) blob(entry->id);
    }
  }

  // What a reference names that is no commit: a blob or a tree, or a tag of one.
  void object(const std::string& id) {
    const git_oid oid = to_oid(id);
    git_object* raw = nullptr;
    registry::git(git_object_lookup(&raw, git_.get(), &oid, GIT_OBJECT_ANY), "cannot read " + id);
    ObjectPtr object(raw);
    while (git_object_type(object.get()) == GIT_OBJECT_TAG) {
      git_object* of = nullptr;
      registry::git(git_tag_target(&of, reinterpret_cast<const git_tag*>(object.get())),
                    "cannot read a tag");
      object.reset(of);
    }
    if (git_object_type(object.get()) == GIT_OBJECT_TREE) tree(*git_object_id(object.get()), false);
    if (git_object_type(object.get()) == GIT_OBJECT_BLOB) blob(*git_object_id(object.get()));
  }

  // However deep: a commit may be anybody's.
  void tree(const git_oid& root, bool history) {
    std::vector<git_oid> left{root};
    while (!left.empty()) {
      const git_oid id = left.back();
      left.pop_back();
      const std::string name = hex(id);
      if (whole_.contains(name)) continue;
      if (history && (removed_.contains(name) || !partly_.insert(name).second)) continue;
      if (!history) whole_.insert(name);
      const TreePtr tree = git_.tree(id);
      for (std::size_t i = 0; i < git_tree_entrycount(tree.get()); i++) {
        const git_tree_entry* const entry = git_tree_entry_byindex(tree.get(), i);
        if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
          left.push_back(*git_tree_entry_id(entry));
        if (git_tree_entry_type(entry) == GIT_OBJECT_BLOB) blob(*git_tree_entry_id(entry));
      }
    }
  }

  void blob(const git_oid& id) {
    if (!blobs_.insert(hex(id)).second) return;
    if (const auto pointer = pointer_at(git_, id)) weights_.insert(pointer->sha256);
  }

  const Impl& impl_;
  const Git& git_;
  const Names removed_;
  Names whole_;   // trees of which all counts
  Names partly_;  // of which all counts but what was removed
  Names blobs_;
  Names weights_;
};

bool is_old(const Path& path, std::chrono::seconds grace, std::uint64_t& bytes) {
  struct stat seen {};
  if (::lstat(path.c_str(), &seen) < 0) return false;
  bytes = static_cast<std::uint64_t>(seen.st_size);
  // The time of change cannot be set, and to link or rename a file sets it to now.
  return static_cast<std::int64_t>(seen.st_ctim.tv_sec) + grace.count() <=
         static_cast<std::int64_t>(::time(nullptr));
}

void remove_whole(const Path& path) {
  std::error_code none;
  if (std::filesystem::is_directory(std::filesystem::symlink_status(path, none))) {
    ::chmod(path.c_str(), 0755);
    for (const auto& each : std::filesystem::recursive_directory_iterator(path, none)) {
      if (each.is_directory(none) && !each.is_symlink(none)) ::chmod(each.path().c_str(), 0755);
    }
  }
  std::error_code failed;
  std::filesystem::remove_all(path, failed);
  if (failed) throw Error(failed.value(), "cannot remove " + path.string());
}

std::uint64_t bytes_below(const Path& path) {
  std::uint64_t bytes = 0;
  std::error_code none;
  struct stat seen {};
  if (::lstat(path.c_str(), &seen) == 0 && S_ISREG(seen.st_mode))
    return seen.st_nlink == 1 ? static_cast<std::uint64_t>(seen.st_size) : 0;
  for (const auto& each : std::filesystem::recursive_directory_iterator(path, none)) {
    // What has another name takes no room here.
    if (::lstat(each.path().c_str(), &seen) == 0 && S_ISREG(seen.st_mode) && seen.st_nlink == 1)
      bytes += static_cast<std::uint64_t>(seen.st_size);
  }
  return bytes;
}

}  // namespace

void forget_removal(const Impl& impl, const git_oid& folder) {
  ::unlink((removed_folder(impl) / hex(folder)).c_str());
}

}  // namespace aiaccel::registry

namespace aiaccel {

using namespace registry;

std::vector<Removed> Registry::gc(bool dry_run, std::chrono::seconds grace) {
  const auto git = impl_->handles.lend();
  const FileLock alone = impl_->use_alone();
  Reach reach(*impl_, *git, registry::removed(*impl_));
  reach.walk("");
  std::vector<Removed> gone;
  const auto take = [&](const Path& path, const std::string& what, std::uint64_t bytes) {
    gone.push_back({what, bytes});
    if (!dry_run) remove_whole(path);
  };
  // Part of a checkout under its name would be taken for all of it: it goes elsewhere first. A
  // folder that moves into another has to be one that may be written.
  const auto take_checkout = [&](const Path& path, const std::string& what, std::uint64_t bytes) {
    gone.push_back({what, bytes});
    if (dry_run) return;
    make_folders(impl_->store.temporary());
    const Path aside = impl_->store.temporary() / unique_name();
    ::chmod(path.c_str(), 0755);
    if (::rename(path.c_str(), aside.c_str()) < 0) throw_errno("cannot remove " + path.string());
    sync_folder(path.parent_path());
    remove_whole(aside);
  };
  std::error_code none;
  std::uint64_t bytes = 0;
  std::vector<Path> objects;
  for (const auto& each :
       std::filesystem::recursive_directory_iterator(impl_->store.objects(), none)) {
    if (each.is_regular_file(none)) objects.push_back(each.path());
  }
  std::sort(objects.begin(), objects.end());
  for (const Path& path : objects) {
    const std::string name = path.filename().string();
    // What is no object is not ours.
    if (path != impl_->store.path(name) || reach.weights(name) || !is_old(path, grace, bytes))
      continue;
    take(path, "weights " + name, bytes);
  }
  for (const auto& each :
       std::filesystem::directory_iterator(impl_->git_dir / "aiaccel/checkouts", none)) {
    const std::string tree = each.path().filename().string();
    if (!reach.folder(tree) && is_old(each.path(), grace, bytes))
      take_checkout(each.path(), "checkout " + tree, bytes_below(each.path()));
  }
  // Nobody adds or checks out now, so these are of processes that died.
  for (const auto& each : std::filesystem::directory_iterator(impl_->store.temporary(), none)) {
    take(each.path(), "temporary " + each.path().filename().string(), bytes_below(each.path()));
  }
  for (const auto& each : std::filesystem::directory_iterator(impl_->git_dir / "objects", none)) {
    const std::string name = each.path().filename().string();
    if (name.starts_with("tmp_object") && is_old(each.path(), grace, bytes))
      take(each.path(), "temporary " + name, bytes);
  }
  for (const auto& each : std::filesystem::directory_iterator(impl_->folder, none)) {
    const std::string name = each.path().filename().string();
    if (name.starts_with(".making-") && is_old(each.path(), grace, bytes))
      take(each.path(), "temporary " + name, bytes_below(each.path()));
  }
  if (!dry_run) {
    Change change(impl_->refs);
    change.pack(0, [&](const std::string& id) { return git->peel(id); });
  }
  return gone;
}

std::vector<Removed> Registry::remove(const Ref& ref, bool dry_run) {
  const auto git = impl_->handles.lend();
  const FileLock using_it = impl_->use();
  Change change(impl_->refs);
  const Place place = find(*impl_, *git, ref);
  if (ref.kind == Ref::Kind::head)
    throw Error(EINVAL, ref.str() + " says no version: write " + place.name + "@VERSION");
  if (place.version.empty())
    throw Error(EINVAL, ref.str() + " has no version, and only versions are removed");
  const std::string title = place.name + "@" + place.version;
  for (const auto& [stage, commit] : current_stages(*impl_, *git, place.name)) {
    if (commit == place.commit) throw Error(EBUSY, title + " is in " + place.name + "#" + stage);
  }
  const std::string tag = "refs/tags/" + title;
  const auto value = impl_->refs.find(tag);
  if (!value) throw Error(ENOENT, "there is no " + title);

  // What dev has now goes on to be the highest version that is left.
  const auto tip = impl_->refs.find(std::string(kDev));
  const CommitPtr dev = tip ? git->commit(tip->value) : nullptr;
  const auto there = dev ? git->entry(git->tree(dev.get()).get(), place.name) : std::nullopt;
  const bool on_dev = there && git_oid_equal(&there->id, &place.folder) != 0;
  std::vector<Removed> gone{{title, 0}};

  Names marks = registry::removed(*impl_);
  marks.insert(hex(place.folder));
  Reach reach(*impl_, *git, marks);
  // Dev is walked with what it has: what only that keeps is told apart below.
  reach.walk(tag);
  std::unordered_set<std::string> told;
  for (const TreeFile& file : tree_files(*git, place.folder)) {
    const auto pointer = pointer_at(*git, file.id);
    if (pointer && !on_dev && !reach.weights(pointer->sha256) &&
        told.insert(pointer->sha256).second) {
      gone.push_back({file.path + ", weights " + pointer->sha256 + ", by gc", pointer->size});
    }
  }
  if (dry_run) return gone;

  make_folders(removed_folder(*impl_));
  {
    const Path mark = removed_folder(*impl_) / hex(place.folder);
    const Fd fd = open_file(mark, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write_all(fd.get(), title + " " + place.commit + "\n", mark);
    sync(fd.get(), mark);
  }
  sync_folder(removed_folder(*impl_));
  std::string new_tip;
  if (on_dev) {
    std::optional<Entry> next;
    for (const VersionTag& other : version_tags(*impl_, *git, place.name)) {
      const CommitPtr commit = other.version == place.version ? nullptr : git->commit(other.commit);
      const auto folder =
          commit ? git->entry(git->tree(commit.get()).get(), place.name) : std::nullopt;
      if (folder && folder->mode == GIT_FILEMODE_TREE &&
          git_oid_equal(&folder->id, &place.folder) == 0) {
        next = folder;
        break;
      }
    }
    const git_oid tree = git->with(git->tree(dev.get()).get(), place.name, next);
    new_tip = git->write_commit(tree, {tip->value}, "Remove " + title + "\n");
    check_not_checked_out(*impl_, *git, kDev);
    if (!change.set(std::string(kDev), tip->value, new_tip, git->who_when(),
                    "commit: remove " + title)) {
      throw Error(EBUSY, "dev was changed meanwhile");
    }
  }
  if (!change.remove(tag, value->value)) throw Error(EBUSY, title + " was changed meanwhile");
  settle(*impl_, *git, change, new_tip);
  return gone;
}

}  // namespace aiaccel
