// SPDX-License-Identifier: MIT
//
// Tracepoints: a job's life shows in tracefs, each step once and in the order in which it was
// decided, with what STATS says of it.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "account.hpp"
#include "raw.hpp"

using namespace raw;

BOOST_AUTO_TEST_SUITE(trace)

namespace {

struct Event {
  std::string name;
  std::map<std::string, std::string> fields;
  uint64_t number(const std::string& field) const {
    return std::stoull(fields.at(field), nullptr, 0);
  }
};

// An instance of tracefs of its own, in which all events of aiaccel are on.
class Trace {
 public:
  Trace() {
    mount("tracefs", kRoot, "tracefs", 0, nullptr);  // it may be there
    if (mkdir(instance_.c_str(), 0700)) return;
    std::ofstream(instance_ + "/events/aiaccel/enable") << "1";
    there_ = access((instance_ + "/events/aiaccel/grant").c_str(), F_OK) == 0;
  }
  ~Trace() { rmdir(instance_.c_str()); }

  bool there() const { return there_; }

  // Those for which the field is `value`.
  std::vector<Event> having(const std::string& field, uint64_t value) const {
    std::vector<Event> events;
    std::ifstream file(instance_ + "/trace");
    for (std::string line; std::getline(file, line);) {
      // TASK-PID [CPU] FLAGS TIME: NAME: FIELD=VALUE ...
      if (line.rfind('#', 0) == 0) continue;
      const size_t at = line.find(": ");
      if (at == std::string::npos) continue;
      std::istringstream words(line.substr(at + 2));
      Event event;
      words >> event.name;
      event.name.pop_back();  // its colon
      for (std::string word; words >> word;)
        event.fields[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
      if (event.fields.count(field) && event.number(field) == value) events.push_back(event);
    }
    return events;
  }

 private:
  static constexpr const char* kRoot = "/sys/kernel/tracing";
  const std::string instance_ = std::string(kRoot) + "/instances/aiaccel-test";
  bool there_ = false;
};

uint64_t number_of(const Context& context, uint32_t engine, uint32_t class_) {
  for (const auto& record : list<aiaccel_stats_queue>(context, AIACCEL_STATS_QUEUES))
    if (record.engine == engine && record.class_ == class_) return record.context;
  BOOST_ERROR("the queue is not listed");
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_jobs_life_in_order) {
  NEED_DEVICE();
  const Trace trace;
  if (!trace.there()) SKIP("this kernel has no tracefs, or no events in it");
  const Context one, two;
  auto engine = std::make_unique<Engine>(one, 0, 2);
  const uint32_t low = one.queue_at(engine->id(), AIACCEL_CLASS_LOW, "traced");
  const uint32_t high = two.queue_at(engine->id(), AIACCEL_CLASS_HIGH, "traced");
  const uint64_t number = number_of(one, engine->id(), AIACCEL_CLASS_LOW);

  const uint32_t generation = one.take_turn(low, 7, 2);
  BOOST_TEST(submit(two, job_of(high, 9, 1)) == 0);
  BOOST_TEST(complete(one, 7, generation) == 0);  // 9 has its turn
  BOOST_TEST(submit(one, job_of(low, 8, 2)) == 0);
  aiaccel_revoke revoke{};
  revoke.context = number_of(one, engine->id(), AIACCEL_CLASS_HIGH);
  BOOST_TEST(two(AIACCEL_IOC_REVOKE, revoke) == 0);  // 8 has its turn
  BOOST_TEST(revoke.count == 1u);
  const Context three;
  const uint32_t normal = three.queue_at(engine->id(), AIACCEL_CLASS_NORMAL, "traced");
  for (const uint64_t cookie : {10, 11}) BOOST_TEST(submit(three, job_of(normal, cookie, 1)) == 0);
  aiaccel_completion cancel{};
  cancel.cookie = 10;
  cancel.flags = AIACCEL_COMPLETE_CANCEL;
  aiaccel_enter enter{};
  enter.completions = address(&cancel);
  enter.nr_completions = 1;
  BOOST_TEST(three(AIACCEL_IOC_ENTER, enter) == 0);
  BOOST_TEST(engine->unregister() == 0);

  const std::vector<Event> events = trace.having("engine", engine->id());
  struct Wanted {
    const char* name;
    uint64_t cookie;
    const char* class_;
    const char* state;
    unsigned width;
  };
  const Wanted wanted[] = {
      {"queue", 7, "low", "waiting", 2},
      {"grant", 7, "low", "running", 2},
      {"queue", 9, "high", "waiting", 1},
      {"yield", 7, "low", "running", 2},
      {"complete", 7, "low", "completed", 2},
      {"grant", 9, "high", "running", 1},
      {"queue", 8, "low", "waiting", 2},
      {"revoke", 9, "high", "revoked", 1},
      {"grant", 8, "low", "running", 2},
      {"queue", 10, "normal", "waiting", 1},
      {"yield", 8, "low", "running", 2},
      {"queue", 11, "normal", "waiting", 1},
      {"complete", 10, "normal", "withdrawn", 1},
      {"revoke", 8, "low", "revoked", 2},
      {"complete", 11, "normal", "failed", 1},
  };
  BOOST_TEST(events.size() == std::size(wanted));
  for (size_t i = 0; i < std::min(events.size(), std::size(wanted)); i++) {
    const Event& event = events[i];
    BOOST_TEST_CONTEXT("event " << i) {
      BOOST_TEST(event.name == wanted[i].name);
      BOOST_TEST(event.number("cookie") == wanted[i].cookie);
      BOOST_TEST(event.fields.at("class") == wanted[i].class_);
      BOOST_TEST(event.fields.at("state") == wanted[i].state);
      BOOST_TEST(event.number("width") == wanted[i].width);
      BOOST_TEST(event.number("pid") == static_cast<uint64_t>(getpid()));
      if (wanted[i].cookie == 7) {
        BOOST_TEST(event.number("context") == number);
        BOOST_TEST(event.number("queue") == low);
        BOOST_TEST(event.number("generation") == (i ? generation : 0u));
        BOOST_TEST((event.number("run_ns") > 0) == (i > 1));
      }
    }
  }
  // 9 waited while 7 ran, as both ends of it say.
  BOOST_TEST(events.at(5).number("wait_ns") > 0u);
  BOOST_TEST(events.at(7).number("wait_ns") == events.at(5).number("wait_ns"));
}

BOOST_AUTO_TEST_CASE(what_becomes_of_buffers) {
  NEED_DEVICE();
  const Trace trace;
  if (!trace.there()) SKIP("this kernel has no tracefs, or no events in it");
  const Context context;
  context.queue_at(context.engine().id, AIACCEL_CLASS_IDLE);
  const uint64_t number = number_of(context, context.engine().id, AIACCEL_CLASS_IDLE);
  const aiaccel_alloc alloc = context.alloc(3 * kPage);
  {
    const Map mapped = context.map(3 * kPage, alloc.mmap_offset);
    BOOST_TEST(destroy_errno(context, alloc.id) == 0);
  }
  const Map memory = anonymous(2 * kPage);
  aiaccel_pin pin = pin_of(memory, AIACCEL_PIN_WRITE);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_PIN, pin), 0);
  aiaccel_alloc large{};
  large.length = UINT64_MAX / 2;
  BOOST_TEST(context(AIACCEL_IOC_ALLOC, large) == EDQUOT);

  const std::vector<Event> events = trace.having("context", number);
  std::vector<std::string> names;
  for (const Event& event : events) names.push_back(event.name);
  const std::vector<std::string> wanted = {"alloc", "free", "pin", "refuse"};
  BOOST_TEST(names == wanted, boost::test_tools::per_element());
  BOOST_REQUIRE_EQUAL(events.size(), wanted.size());
  BOOST_TEST(events[0].number("bytes") == 3 * kPage);
  BOOST_TEST(events[0].fields.at("kind") == "allocated");
  BOOST_TEST(events[1].fields == events[0].fields);
  BOOST_TEST(events[2].number("bytes") == 2 * kPage);
  BOOST_TEST(events[2].number("flags") == AIACCEL_PIN_WRITE);
  BOOST_TEST(events[2].number("runs") >= 1u);
  BOOST_TEST(events[3].number("call") == _IOC_NR(AIACCEL_IOC_ALLOC));
  BOOST_TEST(events[3].fields.at("error") == std::to_string(-EDQUOT));
}

// What formats records itself, as perf does, knows no enumerator of the module's.
BOOST_AUTO_TEST_CASE(formats_name_no_enumerator) {
  NEED_DEVICE();
  const Trace trace;
  if (!trace.there()) SKIP("this kernel has no tracefs, or no events in it");
  size_t events = 0;
  for (const auto& event :
       std::filesystem::directory_iterator("/sys/kernel/tracing/events/aiaccel")) {
    if (!event.is_directory()) continue;
    events++;
    std::ifstream file(event.path() / "format");
    const std::string format{std::istreambuf_iterator<char>(file), {}};
    BOOST_TEST(format.find("print fmt: ") != std::string::npos, event.path());
    BOOST_TEST(format.find("AIACCEL_") == std::string::npos, event.path() << ": " << format);
  }
  BOOST_TEST(events > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
