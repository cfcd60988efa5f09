// SPDX-License-Identifier: MIT
//
// A registry's demands on signatures, out of Git's configuration, and whether what there is meets
// them. What cannot be read counts as a demand that is not met, never as none.
#include <aiaccel/signing.hpp>

#include <fmt/format.h>
#include <git2.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "registry/git.h"
#include "registry/signing_bundle.h"
#include "registry/signing_keys.h"
#include "registry/signing_policy.h"

namespace aiaccel {
namespace {

using registry::FreeBy;
using registry::shown;

void done(int result, const std::string& what) {
  if (result >= 0) return;
  const git_error* error = ::git_error_last();
  throw Error(result == GIT_ENOTFOUND ? ENOENT : EIO,
              fmt::format("{}: {}", what, error ? error->message : "no reason given"));
}

class Config {
 public:
  explicit Config(const std::filesystem::path& folder)
      : repository_(registry::open_repository(folder)) {
    git_config* config = nullptr;
    done(::git_repository_config_snapshot(&config, repository_.get()), folder.string());
    config_.reset(config);
  }

  // The one that counts of several. One without a value is "".
  std::optional<std::string> text(const char* key) const {
    const char* value = nullptr;
    const int result = ::git_config_get_string(&value, config_.get(), key);
    if (result == GIT_ENOTFOUND) return std::nullopt;
    done(result, key);
    return std::string(value ? value : "");
  }

  bool truth(const char* key) const {
    int value = 0;
    const int result = ::git_config_get_bool(&value, config_.get(), key);
    if (result == GIT_ENOTFOUND) return false;
    if (result < 0) throw Error(EINVAL, fmt::format("{} is neither true nor false", key));
    return value != 0;
  }

  std::vector<std::string> all(const char* key) const {
    std::vector<std::string> values;
    const auto add = [](const git_config_entry* entry, void* into) {
      static_cast<std::vector<std::string>*>(into)->push_back(entry->value ? entry->value : "");
      return 0;
    };
    const int result = ::git_config_get_multivar_foreach(config_.get(), key, nullptr, add, &values);
    if (result != GIT_ENOTFOUND) done(result, key);
    return values;
  }

  // The folders of what Git writes when branches change, and of what it does not; "" for none.
  std::filesystem::path work_tree() const {
    const char* path = ::git_repository_workdir(repository_.get());
    return path ? path : "";
  }
  std::filesystem::path git_dir() const { return ::git_repository_commondir(repository_.get()); }

 private:
  registry::RepositoryPtr repository_;
  std::unique_ptr<git_config, FreeBy<git_config_free>> config_;
};

// As Git reads paths in its configuration.
std::filesystem::path expand(const std::string& value, const std::filesystem::path& registry) {
  git_buf buffer = GIT_BUF_INIT;
  done(::git_config_parse_path(&buffer, value.c_str()), value);
  const std::filesystem::path path(buffer.ptr);
  ::git_buf_dispose(&buffer);
  return registry / path;
}

bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const std::filesystem::path way = path.lexically_relative(folder);
  return !way.empty() && *way.begin() != "..";
}

// Whose word counts is not for those to say whose commits are pulled: no key is in the working
// tree, nor found by a link there.
void refuse_pulled(const std::filesystem::path& path, const Config& config) {
  if (config.work_tree().empty()) return;
  const auto real = [](const std::filesystem::path& any) {
    std::error_code none;
    const std::filesystem::path found = std::filesystem::weakly_canonical(any, none);
    return none ? any : found;
  };
  const std::filesystem::path named = std::filesystem::absolute(path).lexically_normal();
  const std::filesystem::path tree = config.work_tree().parent_path();
  const std::filesystem::path own = config.git_dir().parent_path();
  const auto pulled = [&](const std::filesystem::path& at) {
    return (is_below(at, tree) || is_below(at, real(tree))) && !is_below(at, own) &&
           !is_below(at, real(own));
  };
  if (pulled(named) || pulled(real(named)) || pulled(real(named.parent_path()) / named.filename()))
    throw Error(EINVAL, path.string() + ": is in the working tree, where a pull may change it");
}

// Somebody who wrote the key wanted something: only where nobody did is it off.
SignatureDemand demand_of(const std::optional<std::string>& value) {
  if (!value || *value == "off") return SignatureDemand::off;
  if (*value == "warn") return SignatureDemand::warn;
  if (*value == "require") return SignatureDemand::require;
  throw Error(EINVAL,
              fmt::format("aiaccel.signatures is {}, not off, warn or require", shown(*value)));
}

}  // namespace

SignaturePolicy read_signature_policy(const std::filesystem::path& registry) {
  const Config config(registry);
  SignaturePolicy policy;
  policy.demand = demand_of(config.text("aiaccel.signatures"));
  policy.trust.accept_expired(config.truth("aiaccel.acceptExpired"));
  const auto add = [&](const char* key, void (Trust::*how)(const std::filesystem::path&)) {
    for (const std::string& value : config.all(key)) try {
        const std::filesystem::path path = expand(value, registry);
        refuse_pulled(path, config);
        (policy.trust.*how)(path);
      } catch (const Error& error) {
        policy.problem = fmt::format("{}: {}", key, error.what());
      }
  };
  add("aiaccel.trustedKey", &Trust::add_key);
  add("aiaccel.trustedRoot", &Trust::add_root);
  return policy;
}

SignatureCheck check_signature(const SignaturePolicy& policy, std::span<const SignedFile> files,
                               std::span<const std::string> bundles) {
  auto bundle = bundles.begin();
  const auto next = [&]() -> std::optional<std::string> {
    if (bundle == bundles.end()) return std::nullopt;
    return *bundle++;
  };
  return registry::check_each(policy, "it", files, next, [](const Verified&) {});
}

SignatureCheck registry::check_each(const SignaturePolicy& policy, const std::string& name,
                                    std::span<const SignedFile> files,
                                    const std::function<std::optional<std::string>()>& next,
                                    const std::function<void(const Verified&)>& fits) {
  if (policy.demand == SignatureDemand::off) return {};
  Error last(ENODATA, name + " has no signature");
  while (const auto bundle = next()) try {
      Verified verified = verify(*bundle, files, policy.trust);
      fits(verified);
      return {std::move(verified), {}};
    } catch (const Error& error) {
      last = error;
    }
  // A key that could not be read may be the one that is missing.
  if (!policy.problem.empty()) last = Error(last.code().value(), policy.problem);
  if (policy.demand == SignatureDemand::require) throw Error(last);
  return {std::nullopt, last.what()};
}

}  // namespace aiaccel
