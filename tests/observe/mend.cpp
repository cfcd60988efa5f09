// SPDX-License-Identifier: MIT
//
// What `aiaccel doctor --pid` makes of a process.
#include <tap/tap.hpp>

#include <algorithm>
#include <cstring>

#include "aiaccel/process_findings.hpp"
#include "fixture.hpp"
#include "observe/proc.hpp"

using namespace tools;
using namespace observe_test;

namespace {

std::vector<Finding> judged(int pid, std::vector<std::string> watched = {},
                            const std::string& scheduled = "", bool arbitrated = true,
                            bool of_root = false) {
  observe::Question question;
  question.root = recording("two-nodes");
  question.pids = {pid};
  question.watched = std::move(watched);
  observe::Arbiter arbiter;
  arbiter.engines.resize(1);
  arbiter.engines[0].kind = AIACCEL_ENGINE_GPU;
  std::strcpy(arbiter.engines[0].name, "GPU-1");
  auto seen = observe::observe(question, one_gpu(), arbitrated ? &arbiter : nullptr);
  if (of_root)
    for (observe::User& user : seen.users) user.uid = 0;
  return judge_process(seen, observe::arguments(question.root, pid), scheduled);
}

Finding find(const std::vector<Finding>& findings, const std::string& subject) {
  for (const Finding& finding : findings)
    if (finding.subject == subject) return finding;
  throw std::runtime_error("no finding on " + subject);
}

bool has_fix(const Finding& finding, const std::string& line) {
  return std::find(finding.fix.begin(), finding.fix.end(), line) != finding.fix.end();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mend)

BOOST_AUTO_TEST_CASE(an_ungated_notebook_on_the_wrong_node) {
  const auto findings = judged(4410);
  BOOST_TEST(find(findings, "process").found == "python3 (4410) of user 1001, user@1001");
  BOOST_TEST(find(findings, "gpu0").found.starts_with("9.0 GiB of its memory, keeps it busy 36 %"));
  const Finding gate = find(findings, "gate");
  BOOST_TEST(gate.found.starts_with("ungated on gpu0: "));
  // What gates CUDA comes first; 9 GiB and a quarter are 11.25.
  const std::vector<std::string> lines = {
      "aiaccel exec --class low -- python3 train.py --note 'it'\\''s'"
      "  # after ending the one that runs",
      "sudo aiaccel attach 4410 --class low  # until then: its work on CPUs",
      "sudo aiaccel policy set user-1001.slice --max-class low --device-bytes 12G"
      "  # what it may have then"};
  BOOST_TEST(gate.fix == lines, boost::test_tools::per_element());
  const Finding node = find(findings, "node");
  BOOST_TEST(node.found == "wrong node: only 4 % of its memory is on node 1, the nearest to gpu0");
  BOOST_TEST(has_fix(node, "sudo aiaccel attach 4410 --engine cpu-node1"));
}

BOOST_AUTO_TEST_CASE(no_line_says_that_a_class_binds_root) {
  const Finding gate = find(judged(4410, {}, "", true, true), "gate");
  BOOST_TEST(has_fix(
      gate, "sudo aiaccel policy set user-1001.slice --device-bytes 12G  # what it may have then"));
}

BOOST_AUTO_TEST_CASE(a_gated_server_needs_nothing) {
  for (const Finding& finding : judged(812)) {
    BOOST_TEST((finding.verdict == Verdict::ok), finding.subject);
    BOOST_TEST(finding.fix.empty());
  }
}

BOOST_AUTO_TEST_CASE(the_shim_without_an_arbiter_is_no_gate) {
  const Finding gate = find(judged(812, {}, "", false), "gate");
  BOOST_TEST((gate.verdict == Verdict::note));
  BOOST_TEST(gate.found.starts_with("unknown: it has aiaccel loaded, but no arbiter"));
}

// A service's words are in its unit; those of the process may be a title.
BOOST_AUTO_TEST_CASE(a_service_is_started_by_its_unit) {
  observe::Observation observation;
  observation.engines.resize(1);
  observation.engines[0].alias = "gpu0";
  observation.engines[0].kind = "gpu";
  observation.users.resize(1);
  observation.users[0].engine = 0;
  observation.users[0].gated = false;
  observation.users[0].cgroup = "/system.slice/vllm.service";
  const Finding gate = find(judge_process(observation, {"VLLM::EngineCore_0"}, "low"), "gate");
  BOOST_TEST(gate.fix.at(0) ==
             "sudo systemctl edit --full vllm.service  # put before its command, behind "
             "ExecStart=: aiaccel exec --class low --");
}

BOOST_AUTO_TEST_CASE(on_a_cpu_attaching_is_all_it_takes) {
  const auto findings = judged(77, {"llama-*"});
  BOOST_TEST(find(findings, "cpu-node1").found.starts_with("runs there"));
  const Finding gate = find(findings, "gate");
  BOOST_TEST(has_fix(gate, "sudo aiaccel attach 77 --class low"));
  BOOST_TEST(gate.fix.size() == 1u);
  const Finding mended = find(judged(77, {"llama-*"}, "low"), "gate");
  BOOST_TEST((mended.verdict == Verdict::ok));
  BOOST_TEST(mended.found.ends_with("the scheduler has it in class low"));
  BOOST_TEST(mended.fix.empty());
  // That does not gate a GPU.
  BOOST_TEST((find(judged(4410, {}, "low"), "gate").verdict == Verdict::note));
}

BOOST_AUTO_TEST_CASE(who_uses_nothing_is_told_so) {
  const auto findings = judged(77);
  BOOST_TEST(find(findings, "engines").found.starts_with("it uses none that is seen here"));
  BOOST_TEST(has_fix(find(findings, "engines"), "aiaccel doctor --pid 77 --watch '*'"));
  BOOST_CHECK_THROW(find(findings, "gate"), std::runtime_error);
  BOOST_TEST((judged(5555).at(0).verdict == Verdict::missing));
}

BOOST_AUTO_TEST_CASE(what_may_not_be_seen_is_no_verdict) {
  observe::Observation observation;
  observe::User user;
  user.pid = 7;
  user.comm = "x";
  user.engine = 0;
  observation.engines.resize(1);
  observation.users = {user};
  const Finding gate = find(judge_process(observation, {}, ""), "gate");
  BOOST_TEST(gate.found.starts_with("unknown"));
  BOOST_TEST(has_fix(gate, "sudo aiaccel doctor --pid 7"));
}

// It is not said to use nothing.
BOOST_AUTO_TEST_CASE(who_may_not_be_looked_into_may_use_some) {
  observe::Observation observation;
  observation.users.resize(1);
  observation.users[0].pid = 7;
  observation.hidden = 1;
  const Finding engines = find(judge_process(observation, {}, ""), "engines");
  BOOST_TEST((engines.verdict == Verdict::note));
  BOOST_TEST(engines.found.starts_with("unknown"));
  BOOST_TEST(has_fix(engines, "sudo aiaccel doctor --pid 7"));
}

BOOST_AUTO_TEST_CASE(how_a_shell_takes_one_word) {
  BOOST_TEST(quoted("a=b/c-1") == "a=b/c-1");
  BOOST_TEST(quoted("") == "''");
  BOOST_TEST(quoted("a b") == "'a b'");
  BOOST_TEST(quoted("$(x)'") == "'$(x)'\\'''");
}

BOOST_AUTO_TEST_SUITE_END()
