// SPDX-License-Identifier: MIT
//
// Speech for the silero-vad models: samples to feed them, how they want to be fed, and what their
// answers mean.
//
// A VadStream belongs to one thread at a time; the rest has no state.
#pragma once

#include <aiaccel/tensor.hpp>

#include <span>
#include <string>
#include <vector>

namespace tools {

inline constexpr int kSampleRate = 16000;
inline constexpr std::size_t kChunk = 512;   // new samples a step: 32 ms
inline constexpr std::size_t kContext = 64;  // samples of the step before, given again

// espeak-ng's voice reading the sentences aloud, with a second of silence before, between and after
// them; samples from -1 to 1. Throws Failure where espeak-ng is missing or fails.
std::vector<float> synthesize_speech(const std::vector<std::string>& sentences);

struct Sound {
  int rate = 0;
  std::vector<float> samples;
};

// 16-bit mono PCM at 4 to 192 kHz, of the bytes of a WAV file. Throws Failure for anything else.
Sound read_wav(const std::string& wav);

// The samples brought to kSampleRate.
std::vector<float> resample(const Sound& sound);

// One line of audio through silero-vad v5 or v6: each step needs the state of the one before.
class VadStream {
 public:
  VadStream();
  // What to feed next. A chunk that is shorter than kChunk is filled with silence.
  std::vector<aiaccel::Tensor> inputs(std::span<const float> chunk);
  // Keeps the state, and returns the probability that the chunk was speech.
  float take(std::vector<aiaccel::Tensor> outputs);

 private:
  std::vector<float> samples_;  // context, then the chunk
  aiaccel::Tensor state_;
};

struct Segment {
  double start_s;
  double end_s;
};

// Where there was speech: from the first chunk above 0.5 until 0.1 s have stayed below 0.35; what
// is shorter than 0.25 s is left out.
std::vector<Segment> speech_segments(const std::vector<float>& probabilities);

}  // namespace tools
