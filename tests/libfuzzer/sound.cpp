// SPDX-License-Identifier: MIT
//
// Sound as the demo takes it: a WAV file read and resampled, probabilities cut into segments.
//
// What has to hold: a Failure, or as many samples as the rate asks for; segments in order, apart
// from each other, within the sound.
#include "libfuzzer/fuzz.hpp"

#include <cmath>

#include "aiaccel/speech.hpp"
#include "common/failure.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const tools::Sound sound =
        tools::read_wav(std::string(reinterpret_cast<const char*>(data), size));
    MUST(!sound.samples.empty());
    const std::vector<float> samples = tools::resample(sound);
    const double wanted =
        static_cast<double>(sound.samples.size()) * tools::kSampleRate / sound.rate;
    MUST(std::abs(static_cast<double>(samples.size()) - wanted) <= 1);
    // A window of a sinc overshoots, but not by much.
    for (const float sample : samples) MUST(std::isfinite(sample) && std::abs(sample) < 4);
  } catch (const tools::Failure&) {
  }

  std::vector<float> probabilities(size / sizeof(float));
  if (!probabilities.empty())
    std::memcpy(probabilities.data(), data, probabilities.size() * sizeof(float));
  double last = 0;
  for (const tools::Segment& segment : tools::speech_segments(probabilities)) {
    MUST(segment.start_s >= last && segment.end_s > segment.start_s);
    last = segment.end_s;
  }
  MUST(last <=
       static_cast<double>(probabilities.size() * tools::kChunk) / tools::kSampleRate + 1e-6);
  return 0;
}
