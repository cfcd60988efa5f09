// SPDX-License-Identifier: MIT
//
// The demo's client processes.

#include "aiaccel/demo_roles.hpp"

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "aiaccel/demo_load.hpp"
#include "backends/cpu_class.hpp"
#include "common/failure.hpp"

namespace tools {
namespace {

std::vector<float> read_samples(const std::string& file) {
  std::vector<float> samples(std::filesystem::file_size(file) / sizeof(float));
  std::ifstream in(file, std::ios::binary);
  in.read(reinterpret_cast<char*>(samples.data()),
          static_cast<std::streamsize>(samples.size() * sizeof(float)));
  if (!in) throw Failure("cannot read " + file, "");
  return samples;
}

Pace pace_of(const Json& config) {
  return {config.at("streams"), config.at("per_s"), config.at("seconds")};
}

// The first inferences of a process allocate and touch memory; they are nobody's latency.
void warm_up(Runner& runner, unsigned instances) {
  for (unsigned i = 0; i < 3 * instances; i++) {
    std::promise<void> done;
    runner.submit(VadStream().inputs({}), [&](aiaccel::Answer, std::exception_ptr error) {
      if (error)
        done.set_exception(error);
      else
        done.set_value();
    });
    done.get_future().get();
  }
}

Clock::time_point end_of(Clock::time_point begin, double seconds) {
  return begin +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void streams(const Json& config) {
  const RunnerConfig how = runner_config(config.at("runner"));
  const std::vector<float> speech = read_samples(config.at("speech"));
  const std::unique_ptr<Runner> runner = make_runner(how);
  // The thread that sends is part of the client, and gets what the others get.
  if (how.os_tools) aiaccel::apply_cpu_class(how.priority);
  warm_up(*runner, how.instances);
  Streams load(*runner, pace_of(config), speech);
  load.run(ready_and_wait());
  Json result = load.result();
  result["os_help"] = runner->os_help();
  write_result(result);
}

void flood(const Json& config) {
  const RunnerConfig how = runner_config(config.at("runner"));
  const std::vector<float> speech = read_samples(config.at("speech"));
  const std::unique_ptr<Runner> runner = make_runner(how);
  std::optional<aiaccel::Device> device;
  std::optional<aiaccel::Buffer> memory;
  if (const std::uint64_t bytes = config.at("bytes"); bytes) {
    device = aiaccel::Device::open(how.transport);
    memory = device->alloc(bytes);
  }
  warm_up(*runner, how.instances);
  Backlog load(*runner, 2 * how.instances, speech);
  const Clock::time_point begin = ready_and_wait();
  std::this_thread::sleep_until(begin);
  load.run();
  std::this_thread::sleep_until(end_of(begin, config.at("seconds")));
  const std::chrono::duration<double> took = Clock::now() - begin;
  const std::size_t answered = load.answered();
  load.stop();
  write_result({{"per_s", static_cast<double>(answered) / took.count()},
                {"failed", load.failed()},
                {"os_help", runner->os_help()}});
}

// A server that is asked for both: streams that people wait for, and a batch of a given depth.
void server(const Json& config) {
  RunnerConfig how = runner_config(config.at("runner"));
  const std::vector<float> speech = read_samples(config.at("speech"));
  const bool by_class = config.at("by_class");
  std::unique_ptr<Runner> all, batch;
  if (by_class) {
    how.priority = aiaccel::Class::low;
    batch = make_runner(how);
    how.priority = aiaccel::Class::high;
  }
  all = make_runner(how);
  warm_up(*all, how.instances);
  const Pace pace = pace_of(config);
  Streams front(*all, pace, speech);
  Backlog behind(batch ? *batch : *all, config.at("depth"), speech);
  const Clock::time_point begin = ready_and_wait();
  std::this_thread::sleep_until(begin);
  behind.run();
  front.run(begin);
  const std::chrono::duration<double> took = Clock::now() - begin;
  const std::size_t answered = behind.answered();
  behind.stop();
  Json result = front.result();
  result["batch_per_s"] = static_cast<double>(answered) / took.count();
  result["batch_failed"] = behind.failed();
  write_result(result);
}

}  // namespace

void write_samples(const std::string& file, const std::vector<float>& samples) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(samples.data()),
            static_cast<std::streamsize>(samples.size() * sizeof(float)));
  if (!out.flush()) throw Failure("cannot write " + file, "");
}

void run_role(const std::string& role) {
  const Json config = read_config();
  if (role == "streams") return streams(config);
  if (role == "flood") return flood(config);
  if (role == "server") return server(config);
  throw Failure("the demo has no role '" + role + "'", "", exit_usage);
}

}  // namespace tools
