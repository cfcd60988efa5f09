// SPDX-License-Identifier: MIT
//
// References beside Git's own processes, and the names that they can have.
#include <cerrno>
#include <chrono>
#include <thread>

#include "lab.hpp"
#include "registry/refs.h"

using namespace aiaccel;
using namespace lab;

BOOST_AUTO_TEST_SUITE(refs)

// Who packs references must not have packed what is being taken away: its lock is waited for,
// though the tag is in a file of its own.
BOOST_AUTO_TEST_CASE(remove_beside_pack) {
  const Lab lab;
  Registry registry = Registry::create(lab.registry());
  registry.add(lab.model("m", 1), options("vad", "1.0.0"));
  const Path tag = lab.registry() / ".git/refs/tags/vad@v1.0.0";
  BOOST_REQUIRE(std::filesystem::exists(tag));
  const Path lock = lab.write("registry/.git/packed-refs.lock", "");
  std::thread git([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    BOOST_TEST(std::filesystem::exists(tag));
    BOOST_TEST(std::filesystem::remove(lock));
  });
  registry.remove(Ref::parse("vad@v1.0.0"), false);
  git.join();
  BOOST_TEST(!std::filesystem::exists(tag));
  lab.check_whole();
}

// What was in packed-refs alone, or in both, is gone; the others stay, with what they are
// peeled to.
BOOST_AUTO_TEST_CASE(removed_from_packed) {
  const Lab lab(Lab::kQuick);
  Registry registry = Registry::create(lab.registry());
  for (int i = 1; i <= 3; i++)
    registry.add(lab.model("m", i), options("vad", std::to_string(i) + ".0.0"));
  lab.git("pack-refs --all");
  const std::string kept = lab.git("rev-parse 'vad@v1.0.0^{commit}'");
  registry.remove(Ref::parse("vad@v3.0.0"), false);
  lab.write("registry/.git/refs/tags/vad@v2.0.0", lab.git("rev-parse vad@v2.0.0") + "\n");
  registry.remove(Ref::parse("vad@v2.0.0"), false);
  BOOST_TEST(lab.git("tag") == "vad@v1.0.0");
  BOOST_TEST(lab.sh("grep -c ^^ .git/packed-refs", lab.registry()) == "1");
  BOOST_TEST(lab.git("rev-parse 'vad@v1.0.0^{commit}'") == kept);
  BOOST_TEST(lab.sh("stat -c %a .git/packed-refs", lab.registry()) == "644");
  lab.check_whole();
}

// Whatever is a name and a version can be a tag, and so a file.
BOOST_AUTO_TEST_CASE(longest_names) {
  const Lab lab(Lab::kQuick);
  Registry registry = Registry::create(lab.registry());
  const std::string name(128, 'n');
  const std::string version = "v1.0.0-" + std::string(93, 'v');
  const std::string stage(32, 's');
  registry.add(lab.model("m", 1), options(name, version));
  registry.promote(Ref::parse(name + "@" + version), stage);
  BOOST_TEST(registry.resolve(Ref::parse(name + "#" + stage)).version == version);
  lab.check_whole();
}

BOOST_AUTO_TEST_SUITE_END()
