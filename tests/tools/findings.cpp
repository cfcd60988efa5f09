// SPDX-License-Identifier: MIT
//
// The verdicts of `aiaccel doctor` on machines that this one is not.
#include "aiaccel/findings.hpp"

#include <aiaccel.h>

#include <algorithm>
#include <cerrno>

#include "tap/tap.hpp"

namespace {

using namespace tools;

// A Debian 13 where everything works through the module.
Facts whole() {
  Facts facts;
  facts.distribution = "debian";
  facts.kernel_release = "6.12.1-amd64";
  facts.kernel_major = 6;
  facts.kernel_minor = 12;
  facts.kernel_takes_modules = true;
  facts.module_loaded = true;
  facts.module_installed = true;
  facts.headers_installed = true;
  facts.dkms_installed = true;
  facts.sources_installed = true;
  facts.node_present = true;
  facts.node_accessible = true;
  facts.node_group = "aiaccel";
  facts.node_group_is_mine = true;
  facts.user = "alice";
  facts.kernel = {0, "kernel"};
  facts.automatic = {0, "kernel"};
  facts.runtime_present = true;
  facts.runtime_version = "1.21.0";
  facts.runtime_path = "/usr/lib/libonnxruntime.so.1.21";
  facts.runtime_packaged = true;
  facts.numa_nodes = {0, 1};
  facts.cgroup2 = "/sys/fs/cgroup";
  facts.cgroup2_cpu = true;
  return facts;
}

// The same without the module, on the broker.
Facts without_module() {
  Facts facts = whole();
  facts.module_loaded = false;
  facts.node_present = facts.node_accessible = false;
  facts.kernel = {ENOENT, ""};
  facts.automatic = {0, "broker"};
  return facts;
}

Finding find(const Facts& facts, const std::string& subject) {
  for (const Finding& finding : judge(facts))
    if (finding.subject == subject) return finding;
  throw std::runtime_error("no finding on " + subject);
}

std::string fix(const Facts& facts, const std::string& subject) {
  std::string lines;
  for (const std::string& line : find(facts, subject).fix) lines += line + "\n";
  return lines;
}

int missing(const Facts& facts) {
  const auto findings = judge(facts);
  return static_cast<int>(std::count_if(findings.begin(), findings.end(), [](const Finding& f) {
    return f.verdict == Verdict::missing;
  }));
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(findings)

BOOST_AUTO_TEST_CASE(a_whole_machine_needs_nothing) {
  for (const Finding& finding : judge(whole())) {
    BOOST_TEST_CONTEXT(finding.subject) {
      BOOST_TEST(verdict_name(finding.verdict) == "ok");
      BOOST_TEST(finding.fix.empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(an_installed_module_is_to_be_loaded) {
  BOOST_TEST(fix(without_module(), "module") == "sudo modprobe aiaccel\n");
  BOOST_TEST(missing(without_module()) == 1);
  BOOST_TEST(verdict_name(find(without_module(), "device").verdict) == "note");
}

BOOST_AUTO_TEST_CASE(a_module_that_is_not_built_needs_what_builds_it) {
  Facts facts = without_module();
  facts.module_installed = false;
  const std::string dkms = std::string("sudo dkms install aiaccel/") + aiaccel_version() + "\n";
  BOOST_TEST(fix(facts, "module") == dkms + "sudo modprobe aiaccel\n");
  facts.headers_installed = facts.dkms_installed = facts.sources_installed = false;
  BOOST_TEST(fix(facts, "module") ==
             "sudo apt-get install -y --no-install-recommends dkms linux-headers-6.12.1-amd64\n"
             "sudo make install  # in aiaccel's source tree\n"
             "sudo systemd-sysusers  # makes the group aiaccel\n" +
                 dkms + "sudo modprobe aiaccel\n");
}

BOOST_AUTO_TEST_CASE(no_apt_line_where_there_is_no_apt) {
  Facts facts = without_module();
  facts.distribution = "fedora";
  facts.module_installed = facts.dkms_installed = false;
  BOOST_TEST(!has(fix(facts, "module"), "apt"));
  BOOST_TEST(has(fix(facts, "module"), "install: dkms"));
}

// Nothing that could work is missing: no line to type, and doctor ends with 0.
BOOST_AUTO_TEST_CASE(a_kernel_without_modules_is_no_fault) {
  Facts facts = without_module();
  facts.kernel_takes_modules = facts.module_installed = false;
  BOOST_TEST(missing(facts) == 0);
  BOOST_TEST(verdict_name(find(facts, "kernel").verdict) == "note");
  BOOST_TEST(has(find(facts, "kernel").found, "takes no modules"));
  BOOST_TEST(fix(facts, "module") == "");
}

BOOST_AUTO_TEST_CASE(an_old_kernel_is_told_so) {
  Facts facts = without_module();
  facts.kernel_release = "5.10.0-9";
  facts.kernel_major = 5;
  facts.kernel_minor = 10;
  BOOST_TEST(has(find(facts, "kernel").found, "needs 6.1 or later"));
  BOOST_TEST(missing(facts) == 0);
  facts.kernel_major = 6;
  facts.kernel_minor = 0;
  BOOST_TEST(has(find(facts, "kernel").found, "needs 6.1 or later"));
  facts.kernel_minor = 1;
  BOOST_TEST(!has(find(facts, "kernel").found, "needs"));
}

BOOST_AUTO_TEST_CASE(who_is_not_in_the_group_is_told_how_to_be) {
  Facts facts = whole();
  facts.node_accessible = facts.node_group_is_mine = false;
  facts.kernel = facts.automatic = {EACCES, ""};
  facts.broker = {0, "broker"};
  BOOST_TEST(fix(facts, "device") == "sudo usermod -aG aiaccel alice  # then log in again\n");
  BOOST_TEST(has(find(facts, "transport").found, "the module refuses: Permission denied"));
  BOOST_TEST(missing(facts) == 2);
  // A node of root's: the udev rule did not see it.
  facts.node_group = "root";
  BOOST_TEST(has(fix(facts, "device"), "udevadm"));
  BOOST_TEST(!has(fix(facts, "device"), "usermod"));
}

BOOST_AUTO_TEST_CASE(a_node_that_does_not_open_says_why) {
  Facts facts = whole();
  facts.kernel = facts.automatic = {EDQUOT, ""};
  facts.broker = {0, "broker"};
  BOOST_TEST(verdict_name(find(facts, "device").verdict) == "missing");
  BOOST_TEST(has(find(facts, "device").found, "quota"));
}

BOOST_AUTO_TEST_CASE(alone_is_said_in_so_many_words) {
  Facts facts = without_module();
  facts.automatic = {0, "embedded"};
  facts.broker = {ENOENT, ""};
  BOOST_TEST(verdict_name(find(facts, "broker").verdict) == "missing");
  BOOST_TEST(has(fix(facts, "broker"), "make install"));
  facts.broker = {ECONNREFUSED, ""};
  BOOST_TEST(has(find(facts, "broker").found, "refused"));
  BOOST_TEST(has(fix(facts, "broker"), "aiacceld  # in the foreground"));
  BOOST_TEST(has(find(facts, "transport").found, "nothing is shared"));
  facts.broker_starts = true;
  BOOST_TEST(verdict_name(find(facts, "broker").verdict) == "ok");
  BOOST_TEST(has(find(facts, "broker").found, "does not run"));
  facts.broker_starts = false;
  // Asked for by --transport embedded, while the broker would answer.
  facts.broker = {0, "broker"};
  BOOST_TEST(verdict_name(find(facts, "broker").verdict) == "ok");
}

BOOST_AUTO_TEST_CASE(the_runtime_comes_from_where_it_is) {
  Facts facts = whole();
  facts.runtime_present = false;
  facts.runtime_reason = "libonnxruntime.so.1: no such file";
  BOOST_TEST(has(find(facts, "onnxruntime").found, "no such file"));
  BOOST_TEST(has(fix(facts, "onnxruntime"), "apt-get install"));
  facts.runtime_packaged = false;
  BOOST_TEST(has(fix(facts, "onnxruntime"), "scripts/setup-models"));
  BOOST_TEST(missing(facts) == 1);
}

BOOST_AUTO_TEST_CASE(limits_are_notes) {
  Facts facts = whole();
  facts.memlock_bytes = 8ull << 20;
  facts.cgroup2_cpu = false;
  BOOST_TEST(missing(facts) == 0);
  BOOST_TEST(has(find(facts, "memlock").found, "8.0 MiB"));
  BOOST_TEST(has(find(facts, "cgroup").found, "no cpu.weight"));
  facts.cgroup2 = "";
  BOOST_TEST(has(find(facts, "cgroup").found, "not mounted"));
  facts.memlock_bytes = 1ull << 30;
  BOOST_TEST(verdict_name(find(facts, "memlock").verdict) == "ok");
}

BOOST_AUTO_TEST_SUITE_END()
