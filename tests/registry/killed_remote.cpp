// SPDX-License-Identifier: MIT
//
// Pushing and pulling that is killed: both sides are whole, and the next one does the work. The git
// and git-lfs that it started go on, as they would. The other side is in the registry's .git, so
// that it is copied along with it.
#include "killing.hpp"

using namespace aiaccel;
using namespace lab;

namespace {

Path other_side(const Registry& registry) {
  return registry.path() / ".git/other.git";
}

void check_other_side(const Lab& lab, const Registry& registry) {
  const Path path = other_side(registry);
  lab.sh("git fsck --strict --no-dangling", path);
  const Registry other = Registry::open(path);
  for (const std::string& name : other.models()) {
    for (const ModelVersion& version : other.versions(name))
      other.verify_contents(Ref::parse(name + "@" + version.version));
  }
}

// One version on both sides, and one more here, in a stage.
void push_first(const Lab& lab, Registry& registry) {
  lab.sh("git init -q --bare -b dev .git/other.git", registry.path());
  registry.add(lab.model("m", 1), options("vad", "1.0.0"));
  registry.push(other_side(registry));
  registry.add(lab.model("m", 2), options("vad", "2.0.0"));
  registry.promote(Ref::parse("vad@v2.0.0"), "prod");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(killed_remote)

BOOST_AUTO_TEST_CASE(pushing) {
  const Lab lab(Lab::kQuick);
  kill_everywhere(lab,
                  {[&](Registry& registry) { push_first(lab, registry); },
                   [&](Registry& registry) { registry.push(other_side(registry)); },
                   [&](Registry& registry) {
                     check_other_side(lab, registry);
                     const Registry other = Registry::open(other_side(registry));
                     BOOST_TEST(other.resolve(Ref::parse("vad#prod")).version == "v2.0.0");
                     BOOST_TEST(other.versions("vad").size() == 2);
                   },
                   [&](Registry& registry) { check_other_side(lab, registry); }},
                  10);
}

BOOST_AUTO_TEST_CASE(pulling) {
  const Lab lab(Lab::kQuick);
  kill_everywhere(lab,
                  {[&](Registry& registry) {
                     push_first(lab, registry);
                     Registry another = Registry::create(lab.top() / "another");
                     another.pull(other_side(registry));
                     another.add(lab.model("n", 3), options("other", "1.0.0"));
                     another.push(other_side(registry));
                   },
                   [&](Registry& registry) { registry.pull(other_side(registry)); },
                   [&](Registry& registry) {
                     check_other_side(lab, registry);
                     registry.verify_contents(Ref::parse("other@v1.0.0"));
                     BOOST_TEST(registry.resolve(Ref::parse("vad#prod")).version == "v2.0.0");
                   },
                   nullptr, true},
                  10);
}

BOOST_AUTO_TEST_SUITE_END()
