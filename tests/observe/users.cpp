// SPDX-License-Identifier: MIT
//
// Who uses accelerators, on recorded machines.
#include "observe/users.hpp"

#include <tap/tap.hpp>

#include <cstring>

#include "fixture.hpp"
#include "observe/show.hpp"

using namespace observe;
using namespace observe_test;

namespace {

Observation look(const Gpus& gpus, const Arbiter* arbiter = nullptr,
                 std::vector<std::string> watched = {}) {
  Question question;
  question.root = recording("two-nodes");
  question.watched = std::move(watched);
  return observe::observe(question, gpus, arbiter);
}

aiaccel_engine_info engine_info(std::uint32_t id, std::uint32_t kind, int node, const char* name) {
  aiaccel_engine_info info{};
  info.id = id;
  info.kind = kind;
  info.numa_node = node;
  std::strcpy(info.name, name);
  return info;
}

// The GPU and a CPU node; the notebook has a queue to both.
Arbiter arbiter() {
  Arbiter arbiter;
  arbiter.engines = {engine_info(1, AIACCEL_ENGINE_CPU, 1, "cpu-node1"),
                     engine_info(4, AIACCEL_ENGINE_OTHER, 0, "else"),
                     engine_info(9, AIACCEL_ENGINE_GPU, 1, "GPU-1")};
  aiaccel_stats_queue queue{};
  queue.pid = 4410;
  queue.engine = 9;
  arbiter.queues.push_back(queue);
  queue.engine = 1;
  arbiter.queues.push_back(queue);
  return arbiter;
}

// It has the GPU, and nobody has a queue.
Arbiter without_queues() {
  Arbiter known = arbiter();
  known.queues.clear();
  return known;
}

std::string text_of(const Observation& observation) {
  std::string text;
  for (const Line& line : to_lines(observation, static_cast<std::size_t>(-1)))
    text += line.text + "\n";
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(users)

BOOST_AUTO_TEST_CASE(processes_of_nvml_are_joined_with_proc) {
  const Arbiter known = without_queues();
  const Observation seen = look(one_gpu(), &known);
  const User& server = user_of(seen, 812, "gpu0");
  BOOST_TEST(server.comm == "vllm");
  BOOST_TEST(server.unit == "vllm.service");
  BOOST_TEST(server.uid == 998u);
  BOOST_TEST(server.device_bytes.value() == 62ull << 30);
  BOOST_TEST(server.busy.value() == 0.61);
  BOOST_TEST(server.pinned_bytes.value() == 4299161ull << 10);
  BOOST_TEST(server.locked_bytes.value() == 0u);
  BOOST_TEST(server.resident_bytes.value() == 8ull << 30);
  BOOST_TEST(server.gated.value());  // by the shim
  BOOST_TEST(!server.wrong_node.value());

  const User& notebook = user_of(seen, 4410, "gpu0");
  BOOST_TEST(notebook.unit == "user@1001");
  BOOST_TEST(!notebook.gated.value());
  BOOST_TEST(notebook.wrong_node.value());  // 4 % on node 1; the library's pages do not count
}

BOOST_AUTO_TEST_CASE(what_is_in_another_pid_namespace_is_there) {
  const Observation seen = look(one_gpu());
  const User& user = user_of(seen, 9999, "gpu0");
  BOOST_TEST(user.comm == "");
  BOOST_TEST(!user.device_bytes);
  BOOST_TEST(!user.gated);
  BOOST_TEST(!user.pinned_bytes);
}

BOOST_AUTO_TEST_CASE(a_drm_client_counts_once) {
  const Observation seen = look({});
  const User& first = user_of(seen, 900, "gpu0");
  BOOST_TEST(first.device_bytes.value() == 2ull << 30);
  BOOST_TEST(!first.busy);  // a rate needs a second look
  // The same open file in a child: it is a user, its memory is the other's.
  const User& child = user_of(seen, 901, "gpu0");
  BOOST_TEST(!child.device_bytes);
  const Engine& engine = seen.engines.at(first.engine.value());
  BOOST_TEST(engine.address == "0000:03:00.0");
  BOOST_TEST(engine.driver == "amdgpu");
  BOOST_TEST(engine.source == "drm");
  BOOST_TEST(engine.total_bytes.value() == 17163091968u);
  BOOST_TEST(engine.busy.value() == 0.42);
  BOOST_TEST(engine.numa_node.value() == 0);
}

// What Linux 6.1 told of a driver without figures; see the recording's README.
BOOST_AUTO_TEST_CASE(a_recorded_render_node_without_figures) {
  Question question;
  question.root = recording("vm-vgem");
  question.watched = {"dd"};
  const Observation seen = observe::observe(question, {}, nullptr);
  const User& holder = user_of(seen, 165, "gpu0");
  BOOST_TEST(holder.comm == "sleep");
  BOOST_TEST(!holder.device_bytes);
  BOOST_TEST(!holder.gated.value());
  BOOST_TEST(seen.engines.at(holder.engine.value()).address == "vgem");
  // Its CPU is of node 0, and so is its buffer.
  const User& watched = user_of(seen, 166, "cpu-node0");
  BOOST_TEST(!watched.wrong_node.value());
  BOOST_TEST(watched.placement->at(0) > 16u << 20);
}

BOOST_AUTO_TEST_CASE(the_busiest_part_of_the_gpu_counts) {
  Observation before = look({});
  Observation now = look({});
  now.time_ns = before.time_ns + 1'000'000'000;
  for (User& user : now.users) {
    user.engine_ns["gfx"] += user.pid == 900 ? 250'000'000 : 0;
    user.engine_ns["compute"] += user.pid == 900 ? 750'000'000 : 0;
  }
  add_rates(before, now);
  BOOST_TEST(user_of(now, 900, "gpu0").busy.value() == 0.75);
}

// Without NVML a process that has the device open is all that can be known, and of which GPU.
BOOST_AUTO_TEST_CASE(an_open_nvidia_device_is_a_use_too) {
  Gpus gpus = one_gpu();
  gpus.gpus[0].processes.clear();
  const Observation seen = look(gpus);
  BOOST_TEST(!user_of(seen, 812, "gpu0").device_bytes);
  BOOST_TEST(!user_of(seen, 4410, "gpu0").busy);
}

BOOST_AUTO_TEST_CASE(nobody_else_is_a_user) {
  const Observation seen = look(one_gpu());
  BOOST_TEST(seen.users.size() == 6u);
  BOOST_TEST(seen.hidden == 0u);
}

BOOST_AUTO_TEST_CASE(watched_processes_use_the_node_of_their_cpus) {
  for (const char* glob : {"llama-*", "*-m model.gguf"}) {
    const Observation seen = look({}, nullptr, {"nothing", glob});
    const User& user = user_of(seen, 77, "cpu-node1");
    BOOST_TEST(user.locked_bytes.value() == 512u << 20);
    BOOST_TEST(user.wrong_node.value());
  }
  // Those that may run everywhere are near to no node.
  const Observation seen = look({}, nullptr, {"vllm"});
  BOOST_TEST(!user_of(seen, 812, "cpu").wrong_node);
}

BOOST_AUTO_TEST_CASE(queues_make_gated_and_name_the_engine) {
  const Arbiter known = arbiter();
  const Observation seen = look(one_gpu(), &known);
  BOOST_TEST(user_of(seen, 4410, "gpu0").gated.value());
  const User& on_cpu = user_of(seen, 4410, "cpu-node1");
  BOOST_TEST(on_cpu.wrong_node.value());
  BOOST_TEST(seen.engines.at(on_cpu.engine.value()).engine_id.value() == 1u);
  BOOST_TEST(seen.engines.at(user_of(seen, 812, "gpu0").engine.value()).engine_id.value() == 9u);
}

BOOST_AUTO_TEST_CASE(a_queue_gates_its_own_engine_alone) {
  Arbiter known = arbiter();
  known.queues.erase(known.queues.begin());  // the notebook's on the GPU
  const Observation seen = look(one_gpu(), &known);
  BOOST_TEST(user_of(seen, 4410, "cpu-node1").gated.value());
  BOOST_TEST(!user_of(seen, 4410, "gpu0").gated.value());
}

// Whom the arbiter shows its own tenant alone cannot tell what a context of another one has.
BOOST_AUTO_TEST_CASE(a_context_may_have_queues_that_are_not_shown) {
  Arbiter known = arbiter();
  Observation seen = look(one_gpu(), &known, {"whisper"});
  BOOST_TEST(!user_of(seen, 78, "cpu-node1").gated);
  known.sees_all = true;
  seen = look(one_gpu(), &known, {"whisper"});
  BOOST_TEST(!user_of(seen, 78, "cpu-node1").gated.value());
  BOOST_TEST(!user_of(look(one_gpu(), nullptr, {"whisper"}), 78, "cpu-node1").gated);
}

// The shim lets launches go where it finds no arbiter that has the GPU.
BOOST_AUTO_TEST_CASE(the_shim_alone_gates_nothing) {
  BOOST_TEST(!user_of(look(one_gpu()), 812, "gpu0").gated);
  Arbiter known = without_queues();
  known.engines.pop_back();
  BOOST_TEST(!user_of(look(one_gpu(), &known), 812, "gpu0").gated);
}

// The shim gates CUDA, and nothing else.
BOOST_AUTO_TEST_CASE(the_shim_gates_no_cpu) {
  const Arbiter known = without_queues();
  const Observation seen = look(one_gpu(), &known, {"vllm"});
  BOOST_TEST(user_of(seen, 812, "gpu0").gated.value());
  BOOST_TEST(!user_of(seen, 812, "cpu").gated.value());
}

BOOST_AUTO_TEST_CASE(mig_instances_stand_behind_their_gpu) {
  Gpus gpus = one_gpu();
  gpus.gpus[0].device.divided = true;
  gpus.gpus[0].processes.clear();
  aiaccel::nvml::Device part = gpus.gpus[0].device;
  part.divided = false;
  part.index = 3;
  part.uuid = "MIG-b";
  part.parent = "GPU-1";
  gpus.gpus.push_back({part, {{4410, 1ull << 30, std::nullopt}}});
  const Observation seen = look(gpus);
  BOOST_TEST(user_of(seen, 4410, "gpu0.3").device_bytes.value() == 1ull << 30);
  // It has the whole device open as well, which tells nothing more.
  BOOST_CHECK_THROW(user_of(seen, 4410, "gpu0"), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(one_node_is_never_the_wrong_one) {
  Question question;
  question.root = recording("two-nodes");
  question.root.sys = "/nowhere";
  const Observation seen = observe::observe(question, one_gpu(), nullptr);
  BOOST_TEST(!user_of(seen, 4410, "gpu0").wrong_node);
  BOOST_TEST(!user_of(seen, 4410, "gpu0").placement);
}

// Reading it makes the process wait that maps memory meanwhile.
BOOST_AUTO_TEST_CASE(placements_are_not_read_at_each_look) {
  Observation last = look(one_gpu());
  for (User& user : last.users)
    if (user.pid == 4410) user.placement = Placement{{1, 4096}};
  Question question;
  question.root = recording("two-nodes");
  question.last = &last;
  BOOST_TEST(
      !user_of(observe::observe(question, one_gpu(), nullptr), 4410, "gpu0").wrong_node.value());
  for (User& user : last.users) user.placement_ns -= placement_lasts_ns;
  BOOST_TEST(
      user_of(observe::observe(question, one_gpu(), nullptr), 4410, "gpu0").wrong_node.value());
}

BOOST_AUTO_TEST_CASE(a_node_without_memory_has_a_nearest) {
  Topology topology;
  topology.nodes = {
      {0, true, {0}, {10, 30, 20}}, {1, false, {1}, {30, 10, 20}}, {2, true, {}, {20, 20, 10}}};
  BOOST_TEST(topology.nearest_memory(1).value() == 2);
  BOOST_TEST(topology.nearest_memory(0).value() == 0);
  BOOST_TEST(!topology.nearest_memory(7));
  topology.nodes[2].has_memory = false;
  BOOST_TEST(!topology.nearest_memory(1));
}

BOOST_AUTO_TEST_CASE(as_text) {
  const Arbiter known = without_queues();
  const std::string text = text_of(look(one_gpu(), &known));
  for (const char* part :
       {"\ngpu0  NVIDIA H100 80GB HBM3  0000:65:00.0  node 1  71 GiB of 80 GiB  97 %\n",
        "\n 812  vllm.service  vllm ", " 62 GiB  61 %  4.1 GiB ", "n1 95 %   gated\n",
        "n0 96 %   ungated  wrong node\n",
        "\ngpu1  amdgpu  0000:03:00.0  node 0  3.0 GiB of 16 GiB  42 %\n"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " in\n" << text);
}

// No columns are named where nobody fills them.
BOOST_AUTO_TEST_CASE(engines_without_users_as_text) {
  Observation seen = look(one_gpu());
  seen.users.clear();
  BOOST_TEST(text_of(seen).starts_with("gpu0  NVIDIA H100"));
}

BOOST_AUTO_TEST_CASE(as_json_the_unknown_is_null) {
  const tools::Json json = to_json(look(one_gpu()));
  for (const tools::Json& user : json["users"]) {
    if (user["pid"] == 9999)
      for (const char* key :
           {"command", "unit", "device_bytes", "pinned_bytes", "gated", "node_bytes"})
        BOOST_TEST(user[key].is_null(), key);
    if (user["pid"] == 4410) {
      BOOST_TEST(user["node_bytes"]["0"] == 480000u * 4096ull);
      BOOST_TEST(user["wrong_node"] == true);
    }
  }
  BOOST_TEST(json["nvml_missing"].is_null());
}

BOOST_AUTO_TEST_SUITE_END()
