// SPDX-License-Identifier: MIT
//
// The administrator's rules: patterns, which rules match whom, and what comes of several.

#include <tap/tap.hpp>

#include <cerrno>
#include <cstring>
#include <random>
#include <string>

#include "core/core.hpp"
#include "core/naive_glob.hpp"

namespace {

aiaccel_policy_rule rule_for(std::uint32_t match, const std::string& pattern) {
  aiaccel_policy_rule rule{};
  rule.match = match;
  pattern.copy(rule.pattern, sizeof rule.pattern);
  return rule;
}

aiaccel_policy_rule full_rule() {
  aiaccel_policy_rule rule = rule_for(AIACCEL_MATCH_PATH, "/system.slice/*");
  rule.sets = 0x7f;
  rule.max_class = AIACCEL_CLASS_HIGH;
  rule.weight = AIACCEL_WEIGHT_MAX;
  rule.engine_time = AIACCEL_ENGINE_TIME_ALL;
  rule.pinned_bytes = rule.device_bytes = ~0ULL;
  rule.grants = ~0U;
  rule.on_missing = AIACCEL_ON_MISSING_CLOSED;
  return rule;
}

template <typename Spoil>
int after(Spoil spoil) {
  aiaccel_policy_rule rule = full_rule();
  spoil(rule);
  return aia_check_policy_rule(&rule);
}

std::string random_text(std::mt19937_64& random, const char* letters, std::size_t most) {
  std::string text;
  for (std::size_t n = random() % (most + 1); n; --n)
    text += letters[random() % std::strlen(letters)];
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rule)

BOOST_AUTO_TEST_CASE(patterns) {
  const struct {
    const char *pattern, *matching, *other;
  } rows[] = {
      {"/a", "/a", "/ab"},
      {"/a", "/a", ""},
      {"/*", "/", "/a/"},
      {"/*/b", "/aa/b", "/a/a/b"},
      {"/**/b", "/a/a/b", "/a/a/c"},
      {"**", "", nullptr},
      {"/user.slice/**", "/user.slice/user-1001.slice/session-2.scope", "/user.slice"},
      {"a?c", "abc", "a/c"},
      {"a?c", "axc", "ac"},
      {"[a-c]", "b", "d"},
      {"[!a-c]", "d", "b"},
      {"[!a]", "b", "/"},
      {"[.-0]", ".", "/"},
      {"[]-]x", "]x", "ax"},
      {"[a-]", "-", "b"},
      {"[a\\]]", "]", "\\"},
      {"\\*", "*", "a"},
      {"\\[a", "[a", "\\[a"},
      {"x\\\\x2d", "x\\x2d", "x-"},
      {"*a*b", "xaybb", "xayba"},
      {"**/*.service", "/a.slice/b/c.service", "/a.slice/c.service/d"},
      {"***", "/a/b", nullptr},
  };
  for (const auto& row : rows) BOOST_TEST_CONTEXT(row.pattern) {
      BOOST_TEST(aia_rule_is_pattern(row.pattern));
      BOOST_TEST(aia_rule_glob(row.pattern, row.matching));
      BOOST_TEST((!row.other || !aia_rule_glob(row.pattern, row.other)));
    }
}

BOOST_AUTO_TEST_CASE(broken_patterns) {
  for (const char* broken : {"[", "a[b", "[!", "[]", "[!]", "[a\\]", "a\\", "\\\\\\", "[a-\\"})
    BOOST_TEST(!aia_rule_is_pattern(broken), broken << " passes");
  // They are safe all the same.
  BOOST_TEST(aia_rule_glob("[a", "[a"));
  BOOST_TEST(aia_rule_glob("a\\", "a\\"));
}

BOOST_AUTO_TEST_CASE(any_pattern_matches_as_described) {
  std::mt19937_64 random(21);
  unsigned well_formed = 0, matching = 0;
  for (int i = 0; i < 100000; i++) {
    const std::string pattern = random_text(random, "aab/**?[]!-\\", 9);
    const std::string text = random_text(random, "aab//-]", 7);
    const bool match = aia_rule_glob(pattern.c_str(), text.c_str());
    if (!aia_rule_is_pattern(pattern.c_str())) continue;
    well_formed++;
    matching += match;
    BOOST_TEST_REQUIRE(match == naive::glob(pattern, text),
                       "\"" << pattern << "\" and \"" << text << '"');
  }
  BOOST_TEST_MESSAGE(well_formed << " patterns, " << matching << " of them match");
  BOOST_TEST(well_formed > 20000u);
  BOOST_TEST(matching > 1000u);
}

BOOST_AUTO_TEST_CASE(no_pattern_takes_long) {
  // Backtracking would go through all ways of dividing the text.
  std::string pattern, text(4095, 'a');
  while (pattern.size() + 5 < AIACCEL_PATTERN_LEN) pattern += "*a**";
  BOOST_TEST(!aia_rule_glob((pattern + "b").c_str(), text.c_str()));
  BOOST_TEST(aia_rule_glob(pattern.c_str(), text.c_str()));
  const std::string longest(AIACCEL_PATTERN_LEN - 1, '*');
  BOOST_TEST(aia_rule_glob(longest.c_str(), text.c_str()));
}

BOOST_AUTO_TEST_CASE(who_is_matched) {
  const auto path = rule_for(AIACCEL_MATCH_PATH, "/a/*"), name = rule_for(AIACCEL_MATCH_NAME, "b*");
  auto user = rule_for(AIACCEL_MATCH_USER, "");
  user.uid = 1001;
  BOOST_TEST(aia_rule_matches(&path, "/a/b", 0));
  BOOST_TEST(!aia_rule_matches(&path, "/a/b/c", 0));
  BOOST_TEST(!aia_rule_matches(&path, nullptr, 0));
  BOOST_TEST(aia_rule_matches(&name, "/a/b", 0));
  BOOST_TEST(aia_rule_matches(&name, "/a/c/bb", 0));
  BOOST_TEST(!aia_rule_matches(&name, "/b/c", 0));
  BOOST_TEST(!aia_rule_matches(&name, nullptr, 0));
  BOOST_TEST(aia_rule_matches(&user, nullptr, 1001));
  BOOST_TEST(!aia_rule_matches(&user, nullptr, 1002));
  BOOST_TEST(!aia_rule_matches(&user, "/a", 1001));  // a cgroup is no user
}

BOOST_AUTO_TEST_CASE(the_last_rule_that_sets_it_holds) {
  auto all = full_rule(), weight = rule_for(AIACCEL_MATCH_PATH, "/**");
  auto other = rule_for(AIACCEL_MATCH_PATH, "/b");
  weight.sets = AIACCEL_SETS_WEIGHT;
  weight.weight = 7;
  other.sets = AIACCEL_SETS_WEIGHT | AIACCEL_SETS_GRANTS;
  other.weight = 9;
  other.grants = 1;
  aia_settings settings = aia_settings_none;
  for (const auto* rule : {&all, &weight, &other})
    aia_rule_apply(rule, "/system.slice/x", 0, &settings);
  BOOST_TEST(settings.weight == 7u);
  BOOST_TEST(settings.grants == ~0U);
  BOOST_TEST(settings.sets == 0x7fu);
  settings = aia_settings_none;
  for (const auto* rule : {&weight, &all}) aia_rule_apply(rule, "/system.slice/x", 0, &settings);
  BOOST_TEST(settings.weight == unsigned{AIACCEL_WEIGHT_MAX});
}

BOOST_AUTO_TEST_CASE(without_rules_nothing_is_bound) {
  const aia_settings& none = aia_settings_none;
  BOOST_TEST(none.sets == 0u);
  BOOST_TEST(none.weight == unsigned{AIACCEL_WEIGHT_DEFAULT});
  BOOST_TEST(none.engine_time == unsigned{AIACCEL_ENGINE_TIME_ALL});
  BOOST_TEST(none.grants == 0u);
  BOOST_TEST(none.on_missing == unsigned{AIACCEL_ON_MISSING_OPEN});
  BOOST_TEST(none.pinned_bytes == AIACCEL_UNLIMITED);
  BOOST_TEST(none.device_bytes == AIACCEL_UNLIMITED);
  BOOST_TEST(aia_settings_class(&none, AIACCEL_CLASS_NORMAL) == unsigned{AIACCEL_CLASS_NORMAL});
  BOOST_TEST(aia_settings_class(&none, AIACCEL_CLASS_HIGH) == unsigned{AIACCEL_CLASS_HIGH});
}

BOOST_AUTO_TEST_CASE(tenants_above_bind) {
  aia_settings above = aia_settings_none, own = aia_settings_none;
  above.sets = AIACCEL_SETS_MAX_CLASS | AIACCEL_SETS_ON_MISSING;
  above.max_class = AIACCEL_CLASS_LOW;
  above.on_missing = AIACCEL_ON_MISSING_CLOSED;
  // The tenant between has no rule; what is below it is bound all the same.
  aia_settings between = aia_settings_none;
  aia_settings_below(&between, &above);
  BOOST_TEST(aia_settings_class(&between, AIACCEL_CLASS_HIGH) == unsigned{AIACCEL_CLASS_LOW});
  BOOST_TEST(aia_settings_class(&between, AIACCEL_CLASS_IDLE) == unsigned{AIACCEL_CLASS_IDLE});
  BOOST_TEST(between.on_missing == unsigned{AIACCEL_ON_MISSING_CLOSED});
  own.sets = AIACCEL_SETS_MAX_CLASS | AIACCEL_SETS_ON_MISSING;
  own.max_class = AIACCEL_CLASS_HIGH;
  own.on_missing = AIACCEL_ON_MISSING_OPEN;
  aia_settings_below(&own, &between);
  BOOST_TEST(aia_settings_class(&own, AIACCEL_CLASS_IDLE) == unsigned{AIACCEL_CLASS_LOW});
  BOOST_TEST(own.on_missing == unsigned{AIACCEL_ON_MISSING_OPEN});  // the nearest that is set
  own.max_class = AIACCEL_CLASS_IDLE;
  aia_settings_below(&own, &between);
  BOOST_TEST(own.max_class == unsigned{AIACCEL_CLASS_IDLE});
}

BOOST_AUTO_TEST_CASE(the_call_is_checked) {
  aiaccel_policy good{};
  good.flags = AIACCEL_POLICY_REPLACE;
  good.count = AIACCEL_POLICY_MAX;
  good.rule_size = sizeof(aiaccel_policy_rule);
  auto with = [&](auto spoil) {
    aiaccel_policy arg = good;
    spoil(arg);
    return aia_check_policy(&arg);
  };
  BOOST_TEST(with([](auto&) {}) == 0);
  BOOST_TEST(with([](auto& a) { a.flags = 0, a.count = ~0U; }) == 0);
  BOOST_TEST(with([](auto& a) { a.count++; }) == -EINVAL);
  BOOST_TEST(with([](auto& a) { a.flags = 2; }) == -EOPNOTSUPP);
  BOOST_TEST(with([](auto& a) { a.rule_size -= 8, a.count = ~0U; }) == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(rules_are_checked) {
  BOOST_TEST(after([](auto&) {}) == 0);
  BOOST_TEST(after([](auto& r) { r.match = 0; }) == -EOPNOTSUPP);
  BOOST_TEST(after([](auto& r) { r.match = 4; }) == -EOPNOTSUPP);
  BOOST_TEST(after([](auto& r) { r.sets |= 1 << 7; }) == -EOPNOTSUPP);
  BOOST_TEST(after([](auto& r) { r.on_missing = 2, r.weight = 0; }) == -EOPNOTSUPP);
  BOOST_TEST(after([](auto& r) { r.max_class = AIACCEL_NR_CLASSES; }) == -EINVAL);
  BOOST_TEST(after([](auto& r) { r.weight = 0; }) == -EINVAL);
  BOOST_TEST(after([](auto& r) { r.weight++; }) == -EINVAL);
  BOOST_TEST(after([](auto& r) { r.engine_time = 0; }) == -EINVAL);
  BOOST_TEST(after([](auto& r) { r.engine_time++; }) == -EINVAL);
  BOOST_TEST(after([](auto& r) { r.grants = 0; }) == -EINVAL);
  BOOST_TEST(after([](auto& r) { r.uid = 1; }) == -EINVAL);
  BOOST_TEST(after([](auto& r) { r.pinned_bytes = r.device_bytes = 0; }) == 0);
  for (unsigned bit = 0; bit < 7; bit++)  // its field is not zero
    BOOST_TEST(after([&](auto& r) { r.sets &= ~(1U << bit); }) == -EINVAL, "bit " << bit);
  BOOST_TEST(after([](auto& r) { r = rule_for(AIACCEL_MATCH_NAME, "a"); }) == 0);
}

BOOST_AUTO_TEST_CASE(patterns_are_checked) {
  auto with = [](std::uint32_t match, const std::string& pattern) {
    const auto rule = rule_for(match, pattern);
    return aia_check_policy_rule(&rule);
  };
  BOOST_TEST(with(AIACCEL_MATCH_NAME, std::string(255, 'a')) == 0);
  BOOST_TEST(with(AIACCEL_MATCH_NAME, std::string(256, 'a')) == -EINVAL);
  BOOST_TEST(with(AIACCEL_MATCH_NAME, "") == -EINVAL);
  BOOST_TEST(with(AIACCEL_MATCH_NAME, "a\n") == -EINVAL);
  BOOST_TEST(with(AIACCEL_MATCH_NAME, "caf\xc3\xa9") == -EINVAL);
  BOOST_TEST(with(AIACCEL_MATCH_PATH, "[a") == -EINVAL);
  BOOST_TEST(with(AIACCEL_MATCH_PATH, std::string("a\0b", 3)) == -EINVAL);
  BOOST_TEST(with(AIACCEL_MATCH_USER, "") == 0);
  BOOST_TEST(with(AIACCEL_MATCH_USER, "a") == -EINVAL);
}

BOOST_AUTO_TEST_SUITE_END()
