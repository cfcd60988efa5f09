// SPDX-License-Identifier: MIT
//
// See findings.hpp. One function a subject; lines to type are those of Debian and its kin, and say
// so in words elsewhere.
#include "aiaccel/findings.hpp"

#include <aiaccel.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "common/text.hpp"

namespace tools {
namespace {

constexpr int oldest_major = 6;
constexpr int oldest_minor = 1;

bool has_apt(const Facts& facts) {
  return facts.distribution == "debian" || facts.distribution == "ubuntu";
}

// A line that installs packages, or words where the package manager is not known.
std::string install_line(const Facts& facts, const std::string& packages) {
  return has_apt(facts) ? "sudo apt-get install -y --no-install-recommends " + packages
                        : "# with this system's package manager, install: " + packages;
}

bool kernel_is_new_enough(const Facts& facts) {
  return facts.kernel_major > oldest_major ||
         (facts.kernel_major == oldest_major && facts.kernel_minor >= oldest_minor);
}

Finding judge_kernel(const Facts& facts) {
  if (!kernel_is_new_enough(facts))
    return {"kernel",
            Verdict::note,
            fmt::format("{}: the module needs {}.{} or later; the broker works without it",
                        facts.kernel_release, oldest_major, oldest_minor),
            {}};
  if (!facts.kernel_takes_modules)
    return {"kernel",
            Verdict::note,
            facts.kernel_release + ": takes no modules; the broker works without",
            {}};
  return {"kernel", Verdict::ok, facts.kernel_release + ", takes modules", {}};
}

Finding judge_module(const Facts& facts) {
  if (facts.module_loaded) return {"module", Verdict::ok, "loaded", {}};
  if (!facts.kernel_takes_modules || !kernel_is_new_enough(facts))
    return {"module", Verdict::note, "cannot be loaded into this kernel", {}};
  if (facts.module_installed)
    return {"module", Verdict::missing, "installed, not loaded", {"sudo modprobe aiaccel"}};

  Finding finding{"module", Verdict::missing, "not installed for this kernel", {}};
  std::string packages;
  if (!facts.dkms_installed) packages += " dkms";
  if (!facts.headers_installed) packages += " linux-headers-" + facts.kernel_release;
  if (!packages.empty()) finding.fix.push_back(install_line(facts, packages.substr(1)));
  if (!facts.sources_installed)
    finding.fix.insert(finding.fix.end(), {"sudo make install  # in aiaccel's source tree",
                                           "sudo systemd-sysusers  # makes the group aiaccel"});
  finding.fix.push_back(fmt::format("sudo dkms install aiaccel/{}", aiaccel_version()));
  finding.fix.push_back("sudo modprobe aiaccel");
  return finding;
}

Finding judge_node(const Facts& facts) {
  if (!facts.node_present) {
    if (!facts.module_loaded)
      return {"device", Verdict::note, "/dev/aiaccel comes with the module", {}};
    return {"device",
            Verdict::missing,
            "/dev/aiaccel is not there although the module is",
            {"sudo udevadm trigger --subsystem-match=misc"}};
  }
  if (facts.node_accessible && facts.kernel.error == 0)
    return {"device", Verdict::ok, "/dev/aiaccel answers", {}};
  if (facts.node_accessible)
    return {"device",
            Verdict::missing,
            fmt::format("/dev/aiaccel does not open: {}", std::strerror(facts.kernel.error)),
            {"sudo dmesg | grep aiaccel"}};
  if (facts.node_group_is_mine)
    return {"device",
            Verdict::missing,
            fmt::format("/dev/aiaccel is closed to group {}", facts.node_group),
            {"sudo udevadm trigger --subsystem-match=misc"}};
  if (facts.node_group == "root")
    return {"device",
            Verdict::missing,
            "/dev/aiaccel belongs to root: there is no group aiaccel, or no udev rule",
            {"sudo make install  # in aiaccel's source tree",
             "sudo systemd-sysusers  # makes the group aiaccel", "sudo udevadm control --reload",
             "sudo udevadm trigger --subsystem-match=misc"}};
  return {
      "device",
      Verdict::missing,
      fmt::format("/dev/aiaccel is for the group {}, of which {} is not a member here",
                  facts.node_group, facts.user),
      {fmt::format("sudo usermod -aG {} {}  # then log in again", facts.node_group, facts.user)}};
}

Finding judge_broker(const Facts& facts) {
  if (facts.automatic.transport == "kernel")
    return {"broker", Verdict::ok, "not needed while the module answers", {}};
  if (facts.broker_starts)
    return {"broker", Verdict::ok, "does not run: the first program that needs it starts it", {}};
  if (facts.automatic.transport == "broker" || facts.broker.transport == "broker")
    return {"broker", Verdict::ok, "answers", {}};
  if (facts.broker.error == ENOENT)
    return {"broker",
            Verdict::missing,
            "aiacceld is not beside this program, nor in PATH",
            {"sudo make install  # in aiaccel's source tree"}};
  return {"broker",
          Verdict::missing,
          fmt::format("does not answer: {}", std::strerror(facts.broker.error)),
          {"aiacceld  # in the foreground: it says why"}};
}

Finding judge_transport(const Facts& facts) {
  const Attempt& got = facts.automatic;
  if (got.error && facts.node_present && got.error == facts.kernel.error)
    return {"transport",
            Verdict::missing,
            fmt::format("the module refuses: {}; programs end there unless they ask for another",
                        std::strerror(got.error)),
            {"export AIACCEL_TRANSPORT=broker  # until that is mended"}};
  if (got.error)
    return {"transport",
            Verdict::missing,
            fmt::format("none answers: {}", std::strerror(got.error)),
            {}};
  if (got.transport == "kernel")
    return {"transport", Verdict::ok, "kernel: the whole host takes turns", {}};
  if (got.transport == "broker")
    return {"transport", Verdict::ok, "broker: the programs that use it take turns", {}};
  return {"transport", Verdict::note, "embedded: each program is alone, nothing is shared", {}};
}

Finding judge_runtime(const Facts& facts) {
  if (facts.runtime_present)
    return {"onnxruntime",
            Verdict::ok,
            fmt::format("{} ({})", facts.runtime_version, facts.runtime_path),
            {}};
  Finding finding{"onnxruntime", Verdict::missing, facts.runtime_reason, {}};
  if (facts.runtime_packaged)
    finding.fix.push_back(install_line(facts, "'^libonnxruntime[0-9.]+$'"));
  else
    finding.fix.push_back("scripts/setup-models  # in aiaccel's source tree");
  return finding;
}

Finding judge_numa(const Facts& facts) {
  if (facts.numa_nodes.empty())
    return {"numa", Verdict::note, "the kernel tells no nodes; taken as one", {}};
  std::string nodes;
  for (int node : facts.numa_nodes) nodes += (nodes.empty() ? "" : ", ") + std::to_string(node);
  return {
      "numa",
      Verdict::ok,
      fmt::format("{} with CPUs: {}", facts.numa_nodes.size() == 1 ? "one node" : "nodes", nodes),
      {}};
}

Finding judge_memlock(const Facts& facts) {
  constexpr std::uint64_t small = 64ull << 20;
  if (!facts.memlock_bytes) return {"memlock", Verdict::ok, "unlimited", {}};
  if (*facts.memlock_bytes >= small)
    return {"memlock", Verdict::ok, bytes_text(*facts.memlock_bytes), {}};
  return {"memlock",
          Verdict::note,
          fmt::format("{}: pinning a program's own memory stops there; allocating does not",
                      bytes_text(*facts.memlock_bytes)),
          {fmt::format("sudo sh -c \"echo '{} - memlock unlimited' > "
                       "/etc/security/limits.d/aiaccel.conf\"  # then log in again",
                       facts.user)}};
}

Finding judge_cgroup(const Facts& facts) {
  if (facts.cgroup2.empty())
    return {"cgroup",
            Verdict::note,
            "version 2 is not mounted: users are told apart, their services are not",
            {}};
  if (!facts.cgroup2_cpu)
    return {"cgroup",
            Verdict::note,
            fmt::format("version 2 at {} without the cpu controller: no cpu.weight", facts.cgroup2),
            {}};
  return {"cgroup", Verdict::ok, fmt::format("version 2 at {}, with cpu", facts.cgroup2), {}};
}

}  // namespace

std::vector<Finding> judge(const Facts& facts) {
  return {judge_kernel(facts), judge_module(facts),    judge_node(facts),
          judge_broker(facts), judge_transport(facts), judge_runtime(facts),
          judge_numa(facts),   judge_memlock(facts),   judge_cgroup(facts)};
}

Finding judge_nvml(const std::string& missing) {
  if (missing.empty()) return {"nvml", Verdict::ok, "tells of NVIDIA's GPUs", {}};
  return {"nvml", Verdict::note, missing + ": no GPUs of NVIDIA are seen", {}};
}

std::string verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::note:
      return "note";
    case Verdict::missing:
      return "missing";
  }
  return "?";
}

}  // namespace tools
