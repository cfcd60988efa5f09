// SPDX-License-Identifier: MIT
//
// Names of models, versions and tags: what is one, what is none and why, and their order.
#include "registry/names.h"

#include <aiaccel/registry.hpp>
#include <tap/tap.hpp>

#include <cerrno>

using namespace aiaccel;
using registry::SemVer;
using registry::TagName;

namespace {

std::string why_not(const std::string& text) {
  try {
    Ref::parse(text);
  } catch (const Error& error) {
    BOOST_TEST(error.code().value() == EINVAL);
    return error.what();
  }
  return "it is one";
}

void check_refused(const std::string& text, const std::string& why) {
  const std::string said = why_not(text);
  BOOST_TEST(said.find(why) != std::string::npos, text << ": " << said);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(names)

BOOST_AUTO_TEST_CASE(references) {
  BOOST_TEST((Ref::parse("silero-vad") == Ref{"silero-vad", Ref::Kind::head, "", 0}));
  BOOST_TEST((Ref::parse("a@v1.2.3") == Ref{"a", Ref::Kind::version, "v1.2.3", 0}));
  BOOST_TEST((Ref::parse("a@1.2.3-rc.1+b") == Ref{"a", Ref::Kind::version, "v1.2.3-rc.1+b", 0}));
  BOOST_TEST((Ref::parse("a@latest") == Ref{"a", Ref::Kind::latest, "", 0}));
  BOOST_TEST((Ref::parse("a/b#prod") == Ref{"a/b", Ref::Kind::stage, "prod", 0}));
  BOOST_TEST((Ref::parse("a#prod#12") == Ref{"a", Ref::Kind::stage, "prod", 12}));
  BOOST_TEST((Ref::parse("a:0a1b") == Ref{"a", Ref::Kind::commit, "0a1b", 0}));
  for (const char* text : {"silero-vad", "a@v1.2.3", "a@v0.0.0-x-y.7", "a@latest", "0/1#prod",
                           "a#prod#12", "a:0123456789abcdef0123456789abcdef01234567"}) {
    BOOST_TEST(Ref::parse(text).str() == text);
  }
}

BOOST_AUTO_TEST_CASE(no_references) {
  check_refused("", "it is empty");
  check_refused("Silero", "'S' does not fit");
  check_refused("a b", "' ' does not fit");
  check_refused("a.b", "'.' does not fit");
  check_refused("a\nb", "byte 0x0a");
  check_refused("\xc3\xa4", "byte 0xc3");
  check_refused("-a", "begins with '-'");
  check_refused("a/", "ends with '/'");
  check_refused("/etc/passwd", "begins with '/'");
  check_refused("../a", "'.' does not fit");
  check_refused("a//b", "two slashes");
  check_refused(std::string(129, 'a'), "longer than 128");
  check_refused("a@", "it is empty");
  check_refused("a@v1", "three numbers");
  check_refused("a@v1.2", "three numbers");
  check_refused("a@v1.2.3.4", "three numbers");
  check_refused("a@v01.2.3", "begins with 0");
  check_refused("a@v1.2.x", "'x' is no digit");
  check_refused("a@v1..3", "a number is missing");
  check_refused("a@v1.2.3-", "missing");
  check_refused("a@v1.2.3-01", "begins with 0");
  check_refused("a@v1.2.3-a..b", "missing");
  check_refused("a@v1.2.3-a_b", "'_' does not fit");
  check_refused("a@v1.2.3-" + std::string(94, 'a'), "longer than 100");
  check_refused("a@v1.2.3-x.lock", ".lock");
  check_refused("a@v1.2.3@v1.2.3", "three numbers");
  check_refused("a@v1.2.3-@", "'@' does not fit");
  check_refused("a@1.2.3#prod", "'#'");
  check_refused("a#", "it is empty");
  check_refused("a#dev", "nothing is promoted");
  check_refused("a#x/y", "'/' does not fit");
  check_refused("a#prod#", "one from 1 on");
  check_refused("a#prod#0", "one from 1 on");
  check_refused("a#prod#-1", "one from 1 on");
  check_refused("a#prod#99999999999999999999", "one from 1 on");
  check_refused("a:", "4 to 40");
  check_refused("a:abc", "4 to 40");
  check_refused("a:ABCD", "0-9 and a-f");
  check_refused("a:" + std::string(41, 'a'), "4 to 40");
}

// The order that semver.org gives as its example, then what it leaves open.
BOOST_AUTO_TEST_CASE(order_of_versions) {
  const char* const rising[] = {"v0.0.1",
                                "v0.1.0",
                                "v1.0.0-alpha",
                                "v1.0.0-alpha.1",
                                "v1.0.0-alpha.beta",
                                "v1.0.0-beta",
                                "v1.0.0-beta.2",
                                "v1.0.0-beta.11",
                                "v1.0.0-rc.1",
                                "v1.0.0",
                                "v1.0.0+a",
                                "v1.0.0+b",
                                "v1.9.0",
                                "v1.10.0",
                                "v2.0.0",
                                "v10.0.0",
                                "v18446744073709551616.0.0",
                                "v100000000000000000000.0.0"};
  for (std::size_t i = 0; i < std::size(rising); i++) {
    for (std::size_t j = 0; j < std::size(rising); j++) {
      BOOST_TEST(((*SemVer::parse(rising[i]) <=> *SemVer::parse(rising[j])) == (i <=> j)),
                 rising[i] << " and " << rising[j]);
    }
  }
  BOOST_TEST(SemVer::parse("v1.0.0-rc.1")->pre_release());
  BOOST_TEST(!SemVer::parse("v1.0.0+rc.1")->pre_release());
  BOOST_TEST(!SemVer::parse("1.0.0"));
}

BOOST_AUTO_TEST_CASE(highest) {
  const auto of = [](std::initializer_list<const char*> versions) {
    registry::Highest highest;
    for (const char* const version : versions) highest.add(version);
    return highest.found();
  };
  BOOST_TEST(of({}) == "");
  BOOST_TEST(of({"v1", "x", "", "v", "v1.2", "v1.2.", "v1.2.3.4", "v01.2.3", "1.2.3"}) == "");
  BOOST_TEST(of({"v9.0.0", "v10.0.0", "v2.0.0"}) == "v10.0.0");
  BOOST_TEST(of({"v0.0.0"}) == "v0.0.0");
  BOOST_TEST(of({"v1.0.0", "v2.0.0-rc.1"}) == "v1.0.0");
  BOOST_TEST(of({"v2.0.0-rc.1", "v2.0.0-rc.10", "v2.0.0-rc.9"}) == "v2.0.0-rc.10");
  BOOST_TEST(of({"v1.0.0", "v1.0.0+b", "v1.0.0+a"}) == "v1.0.0+b");
  BOOST_TEST(of({"v2.0.0", "v1.0.0+b"}) == "v2.0.0");
  BOOST_TEST(of({"v2.0.0", "v100000000000000000000.0.0"}) == "v100000000000000000000.0.0");
}

BOOST_AUTO_TEST_CASE(tags) {
  const auto version = TagName::parse("a/b@v1.0.0");
  BOOST_REQUIRE(version);
  BOOST_TEST((version->name == "a/b" && version->version == "v1.0.0" && version->stage.empty() &&
              !version->over));
  const auto stage = TagName::parse("a#prod#3");
  BOOST_REQUIRE(stage);
  BOOST_TEST((stage->name == "a" && stage->stage == "prod" && stage->number == 3 && !stage->over));
  const auto gone = TagName::parse("a#prod!#4");
  BOOST_REQUIRE(gone);
  BOOST_TEST((gone->stage == "prod" && gone->number == 4 && gone->over));
  const auto deregistered = TagName::parse("a@v1.0.0!#5");
  BOOST_REQUIRE(deregistered);
  BOOST_TEST((deregistered->version == "v1.0.0" && deregistered->over));
  for (const char* none :
       {"v1.0.0", "a", "a@1.0.0", "a@v1", "a#prod", "a#prod#", "a#prod#x", "a#prod#3#4",
        "a@v1.0.0#2", "A@v1.0.0", "@v1.0.0", "a#dev#1", "a@latest"}) {
    BOOST_TEST(!TagName::parse(none), none);
  }
}

BOOST_AUTO_TEST_SUITE_END()
