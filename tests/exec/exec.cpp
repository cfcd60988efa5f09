// SPDX-License-Identifier: MIT
//
// `aiaccel exec`: what the program that it becomes finds, and how it ends.
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "groups.hpp"
#include "tap/tap.hpp"

namespace {

using groups::has;
using groups::tool;
using process::Result;

// The program's own words, by a shell.
Result exec(std::vector<std::string> options, const std::string& script,
            const std::vector<std::string>& environment = {}) {
  options.insert(options.begin(), "exec");
  options.insert(options.end(), {"--", "sh", "-c", script, "name", "--class", "two words"});
  return tool(options, environment);
}

// Fields of /proc/PID/stat: 19 is nice, 41 the policy.
constexpr const char* kScheduling = "set -- $(cat /proc/$$/stat); echo ${19} ${41}";

// The process with this word among its arguments; 0 for none.
pid_t find_process(const std::string& word) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string arguments = groups::read(entry.path() / "cmdline");
    const bool has_it = has(arguments, std::string(1, '\0') + word + std::string(1, '\0'));
    if (has_it && entry.path().filename() != "self") return std::stoi(entry.path().filename());
  }
  return 0;
}

// This process, and what it starts meanwhile, at nice 5. Only root comes back from there.
struct Niced {
  Niced() { BOOST_REQUIRE(geteuid() != 0 || ::setpriority(PRIO_PROCESS, 0, 5) == 0); }
  ~Niced() {
    if (geteuid() == 0) ::setpriority(PRIO_PROCESS, 0, 0);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(exec_)

BOOST_AUTO_TEST_CASE(it_becomes_the_program) {
  const Result result = exec({"--class", "low"}, "echo \"$1\" \"$2\"; cat /proc/$$/comm; exit 7");
  BOOST_TEST(result.status == 7);
  BOOST_TEST(result.out == "--class two words\nsh\n");
  BOOST_TEST(exec({}, "kill -TERM $$").status == -SIGTERM);
  // Without -- as well, the options behind the program are its own.
  BOOST_TEST(
      tool({"exec", "--class", "low", "echo", "--version", "--class=x", "-h", "--", "."}).out ==
      "--version --class=x -h -- .\n");
  BOOST_TEST(tool({"--transport", "embedded", "exec", "doctor", "-h"}).status == 127);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_run) {
  Result result = tool({"exec", "--", "/there/is/no/such"});
  BOOST_TEST(result.status == 127);
  BOOST_TEST(has(result.err, "aiaccel exec: /there/is/no/such: No such file or directory"));
  result = tool({"exec", "--", "no-such-command"});
  BOOST_TEST(result.status == 127);
  result = tool({"exec", "--", "/etc/passwd"});
  BOOST_TEST(result.status == 126);
  BOOST_TEST(has(result.err, "aiaccel exec: /etc/passwd: Permission denied"));
}

BOOST_AUTO_TEST_CASE(mistakes_on_the_command_line) {
  const auto refused = [](std::vector<std::string> options, const char* why) {
    const Result result = exec(std::move(options), "echo ran");
    BOOST_TEST(result.status == 2);
    BOOST_TEST(result.out == "");
    BOOST_TEST(has(result.err, why), result.err);
  };
  refused({"--class", "first"}, "there is no class 'first'");
  refused({"--class", "realtime"}, "realtime is for programs that know deadlines");
  for (const char* option : {"--class", "--engine", "--device-bytes", "--weight", "--name"})
    refused({option, ""}, (std::string(option) + ": must not be empty").c_str());
  refused({"--engine", "cpu-node77"}, "there is no engine 'cpu-node77'");
  refused({"--device-bytes", "10GB"}, "--device-bytes 10GB: bytes such as 512M or 10G");
  refused({"--weight", "0"}, "--weight 0: a number from 1 to 10000");
  refused({"--name", "a/b"}, "--name a/b:");
  BOOST_TEST(tool({"exec", "--class", "low"}).status == 2);
}

BOOST_AUTO_TEST_CASE(the_environment_is_what_the_shim_reads) {
  const std::string script =
      "echo $AIACCEL_CLASS,$AIACCEL_ENGINE,$AIACCEL_DEVICE_BYTES,$AIACCEL_TRANSPORT";
  BOOST_TEST(exec({"--class", "low", "--engine", "GPU-1", "--device-bytes", "10G", "--transport",
                   "embedded"},
                  script)
                 .out == "low,GPU-1,10G,embedded\n");
  BOOST_TEST(exec({}, "echo [$AIACCEL_CLASS][$AIACCEL_ENGINE][$AIACCEL_DEVICE_BYTES]").out ==
             "[][][]\n");
}

// For the shim, which starts none, and in no program's class.
BOOST_AUTO_TEST_CASE(a_broker_is_there_before_the_program) {
  const auto build = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  if (!std::filesystem::exists(build / "lib/libaiaccel-cuda.so"))
    SKIP("libaiaccel-cuda.so is not built");
  char folder[] = "/tmp/aiaccel-exec-XXXXXX";
  BOOST_REQUIRE(mkdtemp(folder));
  const std::string socket = std::string(folder) + "/broker.sock";
  BOOST_TEST(
      exec({"--transport", "embedded"}, "ls " + std::string(folder), {"AIACCEL_BROKER=" + socket})
          .out == "");
  const Result result =
      exec({"--class", "idle", "--transport", "broker"}, "ls " + std::string(folder),
           {"AIACCEL_BROKER=" + socket, "AIACCELD=" + (build / "bin/aiacceld").native()});
  BOOST_TEST(has(result.out, "broker.sock\n"), result.out + result.err);
  const pid_t broker = find_process(socket);
  BOOST_REQUIRE(broker > 0);
  BOOST_TEST(::sched_getscheduler(broker) == SCHED_OTHER);
  ::kill(broker, SIGTERM);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

BOOST_AUTO_TEST_CASE(the_shim_comes_before_what_is_preloaded_already) {
  const auto shim = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
                    "lib/libaiaccel-cuda.so";
  if (!std::filesystem::exists(shim)) SKIP("libaiaccel-cuda.so is not built");
  BOOST_TEST(exec({}, "echo $LD_PRELOAD").out == shim.string() + "\n");
  // Of another library, which the loader may miss; and not twice.
  const std::string both = shim.string() + ":libother.so";
  BOOST_TEST(exec({}, "echo $LD_PRELOAD", {"LD_PRELOAD=libother.so"}).out == both + "\n");
  BOOST_TEST(exec({}, "echo $LD_PRELOAD", {"LD_PRELOAD=" + both}).out == both + "\n");
}

BOOST_AUTO_TEST_CASE(each_class_is_told_to_the_scheduler) {
  // From another niceness, so that what is set differs from what was there.
  const Niced niced;
  const auto found = [](const char* priority) { return exec({"--class", priority}, kScheduling); };
  BOOST_TEST(found("normal").out == "0 0\n");
  const auto aiaccel =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel";
  const Result reset = tool({"exec", "--", "nice", "-n", "7", aiaccel, "exec", "--class", "normal",
                             "--", "sh", "-c", kScheduling});
  BOOST_TEST((reset.out == "0 0\n" || has(reset.err, "SCHED_OTHER, nice 0: ")), reset.out);
  BOOST_TEST(found("low").out == "10 " + std::to_string(SCHED_BATCH) + "\n");
  BOOST_TEST(has(found("idle").out, " " + std::to_string(SCHED_IDLE) + "\n"));
  const Result high = found("high");
  if (high.out == "-10 0\n") return;
  // Without the right to it, it is said and the program runs.
  BOOST_TEST(high.out == "0 0\n");
  BOOST_TEST(has(high.err, "aiaccel exec: SCHED_OTHER, nice -10: "));
}

BOOST_AUTO_TEST_CASE(an_engine_of_cpus_is_kept_to) {
  std::string cpus = groups::read("/sys/devices/system/node/node0/cpulist");
  if (cpus.empty()) SKIP("this machine tells of no nodes");
  cpu_set_t before, one;
  BOOST_REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  // From one CPU of it, so that the others have to be added.
  CPU_ZERO(&one);
  CPU_SET(std::stoi(cpus), &one);
  BOOST_REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  for (const char* engine : {"cpu0", "cpu-node0"})
    BOOST_TEST(exec({"--engine", engine}, "grep Cpus_allowed_list /proc/$$/status").out ==
               "Cpus_allowed_list:\t" + cpus + "\n");
  ::sched_setaffinity(0, sizeof before, &before);
}

BOOST_AUTO_TEST_CASE(memory_comes_from_the_node_first) {
  if (!std::filesystem::exists("/sys/devices/system/node/node1")) SKIP("this machine has one node");
  BOOST_TEST(has(exec({"--engine", "cpu-node1"}, "head -n1 /proc/$$/numa_maps").out, "prefer:1"));
}

BOOST_AUTO_TEST_CASE(it_is_in_a_group_of_its_own) {
  if (groups::mount().empty() || geteuid() != 0) SKIP("cgroup v2 is not mounted, or not root");
  const std::string slice = groups::mount() + "/aiaccel.slice";
  const Result own = exec({}, "echo $$; grep ^0:: /proc/$$/cgroup");
  const std::string pid = own.out.substr(0, own.out.find('\n'));
  BOOST_TEST(own.out == pid + "\n0::/aiaccel.slice/aiaccel-exec-" + pid + "\n");
  BOOST_TEST(std::filesystem::exists(slice + "/aiaccel-exec-" + pid));
  const Result named = exec({"--name", "train.1"}, "grep ^0:: /proc/$$/cgroup");
  BOOST_TEST(named.out == "0::/aiaccel.slice/aiaccel-exec-train.1\n");
  // The next one has removed what the one before left.
  BOOST_TEST(!std::filesystem::exists(slice + "/aiaccel-exec-" + pid));
  ::rmdir((slice + "/aiaccel-exec-train.1").c_str());
}

// Its limits would be lost, and its manager would lose it.
BOOST_AUTO_TEST_CASE(a_service_stays_where_it_is) {
  if (groups::mount().empty() || geteuid() != 0) SKIP("cgroup v2 is not mounted, or not root");
  const std::string unit = groups::mount() + "/aiaccel-test.service";
  std::filesystem::create_directory(unit);
  const auto bin = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const Result result =
      tool({"exec", "--", "sh", "-c",
            "echo $$ > " + unit + "/cgroup.procs; exec " + (bin / "bin/aiaccel").native() +
                " exec --device-bytes 1G -- grep ^0:: /proc/self/cgroup"});
  std::filesystem::remove(unit);
  BOOST_TEST(result.out == "0::/aiaccel-test.service\n");
  BOOST_TEST(has(result.err, "no cgroup of its own: it stays in /aiaccel-test.service"),
             result.err);
  BOOST_TEST(has(result.err, "no ceilings by the arbiter: it has no cgroup"), result.err);
}

BOOST_AUTO_TEST_CASE(its_group_has_its_share_of_the_cpus) {
  if (const std::string why = groups::missing(); !why.empty()) SKIP(why);
  const std::string files = "cd " + groups::mount() +
                            "$(sed -n s/^0:://p /proc/$$/cgroup); cat cpu.weight cpu.idle "
                            "cpuset.cpus; echo .";
  BOOST_TEST(exec({"--class", "low"}, files).out == "11\n0\n\n.\n");
  BOOST_TEST(exec({"--class", "high", "--engine", "cpu0"}, files).out ==
             "930\n0\n" + groups::read("/sys/devices/system/node/node0/cpulist") + "\n.\n");
  BOOST_TEST(exec({"--class", "low", "--weight", "77"}, files).out == "77\n0\n\n.\n");
  BOOST_TEST(has(exec({"--class", "idle"}, files).out, "\n1\n\n.\n"));
  BOOST_TEST(exec({}, files).out == "100\n0\n\n.\n");
}

BOOST_AUTO_TEST_CASE(without_rights_it_says_so_and_goes_on) {
  if (geteuid() != 0) SKIP("not root, so this is what all the others did");
  // A plain user, by setpriv of util-linux.
  const Result result = tool(
      {"exec", "--", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
       std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin/aiaccel",
       "exec", "--class", "high", "--weight", "5", "--", "sh", "-c", "echo ran"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out == "ran\n");
  BOOST_TEST(has(result.err, "aiaccel exec: no cgroup of its own: "));
  BOOST_TEST(has(result.err, "aiaccel exec: SCHED_OTHER, nice -10: "));
}

BOOST_AUTO_TEST_SUITE_END()
