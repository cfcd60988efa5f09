// SPDX-License-Identifier: MIT
//
// Registry: models and their versions in a Git repository, weights as Git LFS objects, so that git
// and git-lfs read, clone, push and check what this wrote. (libaiaccel-registry;
// <aiaccel/registry.hpp>)
//
//   NAME/…                       a model's folder; weights are LFS pointers, text is text
//   NAME/aiaccel.json            what its files say of themselves, digest, labels, lineage
//   .signatures/NAME/VERSION.sig its signature (see signing.hpp)
//
//   branch dev                   what was added last; staging, prod: what was promoted
//   tag NAME@v1.2.3              a version: annotated, never moved
//   tag NAME#prod#3              the third thing that the stage prod was given (GTO's grammar)
//
// Threads: every function of a Registry may be called from any number of threads at once; other
// values are plain. Processes: any number may write at once; references are compared and swapped.
// A process that is killed leaves a whole repository, at worst with objects that gc() removes.
#ifndef AIACCEL_REGISTRY_HPP
#define AIACCEL_REGISTRY_HPP

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <aiaccel/error.hpp>
#include <aiaccel/metadata.hpp>

namespace aiaccel {

// What a name can mean: `NAME` (branch dev's), `NAME@v1.2.3`, `NAME@latest` (the highest version
// that is no pre-release, else the highest), `NAME#prod`, `NAME#prod#3`, `NAME:COMMIT`.
struct Ref {
  enum class Kind { head, version, latest, stage, commit };
  std::string name;
  Kind kind = Kind::head;
  std::string what;          // the version with its v, the stage, the commit
  std::uint64_t number = 0;  // of a stage's assignment; 0: the last

  // Throws Error(EINVAL), saying what does not fit. A version may lack its v, a commit may be
  // abbreviated to no less than four digits.
  [[gnu::visibility("default")]] static Ref parse(std::string_view text);
  [[gnu::visibility("default")]] std::string str() const;
  bool operator==(const Ref&) const = default;
};

struct VersionFile {
  std::string path;    // in the model's folder
  std::string sha256;  // of its contents, hexadecimal
  std::uint64_t size_bytes = 0;
  bool weights = false;  // kept by LFS
};

struct ModelVersion {
  std::string name;
  std::string version;  // "v5.0.0"; "" if it has no tag
  std::string removed;  // then: what it was added as, as long as it had one
  std::string commit;   // 40 hexadecimal digits
  std::string author;
  std::string message;
  std::chrono::system_clock::time_point time;
  std::vector<std::string> stages;  // that it is in now
  std::vector<VersionFile> files;   // by path
  std::map<std::string, std::string> labels;
  std::string licence;
  std::string parent;                // lineage: what it was made from, as `NAME@v…`, or ""
  std::string parent_commit;         // what that meant when this was added; "" if it was not here
  std::string training_run;          // any text, such as a URL
  std::string main_file;             // what a runtime is given: "model.onnx"
  std::optional<Metadata> metadata;  // of main_file; none if no reader knows it
  bool is_signed = false;
};

// Long work tells how far it is, from the calling thread.
struct Progress {
  std::string_view what;  // "model.onnx", "push"
  std::uint64_t done_bytes = 0, total_bytes = 0;
};
using OnProgress = std::function<void(const Progress&)>;

struct AddOptions {
  std::string name;
  std::string version;  // "5.0.0" or "v5.0.0"; "": no version tag
  std::string message;
  std::map<std::string, std::string> labels;
  std::string licence;  // else what the files say
  std::string parent;
  std::string training_run;
  std::string main_file;  // else found: the only model, model.onnx, *.safetensors.index.json, …
  OnProgress progress;
  std::stop_token stop;  // ECANCELED; nothing is recorded
};

// One thing that a stage was given.
struct StageEntry {
  std::uint64_t number = 0;
  std::string version, commit, author, message;
  std::string removed;  // as in ModelVersion
  std::chrono::system_clock::time_point time;
  bool rollback = false;
};

struct Removed {
  std::string what;
  std::uint64_t bytes = 0;
};

class [[gnu::visibility("default")]] Registry {
 public:
  // $AIACCEL_REGISTRY, else ${XDG_DATA_HOME:-~/.local/share}/aiaccel/registry
  static std::filesystem::path default_path();
  static Registry open(const std::filesystem::path& path);  // throws Error(ENOENT): there is none
  // Or opens what is there. Throws Error(ENOTEMPTY) for a folder that has files and is no
  // repository.
  static Registry create(const std::filesystem::path& path);

  // `source`: a file or a folder (a Hugging Face snapshot's links are followed within its cache).
  // Weights are linked or reflinked where the file system can and nobody else can write them, else
  // copied. Throws Error: EEXIST for a version that is there, EINVAL with the reason.
  ModelVersion add(const std::filesystem::path& source, const AddOptions& options);
  ModelVersion resolve(const Ref& ref) const;  // Error(ENOENT) says what is there
  std::vector<std::string> models() const;
  std::vector<ModelVersion> versions(std::string_view name) const;  // highest first
  std::vector<ModelVersion> log(const Ref& ref) const;              // latest first
  std::vector<StageEntry> history(std::string_view name, std::string_view stage) const;
  // What each stage has now that has anything, by its name.
  std::map<std::string, StageEntry> staged(std::string_view name) const;

  void tag(const Ref& ref, std::string_view version);  // registers a version
  StageEntry promote(const Ref& ref, std::string_view stage, std::string_view message = {});
  // Checks first that the weights of the version before are there (ENODATA names the first that is
  // not).
  StageEntry rollback(std::string_view name, std::string_view stage, std::string_view message = {});

  // A folder with the version's files under their names, made once and kept (by commit), read-only.
  std::filesystem::path checkout(const Ref& ref) const;
  // Every file's digest against what the commit says; throws Error(EBADMSG) naming the first that
  // differs.
  void verify_contents(const Ref& ref, const OnProgress& progress = {}) const;

  // Takes a version's tag away; where dev has it still, dev goes on with the highest that is left.
  // EBUSY while it is in a stage. Its weights go with gc(), unless another version or a stage's tag
  // has them.
  std::vector<Removed> remove(const Ref& ref, bool dry_run);
  // Removes weights, checkouts and temporary files that nothing reaches: no tag, branch, log, stash
  // or index, but for what remove() took away, which history names for ever. What was written less
  // than `grace` ago stays, as git may be about to refer to it. Waits for who is adding.
  std::vector<Removed> gc(bool dry_run, std::chrono::seconds grace = std::chrono::hours(1));

  // Git's own transports; weights through git-lfs, or by copying where the remote is a folder.
  void push(const std::string& remote, const OnProgress& progress = {});
  void pull(const std::string& remote, const OnProgress& progress = {});

  std::filesystem::path path() const;

  class [[gnu::visibility("hidden")]] Impl;  // the library's own

 private:
  explicit Registry(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace aiaccel

#endif  // AIACCEL_REGISTRY_HPP
