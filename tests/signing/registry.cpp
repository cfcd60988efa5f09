// SPDX-License-Identifier: MIT
//
// Signatures of versions in a registry: kept, found, found again in a clone, and demanded before a
// version is loaded.
#include <aiaccel/registry.hpp>

#include <thread>

#include "fixture.hpp"
#include "registry/lab.hpp"

using namespace fixture;
using aiaccel::Ref;
using aiaccel::Registry;

namespace {

struct Signed : lab::Lab {
  Signed() : registry(Registry::create(Lab::registry())) {
    registry.add(model("m", 1), lab::options("vad", "1.0.0"));
    registry.add(model("m", 2), lab::options("vad", "2.0.0"));
    git("config aiaccel.trustedKey " + key.pub.string());
  }
  std::string sign(const std::string& ref) {
    return aiaccel::sign_version(registry, Ref::parse(ref), Signer::from_key(key.key));
  }
  void demand(const std::string& what) { git("config aiaccel.signatures " + what); }
  aiaccel::VerifiedCheckout load(const std::string& ref) {
    return aiaccel::checkout_verified(registry, Ref::parse(ref));
  }
  std::size_t found(const std::string& ref) const {
    return aiaccel::find_signatures(registry, Ref::parse(ref)).size();
  }

  Folder folder;
  KeyFiles key = make_key(folder, "key");
  Registry registry;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(in_registry, Signed)

BOOST_AUTO_TEST_CASE(kept_and_found) {
  BOOST_TEST(found("vad@v1.0.0") == 0U);
  BOOST_TEST(!registry.resolve(Ref::parse("vad@v1.0.0")).is_signed);
  BOOST_TEST(sign("vad@v1.0.0") == ".signatures/vad/v1.0.0.sig");
  BOOST_TEST(registry.resolve(Ref::parse("vad@v1.0.0")).is_signed);
  BOOST_TEST(!registry.resolve(Ref::parse("vad@v2.0.0")).is_signed);
  BOOST_TEST(found("vad@v1.0.0") == 1U);
  BOOST_TEST(found("vad@v2.0.0") == 0U);
  BOOST_TEST(git("log -1 --format=%s dev") == "Sign vad@v1.0.0");
  // By the path that Git itself shows, and of all files that it has.
  const json bundle = json::parse(git("show dev:.signatures/vad/v1.0.0.sig"));
  BOOST_TEST(bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json");
  const aiaccel::registry::Statement statement =
      aiaccel::registry::parse_statement(aiaccel::registry::parse_bundle(bundle.dump()).payload);
  std::string listed;
  for (const SignedFile& file : statement.files) listed += file.path + "\n";
  BOOST_TEST(git("-c core.quotePath=false ls-tree -r --name-only vad@v1.0.0:vad") + "\n" == listed);
  check_whole();
  // Models are what there are as before.
  BOOST_TEST(registry.models().size() == 1U);
  BOOST_TEST(registry.resolve(Ref::parse("vad")).version == "v2.0.0");
}

BOOST_AUTO_TEST_CASE(signed_again) {
  sign("vad@v1.0.0");
  const KeyFiles other = make_key(folder, "other");
  aiaccel::sign_version(registry, Ref::parse("vad@v1.0.0"), Signer::from_key(other.key));
  BOOST_TEST(found("vad@v1.0.0") == 1U);
  demand("require");
  refused(ENOKEY, "which is not trusted", [&] { load("vad@v1.0.0"); });
  // On another branch, the first is still one of it.
  git("branch staging dev~1");
  BOOST_TEST(found("vad@v1.0.0") == 2U);
  BOOST_TEST(load("vad@v1.0.0").check.verified.has_value());
}

BOOST_AUTO_TEST_CASE(without_a_version) {
  registry.add(model("m", 3), lab::options("vad", ""));
  const std::string commit = registry.resolve(Ref::parse("vad")).commit;
  BOOST_TEST(sign("vad") == ".signatures/vad/" + commit + ".sig");
  demand("require");
  BOOST_TEST(load("vad").check.verified.has_value());
  BOOST_TEST(load("vad:" + commit).check.verified.has_value());
}

BOOST_AUTO_TEST_CASE(demanded) {
  BOOST_TEST(load("vad@v1.0.0").check.warning == "");
  demand("warn");
  BOOST_TEST(load("vad@v1.0.0").check.warning.find("vad@v1.0.0 has no signature") == 0U);
  demand("require");
  refused(ENODATA, "vad@v1.0.0 has no signature", [&] { load("vad@v1.0.0"); });
  refused(ENODATA, "vad@v1.0.0 has no signature",
          [&] { aiaccel::check_version(registry, Ref::parse("vad@v1.0.0")); });
  sign("vad@v1.0.0");
  const aiaccel::VerifiedCheckout loaded = load("vad@v1.0.0");
  BOOST_TEST(loaded.check.verified.value().model_name == "vad");
  BOOST_TEST(loaded.folder == registry.checkout(Ref::parse("vad@v1.0.0")));
  BOOST_TEST(aiaccel::check_version(registry, Ref::parse("vad@v1.0.0")).verified.has_value());
  refused(ENODATA, "vad@v2.0.0 has no signature", [&] { load("vad@v2.0.0"); });
  // The one of another version is none of this.
  git("show dev:.signatures/vad/v1.0.0.sig >" + (folder / "first.sig").string());
  refused(EBADMSG, "is not what was signed", [&] {
    const auto folder_of_second = aiaccel::hash_folder(registry.checkout(Ref::parse("vad@v2.0.0")));
    aiaccel::verify(read(folder / "first.sig"), folder_of_second, trusting(key));
  });
}

// Names of folders, tags and of the signatures' own files are not signed.
BOOST_AUTO_TEST_CASE(another_name) {
  sign("vad@v1.0.0");
  demand("require");
  const std::string folder_of_first = git("rev-parse vad@v1.0.0:vad");
  const std::string bundle = git("rev-parse dev:.signatures/vad/v1.0.0.sig");
  const std::string index = "GIT_INDEX_FILE=" + (folder / "index").string() + " ";
  sh(index + "git read-tree --prefix=evil/ " + folder_of_first + " && " + index +
         "git update-index --add --cacheinfo 100644," + bundle + ",.signatures/evil/v9.0.0.sig",
     Lab::registry());
  sh("git branch other $(git commit-tree -m other $(" + index +
         "git write-tree)) && "
         "git tag -a -m evil evil@v9.0.0 other",
     Lab::registry());
  BOOST_TEST(found("evil@v9.0.0") == 1U);
  const char* const why = "the signature is one of the model 'vad', not of evil@v9.0.0";
  refused(EBADMSG, why, [&] { load("evil@v9.0.0"); });
  refused(EBADMSG, why, [&] { aiaccel::check_version(registry, Ref::parse("evil@latest")); });
  BOOST_TEST(load("vad@v1.0.0").check.verified.has_value());
}

BOOST_AUTO_TEST_CASE(another_version) {
  sign("vad@v1.0.0");
  sign("vad@v2.0.0");
  demand("require");
  git("tag -a -m again vad@v9.0.0 vad@v1.0.0^{}");
  refused(ENODATA, "vad@v9.0.0 has no signature", [&] { load("vad@latest"); });
  const std::string bundle = git("rev-parse dev:.signatures/vad/v1.0.0.sig");
  const std::string index = "GIT_INDEX_FILE=" + (folder / "index").string() + " ";
  sh(index + "git update-index --add --cacheinfo 100644," + bundle + ",.signatures/vad/v9.0.0.sig",
     Lab::registry());
  sh("git branch other $(git commit-tree -m other $(" + index + "git write-tree))",
     Lab::registry());
  const char* const why = "the signature is one of 'vad@v1.0.0', not of vad@v9.0.0";
  for (const char* ref : {"vad@latest", "vad@v9.0.0"}) {
    refused(EBADMSG, why, [&] { load(ref); });
    refused(EBADMSG, why, [&] { aiaccel::check_version(registry, Ref::parse(ref)); });
    // Resolved before, as who loads does, it is still the version that was asked for.
    const aiaccel::ModelVersion version = registry.resolve(Ref::parse(ref));
    refused(EBADMSG, why, [&] { aiaccel::checkout_verified(registry, version); });
    refused(EBADMSG, why, [&] { aiaccel::check_version(registry, version); });
  }
  BOOST_TEST(load("vad@v1.0.0").check.verified.has_value());
  // Who signs may say that it is that one, too.
  BOOST_TEST(sign("vad@v9.0.0") == ".signatures/vad/v9.0.0.sig");
  BOOST_TEST(load("vad@latest").check.verified.value().model_name == "vad@v9.0.0");
  BOOST_TEST(load("vad@v1.0.0").check.verified.value().model_name == "vad");
}

// What is tagged later: the signature of the files alone says nothing of the version.
BOOST_AUTO_TEST_CASE(tagged_later) {
  registry.add(model("m", 3), lab::options("vad", ""));
  sign("vad");
  demand("require");
  BOOST_TEST(load("vad").check.verified.has_value());
  registry.tag(Ref::parse("vad"), "3.0.0");
  refused(EBADMSG, "the signature is one of vad without a version, not of vad@v3.0.0",
          [&] { load("vad@v3.0.0"); });
  sign("vad@v3.0.0");
  BOOST_TEST(load("vad@v3.0.0").check.verified.value().model_name == "vad@v3.0.0");
}

// A stage is what was promoted to it: the version's signature is that of the stage.
BOOST_AUTO_TEST_CASE(stages) {
  sign("vad@v1.0.0");
  registry.promote(Ref::parse("vad@v1.0.0"), "prod");
  demand("require");
  BOOST_TEST(load("vad#prod").check.verified.has_value());
  registry.promote(Ref::parse("vad@v2.0.0"), "prod");
  refused(ENODATA, "vad@v2.0.0 has no signature", [&] { load("vad#prod"); });
  sign("vad@v2.0.0");
  BOOST_TEST(load("vad#prod").check.verified.has_value());
  registry.rollback("vad", "prod");
  BOOST_TEST(load("vad#prod").check.verified.has_value());
}

// Each byte that is to be loaded is hashed, whatever Git believes of it.
BOOST_AUTO_TEST_CASE(weights_changed_behind_git) {
  sign("vad@v1.0.0");
  const std::filesystem::path folder_of_first = registry.checkout(Ref::parse("vad@v1.0.0"));
  std::filesystem::path weights;
  for (const auto& each : std::filesystem::recursive_directory_iterator(folder_of_first))
    if (each.path().extension() == ".onnx") weights = each.path();
  BOOST_REQUIRE(!weights.empty());
  run("chmod u+w " + weights.string() + " && printf x | dd of=" + weights.string() +
      " conv=notrunc bs=1 seek=3");
  demand("warn");
  BOOST_TEST(load("vad@v1.0.0").check.warning.find("is not what was signed: it was changed") !=
             std::string::npos);
  demand("require");
  refused(EBADMSG, "is not what was signed: it was changed", [&] { load("vad@v1.0.0"); });
  run("chmod u+w " + weights.parent_path().string() + " && touch " +
      (weights.parent_path() / "more").string());
  refused(EBADMSG, "", [&] { load("vad@v1.0.0"); });
}

BOOST_AUTO_TEST_CASE(what_lies_there) {
  sign("vad@v1.0.0");
  demand("require");
  // As anybody may push it: nonsense, and a link, on other branches.
  for (const char* make :
       {"echo nonsense >.signatures/vad/v1.0.0.sig",
        "ln -sf /etc/passwd .signatures/vad/v1.0.0.sig", "rm -r .signatures && echo >.signatures",
        "rm .signatures/vad/v1.0.0.sig && mkdir .signatures/vad/v1.0.0.sig && "
        "echo >.signatures/vad/v1.0.0.sig/x"}) {
    const std::string where = (folder / "work").string();
    git("worktree add -q --detach " + where + " dev");
    sh(std::string("git sparse-checkout disable && ") + make +
           " && git add -A && git commit -qm other && git branch -f aaa",
       where);
    git("worktree remove --force " + where);
    BOOST_TEST(load("vad@v1.0.0").check.verified.has_value(), make);
  }
}

// Nor do many others make who loads read without end, or hide the one of dev.
BOOST_AUTO_TEST_CASE(very_many_branches) {
  sign("vad@v1.0.0");
  demand("require");
  std::string commits;
  for (int i = 0; i < 300; ++i) {
    const std::string text = "nonsense " + std::to_string(i);
    commits += "commit refs/heads/aa" + std::to_string(i) +
               "\ncommitter a <a@example.com> 1700000000 +0000\ndata 1\nx\n"
               "M 100644 inline .signatures/vad/v1.0.0.sig\ndata " +
               std::to_string(text.size()) + "\n" + text + "\n\n";
  }
  git("fast-import --quiet <" + folder.write("commits", commits).string());
  BOOST_TEST(found("vad@v1.0.0") == 100U);
  BOOST_TEST(load("vad@v1.0.0").check.verified.has_value());
}

BOOST_AUTO_TEST_CASE(clones) {
  sign("vad@v1.0.0");
  const std::string bare = "file://" + (top() / "bare.git").string();
  sh("git init -q --bare -b dev bare.git", top());
  git("remote add origin " + bare);
  git("lfs push --all origin");
  git("push -q --no-verify origin --all");
  git("push -q --no-verify origin --tags");
  sh("git clone -q " + bare + " clone && git -C clone lfs fetch --all", top());
  const Registry clone = Registry::open(top() / "clone");
  const auto load_there = [&] {
    return aiaccel::checkout_verified(clone, Ref::parse("vad@v1.0.0"));
  };
  BOOST_TEST(!load_there().check.verified);
  // Its policy is its own, and the signature is on a branch of the remote.
  sh("git -C clone config aiaccel.signatures require", top());
  refused(ENOKEY, "which is not trusted", [&] { load_there(); });
  sh("git -C clone config aiaccel.trustedKey " + key.pub.string(), top());
  BOOST_TEST(load_there().check.verified.value().model_name == "vad");
}

BOOST_AUTO_TEST_CASE(several_at_once) {
  for (int i = 3; i < 9; ++i)
    registry.add(model("m", i), lab::options("vad", std::to_string(i) + ".0.0"));
  std::vector<std::thread> threads;
  for (int i = 1; i < 9; ++i)
    threads.emplace_back([this, i] {
      Registry own = Registry::open(Lab::registry());
      aiaccel::sign_version(own, Ref::parse("vad@v" + std::to_string(i) + ".0.0"),
                            Signer::from_key(key.key));
    });
  for (std::thread& thread : threads) thread.join();
  demand("require");
  for (int i = 1; i < 9; ++i)
    BOOST_TEST(load("vad@v" + std::to_string(i) + ".0.0").check.verified.has_value());
  check_whole();
}

BOOST_AUTO_TEST_SUITE_END()
