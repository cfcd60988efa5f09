// SPDX-License-Identifier: MIT
//
// Repositories that somebody made to hurt: small ones, made by git, that say there is more than any
// memory holds or any time is for. They are refused with a reason.
#include <cerrno>

#include "lab.hpp"

using namespace aiaccel;
using namespace lab;

namespace {

struct Hostile : Lab {
  Hostile() : registry(Registry::create(Lab::registry())) {}

  // A tree in which an object is under so many names, each ending with `end`.
  std::string tree(const std::string& mode, const std::string& type, const std::string& id,
                   int names, const std::string& end = "") const {
    std::string text;
    for (int i = 0; i < names; i++)
      text += mode + " " + type + " " + id + "\tn" + std::to_string(100 + i) + end + "\n";
    write("entries", text);
    return git("mktree <../entries");
  }
  std::string folders(std::string of, int deep, int names = 10) const {
    for (int i = 0; i < deep; i++) of = tree("040000", "tree", of, names);
    return of;
  }
  std::string blob(const std::string& shell) const {
    return sh(shell + " | git hash-object -w --stdin", Lab::registry());
  }
  // The model `m` on dev is that tree.
  void model_is(const std::string& id) const {
    write("entries", "040000 tree " + id + "\tm\n");
    git("update-ref refs/heads/dev $(git commit-tree -m m $(git mktree <../entries))");
  }
  Thrown resolved() const {
    return thrown([&] { registry.resolve(Ref::parse("m")); });
  }

  Registry registry;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile)

// 10^20 files, and as many folders without one.
BOOST_FIXTURE_TEST_CASE(many_files, Hostile) {
  const std::string text = blob("echo text");
  for (const std::string& bottom : {tree("100644", "blob", text, 10), git("mktree </dev/null")}) {
    model_is(folders(bottom, 20));
    const Thrown refused = resolved();
    BOOST_TEST(refused.error == E2BIG, refused.what);
    BOOST_TEST(has(refused.what, "more than 100000 files and folders"), refused.what);
    BOOST_TEST(thrown([&] { registry.checkout(Ref::parse("m")); }).error == E2BIG);
    BOOST_TEST(registry.models().empty());
  }
}

BOOST_FIXTURE_TEST_CASE(deep, Hostile) {
  model_is(folders(tree("100644", "blob", blob("echo text"), 1), 100, 1));
  BOOST_TEST(resolved().error == ELOOP);
}

BOOST_FIXTURE_TEST_CASE(long_names, Hostile) {
  model_is(tree("100644", "blob", blob("echo text"), 1, std::string(2000, 'x')));
  BOOST_TEST(resolved().error == ENAMETOOLONG);
}

// Who has nothing but folders says so at once; who has models in all of them is refused.
BOOST_FIXTURE_TEST_CASE(many_models, Hostile) {
  const std::string record = blob("echo '{\"schema\":1}'");
  write("entries", "100644 blob " + record + "\taiaccel.json\n");
  const std::string model = git("mktree <../entries");
  model_is(folders(model, 2));
  BOOST_TEST(registry.models().size() == 100);
  model_is(folders(model, 20));
  const Thrown refused = thrown([&] { registry.models(); });
  BOOST_TEST(refused.error == E2BIG, refused.what);
  BOOST_TEST(has(refused.what, "more than 100000 models"), refused.what);
}

// The same 16 MiB of zeros, 20 times.
BOOST_FIXTURE_TEST_CASE(large_texts, Hostile) {
  const std::string zeros = blob("head -c 16777216 /dev/zero");
  model_is(tree("100644", "blob", zeros, 4));
  BOOST_TEST(registry.resolve(Ref::parse("m")).files.size() == 4);
  // All that there may be, and a file as small as a pointer: add() counts none of those.
  std::string entries = "100644 blob " + blob("echo small") + "\tsmall\n";
  for (int i = 0; i < 16; i++)
    entries += "100644 blob " + zeros + "\tzeros" + std::to_string(i) + "\n";
  write("entries", entries);
  model_is(git("mktree <../entries"));
  BOOST_TEST(registry.resolve(Ref::parse("m")).files.size() == 17);
  model_is(tree("100644", "blob", zeros, 20));
  const Thrown refused = resolved();
  BOOST_TEST(refused.error == EFBIG, refused.what);
  BOOST_TEST(has(refused.what, "more than 268435456 bytes"), refused.what);
  BOOST_TEST(thrown([&] { registry.checkout(Ref::parse("m")); }).error == EFBIG);
  BOOST_TEST(sh("find .git/aiaccel/tmp -type f", Lab::registry()) == "");
}

BOOST_FIXTURE_TEST_CASE(large_record, Hostile) {
  write("entries", "100644 blob " + blob("head -c 67108865 /dev/zero") + "\taiaccel.json\n");
  model_is(git("mktree <../entries"));
  const Thrown refused = resolved();
  BOOST_TEST(refused.error == EBADMSG, refused.what);
  BOOST_TEST(has(refused.what, "too large"), refused.what);
}

// Numbers that JSON has and we do not.
BOOST_FIXTURE_TEST_CASE(odd_numbers, Hostile) {
  const auto refused = [&](const std::string& file) {
    write("record", R"({"schema":1,"files":[)" + file + "]}");
    write("entries", "100644 blob " + blob("cat ../record") + "\taiaccel.json\n");
    model_is(git("mktree <../entries"));
    return resolved().error;
  };
  BOOST_TEST(refused(R"({"path":"a","size_bytes":18446744073709551615})") == 0);
  for (const char* const size : {"-1", "1.5", "1e300", "18446744073709551616", "\"1\"", "true"})
    BOOST_TEST(refused(R"({"path":"a","size_bytes":)" + std::string(size) + "}") == EBADMSG, size);
}

BOOST_AUTO_TEST_SUITE_END()
