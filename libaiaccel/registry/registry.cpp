// SPDX-License-Identifier: MIT
//
// Opening and making a registry, adding to it, and the index of Git's that has to follow.

#include <aiaccel/registry.hpp>

#include <fcntl.h>
#include <git2/sys/repository.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "registry/impl.h"
#include "registry/record.h"
#include "registry/sha256.h"
#include "registry/source.h"

namespace aiaccel::registry {
namespace {

constexpr std::size_t kLongestText = 1 << 20;
constexpr std::string_view kAttributes = ".gitattributes";
constexpr std::string_view kByLfs = " filter=lfs diff=lfs merge=lfs -text\n";
constexpr std::string_view kWeights[] = {
    ".onnx",    ".onnx_data", ".onnx.data", ".safetensors", ".gguf",    ".ggml",   ".bin",
    ".pt",      ".pth",       ".ckpt",      ".data",        ".weights", ".h5",     ".hdf5",
    ".keras",   ".pb",        ".npy",       ".npz",         ".msgpack", ".tflite", ".engine",
    ".plan",    ".mlmodel",   ".xclbin",    ".cubin",       ".fatbin",  ".model",  ".pkl",
    ".parquet", ".joblib",    ".ot",        ".pte",         ".zip",     ".tar",    ".gz",
    ".xz",      ".zst",       ".spm",       ".nemo",
};

// First in a folder that says all by itself.
constexpr std::string_view kPlain =
    "* -text !eol !ident !working-tree-encoding !filter !diff !merge\n";

std::string root_attributes() {
  std::string text =
      "# Weights are kept by Git LFS, and line ends are those that were added.\n"
      "* -text\n";
  for (const std::string_view suffix : kWeights)
    text += "*" + std::string(suffix) + std::string(kByLfs);
  return text;
}

bool is_weights_by_name(const std::string& path) {
  return std::any_of(std::begin(kWeights), std::end(kWeights),
                     [&](std::string_view suffix) { return path.ends_with(suffix); });
}

// A line of .gitattributes for exactly this file.
std::string attribute_line(const std::string& path) {
  std::string text = "\"/";
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[') text += "\\\\";
    if (c == '"') text += '\\';
    text += c;
  }
  return text + "\"" + std::string(kByLfs);
}

// Whether git finds our list, and nothing else, for what is in the folder. What anybody wrote
// himself may say otherwise of any file.
bool is_said_above(const Git& git, const git_tree* root, const std::string& name) {
  for (std::size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    if (git.entry(root, name.substr(0, slash + 1) + std::string(kAttributes))) return false;
  }
  const std::string ours = root_attributes();
  const auto there = git.entry(root, std::string(kAttributes));
  // Git reads no link by this name.
  return there && there->mode == GIT_FILEMODE_BLOB && git.size(there->id) == ours.size() &&
         git.blob(there->id) == ours;
}

// The file that a runtime is given. "" where that cannot be told.
std::string find_main(const std::vector<SourceFile>& files) {
  if (files.size() == 1) return files.front().path;
  const auto only = [&](std::string_view suffix, bool top) {
    std::string found;
    for (const SourceFile& file : files) {
      if (!file.path.ends_with(suffix) || (top && file.path.find('/') != std::string::npos))
        continue;
      if (!found.empty()) return std::string();
      found = file.path;
    }
    return found;
  };
  const auto has = [&](const char* path) {
    return std::any_of(files.begin(), files.end(),
                       [&](const SourceFile& file) { return file.path == path; });
  };
  if (has("model.onnx")) return "model.onnx";
  if (std::string found = only(".onnx", true); !found.empty()) return found;
  if (has("model.safetensors.index.json")) return "model.safetensors.index.json";
  if (std::string found = only(".safetensors.index.json", true); !found.empty()) return found;
  if (has("model.safetensors")) return "model.safetensors";
  for (const std::string_view suffix :
       {".safetensors", ".gguf", ".onnx", ".xclbin", ".cubin", ".ptx"}) {
    if (std::string found = only(suffix, false); !found.empty()) return found;
  }
  return {};
}

bool has_metadata(const std::string& path) {
  for (const std::string_view suffix :
       {".onnx", ".safetensors", ".safetensors.index.json", ".gguf", ".xclbin", ".ptx", ".cubin"}) {
    if (path.ends_with(suffix)) return true;
  }
  return false;
}

// Files as they go into a tree.
struct Blob {
  std::string path;
  git_oid id;
};

git_oid write_folder(const Git& git, const std::vector<Blob>& blobs) {
  // All of a folder's files are beside each other here: one tree each, the inner ones first.
  struct Builder {
    static git_oid build(const Git& git, const std::vector<Blob>& blobs, std::size_t from,
                         std::size_t to, std::size_t skip) {
      git_treebuilder* raw = nullptr;
      registry::git(git_treebuilder_new(&raw, git.get(), nullptr), "cannot write a tree");
      const BuilderPtr builder(raw);
      while (from < to) {
        const std::string& path = blobs[from].path;
        const std::size_t slash = path.find('/', skip);
        const std::string name =
            path.substr(skip, slash == std::string::npos ? slash : slash - skip);
        git_oid id = blobs[from].id;
        git_filemode_t mode = GIT_FILEMODE_BLOB;
        std::size_t end = from + 1;
        if (slash != std::string::npos) {
          const std::string prefix = path.substr(0, slash + 1);
          while (end < to && blobs[end].path.starts_with(prefix)) end++;
          id = build(git, blobs, from, end, slash + 1);
          mode = GIT_FILEMODE_TREE;
        }
        registry::git(git_treebuilder_insert(nullptr, raw, name.c_str(), &id, mode),
                      "'" + path + "' cannot be kept in Git");
        from = end;
      }
      git_oid id;
      registry::git(git_treebuilder_write(&id, raw), "cannot write a tree");
      return id;
    }
  };
  return Builder::build(git, blobs, 0, blobs.size(), 0);
}

// Models are folders, and none lies in another.
void check_no_model_around(const Git& git, const git_tree* root, const std::string& name) {
  const std::string record = "/" + std::string(kRecord);
  for (std::size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    const std::string above = name.substr(0, slash);
    if (git.entry(root, above + record))
      throw Error(EEXIST, above + " is a model: none can be added in its folder");
  }
  const auto there = git.entry(root, name);
  if (there && !git.entry(root, name + record)) {
    throw Error(EEXIST,
                name + " is there already and is no model, but a folder of models or a file");
  }
}

void check_text(const char* what, const std::string& text) {
  for (const char c : text) {
    if (c == '\0' || (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t')) {
      throw Error(EINVAL, std::string(what) + " has a control character");
    }
  }
}

void check_options(const AddOptions& options) {
  check_name(options.name);
  check_text("the message", options.message);
  check_text("the licence", options.licence);
  check_text("the training run", options.training_run);
  if (!options.parent.empty()) Ref::parse(options.parent);
  for (const auto& [key, value] : options.labels) {
    if (key.empty()) throw Error(EINVAL, "a label has no name");
    check_text("a label", key);
    check_text("a label", value);
  }
}

// What lineage names may be in another registry: then it is a name and nothing more.
std::string commit_of_parent(const Impl& impl, const Git& git, const std::string& parent) {
  if (parent.empty()) return {};
  try {
    return find(impl, git, Ref::parse(parent)).commit;
  } catch (const Error& error) {
    if (error.code().value() != ENOENT) throw;
    return {};
  }
}

// Weights into the store, text into Git.
class Adding {
 public:
  Adding(const Impl& impl, const Git& git, const AddOptions& options)
      : impl_(impl), git_(git), options_(options) {}

  void file(const Source& source, const SourceFile& file, std::uint64_t before,
            std::uint64_t total) {
    OpenSource open = source.open(file);
    if (open.size == 0)
      return text(file.path, "");  // for Git LFS, too, an empty file is its own pointer
    const bool by_name = is_weights_by_name(file.path);
    if (open.size <= kLongestText) {
      const auto content =
          read_file("/proc/self/fd/" + std::to_string(open.fd.get()), kLongestText);
      struct stat now {};
      if (::fstat(open.fd.get(), &now) < 0) throw_errno("cannot look at " + open.name);
      if (!content || content->size() != open.size || !is_unchanged(open.seen, now))
        throw Error(EBUSY, open.name + " was changed while it was added");
      if (Pointer::parse(*content)) {
        throw Error(
            EINVAL,
            open.name +
                " is a pointer of Git LFS: its weights are not there (git lfs pull brings them)");
      }
      if (!by_name && content->find('\0') == std::string::npos) return text(file.path, *content);
    }
    PutOptions put;
    put.may_link = open.cached;
    put.seen = &open.seen;
    put.stop = options_.stop;
    if (options_.progress) {
      put.progress = [&](std::uint64_t done) {
        options_.progress({file.path, before + done, total});
      };
    }
    const Stored stored = impl_.store.put(open.fd, open.name, put);
    if (open.cached && stored.pointer.sha256 != open.sha256) {
      throw Error(EBADMSG, open.name + " is not what its name in the cache says: its SHA-256 is " +
                               stored.pointer.sha256);
    }
    files.push_back({file.path, stored.pointer.sha256, stored.pointer.size, true});
    blobs.push_back({file.path, git_.write_blob(stored.pointer.text())});
    const std::string line = attribute_line(file.path);
    if (!by_name) unsaid += line;
    all += line;
  }

  void text(const std::string& path, const std::string& content) {
    if ((texts_ += content.size()) > kMostText) {
      throw Error(EFBIG, path + ": all that is no weights has more than " +
                             std::to_string(kMostText) + " bytes");
    }
    files.push_back({path, Sha256::of(content), content.size(), false});
    blobs.push_back({path, git_.write_blob(content)});
  }

  std::vector<VersionFile> files;
  std::vector<Blob> blobs;
  std::string unsaid, all;  // attributes: of weights whose names do not say so, and of all

 private:
  const Impl& impl_;
  const Git& git_;
  const AddOptions& options_;
  std::uint64_t texts_ = 0;
};

// Whether HEAD is that branch, and there is an index, which says what of it is there as files.
bool is_checked_out(const Impl& impl, const Git& git, std::string_view branch) {
  return git_repository_is_bare(git.get()) == 0 && impl.refs.symbolic("HEAD") == branch;
}

// Whether the index says of all files that they are not there: nobody works here.
bool is_index_ours(const Impl& impl) {
  git_index* raw = nullptr;
  registry::git(git_index_open(&raw, (impl.git_dir / "index").c_str()), "cannot read the index");
  const IndexPtr index(raw);
  for (std::size_t i = 0; i < git_index_entrycount(raw); i++) {
    if ((git_index_get_byindex(raw, i)->flags_extended & GIT_INDEX_ENTRY_SKIP_WORKTREE) == 0)
      return false;
  }
  return true;
}

// The index says that dev is checked out and that no file of it is there: `git status` has nothing
// to say.
void update_index(const Impl& impl, const Git& git, Change& change, const std::string& tip) {
  if (!is_checked_out(impl, git, kDev) || !is_index_ours(impl)) return;
  make_folders(impl.store.temporary());
  const Path path = impl.store.temporary() / (unique_name() + "-index");
  git_index* made = nullptr;
  registry::git(git_index_open(&made, path.c_str()), "cannot make an index");
  const IndexPtr after(made);
  const CommitPtr commit = git.commit(tip);
  registry::git(git_index_read_tree(made, git.tree(commit.get()).get()), "cannot make an index");
  for (std::size_t i = 0; i < git_index_entrycount(made); i++) {
    git_index_entry entry = *git_index_get_byindex(made, i);
    entry.flags_extended |= GIT_INDEX_ENTRY_SKIP_WORKTREE;
    registry::git(git_index_add(made, &entry), "cannot make an index");
  }
  registry::git(git_index_write(made), "cannot write an index");
  const auto bytes = read_file(path, std::size_t{1} << 30);
  ::unlink(path.c_str());
  if (!bytes) return;
  // Under its lock: somebody may have begun to work here.
  change.replace(impl.git_dir / "index", *bytes, [&] { return is_index_ours(impl); });
}

void set_config(git_repository* repository, const char* key, const char* value) {
  git_config* config = nullptr;
  git(git_repository_config(&config, repository), "cannot open the configuration");
  const ConfigPtr owned(config);
  git(git_config_set_string(config, key, value), std::string("cannot set ") + key);
}

void write_file(const Path& path, std::string_view text, unsigned mode) {
  make_folders(path.parent_path());
  const Fd fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  write_all(fd.get(), text, path);
  sync(fd.get(), path);
}

// libgit2 leaves it to the system when its files are on disk.
void sync_below(const Path& folder) {
  sync_folder(folder);
  for (const auto& each : std::filesystem::recursive_directory_iterator(folder)) {
    if (each.is_directory()) sync_folder(each.path());
    if (each.is_regular_file()) sync(open_file(each.path(), O_RDONLY).get(), each.path());
  }
}

// A whole repository in a folder of its own, which then gives its .git away.
void make_repository(const Path& folder) {
  git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
  options.flags = GIT_REPOSITORY_INIT_MKPATH | GIT_REPOSITORY_INIT_NO_REINIT;
  options.initial_head = "dev";
  git_repository* raw = nullptr;
  git(git_repository_init_ext(&raw, folder.c_str(), &options),
      "cannot make the registry " + folder.string());
  const RepositoryPtr repository(raw);
  // No file of a model is ever checked out here.
  set_config(raw, "core.sparseCheckout", "true");
  set_config(raw, "core.sparseCheckoutCone", "false");
  // What `git lfs install --local` sets, so that git works here whatever the user's own
  // configuration says.
  set_config(raw, "filter.lfs.clean", "git-lfs clean -- %f");
  set_config(raw, "filter.lfs.smudge", "git-lfs smudge -- %f");
  set_config(raw, "filter.lfs.process", "git-lfs filter-process");
  set_config(raw, "filter.lfs.required", "true");
  set_config(raw, "lfs.repositoryformatversion", "0");
  // What is being added has no name yet: `git gc` must not take it, whatever the user's own
  // configuration says.
  set_config(raw, "gc.pruneExpire", "2.weeks.ago");
  const Path git_dir = folder / ".git";
  write_file(git_dir / "info/sparse-checkout", "!/*\n", 0644);
  write_file(git_dir / "info/exclude", "/.making-*\n", 0644);
  write_file(git_dir / "hooks/pre-push",
             "#!/bin/sh\n# Weights go first.\nexec git lfs pre-push \"$@\"\n", 0755);
  make_folders(git_dir / "lfs/objects");
  make_folders(git_dir / "aiaccel/tmp");

  const Git git(folder);
  const git_oid attributes = git.write_blob(root_attributes());
  const git_oid tree =
      git.with(nullptr, std::string(kAttributes), Entry{attributes, GIT_FILEMODE_BLOB});
  const std::string commit = git.write_commit(tree, {}, "A registry of models\n");
  const Refs refs(git_dir);
  Change change(refs);
  change.set(std::string(kDev), "", commit, git.who_when(),
             "commit (initial): a registry of models");
  const Registry::Impl impl(folder);
  update_index(impl, git, change, commit);
  sync_below(git_dir);
}

bool is_registry(const Path& folder) {
  std::error_code none;
  return std::filesystem::exists(folder / ".git/HEAD", none) ||
         (std::filesystem::exists(folder / "HEAD", none) &&
          std::filesystem::exists(folder / "objects", none));
}

// A registry is made of nothing: what is in a folder already is somebody's, who may not have meant
// it.
void check_empty(const Path& folder) {
  for (const auto& each : std::filesystem::directory_iterator(folder)) {
    const std::string name = each.path().filename().string();
    // What another who makes one here leaves.
    if (name == ".git" || name.starts_with(".making-")) continue;
    throw Error(ENOTEMPTY, "no registry is made in " + folder.string() + ", which has files");
  }
}

std::string full_path(const Path& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

}  // namespace

void check_not_checked_out(const Impl& impl, const Git& git, std::string_view branch) {
  if (!is_checked_out(impl, git, branch) || is_index_ours(impl)) return;
  throw Error(EBUSY, std::string(branch.substr(branch.rfind('/') + 1)) + " is checked out in " +
                         impl.folder.string() +
                         ", where the next commit would undo this: git switch --detach, there");
}

void settle(const Impl& impl, const Git& git, Change& change, const std::string& new_tip) {
  if (!new_tip.empty()) update_index(impl, git, change, new_tip);
  change.pack(kMostLoose, [&](const std::string& id) { return git.peel(id); });
}

}  // namespace aiaccel::registry

namespace aiaccel {

using namespace registry;

Registry::Impl::Impl(const std::filesystem::path& path)
    : folder(path),
      handles(path),
      git_dir(handles.lend()->git_dir()),
      refs(git_dir),
      store(git_dir) {}

registry::FileLock Registry::Impl::use() const {
  make_folders(git_dir / "aiaccel");
  return {git_dir / "aiaccel/users.lock", true};
}

registry::FileLock Registry::Impl::use_alone() const {
  make_folders(git_dir / "aiaccel");
  return {git_dir / "aiaccel/users.lock", false};
}

std::filesystem::path Registry::default_path() {
  const auto variable = [](const char* name) {
    const char* const value = ::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string own = variable("AIACCEL_REGISTRY"); !own.empty()) return own;
  // A relative one is to be ignored, as its specification says.
  if (const std::string data = variable("XDG_DATA_HOME"); data.starts_with('/'))
    return Path(data) / "aiaccel/registry";
  const std::string home = variable("HOME");
  if (home.empty())
    throw Error(ENOENT, "neither AIACCEL_REGISTRY nor HOME is set, so there is no registry");
  return Path(home) / ".local/share/aiaccel/registry";
}

Registry Registry::open(const std::filesystem::path& path) {
  if (!is_registry(path)) throw Error(ENOENT, "there is no registry in " + path.string());
  auto impl = std::make_shared<Impl>(full_path(path));
  // What one that died has locked is in git's way, too.
  if (Change::was_left(impl->refs) && ::access(impl->git_dir.c_str(), W_OK) == 0)
    const Change mends(impl->refs);
  return Registry(std::move(impl));
}

Registry Registry::create(const std::filesystem::path& given) {
  const Path path = full_path(given);
  if (is_registry(path)) return open(path);
  make_folders(path);
  check_empty(path);
  const Path making = path / (".making-" + unique_name());
  struct Gone {
    const Path& path;
    ~Gone() {
      std::error_code none;
      std::filesystem::remove_all(path, none);
    }
  } gone{making};
  // libgit2 begins with its first handle.
  git_libgit2_init();
  make_repository(making);
  // Who came first made it.
  if (::renameat2(AT_FDCWD, (making / ".git").c_str(), AT_FDCWD, (path / ".git").c_str(),
                  RENAME_NOREPLACE) < 0 &&
      errno != EEXIST && errno != ENOTEMPTY) {
    throw_errno("cannot make the registry " + path.string());
  }
  sync_folder(path);
  return open(path);
}

std::filesystem::path Registry::path() const {
  return impl_->folder;
}

ModelVersion Registry::add(const std::filesystem::path& path, const AddOptions& options) {
  check_options(options);
  const std::string version = options.version.empty() || options.version.starts_with('v')
                                  ? options.version
                                  : "v" + options.version;
  if (!version.empty()) {
    if (const std::string why = why_no_version(version); !why.empty()) {
      throw Error(EINVAL, "'" + options.version + "' is no version: " + why);
    }
  }
  const std::string tag = "refs/tags/" + options.name + "@" + version;
  const auto check_new = [&] {
    if (!version.empty() && impl_->refs.find(tag))
      throw Error(EEXIST, options.name + "@" + version + " is there already");
  };
  check_new();

  Source source(path);
  ModelVersion made;
  made.name = options.name;
  made.version = version;
  made.labels = options.labels;
  made.parent = options.parent;
  made.training_run = options.training_run;
  made.main_file = options.main_file.empty() ? find_main(source.files()) : options.main_file;
  if (!made.main_file.empty()) {
    const auto is_main = [&](const SourceFile& file) { return file.path == made.main_file; };
    if (std::none_of(source.files().begin(), source.files().end(), is_main)) {
      throw Error(EINVAL, path.string() + " has no file " + made.main_file);
    }
    if (has_metadata(made.main_file)) {
      MetadataOptions how;
      how.beneath = source.beneath();
      made.metadata = read_metadata(source.path(made.main_file), how);
      // A file alone brings along what it needs.
      const std::string beside = made.main_file.substr(0, made.main_file.rfind('/') + 1);
      bool more = false;
      for (const ModelFile& file : made.metadata->files)
        more |= source.also(Path(beside + file.path).lexically_normal().string());
      // They were read before they were looked at.
      if (more && read_metadata(source.path(made.main_file), how) != *made.metadata)
        throw Error(EBUSY, path.string() + " was changed while it was added");
    }
  }
  made.licence = !options.licence.empty() ? options.licence
                 : made.metadata          ? made.metadata->licence
                                          : "";

  const auto git = impl_->handles.lend();
  const FileLock using_it = impl_->use();
  made.parent_commit = commit_of_parent(*impl_, *git, made.parent);
  std::uint64_t total = 0;
  for (const SourceFile& file : source.files()) total += file.size;
  Adding adding(*impl_, *git, options);
  std::uint64_t before = 0;
  for (const SourceFile& file : source.files()) {
    if (options.stop.stop_requested()) throw Error(ECANCELED, "it was to stop");
    adding.file(source, file, before, total);
    before += file.size;
  }
  if (made.metadata) {
    for (const ModelFile& read : made.metadata->files) {
      const std::string beside = made.main_file.substr(0, made.main_file.rfind('/') + 1);
      const std::string where = Path(beside + read.path).lexically_normal().string();
      for (const VersionFile& kept : adding.files) {
        if (kept.path == where && kept.size_bytes != read.size_bytes)
          throw Error(EBUSY, where + " was changed while it was added");
      }
    }
  }
  made.files = adding.files;
  const std::string record = write_record(made);
  adding.text(std::string(kRecord), record);
  const auto write = [&](bool said) {
    std::vector<Blob> blobs = adding.blobs;
    const std::string own = said ? adding.unsaid : std::string(kPlain) + adding.all;
    if (!own.empty()) blobs.push_back({std::string(kAttributes), git->write_blob(own)});
    std::sort(blobs.begin(), blobs.end(),
              [](const Blob& a, const Blob& b) { return a.path < b.path; });
    return write_folder(*git, blobs);
  };
  bool said = true;
  git_oid folder = write(said);

  const std::string title = options.name + (version.empty() ? "" : "@" + version);
  const std::string message = options.message.empty() ? "Add " + title : options.message;
  std::string commit;
  {
    Change change(impl_->refs);
    if (options.stop.stop_requested()) throw Error(ECANCELED, "it was to stop");
    check_new();
    // Only Git itself can come in between, and seldom does.
    for (int tries = 0; commit.empty(); tries++) {
      const auto tip = impl_->refs.find(std::string(kDev));
      const CommitPtr parent = tip ? git->commit(tip->value) : nullptr;
      TreePtr root = parent ? git->tree(parent.get()) : nullptr;
      if (!root || !git->entry(root.get(), std::string(kAttributes))) {
        root = git->tree(git->with(root.get(), std::string(kAttributes),
                                   Entry{git->write_blob(root_attributes()), GIT_FILEMODE_BLOB}));
      }
      check_no_model_around(*git, root.get(), options.name);
      if (is_said_above(*git, root.get(), options.name) != said) folder = write(said = !said);
      const git_oid tree = git->with(root.get(), options.name, Entry{folder, GIT_FILEMODE_TREE});
      std::vector<std::string> parents;
      if (parent) parents.push_back(tip->value);
      const std::string written = git->write_commit(tree, parents, message + "\n");
      check_not_checked_out(*impl_, *git, kDev);
      if (change.set(std::string(kDev), tip ? tip->value : "", written, git->who_when(),
                     "commit: add " + title)) {
        commit = written;
      } else if (tries == 100) {
        throw Error(EBUSY, "dev changes all the time");
      }
    }
    if (!version.empty()) {
      const std::string object =
          git->write_tag(options.name + "@" + version, commit, message + "\n");
      if (!change.set(tag, "", object, {}, {}))
        throw Error(EEXIST, options.name + "@" + version + " is there already");
    }
    forget_removal(*impl_, folder);
    settle(*impl_, *git, change, commit);
  }
  return Reader(*impl_, *git, options.name).read({options.name, commit, folder, version}, true);
}

}  // namespace aiaccel
