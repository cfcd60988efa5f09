// SPDX-License-Identifier: MIT
//
// POLICY: what is taken, what is read back. What rules do to tenants is in tests/kmod/policy.cpp.
#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(policy)

namespace {

constexpr Field kFields[] = {
    FIELD(aiaccel_policy, size, kIn),      FIELD(aiaccel_policy, flags, kIn),
    FIELD(aiaccel_policy, rules, kIn),     FIELD(aiaccel_policy, count, kInOut),
    FIELD(aiaccel_policy, rule_size, kIn),
};
static_assert(fills(kFields, 24) && sizeof(aiaccel_policy) == 24);

constexpr Field kRuleFields[] = {
    FIELD(aiaccel_policy_rule, match, kIn),        FIELD(aiaccel_policy_rule, sets, kIn),
    FIELD(aiaccel_policy_rule, uid, kIn),          FIELD(aiaccel_policy_rule, max_class, kIn),
    FIELD(aiaccel_policy_rule, weight, kIn),       FIELD(aiaccel_policy_rule, engine_time, kIn),
    FIELD(aiaccel_policy_rule, pinned_bytes, kIn), FIELD(aiaccel_policy_rule, device_bytes, kIn),
    FIELD(aiaccel_policy_rule, grants, kIn),       FIELD(aiaccel_policy_rule, on_missing, kIn),
    FIELD(aiaccel_policy_rule, pattern, kIn),
};
static_assert(fills(kRuleFields, 304) && sizeof(aiaccel_policy_rule) == 304);

// Of nobody here.
aiaccel_policy_rule full_rule() {
  aiaccel_policy_rule rule = rule_of(AIACCEL_MATCH_PATH, "/nobody/[!a-z]*/**");
  rule.sets = 0x7f;
  rule.max_class = AIACCEL_CLASS_LOW;
  rule.weight = 10;
  rule.engine_time = 2500;
  rule.pinned_bytes = 1 << 30;
  rule.device_bytes = 1ULL << 40;
  rule.grants = 3;
  rule.on_missing = AIACCEL_ON_MISSING_CLOSED;
  return rule;
}

// Two, which stay where they are.
const std::vector<aiaccel_policy_rule>& some_rules() {
  static const std::vector<aiaccel_policy_rule> rules{full_rule(),
                                                      rule_of(AIACCEL_MATCH_USER, "", 4000000000)};
  return rules;
}

const Register kRow({"POLICY", AIACCEL_IOC_POLICY, kFields,
                     [](const Scene&) {
                       aiaccel_policy arg{};
                       arg.size = sizeof(arg);
                       arg.flags = AIACCEL_POLICY_REPLACE;
                       arg.rules = address(some_rules().data());
                       arg.count = 2;
                       arg.rule_size = sizeof(aiaccel_policy_rule);
                       return bytes_of(arg);
                     },
                     [](const Scene&) {
                       Spoils<aiaccel_policy> spoils;
                       for (const uint32_t flags : {2u, 3u, 0x80000001u, ~0u})
                         spoils.add(EOPNOTSUPP, "flags", [=](auto& a) { a.flags = flags; });
                       for (const uint32_t size : {0u, 303u, 305u, 312u, ~0u})
                         spoils.add(EOPNOTSUPP, "rule size", [=](auto& a) { a.rule_size = size; });
                       for (const uint32_t count : {1025u, 0x80000000u, ~0u})
                         spoils.add(EINVAL, "count", [=](auto& a) { a.count = count; });
                       for (const uint64_t rules : {0x1000ULL, 1ULL << 47, ~0ULL - 7})
                         spoils.add(EFAULT, "rules", [=](auto& a) { a.rules = rules; });
                       return spoils;
                     }});

int read_rules(const Context& context, std::vector<aiaccel_policy_rule>& to, uint32_t* count) {
  aiaccel_policy policy{};
  policy.rules = address(to.data());
  policy.count = *count;
  policy.rule_size = sizeof(aiaccel_policy_rule);
  const int err = context(AIACCEL_IOC_POLICY, policy);
  *count = policy.count;
  return err;
}

bool same(const aiaccel_policy_rule& a, const aiaccel_policy_rule& b) {
  return memcmp(&a, &b, sizeof(a)) == 0;
}

// What is there now is just these.
void expect(const Context& context, const std::vector<aiaccel_policy_rule>& rules) {
  std::vector<aiaccel_policy_rule> got(rules.size() + 1);
  uint32_t count = static_cast<uint32_t>(got.size());
  BOOST_REQUIRE_EQUAL(read_rules(context, got, &count), 0);
  BOOST_REQUIRE_EQUAL(count, rules.size());
  for (size_t i = 0; i < rules.size(); i++) BOOST_TEST(same(got[i], rules[i]), "rule " << i);
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_was_set_is_read_back) {
  NEED_DEVICE();
  const Scene scene;
  const Context& context = scene.context;
  expect(context, {});
  BOOST_TEST(set_rules(context, some_rules()) == 0);
  expect(Context(), some_rules());  // it is everybody's
  std::vector<aiaccel_policy_rule> most(AIACCEL_POLICY_MAX, full_rule());
  for (size_t i = 0; i < most.size(); i++) most[i].weight = 1 + static_cast<uint32_t>(i);
  BOOST_TEST(set_rules(context, most) == 0);
  expect(context, most);
  BOOST_TEST(set_rules(context, {}) == 0);
  expect(context, {});
}

BOOST_AUTO_TEST_CASE(as_many_as_fit_are_read) {
  NEED_DEVICE();
  const Scene scene;
  BOOST_REQUIRE_EQUAL(set_rules(scene.context, some_rules()), 0);
  std::vector<aiaccel_policy_rule> got(2, rule_of(AIACCEL_MATCH_NAME, "untouched"));
  uint32_t count = 1;
  BOOST_TEST(read_rules(scene.context, got, &count) == 0);
  BOOST_TEST(count == 2u);
  BOOST_TEST(same(got[0], some_rules()[0]));
  BOOST_TEST(same(got[1], rule_of(AIACCEL_MATCH_NAME, "untouched")));
  count = ~0u;
  BOOST_TEST(read_rules(scene.context, got, &count) == 0);
  BOOST_TEST(count == 2u);
  std::vector<aiaccel_policy_rule> none;
  count = 0;
  BOOST_TEST(read_rules(scene.context, none, &count) == 0);
  BOOST_TEST(count == 2u);
}

BOOST_AUTO_TEST_CASE(one_bad_rule_and_nothing_changes) {
  NEED_DEVICE();
  const Scene scene;
  BOOST_REQUIRE_EQUAL(set_rules(scene.context, some_rules()), 0);
  Spoils<aiaccel_policy_rule> spoils;
  for (const uint32_t match : {0u, 4u, ~0u})
    spoils.add(EOPNOTSUPP, "match", [=](auto& r) { r.match = match; });
  spoils.add(EOPNOTSUPP, "an unknown bit", [](auto& r) { r.sets = 0xff; });
  spoils.add(EOPNOTSUPP, "on_missing", [](auto& r) { r.on_missing = 2; });
  spoils.add(EINVAL, "class", [](auto& r) { r.max_class = AIACCEL_NR_CLASSES; });
  for (const uint32_t weight : {0u, AIACCEL_WEIGHT_MAX + 1u, ~0u})
    spoils.add(EINVAL, "weight", [=](auto& r) { r.weight = weight; });
  for (const uint32_t time : {0u, AIACCEL_ENGINE_TIME_ALL + 1u, ~0u})
    spoils.add(EINVAL, "time", [=](auto& r) { r.engine_time = time; });
  spoils.add(EINVAL, "grants", [](auto& r) { r.grants = 0; });
  spoils.add(EINVAL, "uid", [](auto& r) { r.uid = 1; });
  spoils.add(EINVAL, "an open set", [](auto& r) { strcpy(r.pattern, "/a[b"); });
  spoils.add(EINVAL, "after the NUL", [](auto& r) { r.pattern[255] = 'x'; });
  // The others' fields are zeroed by what is above, which makes them right.
  for (const uint32_t bit : {0, 2, 3})
    spoils.add(EINVAL, "a field that is not set", [=](auto& r) { r.sets = 0x7f & ~(1u << bit); });
  std::vector<aiaccel_policy_rule> rules(3, full_rule());
  spoil_one_and_two("rule", bytes_of(full_rule()), spoils, [&](Bytes& bytes) {
    memcpy(&rules[2], bytes.data(), bytes.size());
    return set_rules(scene.context, rules);
  });
  expect(scene.context, some_rules());
}

BOOST_AUTO_TEST_CASE(rules_that_cannot_be_read_or_written) {
  NEED_DEVICE();
  const Scene scene;
  BOOST_REQUIRE_EQUAL(set_rules(scene.context, some_rules()), 0);
  aiaccel_policy arg{};
  arg.rule_size = sizeof(aiaccel_policy_rule);
  arg.count = 2;
  arg.rules = scene.page.address() + kPage - sizeof(aiaccel_policy_rule);
  BOOST_REQUIRE_EQUAL(mprotect(scene.page.data() + kPage, kPage, PROT_NONE), 0);
  for (const uint32_t flags : {0u, AIACCEL_POLICY_REPLACE}) {
    arg.flags = flags;
    BOOST_TEST(scene.context(AIACCEL_IOC_POLICY, arg) == EFAULT);
  }
  expect(scene.context, some_rules());
}

BOOST_AUTO_TEST_CASE(is_for_the_administrator) {
  NEED_DEVICE();
  const Scene scene;
  BOOST_TEST(in_child([&] {
               const Context context;
               become_user(1000);
               if (set_rules(context, some_rules()) != EPERM) return 1;
               std::vector<aiaccel_policy_rule> none;
               uint32_t count = 0;
               if (read_rules(context, none, &count) != EPERM) return 2;
               aiaccel_policy arg{};
               arg.flags = 2;
               return context(AIACCEL_IOC_POLICY, arg) == EOPNOTSUPP ? 0 : 3;
             }) == 0);
  expect(scene.context, {});
}

BOOST_AUTO_TEST_SUITE_END()
