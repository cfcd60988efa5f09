// SPDX-License-Identifier: MIT
//
// A folder of policy files becomes rules: which files, in which order, for which numbers.
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "policy/expand.h"
#include "policy/folder.h"
#include "tap/tap.hpp"

using namespace aiaccel::policy;

namespace {

class Folder {
 public:
  Folder() { BOOST_REQUIRE(::mkdtemp(path_.data())); }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }

 private:
  std::string path_ = "/tmp/aiaccel-policy-XXXXXX";
};

std::vector<aiaccel_policy_rule> rules_of(const std::string& text, Policy& policy) {
  parse(text, "f.conf", policy);
  return expand(policy);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(load)

BOOST_AUTO_TEST_CASE(files_are_read_in_the_order_of_their_names) {
  const Folder folder;
  folder.put("20-b.conf", "[match]\nunit=second\nweight=2\n");
  folder.put("10-z.conf", "[match]\nunit=first\nweight=1\n");
  folder.put("9.conf", "[match]\nunit=third\nweight=3\n");
  folder.put("10-y.conf.bak", "not a policy");
  const Policy policy = read_folder(folder.path());
  BOOST_TEST(policy.problems.empty());
  BOOST_TEST_REQUIRE(policy.sections.size() == 3u);
  BOOST_TEST(policy.sections[0].who == "first");
  BOOST_TEST(policy.sections[1].who == "second");
  BOOST_TEST(policy.sections[2].who == "third");
}

BOOST_AUTO_TEST_CASE(no_folder_is_no_policy) {
  const Policy policy = read_folder("/there/is/no/such.d");
  BOOST_TEST(policy.sections.empty());
  BOOST_TEST(policy.problems.empty());
}

BOOST_AUTO_TEST_CASE(a_bad_file_is_left_out_and_the_others_hold) {
  const Folder folder;
  folder.put("1.conf", "[match]\nunit=a\nweight=1\n");
  folder.put("2.conf", "[match]\nunit=b\nweight=1\n[match]\nunit=b2\nweight=0\n");
  folder.put("3.conf", "[match]\nunit=c\nweight=no\n");
  folder.put("4.conf", "[match]\nunit=d\nweight=1\n");
  std::filesystem::create_directory(folder.path() + "/5.conf");
  BOOST_REQUIRE(::mkfifo((folder.path() + "/6.conf").c_str(), 0600) == 0);
  folder.put("7.conf", std::string(kMaxFile + 1, '\n'));
  Policy policy = read_folder(folder.path());
  const auto rules = expand(policy);
  BOOST_TEST_REQUIRE(rules.size() == 2u);
  BOOST_TEST(rules[0].pattern == std::string("a"));
  BOOST_TEST(rules[1].pattern == std::string("d"));
  std::string said;
  for (const Problem& problem : policy.problems)
    said += problem.text().substr(folder.path().size() + 1) + "\n";
  BOOST_TEST(said ==
             "2.conf:6: weight='0': a number from 1 to 10000 is expected\n"
             "3.conf:3: weight='no': a number from 1 to 10000 is expected\n"
             "5.conf: is no regular file\n6.conf: is no regular file\n"
             "7.conf: has more than 1048576 bytes\n");
}

// A user who was deleted: what the file says of others holds.
BOOST_AUTO_TEST_CASE(a_section_for_nobody_is_left_out_alone) {
  Policy policy;
  const auto rules = rules_of(
      "[match]\nunit=a\nweight=1\n[match]\nuser=no-such-user\nweight=1\n"
      "[match]\ngroup=no-such-group\nweight=1\n[match]\nunit=b\nweight=1\n",
      policy);
  BOOST_TEST_REQUIRE(rules.size() == 2u);
  BOOST_TEST(rules[0].pattern == std::string("a"));
  BOOST_TEST(rules[1].pattern == std::string("b"));
  BOOST_TEST_REQUIRE(policy.problems.size() == 2u);
  BOOST_TEST(policy.problems[0].text() == "f.conf:4: there is no user 'no-such-user'");
  BOOST_TEST(policy.problems[1].text() == "f.conf:7: there is no group 'no-such-group'");
  for (const Problem& problem : policy.problems) BOOST_TEST(problem.of_section);
}

BOOST_AUTO_TEST_CASE(a_rule_says_what_its_section_does_and_nothing_else) {
  Policy policy;
  const auto rules = rules_of(
      "[match]\nunit=v*.service\nmax_class=low\ndevice_bytes=1G\nengine_time=5%\ngrants=2\n"
      "[match]\ncgroup=/a/**\nweight=7\npinned_bytes=unlimited\non_missing=closed\n",
      policy);
  BOOST_TEST_REQUIRE(rules.size() == 2u);
  aiaccel_policy_rule unit{};
  unit.match = AIACCEL_MATCH_NAME;
  unit.sets = AIACCEL_SETS_MAX_CLASS | AIACCEL_SETS_DEVICE_BYTES | AIACCEL_SETS_ENGINE_TIME |
              AIACCEL_SETS_GRANTS;
  unit.max_class = AIACCEL_CLASS_LOW;
  unit.device_bytes = 1 << 30;
  unit.engine_time = 500;
  unit.grants = 2;
  std::strcpy(unit.pattern, "v*.service");
  BOOST_TEST(std::memcmp(&rules[0], &unit, sizeof unit) == 0);
  aiaccel_policy_rule cgroup{};
  cgroup.match = AIACCEL_MATCH_PATH;
  cgroup.sets = AIACCEL_SETS_WEIGHT | AIACCEL_SETS_PINNED_BYTES | AIACCEL_SETS_ON_MISSING;
  cgroup.weight = 7;
  cgroup.pinned_bytes = AIACCEL_UNLIMITED;
  cgroup.on_missing = AIACCEL_ON_MISSING_CLOSED;
  std::strcpy(cgroup.pattern, "/a/**");
  BOOST_TEST(std::memcmp(&rules[1], &cgroup, sizeof cgroup) == 0);
  for (std::size_t i = 0; i < rules.size(); i++)
    BOOST_TEST((settings_of(rules[i]) == policy.sections[i].gives));
}

BOOST_AUTO_TEST_CASE(a_user_is_a_number_and_a_slice) {
  const passwd* daemon = ::getpwnam("daemon");
  if (!daemon) SKIP("this system has no user daemon");
  const std::uint32_t uid = daemon->pw_uid;
  for (const std::string& who : {std::string("daemon"), std::to_string(uid)}) {
    Policy policy;
    const auto rules = rules_of("[match]\nuser=" + who + "\nweight=1\n", policy);
    BOOST_TEST_REQUIRE(rules.size() == 2u);
    BOOST_TEST(rules[0].match == AIACCEL_MATCH_USER);
    BOOST_TEST(rules[0].uid == uid);
    BOOST_TEST(rules[0].pattern == std::string());
    BOOST_TEST(rules[1].match == AIACCEL_MATCH_PATH);
    BOOST_TEST(rules[1].uid == 0u);
    BOOST_TEST(rules[1].pattern == "/user.slice/user-" + std::to_string(uid) + ".slice");
  }
}

BOOST_AUTO_TEST_CASE(a_group_is_its_members_by_either_way) {
  // What /etc/passwd says of first groups, and the first group that lists a member.
  Policy policy;
  const auto rules = rules_of("[match]\ngroup=root\nweight=1\n", policy);
  BOOST_TEST(policy.problems.empty());
  BOOST_TEST_REQUIRE(rules.size() >= 2u);
  BOOST_TEST(rules[0].match == AIACCEL_MATCH_USER);
  BOOST_TEST(rules[0].uid == 0u);  // root, whose first group it is

  ::setgrent();
  std::string listed;
  std::uint32_t member = 0;
  while (const group* entry = ::getgrent()) {
    const passwd* user = entry->gr_mem[0] ? ::getpwnam(entry->gr_mem[0]) : nullptr;
    if (!user || user->pw_gid == entry->gr_gid) continue;
    listed = std::to_string(entry->gr_gid);
    member = user->pw_uid;
    break;
  }
  ::endgrent();
  if (listed.empty()) SKIP("no group of this system lists a member");
  Policy second;
  bool found = false;
  for (const auto& rule : rules_of("[match]\ngroup=" + listed + "\nweight=1\n", second))
    found = found || (rule.match == AIACCEL_MATCH_USER && rule.uid == member);
  BOOST_TEST(found);
}

BOOST_AUTO_TEST_CASE(more_rules_than_can_be_loaded) {
  Policy policy;
  std::string text;
  for (unsigned i = 0; i < AIACCEL_POLICY_MAX; i++)
    text += "[match]\nunit=u" + std::to_string(i) + "\nweight=1\n";
  parse(text, "1.conf", policy);
  parse("[match]\nunit=one-more\nweight=1\n", "2.conf", policy);
  BOOST_TEST(expand(policy).size() == AIACCEL_POLICY_MAX);
  BOOST_TEST_REQUIRE(policy.problems.size() == 1u);
  BOOST_TEST(policy.problems[0].text() == "2.conf: makes it 1025 rules; 1024 at most are loaded");
}

BOOST_AUTO_TEST_SUITE_END()
