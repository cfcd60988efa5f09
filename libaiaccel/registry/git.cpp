// SPDX-License-Identifier: MIT
//
// libgit2, with errors as exceptions.

#include "registry/git.h"

#include <git2/sys/repository.h>
#include <pwd.h>
#include <unistd.h>

#include <aiaccel/error.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace aiaccel::registry {
namespace {

void start_libgit2() {
  static const int started = git_libgit2_init();
  if (started < 0) throw Error(EIO, "libgit2 does not start");
}

std::string_view variable(const char* name) {
  const char* const value = ::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

int error_number(int result) {
  switch (result) {
    case GIT_ENOTFOUND:
      return ENOENT;
    case GIT_EEXISTS:
      return EEXIST;
    case GIT_EAMBIGUOUS:
      return ENOTUNIQ;
    case GIT_ELOCKED:
      return EBUSY;
    case GIT_EOWNER:
      return EPERM;
    case GIT_EINVALIDSPEC:
      return EINVAL;
    default:
      return EIO;
  }
}

}  // namespace

int git(int result, const std::string& what) {
  if (result >= 0) return result;
  const git_error* const error = git_error_last();
  const char* const said =
      error == nullptr || error->message == nullptr ? "libgit2 does not say why" : error->message;
  throw Error(error_number(result), what + ": " + said);
}

std::string hex(const git_oid& id) {
  char text[GIT_OID_HEXSZ + 1];
  return git_oid_tostr(text, sizeof(text), &id);
}

git_oid to_oid(const std::string& text) {
  git_oid id;
  git(git_oid_fromstr(&id, text.c_str()), "'" + text + "' is no object");
  return id;
}

RepositoryPtr open_repository(const Path& folder) {
  start_libgit2();
  git_repository* repository = nullptr;
  const int result =
      git_repository_open_ext(&repository, folder.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr);
  const git_error* const error = git_error_last();
  // Where the user has no such setting at all, libgit2 says that it found none.
  if (result == GIT_EOWNER ||
      (result == GIT_ENOTFOUND && error != nullptr && error->message != nullptr &&
       std::string_view(error->message).find("'safe.directory'") != std::string_view::npos)) {
    throw Error(EPERM, "the registry " + folder.string() +
                           " belongs to another user; who trusts it says so once, by `git config "
                           "--global --add safe.directory " +
                           folder.string() + "`");
  }
  git(result, "cannot open the registry " + folder.string());
  return RepositoryPtr(repository);
}

Git::Git(const Path& folder) : repository_(open_repository(folder)) {
  git_repository* const repository = get();
  // Loose objects are written by a backend that syncs them, before the ones that reading goes
  // through.
  git_odb* odb = nullptr;
  git(git_repository_odb(&odb, repository), "cannot open the objects of " + folder.string());
  const OdbPtr owned(odb);
  git_odb_backend* backend = nullptr;
  const Path objects = git_dir() / "objects";
  git(git_odb_backend_loose(&backend, objects.c_str(), -1, 1, 0, 0),
      "cannot open " + objects.string());
  git(git_odb_add_backend(odb, backend, 100), "cannot open " + objects.string());
}

CommitPtr Git::commit(const std::string& id) const {
  const git_oid oid = to_oid(id);
  git_object* object = nullptr;
  if (git_object_lookup(&object, get(), &oid, GIT_OBJECT_ANY) < 0) return {};
  const ObjectPtr owned(object);
  git_object* peeled = nullptr;
  if (git_object_peel(&peeled, object, GIT_OBJECT_COMMIT) < 0) return {};
  return CommitPtr(reinterpret_cast<git_commit*>(peeled));
}

std::string Git::peel(const std::string& id) const {
  const CommitPtr found = commit(id);
  return found ? hex(*git_commit_id(found.get())) : std::string();
}

TreePtr Git::tree(const git_commit* commit) const {
  git_tree* tree = nullptr;
  git(git_commit_tree(&tree, commit),
      "cannot read the tree of commit " + hex(*git_commit_id(commit)));
  return TreePtr(tree);
}

TreePtr Git::tree(const git_oid& id) const {
  git_tree* tree = nullptr;
  git(git_tree_lookup(&tree, get(), &id), "cannot read the tree " + hex(id));
  return TreePtr(tree);
}

std::optional<Entry> Git::entry(const git_tree* tree, const std::string& path) const {
  git_tree_entry* entry = nullptr;
  const int result = git_tree_entry_bypath(&entry, tree, path.c_str());
  if (result == GIT_ENOTFOUND) return {};
  git(result, "cannot find " + path);
  const Entry found{*git_tree_entry_id(entry), git_tree_entry_filemode(entry)};
  git_tree_entry_free(entry);
  return found;
}

std::string Git::blob(const git_oid& id) const {
  git_blob* blob = nullptr;
  git(git_blob_lookup(&blob, get(), &id), "cannot read the blob " + hex(id));
  const BlobPtr owned(blob);
  return {static_cast<const char*>(git_blob_rawcontent(blob)),
          static_cast<std::size_t>(git_blob_rawsize(blob))};
}

std::size_t Git::size(const git_oid& id) const {
  git_odb* odb = nullptr;
  git(git_repository_odb(&odb, get()), "cannot open the objects");
  const OdbPtr owned(odb);
  std::size_t size = 0;
  git_object_t type = GIT_OBJECT_INVALID;
  git(git_odb_read_header(&size, &type, odb, &id), "cannot read the object " + hex(id));
  return size;
}

TagPtr Git::annotated(const std::string& id) const {
  const git_oid oid = to_oid(id);
  git_tag* tag = nullptr;
  if (git_tag_lookup(&tag, get(), &oid) < 0) return {};
  return TagPtr(tag);
}

git_oid Git::write_blob(std::string_view text) const {
  git_oid id;
  git(git_blob_create_from_buffer(&id, get(), text.data(), text.size()), "cannot write a blob");
  return id;
}

git_oid Git::with(const git_tree* tree, const std::string& path,
                  const std::optional<Entry>& entry) const {
  git_treebuilder* raw = nullptr;
  git(git_treebuilder_new(&raw, get(), tree), "cannot write a tree");
  const BuilderPtr builder(raw);
  const std::size_t slash = path.find('/');
  const std::string first = path.substr(0, slash);
  const git_tree_entry* const there = git_treebuilder_get(raw, first.c_str());
  std::optional<Entry> below = entry;
  if (slash != std::string::npos) {
    TreePtr inner;
    if (there != nullptr && git_tree_entry_type(there) == GIT_OBJECT_TREE)
      inner = this->tree(*git_tree_entry_id(there));
    if (!inner && !entry) {
      below.reset();
    } else {
      const git_oid id = with(inner.get(), path.substr(slash + 1), entry);
      below = Entry{id, GIT_FILEMODE_TREE};
      if (!entry && git_tree_entrycount(this->tree(id).get()) == 0) below.reset();
    }
  }
  if (below) {
    git(git_treebuilder_insert(nullptr, raw, first.c_str(), &below->id, below->mode),
        "cannot write " + path + " into a tree");
  } else if (there != nullptr) {
    git(git_treebuilder_remove(raw, first.c_str()), "cannot remove " + path + " from a tree");
  }
  git_oid id;
  git(git_treebuilder_write(&id, raw), "cannot write a tree");
  return id;
}

std::string Git::write_commit(const git_oid& tree_id, const std::vector<std::string>& parents,
                              const std::string& message) const {
  const TreePtr tree = this->tree(tree_id);
  const SignaturePtr who = signature();
  std::vector<CommitPtr> owned;
  std::vector<const git_commit*> raw;
  for (const std::string& parent : parents) {
    owned.push_back(commit(parent));
    if (!owned.back()) throw Error(EIO, "there is no commit " + parent);
    raw.push_back(owned.back().get());
  }
  git_oid id;
  git(git_commit_create(&id, get(), nullptr, who.get(), who.get(), nullptr, message.c_str(),
                        tree.get(), raw.size(), raw.data()),
      "cannot write a commit");
  return hex(id);
}

std::string Git::write_tag(const std::string& name, const std::string& commit,
                           const std::string& message) const {
  const CommitPtr target = this->commit(commit);
  if (!target) throw Error(EIO, "there is no commit " + commit);
  git_oid id;
  git(git_tag_annotation_create(&id, get(), name.c_str(),
                                reinterpret_cast<const git_object*>(target.get()),
                                signature().get(), message.c_str()),
      "cannot write the tag " + name);
  return hex(id);
}

SignaturePtr Git::signature() const {
  std::string name(variable("GIT_COMMITTER_NAME"));
  std::string mail(variable("GIT_COMMITTER_EMAIL"));
  if (name.empty()) name = config("user.name").value_or("");
  if (mail.empty()) mail = config("user.email").value_or("");
  if (name.empty() || mail.empty()) {
    passwd entry{};
    passwd* found = nullptr;
    std::vector<char> buffer(16 << 10);
    std::string account = std::to_string(::getuid());
    if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
        found != nullptr)
      account = found->pw_name;
    char host[256] = "localhost";
    ::gethostname(host, sizeof(host) - 1);
    if (name.empty()) name = account;
    if (mail.empty()) mail = account + "@" + host;
  }
  git_signature* who = nullptr;
  git(git_signature_now(&who, name.c_str(), mail.c_str()),
      "'" + name + " <" + mail + ">' signs no commit");
  return SignaturePtr(who);
}

std::string Git::who_when() const {
  const SignaturePtr who = signature();
  const int offset = who->when.offset;
  char zone[16];
  std::snprintf(zone, sizeof(zone), "%c%02d%02d", offset < 0 ? '-' : '+', std::abs(offset) / 60,
                std::abs(offset) % 60);
  return std::string(who->name) + " <" + who->email + "> " + std::to_string(who->when.time) + " " +
         zone;
}

std::optional<std::string> Git::config(const std::string& key) const {
  git_config* config = nullptr;
  git(git_repository_config_snapshot(&config, get()), "cannot read the configuration");
  const ConfigPtr owned(config);
  const char* value = nullptr;
  if (git_config_get_string(&value, config, key.c_str()) < 0) return {};
  return value;
}

Handles::Lent::~Lent() {
  const Lock lock(from_.mutex_);
  if (from_.free_.size() < kMost) from_.free_.push_back(std::move(git_));
}

Handles::Lent Handles::lend() {
  {
    const Lock lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<Git> git = std::move(free_.back());
      free_.pop_back();
      return {*this, std::move(git)};
    }
  }
  return {*this, std::make_unique<Git>(folder_)};
}

}  // namespace aiaccel::registry
