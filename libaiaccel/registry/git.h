// SPDX-License-Identifier: MIT
//
// Git's objects by libgit2: commits, trees, blobs, tags, read and written; nothing of references,
// which are in refs.h, and nothing of the index but that it follows dev.
//
// libgit2's handle of a repository is for one thread at a time: Handles lends one to each that
// asks. What is written is on disk before a reference can name it.
#pragma once

#include <git2.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mutex.h"
#include "registry/io.h"

namespace aiaccel::registry {

template <typename T, void (*Free)(T*)>
struct Freed {
  void operator()(T* it) const { Free(it); }
};
using RepositoryPtr = std::unique_ptr<git_repository, Freed<git_repository, git_repository_free>>;
using OdbPtr = std::unique_ptr<git_odb, Freed<git_odb, git_odb_free>>;
using ObjectPtr = std::unique_ptr<git_object, Freed<git_object, git_object_free>>;
using CommitPtr = std::unique_ptr<git_commit, Freed<git_commit, git_commit_free>>;
using TreePtr = std::unique_ptr<git_tree, Freed<git_tree, git_tree_free>>;
using BlobPtr = std::unique_ptr<git_blob, Freed<git_blob, git_blob_free>>;
using TagPtr = std::unique_ptr<git_tag, Freed<git_tag, git_tag_free>>;
using BuilderPtr = std::unique_ptr<git_treebuilder, Freed<git_treebuilder, git_treebuilder_free>>;
using SignaturePtr = std::unique_ptr<git_signature, Freed<git_signature, git_signature_free>>;
using WalkPtr = std::unique_ptr<git_revwalk, Freed<git_revwalk, git_revwalk_free>>;
using ConfigPtr = std::unique_ptr<git_config, Freed<git_config, git_config_free>>;
using IndexPtr = std::unique_ptr<git_index, Freed<git_index, git_index_free>>;
using ReflogPtr = std::unique_ptr<git_reflog, Freed<git_reflog, git_reflog_free>>;

// Throws Error with what libgit2 says where `result` is negative.
int git(int result, const std::string& what);

std::string hex(const git_oid& id);
git_oid to_oid(const std::string& hex);

// Of a tree: an entry by its path, or nothing.
struct Entry {
  git_oid id;
  git_filemode_t mode;
};

// The repository in a folder, and nowhere above it.
RepositoryPtr open_repository(const Path& folder);

class Git {
 public:
  explicit Git(const Path& folder);
  git_repository* get() const { return repository_.get(); }
  Path git_dir() const { return git_repository_commondir(repository_.get()); }

  // Commit of a commit or of a tag of one; null where there is none.
  CommitPtr commit(const std::string& id) const;
  std::string peel(const std::string& id) const;  // "" for no commit
  TreePtr tree(const git_commit* commit) const;
  TreePtr tree(const git_oid& id) const;
  std::optional<Entry> entry(const git_tree* tree, const std::string& path) const;
  std::string blob(const git_oid& id) const;
  std::size_t size(const git_oid& id) const;  // of an object, without reading it whole
  // An annotated tag's own text, its tagger and time; null for another object.
  TagPtr annotated(const std::string& id) const;

  git_oid write_blob(std::string_view text) const;
  // The tree with `entry` at `path`, or without anything there; a folder that is empty then goes
  // too.
  git_oid with(const git_tree* tree, const std::string& path,
               const std::optional<Entry>& entry) const;
  std::string write_commit(const git_oid& tree, const std::vector<std::string>& parents,
                           const std::string& message) const;
  // The object alone: who makes the reference is refs.h.
  std::string write_tag(const std::string& name, const std::string& commit,
                        const std::string& message) const;
  // Who does this, and now: of the environment as Git takes it, the configuration, or the account.
  SignaturePtr signature() const;
  std::string who_when() const;  // as in a branch's log
  std::optional<std::string> config(const std::string& key) const;

 private:
  RepositoryPtr repository_;
};

class Handles {
 public:
  explicit Handles(Path folder) : folder_(std::move(folder)) {}

  class Lent {
   public:
    Lent(Handles& from, std::unique_ptr<Git> git) : from_(from), git_(std::move(git)) {}
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    ~Lent();
    const Git& operator*() const { return *git_; }
    const Git* operator->() const { return git_.get(); }

   private:
    Handles& from_;
    std::unique_ptr<Git> git_;
  };
  Lent lend();

 private:
  static constexpr std::size_t kMost = 8;

  const Path folder_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Git>> free_ GUARDED_BY(mutex_);
};

}  // namespace aiaccel::registry
