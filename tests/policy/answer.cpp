// SPDX-License-Identifier: MIT
//
// What the policy gives, as programs find it out for themselves.
#include "policy/answer.h"

#include "policy/expand.h"
#include "policy/parse.h"
#include "tap/tap.hpp"

using namespace aiaccel::policy;

namespace {

aia_settings given(const std::string& text, const std::string& group, std::uint32_t uid = 1000) {
  Policy policy;
  parse(text, "f.conf", policy);
  const auto rules = expand(policy);
  BOOST_TEST_REQUIRE(policy.problems.empty());
  return answer(rules, group, uid);
}

constexpr const char* kClosed = "[match]\ncgroup=/a\non_missing=closed\nweight=7\nmax_class=low\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(answers)

BOOST_AUTO_TEST_CASE(nothing_is_said) {
  const aia_settings none = given("", "/a/b");
  BOOST_TEST(none.sets == 0u);
  BOOST_TEST(none.on_missing == AIACCEL_ON_MISSING_OPEN);
}

BOOST_AUTO_TEST_CASE(a_child_has_what_binds_its_parent_and_its_own) {
  const aia_settings child = given(kClosed, "/a/b/c");
  BOOST_TEST(child.on_missing == AIACCEL_ON_MISSING_CLOSED);
  BOOST_TEST(child.max_class == AIACCEL_CLASS_LOW);
  BOOST_TEST(child.weight == given("", "/a").weight);
  BOOST_TEST(given(kClosed, "/a").weight == 7u);
  BOOST_TEST(given(kClosed, "/ab").on_missing == AIACCEL_ON_MISSING_OPEN);
  const std::string open = "[match]\nunit=b\non_missing=open\nmax_class=high\n";
  BOOST_TEST(given(kClosed + open, "/a/b/c").on_missing == AIACCEL_ON_MISSING_OPEN);
  BOOST_TEST(given(kClosed + open, "/a/b/c").max_class == AIACCEL_CLASS_LOW);
}

BOOST_AUTO_TEST_CASE(later_sections_have_the_last_word_key_by_key) {
  const aia_settings both = given(
      "[match]\nunit=a?\nmax_class=low\nweight=3\n[match]\nunit=a*\nmax_class=high\n", "/s/ab");
  BOOST_TEST(both.max_class == AIACCEL_CLASS_HIGH);
  BOOST_TEST(both.weight == 3u);
}

BOOST_AUTO_TEST_CASE(in_the_root_group_it_is_the_user) {
  const char* text = "[match]\nuser=1000\non_missing=closed\n";
  BOOST_TEST(given(text, "/").on_missing == AIACCEL_ON_MISSING_CLOSED);
  BOOST_TEST(given(text, "").on_missing == AIACCEL_ON_MISSING_CLOSED);
  BOOST_TEST(given(text, "/", 1001).on_missing == AIACCEL_ON_MISSING_OPEN);
  BOOST_TEST(given(text, "/a").on_missing == AIACCEL_ON_MISSING_OPEN);
  BOOST_TEST(given(text, "/user.slice/user-1000.slice/session-1.scope").on_missing ==
             AIACCEL_ON_MISSING_CLOSED);
}

BOOST_AUTO_TEST_SUITE_END()
