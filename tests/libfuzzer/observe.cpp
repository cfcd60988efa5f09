// SPDX-License-Identifier: MIT
//
// What tools/observe reads of procfs and sysfs. Much of it is said by the processes that are looked
// at (names, paths, files that they map), and by drivers. The first byte of an input chooses the
// parser.
#include "libfuzzer/fuzz.hpp"

#include "observe/fdinfo.hpp"
#include "observe/files.hpp"
#include "observe/numa.hpp"
#include "observe/proc.hpp"
#include "observe/unit.hpp"
#include "observe/xrt.hpp"

namespace {

void check_status(std::string_view text) {
  observe::Process process;
  if (!observe::parse_status(text, process)) MUST(process.comm.empty());
  for (int cpu : observe::parse_list(process.cpus)) MUST(cpu >= 0 && cpu < 65536);
}

void check_cgroup(std::string_view text) {
  const std::string path = observe::cgroup_path(text);
  MUST(path.find('\n') == std::string::npos);
  MUST(path.empty() == observe::unit_of(path).empty());
  MUST(path.empty() == observe::policy_unit_of(path).empty());
}

void check_fdinfo(std::string_view text) {
  const observe::DrmClient client = observe::parse_fdinfo(text);
  if (text.find("drm-") == std::string_view::npos)
    MUST(!client.id && !client.device_bytes && client.engine_ns.empty());
}

void check_placement(std::string_view text) {
  const observe::Placement placement = observe::parse_numa_maps(text);
  double sum = 0;
  for (const auto& [node, bytes] : placement) {
    MUST(node >= 0 && node < 65536);
    sum += observe::share_on(placement, node);
  }
  const auto main = observe::main_node(placement);
  if (!main) return;
  MUST(sum > 0.999 && sum < 1.001);
  for (const auto& [node, bytes] : placement) MUST(bytes <= main->bytes);
}

void check_list(std::string_view text) {
  int before = -1;
  for (int number : observe::parse_list(text)) {
    MUST(number > before && number < 65536);
    before = number;
  }
}

void check_card(std::string_view text) {
  const std::string card = observe::xrt_card(text);
  MUST(card.empty() || card.size() == 10);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      check_status(text);
      break;
    case 1:
      check_cgroup(text);
      break;
    case 2:
      check_fdinfo(text);
      break;
    case 3:
      check_placement(text);
      break;
    case 4:
      check_list(text);
      break;
    case 5:
      check_card(text);
      break;
    case 6:
      observe::parse_maps(text, "libaiaccel-cuda.so");
      break;
  }
  return 0;
}
