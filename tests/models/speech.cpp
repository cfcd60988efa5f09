// SPDX-License-Identifier: MIT
//
// Speech as the demo feeds it: framing, segments, and real voices through the real models.

#include <tap/tap.hpp>

#include <unistd.h>

#include <cmath>

#include "aiaccel/speech.hpp"
#include "fixture.hpp"

using namespace aiaccel;
using fixture::silero;
using tools::Segment;
using tools::VadStream;

namespace {

std::vector<float> probabilities(const Model& model, const std::vector<float>& sound) {
  VadStream line;
  std::vector<float> result;
  for (std::size_t at = 0; at < sound.size(); at += tools::kChunk)
    result.push_back(line.take(model.run(
        line.inputs(std::span(sound).subspan(at, std::min(tools::kChunk, sound.size() - at))))));
  return result;
}

bool have_espeak() {
  return ::access("/usr/bin/espeak-ng", X_OK) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(speech)

BOOST_AUTO_TEST_CASE(a_chunk_follows_the_end_of_the_one_before) {
  std::vector<float> first(tools::kChunk), second(100, 0.5f);
  for (std::size_t i = 0; i < first.size(); i++) first[i] = static_cast<float>(i);
  VadStream line;
  auto inputs = line.inputs(first);
  BOOST_REQUIRE(inputs.size() == 3u);
  BOOST_TEST((inputs[0].shape() == Shape{1, 576}));
  BOOST_TEST(inputs[0].data<float>()[63] == 0.0f);  // silence before the first
  BOOST_TEST(inputs[0].data<float>()[64] == 0.0f);
  BOOST_TEST(inputs[0].data<float>()[575] == 511.0f);
  inputs = line.inputs(second);
  BOOST_TEST(inputs[0].data<float>()[0] == 448.0f);
  BOOST_TEST(inputs[0].data<float>()[63] == 511.0f);
  BOOST_TEST(inputs[0].data<float>()[64] == 0.5f);
  BOOST_TEST(inputs[0].data<float>()[163] == 0.5f);
  BOOST_TEST(inputs[0].data<float>()[164] == 0.0f);  // filled with silence
  BOOST_TEST(inputs[2].data<std::int64_t>()[0] == 16000);
}

BOOST_AUTO_TEST_CASE(segments_begin_high_end_low_and_have_a_least_length) {
  auto segments_of = [](std::vector<std::pair<int, float>> runs) {
    std::vector<float> all;
    for (auto [count, value] : runs) all.insert(all.end(), static_cast<std::size_t>(count), value);
    return tools::speech_segments(all);
  };
  BOOST_TEST(segments_of({}).empty());
  BOOST_TEST(segments_of({{50, 0.4f}}).empty());                       // never above 0.5
  BOOST_TEST(segments_of({{10, 0.f}, {7, 0.9f}, {10, 0.f}}).empty());  // 0.224 s is too short
  auto one = segments_of({{10, 0.f}, {8, 0.9f}, {10, 0.f}});
  BOOST_REQUIRE(one.size() == 1u);
  BOOST_TEST(one[0].start_s == 0.32, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(one[0].end_s == 0.576, boost::test_tools::tolerance(1e-9));
  // A short dip, and the middle ground, do not end it; the end of the sound does.
  auto held = segments_of({{10, 0.9f}, {3, 0.f}, {10, 0.4f}, {5, 0.9f}});
  BOOST_REQUIRE(held.size() == 1u);
  BOOST_TEST(held[0].end_s == 28 * 0.032, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(segments_of({{10, 0.9f}, {4, 0.f}, {10, 0.9f}}).size() == 2u);
}

BOOST_AUTO_TEST_CASE(real_speech_is_found_where_it_is) {
  NEED_MODELS();
  if (!have_espeak()) SKIP("espeak-ng is not installed");
  const std::vector<float> sound =
      tools::synthesize_speech({"Good morning to everybody.", "This is the second sentence."});
  const double seconds = static_cast<double>(sound.size()) / tools::kSampleRate;
  for (const char* version : {"v5", "v6"}) {
    const auto found = tools::speech_segments(probabilities(Model::open(silero(version)), sound));
    BOOST_TEST_CONTEXT(version << ": " << found.size() << " segments in " << seconds << " s") {
      BOOST_REQUIRE(found.size() >= 2u);
      // A second of silence is before, between and after; a model may be off by a few chunks.
      BOOST_TEST(found.front().start_s > 0.8);
      BOOST_TEST(found.back().end_s < seconds - 0.8);
      double longest_gap = 0;
      for (std::size_t i = 1; i < found.size(); i++)
        longest_gap = std::max(longest_gap, found[i].start_s - found[i - 1].end_s);
      BOOST_TEST(longest_gap > 0.7);
    }
  }
}

BOOST_AUTO_TEST_CASE(silence_and_a_tone_are_no_speech) {
  NEED_MODELS();
  std::vector<float> silence(3 * tools::kSampleRate), tone(3 * tools::kSampleRate);
  for (std::size_t i = 0; i < tone.size(); i++)
    tone[i] =
        0.3f * std::sin(2.0f * 3.14159265f * 440.0f * static_cast<float>(i) / tools::kSampleRate);
  for (const char* version : {"v5", "v6"}) {
    const Model model = Model::open(silero(version));
    BOOST_TEST(tools::speech_segments(probabilities(model, silence)).empty());
    BOOST_TEST(tools::speech_segments(probabilities(model, tone)).empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()
