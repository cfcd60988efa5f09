// SPDX-License-Identifier: MIT
//
// See state.h.
#include "state.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "standin/cuda/device.h"
#include "standin/cuda/shared.h"

namespace standin::nvml {
namespace {

using aiaccel::nvml::ProcessInfo;

constexpr unsigned kNoInstance = ~0u;

[[noreturn]] void wrong(int number, const std::string& line) {
  fprintf(stderr, "stand-in of libnvidia-ml: line %d means nothing: %s\n", number, line.c_str());
  abort();
}

State of_cuda(const char* folder) {
  Gpu gpu;
  gpu.uuid = kUuidText;
  gpu.name = kName;
  gpu.pci = kPciAddress;
  const unsigned long long total = device_bytes();
  unsigned long long used = 0;
  if (folder)
    for (const Share& share : shares_of(folder)) {
      gpu.compute.push_back({unsigned(share.pid), share.bytes, kNoInstance, kNoInstance});
      used += share.bytes;
    }
  gpu.memory = {total, total - used, used};
  State state;
  state.gpus = {gpu};
  return state;
}

// The rest of the line, from its first word on.
std::string rest(std::istringstream& words) {
  std::string text;
  std::getline(words >> std::ws, text);
  return text;
}

class Reader {
 public:
  void line(std::istringstream& words, const std::string& key) {
    if (key == "driver") {
      words >> state.driver;
    } else if (key == "gpu") {
      state.gpus.emplace_back();
      device_ = &state.gpus.back();
      words >> device_->uuid;
    } else if (key == "instance" && !state.gpus.empty()) {
      unsigned index;
      std::string uuid;
      words >> index >> uuid;
      device_ = &state.gpus.back().instances[index];
      device_->uuid = uuid;
    } else if (key == "fail") {
      std::string function;
      words >> function;
      words >> (device_ ? device_->fails : state.fails)[function];
    } else if (!device_ || !describe(words, key)) {
      words.setstate(std::ios::failbit);
    }
  }

  State state;

 private:
  bool describe(std::istringstream& words, const std::string& key) {
    if (key == "name") {
      device_->name = rest(words);
    } else if (key == "pci") {
      device_->pci = rest(words);
    } else if (key == "memory") {
      aiaccel::nvml::Memory memory{};
      words >> memory.total >> memory.used;
      memory.free = memory.total - memory.used;
      device_->memory = memory;
    } else if (key == "busy") {
      words >> device_->busy.emplace();
    } else if (key == "mig") {
      words >> device_->mig.emplace();
    } else if (key == "compute") {
      device_->compute.push_back(process(words));
    } else if (key == "graphics") {
      device_->graphics.push_back(process(words));
    } else if (key == "sample") {
      aiaccel::nvml::ProcessSample sample{};
      words >> sample.pid >> sample.time_us >> sample.sm;
      device_->samples.push_back(sample);
    } else {
      return false;
    }
    return true;
  }

  static ProcessInfo process(std::istringstream& words) {
    ProcessInfo info{0, 0, kNoInstance, kNoInstance};
    std::string bytes;
    words >> info.pid >> bytes;
    info.used_bytes =
        bytes == "-" ? aiaccel::nvml::kBytesUnknown : std::strtoull(bytes.c_str(), nullptr, 10);
    return info;
  }

  Device* device_ = nullptr;
};

}  // namespace

State read_state() {
  const char* const folder = getenv("AIACCEL_STANDIN");
  std::ifstream file(folder ? std::string(folder) + "/nvml" : "");
  if (!file) return of_cuda(folder);
  Reader reader;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    std::istringstream words(line);
    std::string key;
    if (!(words >> key) || key[0] == '#') continue;
    reader.line(words, key);
    if (words.fail()) wrong(number, line);
  }
  return reader.state;
}

}  // namespace standin::nvml
