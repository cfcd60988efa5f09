// SPDX-License-Identifier: MIT
//
// Speech from espeak-ng, brought to 16 kHz; silero-vad's framing; segments from probabilities.

#include "aiaccel/speech.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numbers>

#include "common/failure.hpp"

namespace tools {
namespace {

// What espeak-ng writes to its standard output: a WAV file.
std::string run_espeak(const std::string& text) {
  int fds[2];
  if (::pipe(fds) < 0) throw Failure("cannot make a pipe", "");
  const pid_t child = ::fork();
  if (child < 0) throw Failure("cannot fork", "");
  if (child == 0) {
    ::dup2(fds[1], STDOUT_FILENO);
    // It looks for loudspeakers all the same, and complains where there are none.
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    ::close(fds[0]);
    ::close(fds[1]);
    ::execlp("espeak-ng", "espeak-ng", "-v", "en", "--stdout", text.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(fds[1]);
  std::string wav;
  char buffer[65536];
  for (ssize_t got; (got = ::read(fds[0], buffer, sizeof buffer)) > 0;) wav.append(buffer, got);
  ::close(fds[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    throw Failure("espeak-ng, which speaks for the demo, is not here", "apt-get install espeak-ng",
                  exit_absent);
  if (status != 0) throw Failure("espeak-ng failed", "espeak-ng --stdout hello | wc -c");
  return wav;
}

constexpr std::uint32_t kLowestRate = 4000;
constexpr std::uint32_t kHighestRate = 192000;

template <typename T>
T read_at(const std::string& bytes, std::size_t at) {
  T value{};
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

// A stream's header has no true length, so the data goes to the end.
Sound read_wav(const std::string& wav) {
  const Failure wrong("espeak-ng gave something else than 16-bit mono sound",
                      "espeak-ng --version");
  if (wav.size() < 12) throw wrong;
  if (wav.compare(0, 4, "RIFF") != 0 || wav.compare(8, 4, "WAVE") != 0) throw wrong;
  Sound sound;
  for (std::size_t at = 12; at + 8 <= wav.size();) {
    const std::size_t length = read_at<std::uint32_t>(wav, at + 4);
    if (wav.compare(at, 4, "fmt ") == 0) {
      if (read_at<std::uint16_t>(wav, at + 8) != 1 || read_at<std::uint16_t>(wav, at + 10) != 1 ||
          read_at<std::uint16_t>(wav, at + 22) != 16)
        throw wrong;
      const auto rate = read_at<std::uint32_t>(wav, at + 12);
      if (rate < kLowestRate || rate > kHighestRate) throw wrong;
      sound.rate = static_cast<int>(rate);
    } else if (wav.compare(at, 4, "data") == 0) {
      for (at += 8; at + 2 <= wav.size(); at += 2)
        sound.samples.push_back(static_cast<float>(read_at<std::int16_t>(wav, at)) / 32768.0f);
      break;
    }
    at += 8 + length;
  }
  if (sound.rate <= 0 || sound.samples.empty()) throw wrong;
  return sound;
}

// Band-limited: each new sample is a weighted sum of those around it (a sinc under a Hann window).
std::vector<float> resample(const Sound& sound) {
  const double step = static_cast<double>(sound.rate) / kSampleRate;
  const double cutoff = std::min(1.0, 1.0 / step);
  const int reach = static_cast<int>(std::ceil(16 / cutoff));
  const auto count = static_cast<long>(sound.samples.size());
  std::vector<float> out(static_cast<std::size_t>(static_cast<double>(count) / step));
  for (std::size_t i = 0; i < out.size(); i++) {
    const double centre = static_cast<double>(i) * step;
    double sum = 0;
    for (long k = std::max(0L, static_cast<long>(centre) - reach + 1);
         k < std::min(count, static_cast<long>(centre) + reach + 1); k++) {
      const double distance = static_cast<double>(k) - centre;
      const double x = std::numbers::pi * distance * cutoff;
      const double sinc = x == 0 ? 1 : std::sin(x) / x;
      const double window = 0.5 + 0.5 * std::cos(std::numbers::pi * distance / (reach + 1));
      sum += sound.samples[static_cast<std::size_t>(k)] * cutoff * sinc * window;
    }
    out[i] = static_cast<float>(sum);
  }
  return out;
}

std::vector<float> synthesize_speech(const std::vector<std::string>& sentences) {
  std::vector<float> all(kSampleRate);
  for (const std::string& sentence : sentences) {
    const std::vector<float> spoken = resample(read_wav(run_espeak(sentence)));
    all.insert(all.end(), spoken.begin(), spoken.end());
    all.resize(all.size() + kSampleRate);
  }
  return all;
}

VadStream::VadStream()
    : samples_(kContext + kChunk), state_(aiaccel::ElementType::f32, {2, 1, 128}) {}

std::vector<aiaccel::Tensor> VadStream::inputs(std::span<const float> chunk) {
  chunk = chunk.first(std::min(chunk.size(), kChunk));
  std::copy(samples_.end() - kContext, samples_.end(), samples_.begin());
  const auto rest = std::copy(chunk.begin(), chunk.end(), samples_.begin() + kContext);
  std::fill(rest, samples_.end(), 0.0f);
  return {aiaccel::Tensor::of<float>({1, kContext + kChunk}, samples_), state_,
          aiaccel::Tensor::scalar<std::int64_t>(kSampleRate)};
}

float VadStream::take(std::vector<aiaccel::Tensor> outputs) {
  state_ = std::move(outputs.at(1));
  return outputs.at(0).data<float>()[0];
}

std::vector<Segment> speech_segments(const std::vector<float>& probabilities) {
  constexpr double chunk_s = static_cast<double>(kChunk) / kSampleRate;
  std::vector<Segment> segments;
  bool inside = false;
  double start = 0, quiet_since = 0;  // quiet_since: end of the last chunk that was not quiet
  auto close = [&] {
    if (inside && quiet_since - start >= 0.25) segments.push_back({start, quiet_since});
    inside = false;
  };
  for (std::size_t i = 0; i < probabilities.size(); i++) {
    const double begin = static_cast<double>(i) * chunk_s;
    if (!inside && probabilities[i] >= 0.5f) {
      inside = true;
      start = begin;
    }
    if (inside && probabilities[i] >= 0.35f) quiet_since = begin + chunk_s;
    if (inside && begin + chunk_s - quiet_since >= 0.1) close();
  }
  close();
  return segments;
}

}  // namespace tools
