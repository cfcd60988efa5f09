// SPDX-License-Identifier: MIT
//
// What /sys/class/aiaccel shows of engines is what ENGINE_INFO and STATS say; it goes with the
// engine, also under those who read it. Every file is one that docs/sysfs-class-aiaccel describes.
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "account.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(sysfs)

namespace {

const std::string kEngines = "/sys/class/aiaccel/";
const std::string kModule = "/sys/class/misc/aiaccel/";

// The one line of a file, without its end.
std::string value_of(const std::string& path) {
  std::ifstream file(path);
  std::string line, more;
  BOOST_TEST(!!std::getline(file, line), path << " is empty or not there");
  BOOST_TEST(!std::getline(file, more), path << " has more than a line");
  return line;
}

std::string directory_of(const aiaccel_engine_info& info) {
  std::string name = info.name;
  std::replace(name.begin(), name.end(), '/', '!');
  return kEngines + name + "/";
}

aiaccel_stats_engine stats_of(const Context& context, uint32_t engine) {
  for (const auto& record : list<aiaccel_stats_engine>(context, AIACCEL_STATS_ENGINES))
    if (record.id == engine) return record;
  BOOST_ERROR("the engine is not listed");
  return {};
}

int make_named(const Context& context, const std::string& name, uint32_t* id = nullptr) {
  aiaccel_engine_register make = engine_of();
  memset(make.name, 0, sizeof make.name);
  name.copy(make.name, sizeof make.name - 1);
  const int err = context(AIACCEL_IOC_ENGINE_REGISTER, make);
  if (id) *id = make.id;
  return err;
}

void expect_as_told(const Context& context, uint32_t id) {
  aiaccel_engine_info info{};
  info.id = id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ENGINE_INFO, info), 0);
  const aiaccel_stats_engine stats = stats_of(context, id);
  const std::string directory = directory_of(info);
  const char* kinds[] = {"", "cpu", "gpu", "fpga", "other"};
  const char* enforcements[] = {"", "advisory", "gated", "preemptible"};
  const char* orders[] = {"", "fair", "strict", "edf", "fifo"};
  const char* states[] = {"", "active", "draining", "faulted", "leaving"};
  BOOST_TEST(value_of(directory + "id") == std::to_string(id));
  BOOST_TEST(value_of(directory + "kind") == kinds[info.kind]);
  BOOST_TEST(value_of(directory + "enforcement") == enforcements[info.enforcement]);
  BOOST_TEST(value_of(directory + "alias") == info.alias);
  BOOST_TEST(value_of(directory + "provider") == info.provider);
  BOOST_TEST(value_of(directory + "numa_node") == std::to_string(info.numa_node));
  BOOST_TEST(value_of(directory + "device_bytes") == std::to_string(info.device_bytes));
  BOOST_TEST(value_of(directory + "state") == states[stats.state]);
  BOOST_TEST(value_of(directory + "fault") == "none");
  BOOST_TEST(value_of(directory + "order") == orders[info.order]);
  BOOST_TEST(value_of(directory + "slots") == std::to_string(stats.slots));
  BOOST_TEST(value_of(directory + "slots_used") == std::to_string(stats.slots_used));
  BOOST_TEST(value_of(directory + "jobs_waiting") == std::to_string(stats.jobs_waiting));
  BOOST_TEST(value_of(directory + "queues") == std::to_string(stats.queues));
  BOOST_TEST(value_of(directory + "granted") == std::to_string(stats.granted));
  BOOST_TEST(value_of(directory + "busy_ns") == std::to_string(stats.busy_ns));
  BOOST_TEST(value_of(directory + "reserved_bytes") == std::to_string(stats.reserved_bytes));
}

}  // namespace

BOOST_AUTO_TEST_CASE(shows_what_calls_say) {
  NEED_DEVICE();
  const Context context, other;
  const Engine engine(context, 1 << 30, 3);
  const std::string directory = directory_of(engine.info());
  expect_as_told(context, context.engine().id);
  expect_as_told(context, engine.id());

  const uint32_t queue = context.queue_at(engine.id());
  const uint32_t generation = context.take_turn(queue, 1, 2);
  BOOST_TEST(submit(other, job_of(other.queue_at(engine.id()), 1, 3)) == 0);
  reserve(context, engine.id(), 4096);
  expect_as_told(context, engine.id());
  BOOST_TEST(value_of(directory + "slots_used") == "2");
  BOOST_TEST(value_of(directory + "jobs_waiting") == "1");
  BOOST_TEST(value_of(directory + "queues") == "2");
  BOOST_TEST(value_of(directory + "reserved_bytes") == "4096");

  BOOST_TEST(complete(context, 1, generation) == 0);
  expect_as_told(context, engine.id());
  BOOST_TEST(value_of(directory + "granted") == "2");

  aiaccel_control control{};
  control.engine = engine.id();
  control.state = AIACCEL_ENGINE_DRAINING;
  control.order = AIACCEL_ORDER_EDF;
  BOOST_TEST(context(AIACCEL_IOC_CONTROL, control) == 0);
  BOOST_TEST(value_of(directory + "state") == "draining");
  BOOST_TEST(value_of(directory + "order") == "edf");
  expect_as_told(context, engine.id());
}

BOOST_AUTO_TEST_CASE(every_file_is_described) {
  NEED_DEVICE();
  std::ifstream document("docs/sysfs-class-aiaccel");
  std::set<std::string> described;
  for (std::string line; std::getline(document, line);)
    if (line.rfind("What:", 0) == 0) described.insert(line.substr(line.rfind('/') + 1));
  BOOST_TEST(described.size() > 10u);
  for (const std::string& directory : {kEngines + "cpu-node0", kModule, kModule + "node0"})
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      const std::string name = entry.path().filename();
      // The kernel's own.
      if (!entry.is_regular_file() || name == "uevent" || name == "dev") continue;
      BOOST_TEST(described.count(name) == 1u, name << " is not described");
      described.erase(name);
      std::ifstream file(entry.path());
      std::string value;
      BOOST_TEST(!!std::getline(file, value), name << " cannot be read");
      BOOST_TEST((entry.status().permissions() == std::filesystem::perms{0444}), name);
    }
  for (const std::string& name : described) BOOST_ERROR(name << " is described and not there");
}

BOOST_AUTO_TEST_CASE(totals_count_what_is_there) {
  NEED_DEVICE();
  const Context context;
  const auto total = [](const char* name) { return std::stoull(value_of(kModule + name)); };
  BOOST_TEST(total("abi") == context.query().abi);
  BOOST_TEST(total("engines") == context.query().nr_engines);
  const auto contexts = total("contexts"), jobs = total("jobs"), bytes = total("memory_bytes");
  {
    const Context more;
    const Engine engine(more);
    const aiaccel_alloc memory = more.alloc(kPage);
    more.take_turn(more.queue(), 1);
    BOOST_TEST(total("contexts") == contexts + 1);
    BOOST_TEST(total("engines") == context.query().nr_engines);
    BOOST_TEST(total("jobs") == jobs + 1);
    BOOST_TEST(total("memory_bytes") == bytes + memory.length);
  }
  BOOST_TEST(total("contexts") == contexts);
  BOOST_TEST(total("jobs") == jobs);
  BOOST_TEST(total("memory_bytes") == bytes);
}

BOOST_AUTO_TEST_CASE(memory_is_counted_on_its_node) {
  NEED_DEVICE();
  const auto total = [](int node, const char* name) {
    return std::stoull(value_of(kModule + "node" + std::to_string(node) + "/" + name));
  };
  const Context context;
  for (int node = 0; has_node(node); node++) {
    const auto allocated = total(node, "allocated_bytes"), pinned = total(node, "pinned_bytes");
    aiaccel_alloc alloc{};
    alloc.length = 4 << 20;
    alloc.placement = AIACCEL_PLACE_STRICT;
    alloc.node = node;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_ALLOC, alloc), 0);
    BOOST_TEST(total(node, "allocated_bytes") == allocated + (4 << 20));
    {
      const Map map = context.map(4 << 20, alloc.mmap_offset);
      BOOST_TEST(destroy_errno(context, alloc.id) == 0);
      BOOST_TEST(total(node, "allocated_bytes") == allocated + (4 << 20));  // it is still mapped
    }
    BOOST_TEST(total(node, "allocated_bytes") == allocated);

    const Map memory = anonymous(8 * kPage);
    const unsigned long mask = 1UL << node;
    BOOST_REQUIRE_EQUAL(syscall(SYS_mbind, memory.data(), 8 * kPage, MPOL_BIND, &mask, 64, 0), 0);
    memset(memory.data(), 1, 8 * kPage);
    aiaccel_pin first = pin_of(memory, AIACCEL_PIN_WRITE), again = pin_of(memory);
    again.length = kPage;
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, first), 0);
    BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, again), 0);
    BOOST_TEST(total(node, "pinned_bytes") == pinned + 9 * kPage);
    BOOST_TEST(destroy_errno(context, first.id) == 0);
    BOOST_TEST(destroy_errno(context, again.id) == 0);
    BOOST_TEST(total(node, "pinned_bytes") == pinned);
  }
}

BOOST_AUTO_TEST_CASE(goes_with_the_engine) {
  NEED_DEVICE();
  const Context context;
  const auto engine = std::make_unique<Engine>(context);
  const std::string directory = directory_of(engine->info());
  context.take_turn(context.queue_at(engine->id()), 1);  // which outlives it
  const Fd open_file(open((directory + "slots_used").c_str(), O_RDONLY | O_CLOEXEC));
  char text[8] = {};
  BOOST_TEST(pread(open_file.get(), text, sizeof text, 0) == 2);
  BOOST_TEST(engine->unregister() == 0);
  BOOST_TEST(access(directory.c_str(), F_OK) == -1);
  BOOST_TEST(pread(open_file.get(), text, sizeof text, 0) == -1);
  BOOST_TEST(errno == ENODEV);
}

BOOST_AUTO_TEST_CASE(names_are_those_of_directories) {
  NEED_DEVICE();
  const Context context;
  BOOST_TEST(make_named(context, ".") == EINVAL);
  BOOST_TEST(make_named(context, "..") == EINVAL);
  uint32_t id = 0;
  BOOST_TEST(make_named(context, "...", &id) == 0);
  expect_as_told(context, id);
  BOOST_TEST(make_named(context, "GPU-1/2/3", &id) == 0);
  expect_as_told(context, id);
  BOOST_TEST(make_named(context, "GPU-1!2/3") == EEXIST);
  BOOST_TEST(make_named(context, "GPU-1/2/4") == 0);
  unregister_all_engines(context);
}

// Engines of one name come and go, while others look into their directory.
BOOST_AUTO_TEST_CASE(readers_meet_the_end) {
  NEED_DEVICE();
  const Context context;
  std::atomic<bool> stop{false};
  std::atomic<unsigned> reads{0}, wrong{0};
  std::vector<std::thread> readers;
  for (const char* name : {"slots_used", "alias"})
    readers.emplace_back([&, name] {
      while (!stop) {
        std::ifstream file(kEngines + "comes-and-goes/" + name);
        std::string value;
        if (!std::getline(file, value)) continue;
        reads++;
        if (value != "0" && !value.empty()) wrong++;
      }
    });
  unsigned times = 0;
  BOOST_TEST(eventually([&] {
    uint32_t id = 0;
    BOOST_TEST(make_named(context, "comes-and-goes", &id) == 0);
    if (times % 2) usleep(100);
    aiaccel_engine_unregister end{};
    end.id = id;
    BOOST_TEST(context(AIACCEL_IOC_ENGINE_UNREGISTER, end) == 0);
    return ++times >= 200 && reads >= 20;
  }));
  stop = true;
  for (std::thread& reader : readers) reader.join();
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
