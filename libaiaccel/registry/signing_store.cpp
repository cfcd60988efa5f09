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
#include <set>
#include <utility>

#include "registry/impl.h"
#include "registry/signing_bundle.h"

namespace aiaccel {
namespace {

using registry::CommitPtr;
using registry::Git;
using registry::Impl;

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

std::vector<std::string> find_of(const Impl& impl, const Git& git, const ModelVersion& version) {
  std::vector<std::string> bundles;
  std::set<std::string> seen;  // most branches have the same ones
  for (const char* const where : {"refs/heads/", "refs/remotes/"})
    for (const registry::RefValue& tip : impl.refs.list(where)) {
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
        if (git.size(entry->id) <= registry::kMaxBundleBytes)
          bundles.push_back(git.blob(entry->id));
      }
    }
  return bundles;
}

}  // namespace

std::string sign_version(Registry& in, const Ref& ref, const Signer& signer) {
  const ModelVersion version = in.resolve(ref);
  const std::string bundle = sign(version.name, signed_files(version), signer);
  const std::string what = version.version.empty() ? version.commit : version.version;
  const std::string path = path_of(version.name, what);
  const std::string title =
      fmt::format("Sign {}{}{}", version.name, version.version.empty() ? ":" : "@", what);

  Impl impl(in.path());
  const auto git = impl.handles.lend();
  const registry::FileLock using_it = impl.use();
  const git_oid blob = git->write_blob(bundle);
  registry::Change change(impl.refs);
  for (int tries = 0; tries < kMostTries; ++tries) {
    const auto tip = impl.refs.find(std::string(registry::kDev));
    const CommitPtr parent = tip ? git->commit(tip->value) : nullptr;
    if (!parent) throw Error(ENOENT, "the registry has no branch dev");
    const git_oid tree =
        git->with(git->tree(parent.get()).get(), path, registry::Entry{blob, GIT_FILEMODE_BLOB});
    const std::string commit = git->write_commit(tree, {tip->value}, title + "\n");
    // Only Git itself can come in between.
    if (!change.set(std::string(registry::kDev), tip->value, commit, git->who_when(),
                    "commit: " + title))
      continue;
    registry::settle(impl, *git, change, commit);
    return path;
  }
  throw Error(EBUSY, "dev changes all the time");
}

std::vector<std::string> find_signatures(const Registry& in, const Ref& ref) {
  const ModelVersion version = in.resolve(ref);
  Impl impl(in.path());
  return find_of(impl, *impl.handles.lend(), version);
}

SignatureCheck check_version(const Registry& in, const Ref& ref) {
  const SignaturePolicy policy = read_signature_policy(in.path());
  if (policy.demand == SignatureDemand::off) return {};
  const ModelVersion version = in.resolve(ref);
  Impl impl(in.path());
  return check_signature(policy, signed_files(version),
                         find_of(impl, *impl.handles.lend(), version));
}

VerifiedCheckout checkout_verified(const Registry& in, const Ref& ref) {
  const SignaturePolicy policy = read_signature_policy(in.path());
  if (policy.demand == SignatureDemand::off) return {in.checkout(ref), {}};
  // One commit throughout, though the reference may mean another in a moment.
  const ModelVersion version = in.resolve(ref);
  const std::filesystem::path folder =
      in.checkout({version.name, Ref::Kind::commit, version.commit, 0});
  Impl impl(in.path());
  const std::vector<std::string> bundles = find_of(impl, *impl.handles.lend(), version);
  return {folder, check_signature(policy, hash_folder(folder), bundles)};
}

}  // namespace aiaccel
