// SPDX-License-Identifier: MIT
//
// The parsers of tools/observe, on lines as kernels write them and on lines that none should.
#include <tap/tap.hpp>

#include "observe/fdinfo.hpp"
#include "observe/files.hpp"
#include "observe/numa.hpp"
#include "observe/proc.hpp"
#include "observe/unit.hpp"
#include "observe/xrt.hpp"

using namespace observe;

BOOST_AUTO_TEST_SUITE(parse)

BOOST_AUTO_TEST_CASE(amounts) {
  BOOST_TEST(amount("12 kB").value() == 12288u);
  BOOST_TEST(amount(" 3 MiB").value() == 3u << 20);
  BOOST_TEST(amount("70").value() == 70u);
  BOOST_TEST(amount("18446744073709551615").value() == UINT64_MAX);
  for (const char* wrong :
       {"", "kB", "-1 kB", "1 parsec", "18446744073709551615 KiB", "0x10", "1kB"})
    BOOST_TEST(!amount(wrong), wrong);
}

BOOST_AUTO_TEST_CASE(a_status_tells_pinned_and_locked_memory) {
  Process process;
  BOOST_TEST(
      parse_status("Name:\tpython3\nUid:\t1001\t1002\t1001\t1001\nVmLck:\t      64 kB\n"
                   "VmPin:\t 4194304 kB\nVmRSS:\t 5242880 kB\nCpus_allowed_list:\t0-3,8\n",
                   process));
  BOOST_TEST(process.comm == "python3");
  BOOST_TEST(process.uid == 1002u);
  BOOST_TEST(process.locked_bytes.value() == 64u << 10);
  BOOST_TEST(process.pinned_bytes.value() == 4ull << 30);
  BOOST_TEST(process.resident_bytes.value() == 5ull << 30);
  BOOST_TEST(process.cpus == "0-3,8");
}

BOOST_AUTO_TEST_CASE(a_kernel_thread_has_no_memory) {
  Process process;
  BOOST_TEST(parse_status("Name:\tkworker/0:1\nUid:\t0\t0\t0\t0\n", process));
  BOOST_TEST(!process.resident_bytes);
  BOOST_TEST(!process.pinned_bytes);
  BOOST_TEST(!parse_status("", process));
}

BOOST_AUTO_TEST_CASE(the_cgroup_that_names_it_best) {
  BOOST_TEST(cgroup_path("0::/system.slice/vllm.service\n") == "/system.slice/vllm.service");
  // Beside version 1.
  BOOST_TEST(cgroup_path("4:memory:/a\n1:name=systemd:/user.slice/user-7.slice\n0::/\n") ==
             "/user.slice/user-7.slice");
  BOOST_TEST(cgroup_path("4:cpu,cpuacct:/docker/x:y\n") == "/docker/x:y");
  BOOST_TEST(cgroup_path("0::/\n") == "/");
  BOOST_TEST(cgroup_path("nonsense") == "");
}

BOOST_AUTO_TEST_CASE(units_containers_and_pods) {
  BOOST_TEST(observe::unit_of("/aiaccel.slice/aiaccel-exec-train") == "aiaccel-exec-train");
  const std::string id(64, 'a');
  const std::string short_id(12, 'a');
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/system.slice/vllm.service", "vllm.service"},
      {"/user.slice/user-1001.slice/user@1001.service/app.slice/jupyter.service", "user@1001"},
      {"/user.slice/user-1001.slice/session-3.scope", "user@1001"},
      {"/system.slice/docker-" + id + ".scope", "docker " + short_id},
      {"/docker/" + id, "docker " + short_id},
      {"/machine.slice/libpod-" + id + ".scope/container", "podman " + short_id},
      {"/lxc.payload.train/system.slice/cron.service", "lxc train"},
      {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f1c_22.slice/"
       "cri-containerd-" +
           id + ".scope",
       "pod 3f1c-22"},
      {"/kubepods/besteffort/pod3f1c-22/" + id, "pod 3f1c-22"},
      {"/kubepods.slice/kubepods-pod9.slice", "pod 9"},
      {"/batch/job7", "/batch/job7"},
      {"/", "/"},
      {"", ""}};
  for (const auto& [path, unit] : cases)
    BOOST_TEST(unit_of(path) == unit, path + ": " + unit_of(path));
  BOOST_TEST(policy_unit_of("/user.slice/user-1001.slice/session-3.scope") == "user-1001.slice");
  BOOST_TEST(policy_unit_of("/system.slice/vllm.service") == "vllm.service");
  BOOST_TEST(policy_unit_of("/batch/job7") == "cgroup:/batch/job7");
}

BOOST_AUTO_TEST_CASE(a_drm_client_of_amdgpu) {
  const DrmClient client = parse_fdinfo(
      "pos:\t0\nflags:\t02100002\ndrm-driver:\tamdgpu\ndrm-client-id:\t25\n"
      "drm-pdev:\t0000:03:00.0\ndrm-memory-vram:\t1024 KiB\ndrm-resident-vram:\t512 KiB\n"
      "drm-memory-gtt:\t2048 KiB\ndrm-engine-gfx:\t1500 ns\ndrm-engine-capacity-gfx:\t1\n"
      "drm-engine-compute:\t9000 ns\n");
  BOOST_TEST(client.driver == "amdgpu");
  BOOST_TEST(client.address == "0000:03:00.0");
  BOOST_TEST(client.id.value() == 25u);
  BOOST_TEST(client.device_bytes.value() == 512u << 10);  // gtt is the host's
  BOOST_TEST(client.engine_ns.size() == 2u);
  BOOST_TEST(client.engine_ns.at("compute") == 9000u);
}

BOOST_AUTO_TEST_CASE(a_drm_client_of_i915_with_two_regions) {
  const DrmClient client = parse_fdinfo(
      "drm-driver: i915\ndrm-client-id: 7\ndrm-total-local0: 8 MiB\ndrm-resident-local0: 4 MiB\n"
      "drm-resident-system0: 1 MiB\ndrm-resident-stolen-local0: 2 MiB\ndrm-resident-local1: 1 "
      "MiB\n");
  BOOST_TEST(client.device_bytes.value() == 5u << 20);
}

BOOST_AUTO_TEST_CASE(a_driver_that_tells_nothing_is_unknown_not_zero) {
  const DrmClient client = parse_fdinfo("pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t4\n");
  BOOST_TEST(!client.id);
  BOOST_TEST(!client.device_bytes);
  BOOST_TEST(client.engine_ns.empty());
  BOOST_TEST(!parse_fdinfo("drm-memory-vram:\tmuch\n").device_bytes);
}

BOOST_AUTO_TEST_CASE(pages_by_node) {
  const Placement placement = parse_numa_maps(
      "7f0000000000 default anon=100 dirty=100 N0=25 N1=75 kernelpagesize_kB=4\n"
      "7f1000000000 bind:1 file=/dev/hugepages/x huge anon=2 dirty=2 N1=2 kernelpagesize_kB=2048\n"
      "7f2000000000 default file=/usr/lib/libc.so.6 mapped=400 mapmax=9 N0=400 "
      "kernelpagesize_kB=4\n"
      "7f3000000000 default file=/dev/shm/ring dirty=5 N0=5 kernelpagesize_kB=4\n"
      "7f4000000000 default stack anon=1 dirty=1 N0=1\n"
      "7f5000000000 default N0=18446744073709551615 N99999=1 N=3 =\n");
  BOOST_TEST(placement.size() == 2u);
  BOOST_TEST(placement.at(0) == (25u + 5 + 1) * 4096);
  BOOST_TEST(placement.at(1) == 75u * 4096 + (4u << 20));
  const auto main = main_node(placement);
  BOOST_TEST(main->node == 1);
  BOOST_TEST(!main_node({}));
  BOOST_TEST(share_on({{0, 25}, {1, 75}}, 0) == 0.25);
}

BOOST_AUTO_TEST_CASE(lists_of_cpus) {
  BOOST_TEST(parse_list("0-2,8,2") == (std::vector<int>{0, 1, 2, 8}),
             boost::test_tools::per_element());
  for (const char* wrong : {"", "3-1", "a-b", "0-99999999", "-", ","})
    BOOST_TEST(parse_list(wrong).empty(), wrong);
}

BOOST_AUTO_TEST_CASE(the_shim_in_maps) {
  const char* maps =
      "55d0-55d1 r--p 00000000 00:1b 12 /usr/bin/python3\n"
      "7f00-7f01 r-xp 00000000 00:1b 77 /usr/lib/libaiaccel-cuda.so.0\n";
  BOOST_TEST(parse_maps(maps, "libaiaccel-cuda.so"));
  BOOST_TEST(!parse_maps(maps, "libcuda.so"));
  BOOST_TEST(!parse_maps("", "libaiaccel-cuda.so"));
}

BOOST_AUTO_TEST_CASE(cards_of_xrt) {
  // 0x6500: bus 0x65, device 0, function 0.
  BOOST_TEST(xrt_card("/dev/xclmgmt25856") == "0000:65:00");
  BOOST_TEST(xrt_card("/dev/xfpga/flash.m.25857.0") == "0000:65:00");
  BOOST_TEST(xrt_card("/dev/xclmgmt") == "");
  BOOST_TEST(xrt_card("/dev/xfpga/") == "");
  BOOST_TEST(xrt_card("/dev/dri/renderD128") == "");
}

BOOST_AUTO_TEST_SUITE_END()
