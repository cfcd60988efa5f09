// SPDX-License-Identifier: MIT
//
// A version's files: under their names, in a folder; and whether they are what was added.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <aiaccel/registry.hpp>
#include <cerrno>
#include <set>

#include "registry/impl.h"
#include "registry/record.h"
#include "registry/source.h"

namespace aiaccel::registry {
namespace {

void make_all(const Impl& impl, const Git& git, const git_oid& folder, const Path& into) {
  std::set<Path> folders{into};
  TextReader texts(git);
  for (const TreeFile& file : tree_files(git, folder)) {
    // A commit may be anybody's.
    if (const std::string why = why_no_file_name(file.path); !why.empty()) {
      throw Error(EBADMSG, "'" + file.path + "' cannot be checked out: " + why);
    }
    if (file.mode != GIT_FILEMODE_BLOB && file.mode != GIT_FILEMODE_BLOB_EXECUTABLE) {
      throw Error(EBADMSG, file.path + " is a link or another repository, and no file");
    }
    const Path path = into / file.path;
    make_folders(path.parent_path());
    for (Path each = path.parent_path(); each != into; each = each.parent_path())
      folders.insert(each);
    const std::string text = texts.read(file);
    if (const auto pointer = Pointer::parse(text)) {
      if (!impl.store.has(*pointer)) {
        throw Error(ENODATA, file.path + ": its weights are not here (" + pointer->sha256 + ")");
      }
      impl.store.give(*pointer, path);
    } else {
      const Fd fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0444);
      write_all(fd.get(), text, path);
      sync(fd.get(), path);
    }
  }
  for (const Path& each : folders) {
    sync_folder(each);
    // A folder that cannot be written cannot be renamed by all: that one comes last.
    if (each != into) ::chmod(each.c_str(), 0555);
  }
}

}  // namespace
}  // namespace aiaccel::registry

namespace aiaccel {

using namespace registry;

std::filesystem::path Registry::checkout(const Ref& ref) const {
  const auto git = impl_->handles.lend();
  const FileLock using_it = impl_->use();
  const Place place = find(*impl_, *git, ref);
  const Path kept = impl_->git_dir / "aiaccel/checkouts" / hex(place.folder);
  std::error_code none;
  if (std::filesystem::is_directory(kept, none)) return kept;
  const Path making = impl_->store.temporary() / unique_name();
  try {
    make_folders(kept.parent_path());
    make_folders(making);
  } catch (const Error& error) {
    const int code = error.code().value();
    if (code != EACCES && code != EROFS && code != EPERM) throw;
    throw Error(code, "the files of " + ref.str() + " were not laid out in " +
                          kept.parent_path().string() +
                          " yet, and that cannot be written: who may write there loads it once, "
                          "or this user loads it from a clone");
  }
  struct Gone {
    const Path& path;
    ~Gone() {
      std::error_code ignored;
      if (!std::filesystem::exists(path, ignored)) return;
      for (const auto& each : std::filesystem::recursive_directory_iterator(path, ignored)) {
        if (each.is_directory(ignored)) ::chmod(each.path().c_str(), 0755);
      }
      std::filesystem::remove_all(path, ignored);
    }
  } gone{making};
  make_all(*impl_, *git, place.folder, making);
  if (::rename(making.c_str(), kept.c_str()) < 0) {
    // Another was faster, with the same.
    if (errno != EEXIST && errno != ENOTEMPTY && errno != EACCES)
      throw_errno("cannot make " + kept.string());
    if (!std::filesystem::is_directory(kept, none))
      throw Error(EACCES, "cannot make " + kept.string());
    return kept;
  }
  ::chmod(kept.c_str(), 0555);
  sync_folder(kept.parent_path());
  return kept;
}

void Registry::verify_contents(const Ref& ref, const OnProgress& progress) const {
  const auto git = impl_->handles.lend();
  const Place place = find(*impl_, *git, ref);
  const std::vector<VersionFile> files = files_of(*git, place.folder);
  std::uint64_t total = 0;
  for (const VersionFile& file : files) total += file.weights ? file.size_bytes : 0;

  // What the record says, and what there is.
  const auto record = git->entry(git->tree(place.folder).get(), std::string(kRecord));
  if (record) {
    if (git->size(record->id) > kLongestRecord)
      throw Error(EBADMSG, std::string(kRecord) + " is too large");
    ModelVersion said;
    read_record(git->blob(record->id), false, said);
    std::map<std::string, const VersionFile*> there;
    for (const VersionFile& file : files) there[file.path] = &file;
    for (const VersionFile& file : said.files) {
      const auto found = there.find(file.path);
      if (found == there.end()) throw Error(EBADMSG, file.path + " was added and is missing");
      if (found->second->sha256 != file.sha256 || found->second->size_bytes != file.size_bytes) {
        throw Error(EBADMSG, file.path + " is not what was added: its SHA-256 is " +
                                 found->second->sha256 + " and not " + file.sha256);
      }
      there.erase(found);
    }
    there.erase(std::string(kRecord));
    if (!there.empty()) throw Error(EBADMSG, there.begin()->first + " is there and was not added");
  }
  std::uint64_t before = 0;
  for (const VersionFile& file : files) {
    if (!file.weights) continue;  // libgit2 has checked it against its name
    OnBytes tell;
    if (progress) tell = [&](std::uint64_t done) { progress({file.path, before + done, total}); };
    impl_->store.verify({file.sha256, file.size_bytes}, file.path, tell);
    before += file.size_bytes;
  }
}

}  // namespace aiaccel
