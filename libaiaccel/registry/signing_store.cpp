// SPDX-License-Identifier: MIT
//
// Signatures in a registry: where they lie, and what they are held against. A branch may be
// anybody's, so what lies there is read as such, and none that is malformed hides another.
//
// Writing goes the way of all that changes branch dev: objects under the lock of those who make
// them, then the branch, compared and swapped.
#include <aiaccel/registry.hpp>
#include <aiaccel/signing.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <optional>
#include <set>
#include <utility>

#include "registry/impl.h"
#include "registry/record.h"
#include "registry/sha256.h"
#include "registry/signing_bundle.h"
#include "registry/signing_policy.h"

namespace aiaccel {
namespace {

using registry::CommitPtr;
using registry::Git;
using registry::Impl;
using registry::shown;

constexpr int kMostTries = 100;

std::string path_of(const std::string& name, const std::string& what) {
  return fmt::format("{}/{}/{}.sig", registry::kSignatures, name, what);
}

std::vector<SignedFile> signed_files(const ModelVersion& version) {
  std::vector<SignedFile> files;
  files.reserve(version.files.size());
  for (const VersionFile& file : version.files) files.push_back({file.path, file.sha256});
  return files;
}

// Branches in the order in which they are looked at: dev's own come before what others pushed.
std::vector<registry::RefValue> heads_of(const Impl& impl) {
  std::vector<registry::RefValue> heads;
  if (auto dev = impl.refs.find(std::string(registry::kDev))) heads.push_back(std::move(*dev));
  for (const char* const where : {"refs/heads/", "refs/remotes/"})
    for (registry::RefValue& tip : impl.refs.list(where)) heads.push_back(std::move(tip));
  return heads;
}

// One at a time, as each may be long; and no more than a bound, as anybody may push branches.
class Found {
 public:
  Found(const Impl& impl, const Git& git, const ModelVersion& version) : git_(git) {
    std::set<std::string> seen;  // most branches have the same ones
    std::size_t bytes = 0;
    for (const registry::RefValue& tip : heads_of(impl)) {
      const CommitPtr commit = git.commit(tip.value);
      if (!commit) continue;
      const registry::TreePtr tree = git.tree(commit.get());
      for (const std::string& what : {version.version, version.commit}) {
        if (what.empty()) continue;
        const auto entry = git.entry(tree.get(), path_of(version.name, what));
        if (!entry || entry->mode != GIT_FILEMODE_BLOB ||
            !seen.insert(registry::hex(entry->id)).second)
          continue;
        // One that is too long is none: what reads them says so of shorter ones.
        const std::size_t size = git.size(entry->id);
        if (size > registry::kMaxBundleBytes) continue;
        bytes += size;
        if (ids_.size() == kMostSignatures || bytes > kMostBytes) return;
        ids_.push_back(entry->id);
      }
    }
  }

  std::optional<std::string> next() {
    if (at_ == ids_.size()) return std::nullopt;
    return git_.blob(ids_[at_++]);
  }

 private:
  static constexpr std::size_t kMostSignatures = 100;
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20;

  const Git& git_;
  std::vector<git_oid> ids_;
  std::size_t at_ = 0;
};

// What aiaccel.json says of itself; `sha256` is what ties it to a signature.
struct Recorded {
  std::string name, version, sha256;  // "" where there is none
};

Recorded recorded_of(const Git& git, const ModelVersion& version) {
  const CommitPtr commit = git.commit(version.commit);
  if (!commit) throw Error(EIO, "cannot read commit " + version.commit);
  const auto entry = git.entry(git.tree(commit.get()).get(),
                               fmt::format("{}/{}", version.name, registry::kRecord));
  if (!entry || entry->mode == GIT_FILEMODE_TREE) return {};
  if (git.size(entry->id) > registry::kLongestRecord)
    throw Error(EBADMSG, fmt::format("{} is too large", registry::kRecord));
  const std::string text = git.blob(entry->id);
  ModelVersion says;
  registry::read_record(text, false, says);
  return {says.name, says.version, registry::Sha256::of(text)};
}

std::string with_version(const ModelVersion& version) {
  return version.version.empty() ? version.name
                                 : fmt::format("{}@{}", version.name, version.version);
}

// Folders, tags and the names of signatures' files are not signed, so anybody may put files that
// somebody did sign under another name, or an old version under a new number. What is signed is
// the name in the statement and aiaccel.json; one of them has to say each.
class Binding {
 public:
  Binding(const Git& git, const ModelVersion& version, const std::vector<SignedFile>& files)
      : version_(version), recorded_(recorded_of(git, version)) {
    for (const SignedFile& file : files)
      if (file.path == registry::kRecord && file.sha256 != recorded_.sha256)
        throw Error(EBADMSG, fmt::format("{} is not what Git has", registry::kRecord));
  }

  void operator()(const Verified& verified) const {
    const std::string wanted = with_version(version_);
    if (!recorded_.name.empty() && recorded_.name != version_.name)
      throw Error(EBADMSG, fmt::format("the signature is one of the model {}, not of {}",
                                       shown(recorded_.name), wanted));
    if (verified.model_name == wanted) return;  // with its version, if it has one
    if (verified.model_name != version_.name)
      throw Error(EBADMSG, fmt::format("the signature is one of {}, not of {}",
                                       shown(verified.model_name), wanted));
    if (recorded_.version != version_.version)
      throw Error(EBADMSG, fmt::format("the signature is one of {}, not of {}",
                                       recorded_.version.empty()
                                           ? version_.name + " without a version"
                                           : shown(version_.name + "@" + recorded_.version),
                                       wanted));
  }

 private:
  const ModelVersion& version_;
  Recorded recorded_;
};

// By commit, as what a name means may change; the version stays the one that was asked for, since
// a commit may have several.
ModelVersion again(const Registry& in, const ModelVersion& version) {
  ModelVersion now = in.resolve({version.name, Ref::Kind::commit, version.commit, 0});
  now.version = version.version;
  return now;
}

SignatureCheck check_resolved(const Registry& in, const SignaturePolicy& policy,
                              const ModelVersion& version, const std::vector<SignedFile>& files) {
  Impl impl(in.path());
  const auto git = impl.handles.lend();
  Found found(impl, *git, version);
  std::optional<Binding> binding;
  const std::string name =
      version.version.empty() ? version.name + ":" + version.commit : with_version(version);
  return registry::check_each(
      policy, name, files, [&found] { return found.next(); },
      [&](const Verified& verified) {
        if (!binding) binding.emplace(*git, version, files);
        (*binding)(verified);
      });
}

std::string sign_resolved(Registry& in, const ModelVersion& version, const Signer& signer) {
  const std::string what = version.version.empty() ? version.commit : version.version;
  const std::string path = path_of(version.name, what);
  const std::string title =
      fmt::format("Sign {}{}{}", version.name, version.version.empty() ? ":" : "@", what);

  Impl impl(in.path());
  const auto git = impl.handles.lend();
  const registry::FileLock using_it = impl.use();
  // What has its version from a tag alone is signed as that version.
  const bool said =
      version.version.empty() || recorded_of(*git, version).version == version.version;
  const git_oid blob = git->write_blob(
      sign(said ? version.name : with_version(version), signed_files(version), signer));
  registry::Change change(impl.refs);
  for (int tries = 0; tries < kMostTries; ++tries) {
    const auto tip = impl.refs.find(std::string(registry::kDev));
    const CommitPtr parent = tip ? git->commit(tip->value) : nullptr;
    if (!parent) throw Error(ENOENT, "the registry has no branch dev");
    const git_oid tree =
        git->with(git->tree(parent.get()).get(), path, registry::Entry{blob, GIT_FILEMODE_BLOB});
    const std::string commit = git->write_commit(tree, {tip->value}, title + "\n");
    registry::check_not_checked_out(impl, *git, registry::kDev);
    // Only Git itself can come in between.
    if (!change.set(std::string(registry::kDev), tip->value, commit, git->who_when(),
                    "commit: " + title))
      continue;
    registry::settle(impl, *git, change, commit);
    return path;
  }
  throw Error(EBUSY, "dev changes all the time");
}

}  // namespace

std::string sign_version(Registry& in, const Ref& ref, const Signer& signer) {
  return sign_resolved(in, in.resolve(ref), signer);
}

std::string sign_version(Registry& in, const ModelVersion& version, const Signer& signer) {
  return sign_resolved(in, again(in, version), signer);
}

std::vector<std::string> find_signatures(const Registry& in, const Ref& ref) {
  const ModelVersion version = in.resolve(ref);
  Impl impl(in.path());
  const auto git = impl.handles.lend();
  Found found(impl, *git, version);
  std::vector<std::string> bundles;
  while (auto bundle = found.next()) bundles.push_back(std::move(*bundle));
  return bundles;
}

SignatureCheck check_version(const Registry& in, const Ref& ref) {
  const SignaturePolicy policy = read_signature_policy(in.path());
  if (policy.demand == SignatureDemand::off) return {};
  const ModelVersion version = in.resolve(ref);
  return check_resolved(in, policy, version, signed_files(version));
}

SignatureCheck check_version(const Registry& in, const ModelVersion& given) {
  const SignaturePolicy policy = read_signature_policy(in.path());
  if (policy.demand == SignatureDemand::off) return {};
  const ModelVersion version = again(in, given);
  return check_resolved(in, policy, version, signed_files(version));
}

VerifiedCheckout checkout_verified(const Registry& in, const Ref& ref) {
  return checkout_verified(in, in.resolve(ref));
}

VerifiedCheckout checkout_verified(const Registry& in, const ModelVersion& version) {
  const SignaturePolicy policy = read_signature_policy(in.path());
  // One commit throughout, though the reference may mean another in a moment.
  const std::filesystem::path folder =
      in.checkout({version.name, Ref::Kind::commit, version.commit, 0});
  if (policy.demand == SignatureDemand::off) return {folder, {}};
  return {folder, check_resolved(in, policy, version, hash_folder(folder))};
}

}  // namespace aiaccel
