// SPDX-License-Identifier: MIT
//
// Versions are promoted and rolled back; tags say so in GTO's grammar, branches in Git's.
#include <sys/stat.h>

#include <cerrno>
#include <regex>
#include <sstream>

#include "lab.hpp"

using namespace aiaccel;
using namespace lab;

namespace {

struct Three : Lab {
  Three() : registry(Registry::create(Lab::registry())) {
    for (int i = 1; i <= 3; i++) {
      commits.push_back(
          registry.add(model("m", i), options("vad", std::to_string(i) + ".0.0")).commit);
    }
  }
  StageEntry promote(int version) {
    return registry.promote(Ref::parse("vad@v" + std::to_string(version) + ".0.0"), "prod");
  }
  std::string now() const { return registry.resolve(Ref::parse("vad#prod")).version; }

  Registry registry;
  std::vector<std::string> commits;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(stages)

BOOST_FIXTURE_TEST_CASE(promoted, Three) {
  BOOST_TEST(thrown([&] { now(); }).error == ENOENT);
  const StageEntry first =
      registry.promote(Ref::parse("vad@v1.0.0"), "prod", "ship it\n\nit is good");
  BOOST_TEST(first.number == 1);
  BOOST_TEST(first.version == "v1.0.0");
  BOOST_TEST(first.commit == commits[0]);
  BOOST_TEST(first.author == "Ada <ada@example.org>");
  BOOST_TEST(first.message == "ship it\n\nit is good");
  BOOST_TEST(!first.rollback);
  BOOST_TEST(now() == "v1.0.0");
  BOOST_TEST(promote(2).number == 2);
  BOOST_TEST(registry.promote(Ref::parse("vad"), "staging").version == "v3.0.0");
  BOOST_TEST(now() == "v2.0.0");
  BOOST_TEST(registry.resolve(Ref::parse("vad#prod#1")).version == "v1.0.0");
  const Thrown none = thrown([&] { registry.resolve(Ref::parse("vad#prod#3")); });
  BOOST_TEST(none.error == ENOENT);
  BOOST_TEST(has(none.what, "number 2"), none.what);
  BOOST_TEST(
      (registry.resolve(Ref::parse("vad@v2.0.0")).stages == std::vector<std::string>{"prod"}));
  BOOST_TEST(registry.resolve(Ref::parse("vad@v1.0.0")).stages.empty());

  // What is there already is not given again.
  BOOST_TEST(promote(2).number == 2);
  BOOST_TEST(git("tag --list 'vad#prod#*' | wc -l") == "2");
  BOOST_TEST(thrown([&] { registry.promote(Ref::parse("vad"), "dev"); }).error == EINVAL);
  BOOST_TEST(thrown([&] { registry.promote(Ref::parse("vad"), "a/b"); }).error == EINVAL);
  BOOST_TEST(thrown([&] { registry.promote(Ref::parse("vad@9.9.9"), "prod"); }).error == ENOENT);

  BOOST_TEST(git("rev-parse 'vad#prod#2^{commit}'") == commits[1]);
  BOOST_TEST(git("cat-file -t 'vad#prod#2'") == "tag");
  BOOST_TEST(git("rev-parse prod:vad") == git("rev-parse 'vad@v2.0.0:vad'"));
  BOOST_TEST(git("rev-parse prod^2") == commits[1]);
  BOOST_TEST(git("log -1 --format=%P prod^1") == commits[0]);
  check_whole();
}

BOOST_FIXTURE_TEST_CASE(what_was_removed_keeps_its_name, Three) {
  promote(1);
  promote(2);
  registry.remove(Ref::parse("vad@v1.0.0"), false);
  const StageEntry back = registry.rollback("vad", "prod");
  BOOST_TEST(back.commit == commits[0]);
  BOOST_TEST(back.version == "");
  BOOST_TEST(back.removed == "v1.0.0");
  const auto history = registry.history("vad", "prod");
  BOOST_TEST_REQUIRE(history.size() == 3U);
  BOOST_TEST(history[0].removed == "v1.0.0");
  BOOST_TEST(history[1].removed == "");
  BOOST_TEST(history[1].version == "v2.0.0");
  const ModelVersion now = registry.resolve(Ref::parse("vad#prod"));
  BOOST_TEST(now.version == "");
  BOOST_TEST(now.removed == "v1.0.0");
  registry.promote(Ref::parse("vad@v3.0.0"), "staging");
  const auto stages = registry.staged("vad");
  BOOST_TEST_REQUIRE(stages.size() == 2U);
  BOOST_TEST(stages.at("prod").commit == commits[0]);
  BOOST_TEST(stages.at("prod").removed == "v1.0.0");
  BOOST_TEST(stages.at("prod").number == 3U);
  BOOST_TEST(stages.at("staging").version == "v3.0.0");
  // What GTO took out is in no stage.
  git("tag -a 'vad#prod!#4' -m out 'vad@v2.0.0^{}'");
  BOOST_TEST(registry.staged("vad").count("prod") == 0U);
}

BOOST_FIXTURE_TEST_CASE(lineage_stays_what_it_was, Three) {
  promote(2);
  AddOptions tuned = options("tuned", "1.0.0");
  tuned.parent = "vad#prod";
  BOOST_TEST(registry.add(model("t", 9), tuned).parent_commit == commits[1]);
  promote(3);
  const ModelVersion found = registry.resolve(Ref::parse("tuned@v1.0.0"));
  BOOST_TEST(found.parent == "vad#prod");
  BOOST_TEST(found.parent_commit == commits[1]);
  tuned = options("tuned", "2.0.0");
  tuned.parent = "vad@v9.0.0";
  BOOST_TEST(registry.add(model("t", 10), tuned).parent_commit == "");
}

// As GTO's own expression reads tags.
BOOST_FIXTURE_TEST_CASE(grammar_of_tags, Three) {
  promote(1);
  promote(2);
  registry.rollback("vad", "prod");
  const std::string name = "[a-z0-9]([a-z0-9/-]*[a-z0-9])?";
  const std::string word = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)";
  const std::string semver =
      "(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-" + word + "(\\." + word + ")*)?";
  const std::regex grammar("^" + name + "(#" + name + "|@v" + semver + ")!?(#[0-9]+)?$");
  std::istringstream tags(git("tag"));
  int count = 0;
  for (std::string tag; std::getline(tags, tag); count++)
    BOOST_TEST(std::regex_match(tag, grammar), tag);
  BOOST_TEST(count == 6);
}

BOOST_FIXTURE_TEST_CASE(other_models_stay_in_the_branch, Three) {
  registry.add(model("n", 9), options("other", "1.0.0"));
  registry.promote(Ref::parse("other"), "prod");
  promote(1);
  promote(2);
  BOOST_TEST(git("ls-tree --name-only prod") == ".gitattributes\nother\nvad");
  BOOST_TEST(git("rev-parse prod:other") == git("rev-parse dev:other"));
  check_whole();
}

// Somebody has other attributes on that branch, and commits weights there with git alone.
BOOST_FIXTURE_TEST_CASE(the_branch_keeps_weights_out_of_git, Three) {
  promote(1);
  sh("GIT_LFS_SKIP_SMUDGE=1 git clone -q -b prod registry clone", top());
  const Path clone = top() / "clone";
  sh("printf '*.md text\\n*.pt -filter\\n' >.gitattributes && git commit -q -a -m own && "
     "git push -q origin prod",
     clone);
  promote(2);
  const std::string attributes = git("show prod:.gitattributes");
  BOOST_TEST(attributes.ends_with("\n*.md text\n*.pt -filter"), attributes);
  write("clone/vad/more.gguf", std::string(200, 'w'));
  write("clone/vad/mine.pt", std::string(200, 'w'));
  sh("GIT_LFS_SKIP_SMUDGE=1 git pull -q && git lfs install --local && git add vad && "
     "git commit -q -m more",
     clone);
  BOOST_TEST(sh("git show HEAD:vad/more.gguf | head -1", clone) ==
             "version https://git-lfs.github.com/spec/v1");
  BOOST_TEST(sh("git show HEAD:vad/mine.pt", clone) == std::string(200, 'w'));
  // Lines that are there do not come again.
  promote(3);
  BOOST_TEST(git("show prod:.gitattributes") == attributes);
}

BOOST_FIXTURE_TEST_CASE(rolled_back, Three) {
  BOOST_TEST(thrown([&] { registry.rollback("vad", "prod"); }).error == ENOENT);
  promote(1);
  BOOST_TEST(thrown([&] { registry.rollback("vad", "prod"); }).error == ENOENT);
  promote(2);
  promote(3);
  const StageEntry back = registry.rollback("vad", "prod", "too loud");
  BOOST_TEST(back.version == "v2.0.0");
  BOOST_TEST(back.number == 4);
  BOOST_TEST(back.rollback);
  BOOST_TEST(back.message == "too loud");
  BOOST_TEST(now() == "v2.0.0");
  BOOST_TEST(has(git("tag -l --format='%(contents)' 'vad#prod#4'"), "Rollback-from: vad#prod#3"));
  // Two go two back, and not to and fro.
  BOOST_TEST(registry.rollback("vad", "prod").version == "v1.0.0");
  const Thrown first = thrown([&] { registry.rollback("vad", "prod"); });
  BOOST_TEST(first.error == ENOENT);
  BOOST_TEST(has(first.what, "nothing before"), first.what);
  // What was promoted after counts from there.
  promote(3);
  BOOST_TEST(registry.rollback("vad", "prod").version == "v1.0.0");
  BOOST_TEST(git("rev-parse prod:vad") == git("rev-parse 'vad@v1.0.0:vad'"));

  const auto history = registry.history("vad", "prod");
  std::string read;
  for (const StageEntry& entry : history) {
    read += std::to_string(entry.number) + entry.version + (entry.rollback ? "r " : " ");
  }
  BOOST_TEST(read == "7v1.0.0r 6v3.0.0 5v1.0.0r 4v2.0.0r 3v3.0.0 2v2.0.0 1v1.0.0 ");
  BOOST_TEST(registry.history("vad", "staging").empty());
  BOOST_TEST(thrown([&] {
               registry.promote(Ref::parse("vad@v2.0.0"), "prod", "x\nRollback-from: vad#prod#1");
             }).error == EINVAL);
  check_whole();
}

BOOST_FIXTURE_TEST_CASE(not_without_weights, Three) {
  promote(1);
  promote(2);
  const std::string sha256 = registry.resolve(Ref::parse("vad@v1.0.0")).files.back().sha256;
  const Path object =
      Lab::registry() / ".git/lfs/objects" / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
  std::filesystem::rename(object, top() / "kept");
  const std::string before = git("for-each-ref");
  const Thrown refused = thrown([&] { registry.rollback("vad", "prod"); });
  BOOST_TEST(refused.error == ENODATA);
  BOOST_TEST(has(refused.what, "model.onnx"), refused.what);
  BOOST_TEST(git("for-each-ref") == before);
  BOOST_TEST(now() == "v2.0.0");
  BOOST_TEST(thrown([&] { registry.checkout(Ref::parse("vad@v1.0.0")); }).error == ENODATA);
  BOOST_TEST(thrown([&] { registry.verify_contents(Ref::parse("vad@v1.0.0")); }).error == ENODATA);
  // Cut short is as good as gone.
  write(
      "registry/.git/lfs/objects/" + sha256.substr(0, 2) + "/" + sha256.substr(2, 2) + "/" + sha256,
      "x");
  BOOST_TEST(thrown([&] { registry.rollback("vad", "prod"); }).error == ENODATA);
  std::filesystem::rename(top() / "kept", object);
  BOOST_TEST(registry.rollback("vad", "prod").version == "v1.0.0");
}

// Tags that GTO itself made: no record, lightweight, and what is over.
BOOST_FIXTURE_TEST_CASE(tags_of_others, Three) {
  git("tag 'vad#prod#1' " + commits[1]);
  BOOST_TEST(now() == "v2.0.0");
  promote(3);
  git("tag -a -m gone 'vad#prod!#3' " + commits[2]);
  const Thrown over = thrown([&] { now(); });
  BOOST_TEST(over.error == ENOENT);
  BOOST_TEST(has(over.what, "taken out"), over.what);
  BOOST_TEST(registry.resolve(Ref::parse("vad@v3.0.0")).stages.empty());
  BOOST_TEST(registry.rollback("vad", "prod").version == "v3.0.0");
  // A tag of ours by its name, of something else by what it is of.
  git("tag 'vad@v9.0.0' dev~3");
  git("tag 'vad@v10.0.0' dev:vad/README.md");
  BOOST_TEST(registry.versions("vad").size() == 3);
  BOOST_TEST(thrown([&] { registry.resolve(Ref::parse("vad@v9.0.0")); }).error == ENOENT);
  BOOST_TEST(thrown([&] { registry.resolve(Ref::parse("vad@v10.0.0")); }).error == EBADMSG);
}

// A model that somebody committed with git and git-lfs alone.
BOOST_AUTO_TEST_CASE(without_a_record) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  lab.sh(
      "git clone -q registry work && cd work && mkdir theirs && cp ../m.onnx theirs/model.onnx "
      "2>/dev/null || true",
      lab.top());
  lab.write("work/theirs/model.onnx", onnx(4));
  lab.sh(
      "git add theirs && git commit -q -m theirs && git tag -a -m x theirs@v1.0.0 && git push -q "
      "origin HEAD:refs/heads/in theirs@v1.0.0",
      lab.top() / "work");
  const ModelVersion found = registry.resolve(Ref::parse("theirs@v1.0.0"));
  BOOST_REQUIRE_EQUAL(found.files.size(), 1);
  BOOST_TEST(found.files[0].weights);
  BOOST_TEST(found.files[0].sha256 ==
             lab.sh("sha256sum theirs/model.onnx | cut -d' ' -f1", lab.top() / "work"));
  BOOST_TEST(registry.versions("theirs").size() == 1);
  BOOST_TEST(registry.promote(Ref::parse("theirs@v1.0.0"), "prod").version == "v1.0.0");
  BOOST_TEST((registry.models() == std::vector<std::string>{"theirs"}));
}

BOOST_FIXTURE_TEST_CASE(checked_out, Three) {
  const Path folder = registry.checkout(Ref::parse("vad@v1.0.0"));
  BOOST_TEST(sh("ls -A", folder) == "README.md\naiaccel.json\nmodel.onnx");
  sh("cmp model.onnx " + (model("one", 1) / "model.onnx").string(), folder);
  BOOST_TEST((registry.checkout(Ref::parse("vad:" + commits[0])) == folder));
  promote(1);
  BOOST_TEST((registry.checkout(Ref::parse("vad#prod")) == folder));
  BOOST_TEST((registry.checkout(Ref::parse("vad")) != folder));
  struct stat seen {};
  for (const char* const path : {".", "model.onnx", "README.md"}) {
    BOOST_REQUIRE(::stat((folder / path).c_str(), &seen) == 0);
    BOOST_TEST((seen.st_mode & 0222) == 0, path);
  }
  BOOST_TEST(read_metadata(folder / "model.onnx").nodes.size() == 1);
  check_whole();
}

BOOST_FIXTURE_TEST_CASE(verified, Three) {
  registry.verify_contents(Ref::parse("vad@v1.0.0"));
  std::uint64_t done = 0;
  std::uint64_t total = 1;
  registry.verify_contents(Ref::parse("vad@v1.0.0"), [&](const Progress& progress) {
    done = progress.done_bytes, total = progress.total_bytes;
  });
  BOOST_TEST(done == total);
  const VersionFile file = registry.resolve(Ref::parse("vad@v1.0.0")).files.back();
  BOOST_TEST(file.path == "model.onnx");
  const std::string object = ".git/lfs/objects/" + file.sha256.substr(0, 2) + "/" +
                             file.sha256.substr(2, 2) + "/" + file.sha256;
  // One bit, and nothing that a size or a time would show.
  sh("chmod u+w " + object + " && touch -r " + object + " at && printf '\\001' | dd of=" + object +
         " bs=1 seek=20 conv=notrunc status=none && touch -r at " + object + " && rm at",
     Lab::registry());
  const Thrown changed = thrown([&] { registry.verify_contents(Ref::parse("vad@v1.0.0")); });
  BOOST_TEST(changed.error == EBADMSG);
  BOOST_TEST(has(changed.what, "model.onnx"), changed.what);
  registry.verify_contents(Ref::parse("vad@v2.0.0"));
  // A tree that is not what its record says.
  sh("git clone -q registry work", top());
  write("work/vad/README.md", "another\n");
  sh("git commit -q -a -m x && git push -q origin HEAD:refs/heads/in", top() / "work");
  const std::string bad = git("rev-parse in");
  const Thrown text = thrown([&] { registry.verify_contents(Ref::parse("vad:" + bad)); });
  BOOST_TEST(text.error == EBADMSG);
  BOOST_TEST(has(text.what, "README.md is not what was added"), text.what);
  write("work/vad/more.txt", "more\n");
  sh("git checkout -q HEAD~ -- vad/README.md && git add . && git commit -q -m x && git push -q "
     "origin HEAD:refs/heads/in",
     top() / "work");
  const Thrown more =
      thrown([&] { registry.verify_contents(Ref::parse("vad:" + git("rev-parse in"))); });
  BOOST_TEST(has(more.what, "more.txt is there and was not added"), more.what);
  sh("git rm -q vad/more.txt vad/model.onnx && git commit -q -m x && git push -q origin "
     "HEAD:refs/heads/in",
     top() / "work");
  const Thrown less =
      thrown([&] { registry.verify_contents(Ref::parse("vad:" + git("rev-parse in"))); });
  BOOST_TEST(has(less.what, "model.onnx was added and is missing"), less.what);
}

BOOST_AUTO_TEST_SUITE_END()
