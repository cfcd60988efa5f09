// SPDX-License-Identifier: MIT
//
// Switching versions under load, every answer checked.
//
// Threads: four that ask, one line each; Tally is what they share, under its lock.

#include "aiaccel/demo_switch.hpp"

#include <map>
#include <thread>

#include "aiaccel/speech.hpp"
#include "mutex.h"

namespace tools {
namespace {

using aiaccel::Answer;
using aiaccel::Deployment;
using aiaccel::Model;
using aiaccel::Tensor;
using Clock = aiaccel::Clock;

// What each version answers to the chunks of a stream, one after the other.
using Alone = std::map<std::string, std::vector<std::vector<Tensor>>>;

std::span<const float> chunk_of(const std::vector<float>& speech, std::size_t index) {
  return std::span(speech).subspan(index * kChunk % (speech.size() - kChunk), kChunk);
}

std::vector<std::vector<Tensor>> answers_alone(const Model& model, const std::vector<float>& speech,
                                               std::size_t chunks) {
  std::vector<std::vector<Tensor>> answers;
  VadStream line;
  for (std::size_t i = 0; i < chunks; i++) {
    answers.push_back(model.run(line.inputs(chunk_of(speech, i))));
    line.take(answers.back());
  }
  return answers;
}

struct Tally {
  aiaccel::Mutex lock;
  std::size_t asked GUARDED_BY(lock) = 0;
  std::size_t lost GUARDED_BY(lock) = 0;
  std::size_t wrong GUARDED_BY(lock) = 0;
  std::size_t streams GUARDED_BY(lock) = 0;
  std::size_t across GUARDED_BY(lock) = 0;
  std::map<std::string, std::size_t> answered GUARDED_BY(lock);

  // `expected` is the version that must have answered, "" when either may.
  void count(const Answer& answer, const std::string& expected, const Alone& alone,
             std::size_t chunk) {
    aiaccel::Lock guard(lock);
    asked++;
    answered[answer.version]++;
    const auto known = alone.find(answer.version);
    if (known == alone.end() || (!expected.empty() && answer.version != expected) ||
        answer.outputs != known->second[chunk])
      wrong++;
  }
  void count_lost() {
    aiaccel::Lock guard(lock);
    asked++;
    lost++;
  }
};

// Streams one after the other until it is asked to stop.
void run_streams(Deployment& deployment, const std::vector<float>& speech, std::size_t chunks,
                 const Alone& alone, Tally& tally, std::stop_token stop) {
  while (!stop.stop_requested()) {
    aiaccel::Stream stream = deployment.stream();
    VadStream line;
    std::size_t i = 0;
    try {
      for (; i < chunks && !stop.stop_requested(); i++) {
        Answer answer = stream.infer(line.inputs(chunk_of(speech, i)));
        tally.count(answer, stream.version(), alone, i);
        line.take(std::move(answer.outputs));
      }
    } catch (const aiaccel::Error&) {
      tally.count_lost();  // the stream ends here, and the next one begins
    }
    aiaccel::Lock guard(tally.lock);
    tally.streams++;
    tally.across += i > 0 && stream.version() != deployment.model().label();
  }
}

// Requests that belong to no stream: each goes to the version that is current.
void run_singles(Deployment& deployment, const std::vector<float>& speech, const Alone& alone,
                 Tally& tally, std::stop_token stop) {
  while (!stop.stop_requested()) {
    try {
      tally.count(deployment.infer(VadStream().inputs(chunk_of(speech, 0))), "", alone, 0);
    } catch (const aiaccel::Error&) {
      tally.count_lost();
    }
  }
}

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

Json switch_versions(Deployment& deployment, const Model& first, const Model& next,
                     const std::vector<float>& speech, std::size_t chunks, double seconds) {
  const Alone alone = {{first.label(), answers_alone(first, speech, chunks)},
                       {next.label(), answers_alone(next, speech, chunks)}};
  Tally tally;
  const auto third = std::chrono::duration<double>(seconds / 3);
  // The answer to a request that is made after a switch has returned comes from the new version.
  auto expect = [&](const Model& model) {
    tally.count(deployment.infer(VadStream().inputs(chunk_of(speech, 0))), model.label(), alone, 0);
  };
  Clock::duration update, rollback;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; i++)
      threads.emplace_back([&](std::stop_token stop) {
        run_streams(deployment, speech, chunks, alone, tally, stop);
      });
    threads.emplace_back(
        [&](std::stop_token stop) { run_singles(deployment, speech, alone, tally, stop); });
    std::this_thread::sleep_for(third);
    Clock::time_point before = Clock::now();
    deployment.update(next);
    update = Clock::now() - before;
    expect(next);
    std::this_thread::sleep_for(third);
    before = Clock::now();
    deployment.rollback();
    rollback = Clock::now() - before;
    expect(first);
    std::this_thread::sleep_for(third);
    for (std::jthread& thread : threads) thread.request_stop();
  }
  aiaccel::Lock guard(tally.lock);
  return {{"requests", tally.asked},
          {"lost", tally.lost},
          {"wrong", tally.wrong},
          {"streams", tally.streams},
          {"streams_across_a_switch", tally.across},
          {"answers", tally.answered},
          {"update_ms", milliseconds(update)},
          {"rollback_ms", milliseconds(rollback)}};
}

}  // namespace tools
