// SPDX-License-Identifier: MIT
//
// What is pushed to a bare repository is cloned by stock git and git-lfs, and pulled by another
// registry; both go on from there.
#include <cerrno>
#include <cstdlib>

#include "lab.hpp"

using namespace aiaccel;
using namespace lab;

namespace {

struct Pushed : Lab {
  Pushed() : registry(Registry::create(Lab::registry())), bare(top() / "bare.git") {
    sh("git init -q --bare -b dev bare.git", top());
    git("remote add origin " + bare.string());
    for (int i = 1; i <= 2; i++)
      registry.add(model("m", i), options("vad", std::to_string(i) + ".0.0"));
    registry.promote(Ref::parse("vad@v1.0.0"), "prod");
    registry.push("origin");
  }

  // The last byte of its weights is another one.
  void damage(const ModelVersion& of) const {
    git("show " + of.commit + ":vad/model.onnx | sed -n 's/^oid sha256://p' >../oid");
    sh("f=$(find registry/.git/lfs/objects -name \"$(cat oid)\") && chmod u+w \"$f\" && "
       "truncate -s -1 \"$f\" && printf '\\377' >>\"$f\"",
       top());
  }

  Registry registry;
  Path bare;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(remote)

BOOST_FIXTURE_TEST_CASE(cloned_by_git, Pushed) {
  sh("git fsck --strict", bare);
  BOOST_TEST(sh("find lfs/objects -type f | wc -l", bare) == "2");
  sh("git clone -q bare.git clone", top());
  const Path clone = top() / "clone";
  check_whole(clone);
  sh("cmp vad/model.onnx ../m/model.onnx", clone);
  sh("git checkout -q prod", clone);
  sh("git lfs fetch --all", clone);
  // The clone is a registry, too.
  Registry other = Registry::open(clone);
  BOOST_TEST(other.resolve(Ref::parse("vad#prod")).version == "v1.0.0");
  for (const ModelVersion& version : other.versions("vad"))
    other.verify_contents(Ref::parse("vad@" + version.version));
  const Thrown busy = thrown([&] { other.promote(Ref::parse("vad@v2.0.0"), "prod"); });
  BOOST_TEST(busy.error == EBUSY, busy.what);
  BOOST_TEST(has(busy.what, "prod is checked out"), busy.what);
  sh("git switch -q --detach", clone);
  BOOST_TEST(other.promote(Ref::parse("vad@v2.0.0"), "prod").number == 2);
  BOOST_TEST(other.rollback("vad", "prod").version == "v1.0.0");
  other.push("origin");
  registry.pull("origin");
  BOOST_TEST(registry.history("vad", "prod").size() == 3);
  BOOST_TEST(git("rev-parse prod") == sh("git rev-parse prod", clone));
  check_whole();
}

BOOST_FIXTURE_TEST_CASE(no_repository_no_lfs, Pushed) {
  sh("mkdir empty only && ln -s \"$(command -v git)\" only/git", top());
  const Thrown none = thrown([&] { registry.push((top() / "empty").string()); });
  BOOST_TEST(none.error == ENOENT, none.what);
  BOOST_TEST(has(none.what, "git init --bare"), none.what);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (top() / "only").c_str(), 1);
  const Thrown lfs = thrown([&] { registry.push("origin"); });
  ::setenv("PATH", path.c_str(), 1);
  BOOST_TEST(lfs.error == ENOENT, lfs.what);
  BOOST_TEST(has(lfs.what, "package git-lfs"), lfs.what);
}

BOOST_FIXTURE_TEST_CASE(pulled, Pushed) {
  Registry other = Registry::create(top() / "other");
  // By address; its first commit is another than ours.
  other.pull(bare.string());
  BOOST_TEST(other.versions("vad").size() == 2);
  for (const ModelVersion& version : other.versions("vad"))
    other.verify_contents(Ref::parse("vad@" + version.version));
  check_whole(top() / "other");
  BOOST_TEST(other.resolve(Ref::parse("vad#prod")).version == "v1.0.0");
  // Both add; both see both.
  other.add(model("n", 7), options("other", "1.0.0"));
  registry.add(model("m", 3), options("vad", "3.0.0"));
  registry.push("origin");
  const Thrown behind = thrown([&] { other.push(bare.string()); });
  BOOST_TEST(behind.error == EIO);
  other.pull(bare.string());
  other.push(bare.string());
  registry.pull("origin");
  BOOST_TEST((registry.models() == std::vector<std::string>{"other", "vad"}));
  BOOST_TEST((registry.models() == other.models()));
  registry.verify_contents(Ref::parse("other"));
  other.verify_contents(Ref::parse("vad"));
  check_whole();
  check_whole(top() / "other");
  registry.pull("origin");
  BOOST_TEST(git("rev-parse dev") == sh("git rev-parse dev", bare));
}

BOOST_FIXTURE_TEST_CASE(both_changed_one, Pushed) {
  Registry other = Registry::create(top() / "other");
  other.pull(bare.string());
  other.add(model("m", 4), options("vad", "4.0.0"));
  registry.add(model("m", 5), options("vad", "5.0.0"));
  registry.push("origin");
  const Thrown both = thrown([&] { other.pull(bare.string()); });
  BOOST_TEST(both.error == EEXIST);
  BOOST_TEST(has(both.what, "both changed vad/"), both.what);
  BOOST_TEST(other.resolve(Ref::parse("vad")).version == "v4.0.0");
  // A tag that means another version there.
  registry.add(model("m", 6), options("vad", "4.0.0"));
  registry.push("origin");
  const Thrown clobber = thrown([&] { other.pull(bare.string()); });
  BOOST_TEST(clobber.error == EEXIST);
  BOOST_TEST(has(clobber.what, "vad@v4.0.0 is another one in "), clobber.what);
}

// What is damaged here goes nowhere, and what is damaged there is not what is here.
BOOST_FIXTURE_TEST_CASE(damage_is_not_pushed, Pushed) {
  const ModelVersion made = registry.add(model("m", 3), options("vad", "3.0.0"));
  damage(made);
  for (const std::string& to : {bare.string(), "file://" + bare.string()}) {
    const Thrown damaged = thrown([&] { registry.push(to); });
    BOOST_TEST(damaged.error == EBADMSG, damaged.what);
    BOOST_TEST(has(damaged.what, "vad/model.onnx of commit " + made.commit), damaged.what);
  }
  BOOST_TEST(sh("git tag -l 'vad@v3.0.0'", bare).empty());
  BOOST_TEST(sh("find lfs/objects -type f | wc -l", bare) == "2");
  registry.add(model("m", 3), options("again", "1.0.0"));
  registry.push("origin");
  check_whole();
  BOOST_TEST(sh("find lfs/objects -type f | wc -l", bare) == "3");
  // History's weights, which no tag names any more.
  registry.remove(Ref::parse("vad@v3.0.0"), false);
  damage(made);
  const Thrown old = thrown([&] { registry.push((top() / "empty.git").string()); });
  BOOST_TEST(old.error == ENOENT, old.what);
  sh("git init -q --bare -b dev empty.git", top());
  const Thrown history = thrown([&] { registry.push((top() / "empty.git").string()); });
  BOOST_TEST(history.error == EBADMSG, history.what);
}

// Each has its own: damage to one is not damage to both.
BOOST_FIXTURE_TEST_CASE(no_hard_links_in_a_folder, Pushed) {
  BOOST_TEST(sh("find lfs/objects -type f -links +1", bare).empty());
  BOOST_TEST(sh("find lfs/objects -type f -perm /222", bare).empty());
  BOOST_TEST(sh("ls aiaccel/tmp", bare).empty());
  sh("git config lfs.storage elsewhere", bare);
  const Thrown elsewhere = thrown([&] { registry.push("origin"); });
  BOOST_TEST(elsewhere.error == EOPNOTSUPP);
  BOOST_TEST(has(elsewhere.what, "(lfs.storage)"), elsewhere.what);
}

// A number that was given again: git would refuse all tags, or with --force take one away.
BOOST_FIXTURE_TEST_CASE(a_tag_means_one_thing, Pushed) {
  registry.add(model("m", 3), options("vad", "3.0.0"));
  registry.push("origin");
  registry.remove(Ref::parse("vad@v3.0.0"), false);
  registry.add(model("m", 4), options("vad", "3.0.0"));
  for (const Thrown& other :
       {thrown([&] { registry.push("origin"); }), thrown([&] { registry.pull("origin"); })}) {
    BOOST_TEST(other.error == EEXIST);
    BOOST_TEST(has(other.what, "vad@v3.0.0 is another one in origin"), other.what);
  }
  git("tag -d vad@v3.0.0");
  registry.pull("origin");
  registry.verify_contents(Ref::parse("vad@v3.0.0"));
}

// A model that has another's files is not the other under a new name: what was changed in the one
// there does not come into the other here.
BOOST_FIXTURE_TEST_CASE(alike_is_no_rename, Pushed) {
  const Path source = write("s/w.bin", std::string(100, 'w')).parent_path();
  registry.add(source, options("old", "1.0.0"));
  registry.push("origin");
  sh("git clone -q bare.git clone", top());
  sh("printf edited > old/w.bin && git commit -qam edited && git push -q", top() / "clone");
  const ModelVersion made = registry.add(source, options("new", "1.0.0"));
  registry.remove(Ref::parse("old@v1.0.0"), false);
  const Thrown both = thrown([&] { registry.pull("origin"); });
  BOOST_TEST(both.error == EEXIST);
  BOOST_TEST(has(both.what, "both changed old/w.bin"), both.what);
  BOOST_TEST(registry.resolve(Ref::parse("new")).commit == made.commit);
  registry.verify_contents(Ref::parse("new"));
}

// Files that only one side changed each make no version that anybody added.
BOOST_FIXTURE_TEST_CASE(no_mix, Pushed) {
  sh("git clone -q bare.git clone", top());
  sh("echo more >> vad/README.md && git commit -qam edited && git push -q", top() / "clone");
  write("m/model.onnx", onnx(9));
  registry.add(top() / "m", options("vad", "9.0.0"));
  const std::string before = git("rev-parse dev");
  const Thrown both = thrown([&] { registry.pull("origin"); });
  BOOST_TEST(both.error == EEXIST);
  BOOST_TEST(has(both.what, "both changed vad:"), both.what);
  BOOST_TEST(git("rev-parse dev") == before);
}

// What a version needs and is not there is said, and not left out.
BOOST_FIXTURE_TEST_CASE(incomplete, Pushed) {
  // What gc took is in history only, and keeps nobody from pushing.
  registry.add(model("m", 8), options("vad", "8.0.0"));
  registry.remove(Ref::parse("vad@v8.0.0"), false);
  registry.gc(false, std::chrono::seconds(0));
  registry.push("origin");

  const ModelVersion version = registry.add(model("m", 3), options("vad", "3.0.0"));
  std::string object;
  for (const VersionFile& file : version.files) {
    if (file.weights) object = file.sha256;
  }
  const std::string in = object.substr(0, 2) + "/" + object.substr(2, 2) + "/" + object;
  const Path ours = Lab::registry() / ".git/lfs/objects" / in;
  std::filesystem::rename(ours, top() / "kept");
  const Thrown push = thrown([&] { registry.push("origin"); });
  BOOST_TEST(push.error == ENODATA);
  BOOST_TEST(has(push.what, "weights of vad"), push.what);
  BOOST_TEST(!has(sh("git tag", bare), "vad@v3.0.0"));
  std::filesystem::rename(top() / "kept", ours);
  registry.push("origin");

  std::filesystem::rename(bare / "lfs/objects" / in, top() / "kept");
  Registry other = Registry::create(top() / "other");
  BOOST_TEST(thrown([&] { other.pull(bare.string()); }).error == ENODATA);
  std::filesystem::rename(top() / "kept", bare / "lfs/objects" / in);
  // Weights come to where the registry looks for them.
  sh("git config lfs.storage " + (top() / "elsewhere").string(), top() / "other");
  other.pull(bare.string());
  other.verify_contents(Ref::parse("vad@v3.0.0"));
}

// A file that was pulled does not say to which server weights go.
BOOST_FIXTURE_TEST_CASE(no_other_server, Pushed) {
  sh("git clone -q bare.git clone", top());
  sh("git init -q --bare elsewhere.git && cd clone && "
     "git config -f .lfsconfig lfs.url file://$PWD/../elsewhere.git && "
     "git config -f .lfsconfig remote.origin.lfsurl file://$PWD/../elsewhere.git && "
     "git config -f .lfsconfig lfs.fetchexclude '*' && "
     "git add .lfsconfig && git commit -qm elsewhere && git push -q --no-verify",
     top());
  registry.pull("origin");
  BOOST_TEST(has(git("show dev:.lfsconfig"), "elsewhere"));
  registry.add(model("m", 3), options("vad", "3.0.0"));
  registry.push("origin");
  BOOST_TEST(sh("find . -path '*lfs/objects*' -type f", top() / "elsewhere.git") == "");
  BOOST_TEST(sh("find lfs/objects -type f | wc -l", bare) == "3");
  Registry other = Registry::create(top() / "other");
  other.pull(bare.string());
  other.verify_contents(Ref::parse("vad@v3.0.0"));
  check_whole();
}

// All references or none.
BOOST_FIXTURE_TEST_CASE(pushed_at_once, Pushed) {
  sh("git clone -q bare.git clone", top());
  sh("git commit -qm ahead --allow-empty && git push -q --no-verify", top() / "clone");
  registry.add(model("m", 3), options("vad", "3.0.0"));
  const std::string before = sh("git for-each-ref", bare);
  BOOST_TEST(thrown([&] { registry.push("origin"); }).error == EIO);
  BOOST_TEST(sh("git for-each-ref", bare) == before);
}

BOOST_FIXTURE_TEST_CASE(no_remotes, Pushed) {
  BOOST_TEST(thrown([&] { registry.push("nowhere"); }).error == ENOENT);
  BOOST_TEST(thrown([&] { registry.push("--all"); }).error == EINVAL);
  BOOST_TEST(thrown([&] { registry.push(""); }).error == EINVAL);
  // An address is an argument, and no option or command.
  BOOST_TEST(thrown([&] {
               registry.pull("ext::sh -c 'touch " + (top() / "ran").string() + "'");
             }).error == EIO);
  BOOST_TEST(!std::filesystem::exists(top() / "ran"));
}

BOOST_AUTO_TEST_SUITE_END()
