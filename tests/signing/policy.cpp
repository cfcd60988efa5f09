// SPDX-License-Identifier: MIT
//
// What a registry demands, set with `git config`, and what comes of it when weights are to be
// loaded.
#include "fixture.hpp"

using namespace fixture;
using aiaccel::SignatureDemand;

namespace {

struct Place {
  Folder folder;
  std::filesystem::path registry = folder / "registry";
  KeyFiles key = make_key(folder, "key");
  std::vector<std::string> bundles = {aiaccel::sign("speech", kFiles, Signer::from_key(key.key))};

  Place() { run("git init -q " + registry.string()); }
  void config(const std::string& arguments) {
    run("git -C " + registry.string() + " config " + arguments);
  }
  aiaccel::SignaturePolicy policy() const { return aiaccel::read_signature_policy(registry); }
  aiaccel::SignatureCheck check(const std::vector<SignedFile>& files = kFiles) const {
    return aiaccel::check_signature(policy(), files, bundles);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(policy_of_registry, Place)

BOOST_AUTO_TEST_CASE(off_at_first) {
  BOOST_TEST((policy().demand == SignatureDemand::off));
  bundles = {"nonsense"};
  BOOST_TEST(!check().verified);
  BOOST_TEST(check().warning == "");
}

BOOST_AUTO_TEST_CASE(words) {
  for (const auto& [word, demand] :
       std::map<std::string, SignatureDemand>{{"off", SignatureDemand::off},
                                              {"warn", SignatureDemand::warn},
                                              {"require", SignatureDemand::require}}) {
    config("aiaccel.signatures " + word);
    BOOST_TEST((policy().demand == demand));
  }
  for (const char* word : {"required", "Require", "true", "yes"}) {
    config(std::string("aiaccel.signatures ") + word);
    refused(EINVAL, "not off, warn or require", [&] { policy(); });
  }
  // Somebody meant something by it: only what is not there is off.
  config("aiaccel.signatures ''");
  refused(EINVAL, "aiaccel.signatures is '', not off, warn or require", [&] { policy(); });
  config("--unset aiaccel.signatures");
  BOOST_TEST((policy().demand == SignatureDemand::off));
  run("printf '[aiaccel]\\n\\tsignatures\\n' >>" + (registry / ".git/config").string());
  refused(EINVAL, "not off, warn or require", [&] { policy(); });
  config("aiaccel.signatures off");
  config("aiaccel.acceptExpired perhaps");
  refused(EINVAL, "aiaccel.acceptExpired is neither true nor false", [&] { policy(); });
  refused(ENOENT, "nothing", [&] { aiaccel::read_signature_policy(folder / "nothing"); });
}

BOOST_AUTO_TEST_CASE(require) {
  config("aiaccel.signatures require");
  refused(ENOKEY, "which is not trusted", [&] { check(); });
  config("aiaccel.trustedKey " + key.pub.string());
  BOOST_TEST(check().verified.value().model_name == "speech");
  BOOST_TEST(check().warning == "");
  refused(EBADMSG, "'onnx.txt' was signed and is missing", [&] { check({kFiles[0], kFiles[1]}); });
  bundles = {};
  refused(ENODATA, "it has no signature", [&] { check(); });
  bundles = {"nonsense"};
  refused(EBADMSG, "the bundle is no JSON", [&] { check(); });
}

BOOST_AUTO_TEST_CASE(warn) {
  config("aiaccel.signatures warn");
  config("aiaccel.trustedKey " + key.pub.string());
  BOOST_TEST(check().verified.has_value());
  const aiaccel::SignatureCheck changed = check({kFiles[0], kFiles[1]});
  BOOST_TEST(!changed.verified);
  BOOST_TEST(changed.warning.find("'onnx.txt' was signed and is missing") == 0U);
  bundles = {};
  BOOST_TEST(check().warning.find("it has no signature") == 0U);
}

BOOST_AUTO_TEST_CASE(one_that_holds_is_enough) {
  config("aiaccel.signatures require");
  config("aiaccel.trustedKey " + key.pub.string());
  const KeyFiles other = make_key(folder, "other");
  const std::string theirs = aiaccel::sign("speech", kFiles, Signer::from_key(other.key));
  bundles = {"nonsense", bundles[0], theirs};
  BOOST_TEST(check().verified.has_value());
  bundles = {"nonsense", theirs};
  refused(ENOKEY, "which is not trusted", [&] { check(); });
}

BOOST_AUTO_TEST_CASE(several_keys_and_roots) {
  config("aiaccel.signatures require");
  const KeyFiles other = make_key(folder, "other");
  const auto root = certify(folder, authority("Root"), other);
  const auto leaf = certify(folder, {.name = "Leaf"}, key, root, other.key);
  config("--add aiaccel.trustedKey " + other.pub.string());
  config("--add aiaccel.trustedKey " + key.pub.string());
  BOOST_TEST(check().verified.value().signer == "key " + Signer::from_key(key.key).key_hint());
  bundles = {aiaccel::sign("speech", kFiles, Signer::from_certificate(leaf, key.key))};
  refused(ENOKEY, "while no certificate is trusted", [&] { check(); });
  config("aiaccel.trustedRoot " + root.string());
  BOOST_TEST(check().verified.value().signer == "CN=Leaf");
  const auto old =
      certify(folder, {.name = "Old", .from = -kDay / 2, .until = -60}, key, root, other.key);
  bundles = {aiaccel::sign("speech", kFiles, Signer::from_certificate(old, key.key))};
  refused(EKEYEXPIRED, "certificate has expired", [&] { check(); });
  config("aiaccel.acceptExpired true");
  BOOST_TEST(check().verified.value().signer == "CN=Old");
}

BOOST_AUTO_TEST_CASE(paths) {
  config("aiaccel.signatures require");
  config("aiaccel.trustedKey ../key.pub");
  BOOST_TEST(check().verified.has_value());
  // A key that cannot be read is told, and is no key.
  config("aiaccel.trustedKey ../gone.pub");
  refused(ENOKEY, "aiaccel.trustedKey: " + (registry / "../gone.pub").string() + ": No such file",
          [&] { check(); });
  config("aiaccel.signatures warn");
  BOOST_TEST(check().warning.find("aiaccel.trustedKey: ") == 0U);
  // It does not keep the others from being used.
  config("--add aiaccel.trustedKey ../key.pub");
  BOOST_TEST(check().verified.has_value());
}

// What a pull may put there is nobody's choice of whom to trust.
BOOST_AUTO_TEST_CASE(keys_in_the_working_tree) {
  config("aiaccel.signatures require");
  std::filesystem::create_directory(registry / "keys");
  std::filesystem::copy_file(key.pub, registry / "keys/key.pub");
  std::filesystem::create_directory_symlink("..", registry / "up");
  std::filesystem::create_symlink(registry / "keys/key.pub", folder / "link.pub");
  std::filesystem::create_symlink("../key.pub", registry / "out.pub");
  std::filesystem::create_directory_symlink(registry, folder / "other");
  for (const std::string& path :
       {std::string("keys/key.pub"), std::string("./keys/../keys/key.pub"),
        (registry / "keys/key.pub").string(), std::string("../link.pub"), std::string("up/key.pub"),
        std::string("out.pub"), (folder / "other/out.pub").string(),
        (folder / "other/keys/key.pub").string()}) {
    config("aiaccel.trustedKey " + path);
    refused(ENOKEY, "is in the working tree, where a pull may change it", [&] { check(); });
  }
  std::filesystem::copy_file(key.pub, registry / ".git/key.pub");
  for (const char* path : {".git/key.pub", "../key.pub"}) {
    config(std::string("aiaccel.trustedKey ") + path);
    BOOST_TEST(check().verified.has_value(), path);
  }
}

BOOST_AUTO_TEST_SUITE_END()
