// SPDX-License-Identifier: MIT
//
// What the model tests share: where setup has put the real models, and whether all that they need
// is here. Not thread safe; test cases run one after the other.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <tap/tap.hpp>

#include <aiaccel/error.hpp>
#include <aiaccel/model.hpp>

namespace fixture {

inline const std::filesystem::path kModels = [] {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path root =
      cache && *cache ? cache : std::filesystem::path(home ? home : "/root") / ".cache";
  return root / "aiaccel/models";
}();

inline std::filesystem::path silero(const std::string& version) {
  return kModels / ("silero_vad_" + version + ".onnx");
}

// Why tests on real models cannot run here, "" when they can.
inline std::string missing() {
  if (auto runtime = aiaccel::OnnxRuntime::find(); !runtime.present) return runtime.reason;
  for (const char* version : {"legacy", "v5", "v6"})
    if (!std::filesystem::exists(silero(version)))
      return silero(version).string() + " is missing: run scripts/setup";
  return {};
}

// The error that `call` throws: {0, ""} when it throws none.
template <typename Call>
std::pair<int, std::string> error_of(Call call) {
  try {
    call();
  } catch (const aiaccel::Error& error) {
    return {error.code().value(), error.what()};
  }
  return {0, ""};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// One step of silero-vad v5 or v6: 64 samples of context and 512 new ones, state in and out.
inline std::vector<aiaccel::Tensor> vad_inputs(const std::vector<float>& samples,
                                               const aiaccel::Tensor& state) {
  return {aiaccel::Tensor::of<float>({1, 576}, samples), state,
          aiaccel::Tensor::scalar<std::int64_t>(16000)};
}

inline aiaccel::Tensor vad_state() {
  return {aiaccel::ElementType::f32, {2, 1, 128}};
}

// A tone that the model's state depends on, without being speech.
inline std::vector<float> tone(float step) {
  std::vector<float> samples(576);
  for (std::size_t i = 0; i < samples.size(); i++)
    samples[i] = 0.3f * static_cast<float>((i * static_cast<std::size_t>(step)) % 64) / 64.0f;
  return samples;
}

}  // namespace fixture

// First line of every test case that runs a silero model.
#define NEED_MODELS() \
  if (std::string why = fixture::missing(); !why.empty()) SKIP(why)
