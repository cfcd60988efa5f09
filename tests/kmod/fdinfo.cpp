// SPDX-License-Identifier: MIT
//
// The fdinfo of a context: what STATS says of it, and nothing to who may not look into its process.
// Every key is one that docs/fdinfo describes.
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>

#include "account.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(fdinfo)

namespace {

std::string path_of(const Context& context) {
  return "/proc/self/fdinfo/" + std::to_string(context.fd());
}

// What begins with aiaccel- or drm-.
std::map<std::string, std::string> read(const Context& context) {
  std::map<std::string, std::string> keys;
  std::ifstream file(path_of(context));
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find(":\t");
    if ((line.rfind("aiaccel-", 0) && line.rfind("drm-", 0)) || tab == std::string::npos) continue;
    BOOST_TEST(keys.emplace(line.substr(0, tab), line.substr(tab + 2)).second, line);
  }
  return keys;
}

aiaccel_stats_context told(const Context& context) {
  const uint64_t number = std::stoull(read(context).at("aiaccel-context"));
  for (const auto& record : list<aiaccel_stats_context>(context, AIACCEL_STATS_CONTEXTS))
    if (record.context == number) return record;
  BOOST_ERROR("the context is not listed");
  return {};
}

void expect_as_told(const Context& context) {
  const auto keys = read(context);
  const aiaccel_stats_context record = told(context);
  const auto ns = [](uint64_t value) { return std::to_string(value) + " ns"; };
  const auto bytes = [](uint64_t value) { return std::to_string(value) + " bytes"; };
  BOOST_TEST(keys.at("aiaccel-tenant") == std::to_string(record.tenant));
  BOOST_TEST(keys.at("aiaccel-queues") == std::to_string(record.queues));
  BOOST_TEST(keys.at("aiaccel-jobs-waiting") == std::to_string(record.waiting));
  BOOST_TEST(keys.at("aiaccel-turns") == std::to_string(record.turns));
  BOOST_TEST(keys.at("aiaccel-slots") == std::to_string(record.slots_held));
  BOOST_TEST(keys.at("aiaccel-events-unread") == std::to_string(record.events_unread));
  BOOST_TEST(keys.at("aiaccel-granted") == std::to_string(record.granted));
  BOOST_TEST(keys.at("aiaccel-busy") == ns(record.busy_ns));
  BOOST_TEST(keys.at("aiaccel-memory-allocated") == bytes(record.allocated_bytes));
  BOOST_TEST(keys.at("aiaccel-memory-pinned") == bytes(record.pinned_bytes));
  BOOST_TEST(keys.at("aiaccel-memory-imported") == bytes(record.imported_bytes));
  BOOST_TEST(keys.at("aiaccel-memory-reserved") == bytes(record.reserved_bytes));
}

}  // namespace

BOOST_AUTO_TEST_CASE(shows_what_stats_says) {
  NEED_DEVICE();
  const Context context;
  const Engine gpu(context, 1 << 20);
  expect_as_told(context);
  BOOST_TEST(read(context).count("aiaccel-engine-" + std::to_string(gpu.id())) == 0u);

  aiaccel_queue_create create{};
  create.engine = gpu.id();
  create.class_ = AIACCEL_CLASS_NORMAL;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);
  const uint32_t one = create.id;
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_QUEUE_CREATE, create), 0);  // one line for both
  const aiaccel_alloc memory = context.alloc(2 * kPage);
  const Map page = anonymous(kPage);
  aiaccel_pin pin = pin_of(page);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
  const uint32_t reservation = reserve(context, gpu.id(), 5000);
  const uint32_t generation = context.take_turn(one, 1);
  expect_as_told(context);
  auto keys = read(context);
  BOOST_TEST(keys.at("aiaccel-turns") == "1");
  BOOST_TEST(keys.at("aiaccel-memory-allocated") == "8192 bytes");
  BOOST_TEST(keys.at("aiaccel-memory-pinned") == "4096 bytes");
  BOOST_TEST(keys.at("aiaccel-memory-reserved") == "5000 bytes");
  BOOST_TEST(keys.at("aiaccel-engine-" + std::to_string(gpu.id())) == "0 ns");

  usleep(1000);
  BOOST_TEST(complete(context, 1, generation) == 0);
  BOOST_TEST(resize(context, reservation, 4000) == 0);
  expect_as_told(context);
  keys = read(context);
  BOOST_TEST(keys.at("aiaccel-turns") == "0");
  BOOST_TEST(keys.at("aiaccel-memory-reserved") == "4000 bytes");
  BOOST_TEST(keys.at("aiaccel-engine-" + std::to_string(gpu.id())) == keys.at("aiaccel-busy"));
  BOOST_TEST(std::stoull(keys.at("aiaccel-busy")) >= 1'000'000u);

  for (const uint32_t id : {one, create.id, memory.id, pin.id, reservation})
    BOOST_TEST(destroy_errno(context, id) == 0);
  expect_as_told(context);
  const auto rest = read(context);
  BOOST_TEST(rest.at("aiaccel-busy") == keys.at("aiaccel-busy"));
  BOOST_TEST(rest.at("aiaccel-memory-allocated") == "0 bytes");
  BOOST_TEST(rest.at("aiaccel-memory-pinned") == "0 bytes");
  BOOST_TEST(rest.at("aiaccel-memory-reserved") == "0 bytes");
  BOOST_TEST(rest.count("aiaccel-engine-" + std::to_string(gpu.id())) == 0u);
}

BOOST_AUTO_TEST_CASE(every_key_is_described) {
  NEED_DEVICE();
  const Context context;
  context.queue();
  std::ifstream document("docs/fdinfo");
  std::map<std::string, bool> described;
  for (std::string line; std::getline(document, line);)
    if (line.rfind("aiaccel-", 0) == 0) described[line.substr(0, line.find(':'))] = false;
  for (const auto& [name, value] : read(context)) {
    const bool of_engine = name.rfind("aiaccel-engine-", 0) == 0;
    const std::string key = of_engine ? "aiaccel-engine-N" : name;
    BOOST_TEST(described.count(key) == 1u, key << " is not described");
    described[key] = true;
  }
  for (const auto& [key, shown] : described)
    BOOST_TEST(shown, key << " is described and not shown");
}

BOOST_AUTO_TEST_CASE(is_not_for_who_may_not_look_into_the_process) {
  NEED_DEVICE();
  const Context context;
  const std::string path =
      "/proc/" + std::to_string(getpid()) + "/fdinfo/" + std::to_string(context.fd());
  BOOST_TEST(in_child([&] {
               if (access(path.c_str(), R_OK)) return 1;
               become_user(1000);
               if (open(path.c_str(), O_RDONLY) != -1) return 2;
               return errno == EACCES ? 0 : 3;
             }) == 0);
}

// As the kernel's drm-usage-stats has them, and only where the administrator wants them.
BOOST_AUTO_TEST_CASE(has_keys_of_drm_when_asked_to) {
  NEED_DEVICE();
  const std::string parameter = "/sys/module/aiaccel/parameters/drm_fdinfo";
  const Context context;
  const Engine gpu(context, 1 << 20, 2);
  const uint32_t queue = context.queue_at(gpu.id());
  BOOST_TEST(complete(context, 1, context.take_turn(queue, 1)) == 0);
  context.alloc(2 * kPage);
  reserve(context, gpu.id(), 8192);
  BOOST_TEST(read(context).count("drm-driver") == 0u);

  std::ofstream(parameter) << "1" << std::flush;
  const auto keys = read(context);
  std::ofstream(parameter) << "0" << std::flush;
  const std::string engine = "engine" + std::to_string(gpu.id());
  BOOST_REQUIRE_EQUAL(keys.count("drm-engine-" + engine), 1u);
  BOOST_TEST(keys.at("drm-driver") == "aiaccel");
  BOOST_TEST(keys.at("drm-client-id") == keys.at("aiaccel-context"));
  BOOST_TEST(keys.at("drm-engine-" + engine) ==
             keys.at("aiaccel-engine-" + std::to_string(gpu.id())));
  BOOST_TEST(keys.at("drm-engine-capacity-" + engine) == "2");
  BOOST_TEST(keys.at("drm-total-system") == "8 KiB");
  BOOST_TEST(keys.at("drm-resident-system") == "8 KiB");
  BOOST_TEST(keys.at("drm-total-vram") == "8 KiB");
  BOOST_TEST(read(context).count("drm-driver") == 0u);
}

// Each line is one of drm-usage-stats, and whose it is comes first: htop (linux/GPU.c) passes over
// the engines that it reads before drm-client-id.
BOOST_AUTO_TEST_CASE(keys_of_drm_are_as_their_readers_want_them) {
  NEED_DEVICE();
  const std::string parameter = "/sys/module/aiaccel/parameters/drm_fdinfo";
  const Context context;
  const Engine gpu(context, 1 << 20, 2);
  context.queue_at(gpu.id());
  context.queue();
  const std::regex known(
      "drm-driver:\t[^ \t:]+|drm-client-id:\t[0-9]+|drm-engine-[^ \t:]+:\t[0-9]+ ns|"
      "drm-engine-capacity-[^ \t:]+:\t[1-9][0-9]*|drm-(total|resident)-[^ \t:]+:\t[0-9]+( "
      "[KM]iB)?");
  std::ofstream(parameter) << "1" << std::flush;
  std::ifstream file(path_of(context));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    if (line.rfind("drm-", 0) == 0) lines.push_back(line);
  std::ofstream(parameter) << "0" << std::flush;
  const auto first_of = [&](const std::string& key) {
    return std::find_if(lines.begin(), lines.end(),
                        [&](const std::string& line) { return line.rfind(key, 0) == 0; }) -
           lines.begin();
  };
  for (const std::string& line : lines) BOOST_TEST(std::regex_match(line, known), line);
  BOOST_TEST(first_of("drm-driver:") == 0);
  BOOST_TEST(first_of("drm-client-id:") == 1);
  BOOST_TEST(std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
               return line.rfind("drm-engine-", 0) == 0 && line.rfind("drm-engine-capacity-", 0);
             }) == 2);
}

BOOST_AUTO_TEST_SUITE_END()
