// SPDX-License-Identifier: MIT
//
// Deployments on the embedded transport: turns are really waited for and really as wide as asked,
// versions are switched under load without a lost or a wrong answer.

#include <tap/tap.hpp>

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include <aiaccel/deployment.hpp>

#include "broker/address.h"
#include "broker/fds.h"
#include "broker/wire.h"
#include "fixture.hpp"
#include "private_place.hpp"

using namespace aiaccel;
using namespace std::chrono_literals;
using fixture::contains;
using fixture::error_of;
using fixture::PrivatePlace;
using fixture::silero;
using fixture::tone;
using fixture::vad_inputs;
using fixture::vad_state;

namespace {

DeploymentOptions embedded() {
  DeploymentOptions options;
  options.transport = "embedded";
  return options;
}

Model v5() {
  return Model::open(silero("v5"), "silero-vad@v5");
}
Model v6() {
  return Model::open(silero("v6"), "silero-vad@v6");
}

std::set<pid_t> threads() {
  std::set<pid_t> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
    ids.insert(std::stoi(entry.path().filename().string()));
  return ids;
}

template <typename Record>
std::vector<Record> stats_of(const Device& device, std::uint32_t kind) {
  std::vector<Record> records(64);
  aiaccel_stats stats{};
  stats.size = sizeof stats;
  stats.kind = kind;
  stats.records = reinterpret_cast<std::uintptr_t>(records.data());
  stats.count = static_cast<std::uint32_t>(records.size());
  stats.record_size = sizeof records[0];
  BOOST_REQUIRE(aiaccel_call(device.handle(), AIACCEL_IOC_STATS, &stats) == 0);
  records.resize(std::min<std::size_t>(records.size(), stats.count));
  return records;
}

std::vector<aiaccel_stats_queue> queues_of(const Device& device) {
  return stats_of<aiaccel_stats_queue>(device, AIACCEL_STATS_QUEUES);
}

// Holds the whole engine in a context of its own, so that nobody else gets a turn.
struct Hold {
  Device device = Device::open("embedded");
  Engine engine = device.engine("cpu0");
  Queue queue = engine.queue({.label = "hold", .priority = Class::high, .width = engine.slots()});
  Grant grant = queue.acquire();
};

// A broker whose words a later library knows.
class OtherVersion {
 public:
  explicit OtherVersion(const std::filesystem::path& path)
      : path_(path), listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    std::filesystem::remove(path);
    sockaddr_un name;
    BOOST_REQUIRE(socket_name(path, &name) == 0);
    BOOST_REQUIRE(bind(listener_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    BOOST_REQUIRE(listen(listener_.get(), 8) == 0);
    greeter_ = std::thread([this] { greet(); });
  }
  ~OtherVersion() {
    shutdown(listener_.get(), SHUT_RDWR);
    greeter_.join();
    std::filesystem::remove(path_);
  }

  unsigned asked() const { return asked_; }

 private:
  void greet() {
    for (;;) {
      const Fd client(accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      ++asked_;
      struct {
        wire::Header header{sizeof header + sizeof hello, 0, sizeof hello, 0};
        wire::Hello hello{wire::kVersion + 1, 4096};
      } message;
      send(client.get(), &message, sizeof message, MSG_NOSIGNAL);
    }
  }

  const std::filesystem::path path_;
  const Fd listener_;
  std::atomic<unsigned> asked_ = 0;
  std::thread greeter_;
};

struct Variable {
  Variable(const char* variable, const char* value) : name(variable) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name); }
  const char* name;
};

void tell_all(const Device& device, std::uint32_t state) {
  aiaccel_control control{};
  control.size = sizeof control;
  control.state = state;
  BOOST_REQUIRE(aiaccel_call(device.handle(), AIACCEL_IOC_CONTROL, &control) == 0);
}

// Contexts of all but the one that asks.
std::uint64_t other_contexts(const Device& device) {
  std::uint64_t count = 0;
  for (const auto& tenant : stats_of<aiaccel_stats_tenant>(device, AIACCEL_STATS_TENANTS))
    count += tenant.contexts;
  return count - 1;
}

// Within a generous while.
bool eventually(const std::function<bool()>& holds) {
  const auto until = Clock::now() + 60s;
  while (!holds()) {
    if (Clock::now() > until) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(deployment)

BOOST_AUTO_TEST_CASE(answers_as_the_model_alone_does_and_names_the_version) {
  NEED_MODELS();
  Deployment deployment = Device::open("embedded").deploy(v5());
  BOOST_TEST(deployment.transport() == "embedded");
  auto inputs = vad_inputs(tone(3), vad_state());
  Answer answer = deployment.infer(inputs);
  BOOST_TEST((answer.outputs == v5().run(inputs)));
  BOOST_TEST(answer.version == "silero-vad@v5");
  BOOST_TEST(answer.run.count() > 0);
  BOOST_TEST((deployment.infer_async(inputs).get().outputs == answer.outputs));
  auto stats = deployment.stats();
  BOOST_REQUIRE(stats.size() == 1u);
  BOOST_TEST(stats[0].version == "silero-vad@v5");
  BOOST_TEST(stats[0].total.count() == 2u);
  BOOST_TEST(stats[0].failed == 0u);
  BOOST_TEST(stats[0].total.max() >= stats[0].run.max());
}

BOOST_AUTO_TEST_CASE(refuses_what_it_cannot_do) {
  NEED_MODELS();
  auto with = [](auto change) {
    DeploymentOptions options = embedded();
    change(options);
    return error_of([&] { Deployment(v5(), options); });
  };
  auto wide = with([](DeploymentOptions& options) { options.width = 1000; });
  BOOST_TEST(wide.first == EINVAL);
  BOOST_TEST(contains(wide.second, "an inference of width 1000 is asked for"), wide.second);
  BOOST_TEST(with([](DeploymentOptions& options) { options.instances = 0; }).first == EINVAL);
  BOOST_TEST(with([](DeploymentOptions& options) { options.priority = Class::realtime; }).first ==
             EOPNOTSUPP);
  BOOST_TEST(with([](DeploymentOptions& options) { options.engine = "gpu7"; }).first == ENOENT);

  Deployment deployment(v5(), embedded());
  auto misfit = error_of([&] { deployment.infer(std::vector<Tensor>{}); });
  BOOST_TEST(misfit.first == EINVAL);
  BOOST_TEST(contains(misfit.second, "takes 3 inputs, and 0 are given"), misfit.second);
}

BOOST_AUTO_TEST_CASE(waits_for_its_turn_and_bounds_what_waits) {
  NEED_MODELS();
  DeploymentOptions options = embedded();
  options.max_waiting = 2;
  Deployment deployment(v5(), options);
  auto inputs = vad_inputs(tone(3), vad_state());
  std::vector<std::future<Answer>> answers;
  {
    Hold hold;
    answers.push_back(deployment.infer_async(inputs));
    // Its instance has taken it and submitted a job for it, which gets no turn.
    while (std::ranges::none_of(queues_of(hold.device), [](const aiaccel_stats_queue& queue) {
      return std::string(queue.label) == "silero-vad@v5" && queue.waiting == 1;
    }))
      std::this_thread::sleep_for(1ms);
    answers.push_back(deployment.infer_async(inputs));
    answers.push_back(deployment.infer_async(inputs));
    auto full = error_of([&] { deployment.infer_async(inputs); });
    BOOST_TEST(full.first == EAGAIN);
    BOOST_TEST(contains(full.second, "2 requests wait for silero-vad@v5"), full.second);
    for (auto& answer : answers) BOOST_TEST((answer.wait_for(0s) == std::future_status::timeout));
  }
  for (auto& answer : answers) BOOST_TEST(answer.get().version == "silero-vad@v5");
}

BOOST_AUTO_TEST_CASE(fails_what_waits_when_it_ends) {
  NEED_MODELS();
  auto inputs = vad_inputs(tone(3), vad_state());
  std::vector<std::future<Answer>> answers;
  std::optional<Stream> stream;
  {
    Hold hold;
    Deployment deployment(v5(), embedded());
    stream = deployment.stream();
    for (int i = 0; i < 3; i++) answers.push_back(deployment.infer_async(inputs));
  }
  for (auto& answer : answers) BOOST_TEST(error_of([&] { answer.get(); }).first == ECANCELED);
  BOOST_TEST(error_of([&] { stream->infer(inputs); }).first == ECANCELED);
}

BOOST_AUTO_TEST_CASE(holds_turns_as_wide_as_it_computes) {
  NEED_MODELS();
  Device device = Device::open("embedded");
  unsigned slots = device.engine("cpu0").slots();
  if (slots < 2) SKIP("the engine has one slot");
  DeploymentOptions options = embedded();
  options.width = 2;
  Deployment deployment(v5(), options);
  auto inputs = vad_inputs(tone(3), vad_state());
  std::set<unsigned> held;
  // Until one look meets an inference: a turn has two slots or none, never one.
  for (int i = 0; i < 10000 && !held.count(2); i++) {
    auto answer = deployment.infer_async(inputs);
    // Asleep meanwhile: with one free processor, who polls would see only itself running.
    while (answer.wait_for(50us) == std::future_status::timeout)
      for (const aiaccel_stats_queue& queue : queues_of(device))
        if (std::string(queue.label) == "silero-vad@v5") held.insert(queue.slots_held);
    BOOST_TEST(answer.get().version == "silero-vad@v5");
  }
  BOOST_TEST(held.count(2) == 1u);
  BOOST_TEST(held.count(1) == 0u);
}

BOOST_AUTO_TEST_CASE(keeps_two_versions_loaded_and_no_more) {
  NEED_MODELS();
  if (Device::open("embedded").engine("cpu0").slots() < 2) SKIP("the engine has one slot");
  v5();  // loads the runtime, whose own threads are not what is counted
  std::size_t before = threads().size();
  {
    DeploymentOptions options = embedded();
    options.width = 2;
    Deployment deployment(v5(), options);
    // The instance, and one thread of the runtime for each version that is loaded in this width.
    BOOST_TEST(threads().size() == before + 2);
    deployment.update(v6());
    BOOST_TEST(threads().size() == before + 3);
    deployment.update(v5());
    BOOST_TEST(threads().size() == before + 3);
  }
  BOOST_TEST(threads().size() == before);
}

BOOST_AUTO_TEST_CASE(takes_what_the_operating_system_can_do_for_its_class) {
  NEED_MODELS();
  DeploymentOptions options = embedded();
  options.priority = Class::low;
  std::set<pid_t> before = threads();
  Deployment low(v5(), options);
  BOOST_TEST(low.os_help() == "SCHED_IDLE");
  std::set<pid_t> instance = threads();
  for (pid_t id : before) instance.erase(id);
  BOOST_REQUIRE(instance.size() == 1u);
  // It computes in the background, and where it may leave that again it does nothing else there.
  bool computed_idle = false;
  for (int i = 0; i < 10000 && !computed_idle; i++) {
    auto answer = low.infer_async(vad_inputs(tone(3), vad_state()));
    // Asleep meanwhile: with one free processor, who polls would see only itself running.
    while (answer.wait_for(50us) == std::future_status::timeout)
      computed_idle |= sched_getscheduler(*instance.begin()) == SCHED_IDLE;
    answer.get();
  }
  BOOST_TEST(computed_idle);
  BOOST_TEST(sched_getscheduler(0) == SCHED_OTHER);  // the caller's own class is its own business
  options.priority = Class::normal;
  BOOST_TEST(Deployment(v5(), options).os_help() == "");
}

// A broker that is started again serves all of the user's programs, not this class.
BOOST_AUTO_TEST_CASE(a_broker_that_it_starts_again_has_not_its_class) {
  NEED_MODELS();
  for (Class priority : {Class::low, Class::high}) {
    PrivatePlace place;
    DeploymentOptions options;
    options.transport = "broker";
    options.priority = priority;
    Deployment deployment(v5(), options);
    auto inputs = vad_inputs(tone(3), vad_state());
    Answer before = deployment.infer(inputs);
    const pid_t first = place.broker();
    BOOST_REQUIRE(first != 0);
    // Both were started by this process; what priority a broker takes is its own business.
    const int first_priority = getpriority(PRIO_PROCESS, static_cast<id_t>(first));
    kill(first, SIGKILL);
    while (place.broker() == first) std::this_thread::sleep_for(1ms);
    BOOST_TEST((deployment.infer(inputs).outputs == before.outputs));
    const pid_t second = place.broker();
    BOOST_REQUIRE(second != 0);
    BOOST_TEST(sched_getscheduler(second) == sched_getscheduler(0));
    BOOST_TEST(getpriority(PRIO_PROCESS, static_cast<id_t>(second)) == first_priority);
  }
}

// Killed at any moment: while a turn is waited for, held, or handed back.
BOOST_AUTO_TEST_CASE(brokers_may_be_killed_while_it_serves) {
  NEED_MODELS();
  PrivatePlace place;
  DeploymentOptions options;
  options.transport = "broker";
  options.instances = 2;
  Deployment deployment(v5(), options);
  auto inputs = vad_inputs(tone(3), vad_state());
  const std::vector<Tensor> right = v5().run(inputs);
  std::atomic<unsigned> answered = 0, wrong = 0;
  {
    std::vector<std::jthread> asking;
    for (int i = 0; i < 3; i++)
      asking.emplace_back([&](std::stop_token stop) {
        while (!stop.stop_requested()) {
          auto [error, what] = error_of([&] {
            if (!(deployment.infer(inputs).outputs == right)) wrong++;
            answered++;
          });
          if (error) wrong++;
        }
      });
    for (int kills = 0; kills < 20; kills++) {
      const unsigned seen = answered;
      while (answered < seen + 3) std::this_thread::sleep_for(1ms);
      if (pid_t pid = place.broker()) kill(pid, SIGKILL);
    }
  }
  BOOST_TEST_MESSAGE(answered << " answers");
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(answered >= 60u);
  BOOST_TEST((deployment.infer(inputs).outputs == right));
}

// The broker leaves, ends, and another one begins, under deployments that are asked and idle ones.
BOOST_AUTO_TEST_CASE(a_broker_that_leaves_is_let_go_and_the_next_one_is_taken) {
  NEED_MODELS();
  const auto inputs = vad_inputs(tone(3), vad_state());
  const std::vector<Tensor> right = v5().run(inputs);
  for (const bool open : {true, false}) {
    const Variable on_missing("AIACCEL_ON_MISSING", open ? "open" : "closed");
    PrivatePlace place;
    DeploymentOptions options;
    options.transport = "broker";
    Deployment busy(v5(), options), idle(v6(), options);
    idle.infer(inputs);
    std::atomic<unsigned> answered = 0, wrong = 0;
    std::jthread asking([&](std::stop_token stop) {
      while (!stop.stop_requested()) {
        const auto [error, what] = error_of([&] {
          if (!(busy.infer(inputs).outputs == right)) wrong++;
        });
        if (error) wrong++;
        answered++;
      }
    });
    const auto goes_on = [&](unsigned more) {
      return eventually([&, begun = answered.load()] { return answered >= begun + more; });
    };
    // Answers are by turns: a queue of its label has had more of them.
    const auto by_turns = [&](const Device& device) {
      const auto turns = [&] {
        std::uint64_t count = 0;
        for (const auto& queue : queues_of(device))
          if (queue.label == std::string("silero-vad@v5")) count += queue.granted;
        return count;
      };
      return eventually([&, begun = turns()] { return turns() > begun + 3; });
    };
    {
      const Device device = Device::open("broker");
      BOOST_TEST(by_turns(device));
      for (int times = 0; times < 2; times++) {  // once it stays after all, and once it goes
        if (times) tell_all(device, AIACCEL_ENGINE_ACTIVE);
        BOOST_TEST(by_turns(device));
        tell_all(device, AIACCEL_ENGINE_LEAVING);
        // They come to look, and go at once.
        BOOST_TEST(eventually([&] { return other_contexts(device) == 0; }));
        const unsigned before = answered;
        if (open) {
          BOOST_TEST(goes_on(20));
        } else {
          std::this_thread::sleep_for(1s);
          BOOST_TEST(answered <= before + 1);
        }
      }
    }
    const pid_t first = place.broker();
    BOOST_REQUIRE(first != 0);
    kill(first, SIGTERM);
    BOOST_REQUIRE(eventually([&] { return place.broker() != first && place.broker() != 0; }));
    const Device device = Device::open("broker");
    BOOST_TEST(by_turns(device));
    BOOST_TEST(idle.infer(inputs).version == "silero-vad@v6");
    asking.request_stop();
    asking.join();
    BOOST_TEST(wrong == 0u);
    BOOST_TEST(busy.stats().back().failed == 0u);
  }
  const Variable wrong_word("AIACCEL_ON_MISSING", "ajar");
  BOOST_TEST(error_of([&] { Deployment(v5(), embedded()); }).first == EINVAL);
}

// As where the broker was upgraded under programs that keep the library they started with.
BOOST_AUTO_TEST_CASE(a_broker_of_another_version_is_as_none) {
  NEED_MODELS();
  const Variable on_missing("AIACCEL_ON_MISSING", "open");
  PrivatePlace place;
  DeploymentOptions options;
  options.transport = "broker";
  Deployment deployment(v5(), options);
  const auto inputs = vad_inputs(tone(3), vad_state());
  const std::vector<Tensor> right = deployment.infer(inputs).outputs;
  const pid_t first = place.broker();
  BOOST_REQUIRE(first != 0);
  {
    const Variable none_is_started("AIACCELD", "/nonexistent");
    kill(first, SIGKILL);
    BOOST_REQUIRE(eventually([&] { return place.broker() == 0; }));
    OtherVersion other(place.folder / "broker.sock");
    BOOST_TEST(eventually([&] {
      BOOST_TEST((deployment.infer(inputs).outputs == right));
      return other.asked() > 2;
    }));
  }
  BOOST_TEST(eventually([&] {
    BOOST_TEST((deployment.infer(inputs).outputs == right));
    return place.broker() != 0;
  }));
  const Device device = Device::open("broker");
  BOOST_TEST(eventually([&] {
    deployment.infer(inputs);
    return !queues_of(device).empty();
  }));
}

BOOST_AUTO_TEST_CASE(updates_and_rolls_back_only_what_fits) {
  NEED_MODELS();
  Deployment deployment(v5(), embedded());
  BOOST_TEST(error_of([&] { deployment.rollback(); }).first == ENOENT);
  auto misfit =
      error_of([&] { deployment.update(Model::open(silero("legacy"), "silero-vad@legacy")); });
  BOOST_TEST(misfit.first == EINVAL);
  BOOST_TEST(contains(misfit.second, "silero-vad@legacy cannot replace silero-vad@v5: 3 inputs"),
             misfit.second);
  BOOST_TEST(deployment.model().label() == "silero-vad@v5");
  deployment.update(v6());
  BOOST_TEST(deployment.model().label() == "silero-vad@v6");
  deployment.rollback();
  BOOST_TEST(deployment.model().label() == "silero-vad@v5");
  deployment.rollback();
  BOOST_TEST(deployment.model().label() == "silero-vad@v6");
}

BOOST_AUTO_TEST_CASE(loses_nothing_and_mixes_nothing_while_versions_are_switched) {
  NEED_MODELS();
  DeploymentOptions options = embedded();
  options.instances = 2;
  Deployment deployment(v5(), options);
  auto inputs = vad_inputs(tone(3), vad_state());
  std::map<std::string, std::vector<Tensor>> alone = {{"silero-vad@v5", v5().run(inputs)},
                                                      {"silero-vad@v6", v6().run(inputs)}};
  BOOST_REQUIRE(!(alone["silero-vad@v5"] == alone["silero-vad@v6"]));
  Stream stream = deployment.stream();
  std::map<std::string, int> answered;
  int wrong = 0, strayed = 0;
  std::jthread asking([&](std::stop_token stop) {
    // On until every version was met after its switch, which the main thread waits for.
    while (!stop.stop_requested()) {
      Answer answer = deployment.infer(inputs);
      wrong += answer.outputs != alone[answer.version];
      answered[answer.version]++;
    }
  });
  std::jthread streaming([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      Answer answer = stream.infer(inputs);
      strayed += answer.version != "silero-vad@v5" || answer.outputs != alone["silero-vad@v5"];
    }
  });
  auto answers_of = [&](const std::string& version) {
    std::uint64_t count = 0;
    for (const VersionStats& stats : deployment.stats())
      if (stats.version == version) count = stats.total.count();
    return count;
  };
  auto wait_for_more = [&](const std::string& version) {
    for (std::uint64_t wanted = answers_of(version) + 20; answers_of(version) < wanted;)
      std::this_thread::sleep_for(1ms);
  };
  for (int round = 0; round < 3; round++) {
    wait_for_more("silero-vad@v5");
    deployment.update(v6());
    wait_for_more("silero-vad@v6");
    deployment.rollback();
  }
  wait_for_more("silero-vad@v5");
  asking = {};
  streaming = {};
  BOOST_TEST(wrong == 0);
  BOOST_TEST(strayed == 0);
  BOOST_TEST(answered["silero-vad@v5"] > 0);
  BOOST_TEST(answered["silero-vad@v6"] >= 60);
  for (const VersionStats& stats : deployment.stats()) BOOST_TEST(stats.failed == 0u);
  BOOST_TEST(stream.version() == "silero-vad@v5");
}

BOOST_AUTO_TEST_SUITE_END()
