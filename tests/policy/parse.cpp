// SPDX-License-Identifier: MIT
//
// Policy files as text: what is read from a right one, and what is said of each mistake.
#include "policy/parse.h"

#include <uapi/aiaccel.h>

#include "tap/tap.hpp"

using namespace aiaccel::policy;

namespace {

Policy parsed(const std::string& text) {
  Policy policy;
  parse(text, "f.conf", policy);
  return policy;
}

// What is said of a section with these lines in it, one line each.
std::string said(const std::string& lines) {
  std::string all;
  for (const Problem& problem : parsed("[match]\n" + lines).problems) all += problem.text() + "\n";
  return all;
}

std::uint64_t value(Key key, const std::string& text) {
  const auto found = read_value(key, text);
  BOOST_TEST_REQUIRE(found.has_value(), info(key).name << "=" << text << " is refused");
  BOOST_TEST(read_value(key, write_value(key, *found)).value() == *found);
  return *found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(file)

BOOST_AUTO_TEST_CASE(a_whole_file) {
  const Policy policy = parsed(
      "# the server\n\n[match]\nunit=vllm*.service\nmax_class = high \nweight=400\n"
      "\t; the users\n[match]\n  group\t=  video\ndevice_bytes=10G\non_missing=closed");
  BOOST_TEST(policy.problems.empty());
  BOOST_TEST_REQUIRE(policy.sections.size() == 2u);
  const Section& unit = policy.sections[0];
  BOOST_TEST((unit.by == By::unit));
  BOOST_TEST(unit.who == "vllm*.service");
  BOOST_TEST(unit.line == 3u);
  BOOST_TEST(unit.gives[Key::max_class].value() == AIACCEL_CLASS_HIGH);
  BOOST_TEST(unit.gives[Key::weight].value() == 400u);
  BOOST_TEST(!unit.gives[Key::device_bytes].has_value());
  const Section& group = policy.sections[1];
  BOOST_TEST((group.by == By::group));
  BOOST_TEST(group.who == "video");
  BOOST_TEST(group.gives[Key::device_bytes].value() == 10ull << 30);
  BOOST_TEST(group.gives[Key::on_missing].value() == AIACCEL_ON_MISSING_CLOSED);
}

BOOST_AUTO_TEST_CASE(values) {
  BOOST_TEST(value(Key::max_class, "idle") == AIACCEL_CLASS_IDLE);
  BOOST_TEST(value(Key::max_class, "realtime") == AIACCEL_CLASS_REALTIME);
  BOOST_TEST(value(Key::pinned_bytes, "0") == 0u);
  BOOST_TEST(value(Key::pinned_bytes, "1023") == 1023u);
  BOOST_TEST(value(Key::pinned_bytes, "512M") == 512u << 20);
  BOOST_TEST(value(Key::device_bytes, "3T") == 3ull << 40);
  BOOST_TEST(value(Key::device_bytes, "unlimited") == AIACCEL_UNLIMITED);
  BOOST_TEST(value(Key::engine_time, "25%") == 2500u);
  BOOST_TEST(value(Key::engine_time, "0.5%") == 50u);
  BOOST_TEST(value(Key::engine_time, "0.01%") == 1u);
  BOOST_TEST(value(Key::engine_time, "100%") == AIACCEL_ENGINE_TIME_ALL);
  BOOST_TEST(value(Key::grants, "unlimited") == UINT32_MAX);
  BOOST_TEST(write_value(Key::pinned_bytes, 3ull << 29) == "1536M");
  BOOST_TEST(write_value(Key::engine_time, 2505) == "25.05%");
  BOOST_TEST(write_value(Key::engine_time, 1000) == "10%");
}

BOOST_AUTO_TEST_CASE(values_out_of_range) {
  const auto refused = [](Key key, std::initializer_list<const char*> texts) {
    for (const char* text : texts)
      BOOST_TEST(!read_value(key, text).has_value(), info(key).name << "=" << text << " is taken");
  };
  refused(Key::max_class, {"", "HIGH", "real-time", "3"});
  refused(Key::weight, {"0", "10001", "-1", "1.5", " 1", "0x10"});
  refused(Key::pinned_bytes, {"", "G", "-1", "1.5G", "10GiB", "10g", "16384P",
                              "18446744073709551615", "18446744073709551616"});
  refused(Key::engine_time, {"25", "%", "0%", "0.00%", "101%", "100.01%", "1.234%", ".5%", "5.%"});
  refused(Key::grants, {"0", "4294967296", "-1"});
  refused(Key::on_missing, {"opened", ""});
}

BOOST_AUTO_TEST_CASE(each_mistake_is_named_with_its_line) {
  BOOST_TEST(said("unit=a\ncolour=red\n") ==
             "f.conf:3: 'colour' is no key; unit, cgroup, user, group, max_class, weight, "
             "pinned_bytes, device_bytes, engine_time, grants or on_missing is expected\n");
  BOOST_TEST(said("unit=a\nweight=1\nweight=2\n") ==
             "f.conf:4: weight= stands in line 3 already\n");
  BOOST_TEST(said("unit=a\nweight=1\nunit=b\n") == "f.conf:4: unit= stands in line 2 already\n");
  BOOST_TEST(said("unit=a\ncgroup=/b\nweight=1\n") ==
             "f.conf:3: cgroup= beside unit= of line 2: a section is for one of them\n");
  BOOST_TEST(said("max_class=low\n") ==
             "f.conf:1: the section says not whom it is for: unit, cgroup, user or group is "
             "expected\n");
  BOOST_TEST(said("unit=a\n") ==
             "f.conf:1: the section gives nothing; max_class=, for one, is expected\n");
  BOOST_TEST(said("unit=a\nweight=70000\n") ==
             "f.conf:3: weight='70000': a number from 1 to 10000 is expected\n");
  BOOST_TEST(said("unit=a\nweight\n") == "f.conf:3: 'weight' is no line; KEY=VALUE is expected\n");
  BOOST_TEST(said("unit=a/b\nweight=1\n") ==
             "f.conf:2: unit='a/b': a name without / is expected; cgroup= takes a path\n");
  BOOST_TEST(said("cgroup=a\nweight=1\n") ==
             "f.conf:2: cgroup='a': a path below the mount point is expected, such as "
             "/user.slice/*\n");
  BOOST_TEST(said("unit=a[b\nweight=1\n") ==
             "f.conf:2: unit='a[b': a [ without its ], or a \\ at the end\n");
  BOOST_TEST(said("user=\nweight=1\n") == "f.conf:2: user='': a user is expected\n");
  BOOST_TEST(said("unit=\xc3\xa4\nweight=1\n") ==
             "f.conf:2: unit='?\?': printable ASCII without blanks is expected\n");
  BOOST_TEST(said("unit=a\nweight=1\r\n") ==
             "f.conf:3: the line ends in CR LF; LF alone is expected\n");
  BOOST_TEST(said(std::string("unit=a\nweight=1\0\n", 17)) ==
             "f.conf:3: a NUL byte; a text file is expected\n");
  BOOST_TEST(said("unit=a\nweight=1\n#" + std::string(kMaxLine, 'x') + "\n") ==
             "f.conf:4: the line has 4097 bytes; 4096 at most\n");
  BOOST_TEST(parsed("weight=1\nunit=a\n").problems.at(0).text() ==
             "f.conf:1: 'weight' stands before the first [match]");
  BOOST_TEST(parsed("[Match]\nunit=a\nweight=1\n").problems.at(0).text() ==
             "f.conf:1: '[Match]' is no section; [match] is expected");
}

BOOST_AUTO_TEST_CASE(all_mistakes_are_named_and_nothing_of_the_file_is_used) {
  const Policy policy =
      parsed("[match]\nunit=a\nweight=1\n[match]\nunit=b\nweight=0\ngrants=0\n[match]\nunit=c\n");
  BOOST_TEST(policy.sections.empty());
  BOOST_TEST_REQUIRE(policy.problems.size() == 3u);
  BOOST_TEST(policy.problems[0].line == 6u);
  BOOST_TEST(policy.problems[1].line == 7u);
  BOOST_TEST(policy.problems[2].line == 8u);
}

BOOST_AUTO_TEST_SUITE_END()
