// SPDX-License-Identifier: MIT
//
// What is removed, and above all what is not: whatever a tag, a branch, a log, a stash or an index
// reaches.
#include <cerrno>

#include "lab.hpp"

using namespace aiaccel;
using namespace lab;

namespace {

constexpr std::chrono::seconds kNow{0};

struct Three : Lab {
  Three() : registry(Registry::create(Lab::registry())) {
    for (int i = 1; i <= 3; i++)
      registry.add(model("m", i), options("vad", std::to_string(i) + ".0.0"));
  }
  std::string objects() const {
    return sh("find .git/lfs/objects -type f | wc -l", Lab::registry());
  }
  bool complete(int version) const {
    return thrown([&] {
             registry.verify_contents(Ref::parse("vad@v" + std::to_string(version) + ".0.0"));
           }).error == 0;
  }

  Registry registry;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gc)

BOOST_FIXTURE_TEST_CASE(nothing_to_do, Three) {
  BOOST_TEST(registry.gc(false, kNow).empty());
  BOOST_TEST(objects() == "3");
  check_whole();
}

BOOST_FIXTURE_TEST_CASE(removed_version, Three) {
  const std::string before = git("for-each-ref");
  const auto would = registry.remove(Ref::parse("vad@v2.0.0"), true);
  BOOST_TEST(git("for-each-ref") == before);
  const auto did = registry.remove(Ref::parse("vad@v2.0.0"), false);
  BOOST_REQUIRE_EQUAL(did.size(), 2);
  BOOST_REQUIRE_EQUAL(would.size(), 2);
  BOOST_TEST(did[0].what == "vad@v2.0.0");
  BOOST_TEST(did[1].bytes == onnx(2).size());
  BOOST_TEST(git("tag") == "vad@v1.0.0\nvad@v3.0.0");
  BOOST_TEST(thrown([&] { registry.resolve(Ref::parse("vad@v2.0.0")); }).error == ENOENT);
  // Only gc takes weights, not at once, and not when it is to tell only.
  BOOST_TEST(objects() == "3");
  BOOST_TEST(registry.gc(false).empty());
  BOOST_TEST(registry.gc(true, kNow).size() == 1);
  BOOST_TEST(objects() == "3");
  const auto gone = registry.gc(false, kNow);
  BOOST_REQUIRE_EQUAL(gone.size(), 1);
  BOOST_TEST(gone[0].bytes == onnx(2).size());
  BOOST_TEST(objects() == "2");
  BOOST_TEST(complete(1));
  BOOST_TEST(complete(3));
  check_whole();
  // It may come back.
  registry.add(model("m", 2), options("vad", "2.0.0"));
  BOOST_TEST(registry.gc(false, kNow).empty());
  BOOST_TEST(complete(2));
  BOOST_TEST(registry.resolve(Ref::parse("vad")).version == "v2.0.0");
}

// A name alone means the highest version: too little to be sure of.
BOOST_FIXTURE_TEST_CASE(not_without_saying_which, Three) {
  const Thrown unsaid = thrown([&] { registry.remove(Ref::parse("vad"), false); });
  BOOST_TEST(unsaid.error == EINVAL, unsaid.what);
  BOOST_TEST(has(unsaid.what, "write vad@VERSION"), unsaid.what);
  BOOST_TEST(registry.versions("vad").size() == 3);
}

BOOST_FIXTURE_TEST_CASE(removed_from_dev, Three) {
  registry.remove(Ref::parse("vad@latest"), false);
  BOOST_TEST(registry.resolve(Ref::parse("vad")).version == "v2.0.0");
  BOOST_TEST(registry.gc(false, kNow).size() == 1);
  registry.remove(Ref::parse("vad@v1.0.0"), false);
  registry.remove(Ref::parse("vad@v2.0.0"), false);
  BOOST_TEST(registry.models().empty());
  BOOST_TEST(registry.gc(false, kNow).size() == 2);
  BOOST_TEST(objects() == "0");
  check_whole();
}

BOOST_FIXTURE_TEST_CASE(not_what_stages_have, Three) {
  registry.promote(Ref::parse("vad@v1.0.0"), "prod");
  const Thrown busy = thrown([&] { registry.remove(Ref::parse("vad@v1.0.0"), false); });
  BOOST_TEST(busy.error == EBUSY);
  BOOST_TEST(has(busy.what, "vad#prod"), busy.what);
  registry.promote(Ref::parse("vad@v2.0.0"), "prod");
  // The stage's tag is of it still, and a rollback leads there.
  BOOST_TEST(registry.remove(Ref::parse("vad@v1.0.0"), false).size() == 1);
  BOOST_TEST(registry.gc(false, kNow).empty());
  BOOST_TEST(registry.rollback("vad", "prod").commit == git("rev-parse 'vad#prod#1^{commit}'"));
  BOOST_TEST(thrown([&] {
               registry.remove(Ref::parse("vad:" + git("rev-parse 'vad#prod#1^{commit}'")), false);
             }).error == EINVAL);
}

BOOST_FIXTURE_TEST_CASE(not_what_history_has, Three) {
  // Only remove() gives up what history has: a tag that git deletes does not.
  git("tag -d vad@v1.0.0 vad@v2.0.0");
  BOOST_TEST(registry.gc(false, kNow).empty());
  BOOST_TEST(objects() == "3");
}

BOOST_FIXTURE_TEST_CASE(not_what_logs_and_stashes_and_indexes_have, Three) {
  // Somebody works in a clone of git's that is a registry, too.
  sh("git clone -q registry clone", top());
  const Path clone = top() / "clone";
  Registry other = Registry::open(clone);
  write("clone/vad/model.onnx", onnx(10));
  sh("git stash -q", clone);
  write("clone/vad/model.onnx", onnx(11));
  sh("git stash -q", clone);
  write("clone/vad/model.onnx", onnx(12));
  sh("git commit -q -a -m x && git reset -q --hard HEAD~", clone);
  write("clone/vad/model.onnx", onnx(13));
  sh("git add vad", clone);
  sh("git worktree add -q ../tree dev~ --detach", clone);
  write("tree/vad/model.onnx", onnx(14));
  sh("git add vad", top() / "tree");
  const std::string before = sh("find .git/lfs/objects -type f | wc -l", clone);
  BOOST_TEST(other.gc(false, kNow).empty());
  BOOST_TEST(sh("find .git/lfs/objects -type f | wc -l", clone) == before);
  // Once nothing has it, it goes.
  sh("git reset -q --hard && git stash clear && git worktree remove --force ../tree && git reflog "
     "expire --expire=now --all",
     clone);
  BOOST_TEST(other.gc(false, kNow).size() == 5);
  sh("git lfs fsck", clone);
}

BOOST_FIXTURE_TEST_CASE(leftovers, Three) {
  write("registry/.git/aiaccel/tmp/1-2-3", "of a process that died");
  write("registry/.git/objects/tmp_object_git2_x", "x");
  write("registry/.git/lfs/objects/not-one", "of somebody else");
  BOOST_TEST(registry.gc(false, kNow).size() == 2);
  BOOST_TEST(!std::filesystem::exists(Lab::registry() / ".git/aiaccel/tmp/1-2-3"));
  BOOST_TEST(std::filesystem::exists(Lab::registry() / ".git/lfs/objects/not-one"));
}

BOOST_FIXTURE_TEST_CASE(checkouts, Three) {
  const Path kept = registry.checkout(Ref::parse("vad@v1.0.0"));
  const Path gone = registry.checkout(Ref::parse("vad@v2.0.0"));
  registry.remove(Ref::parse("vad@v2.0.0"), false);
  BOOST_TEST(registry.gc(false, kNow).size() == 2);
  BOOST_TEST(std::filesystem::exists(kept / "model.onnx"));
  BOOST_TEST(!std::filesystem::exists(gone));
}

// Trees in trees, deeper than any stack.
BOOST_FIXTURE_TEST_CASE(deep, Three) {
  write("deep.py",
        "import hashlib, os, subprocess, zlib\n"
        "id = bytes.fromhex(subprocess.check_output(['git', 'rev-parse', 'dev:vad']).decode())\n"
        "for i in range(100000):\n"
        "    text = b'tree 28\\0' + b'40000 d\\0' + id\n"
        "    id = hashlib.sha1(text).digest()\n"
        "    folder = '.git/objects/' + id.hex()[:2]\n"
        "    os.makedirs(folder, exist_ok=True)\n"
        "    open(folder + '/' + id.hex()[2:], 'wb').write(zlib.compress(text, 1))\n"
        "print(id.hex())\n");
  git("update-ref refs/heads/deep $(git commit-tree -m deep $(python3 ../deep.py))");
  BOOST_TEST(registry.gc(false, kNow).empty());
  BOOST_TEST(objects() == "3");
}

// What cannot be read is no reason to think it unused.
BOOST_FIXTURE_TEST_CASE(damaged, Three) {
  const std::string commit = git("rev-parse dev~:vad");
  std::filesystem::remove(Lab::registry() / ".git/objects" / commit.substr(0, 2) /
                          commit.substr(2));
  Registry fresh = Registry::open(Lab::registry());
  BOOST_TEST(thrown([&] { fresh.gc(false, kNow); }).error != 0);
  BOOST_TEST(objects() == "3");
}

BOOST_AUTO_TEST_SUITE_END()
