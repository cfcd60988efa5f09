// SPDX-License-Identifier: MIT
//
// `aiaccel explain`: what waits now, as a table and as JSON.
//
// A plain value of one moment. Threads: one.
#pragma once

#include <aiaccel/device.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "aiaccel/waiting.hpp"
#include "common/json.hpp"

namespace tools {

struct WaitsNow {
  bool sees_all = false;
  std::string not_told;  // why the arbiter told nothing; "": it did
  std::vector<Waiting> waiting;
  std::map<Source, std::string> units;           // printable
  std::map<std::uint32_t, std::string> aliases;  // of engines
};

// `only`: an engine's id, or 0.
WaitsNow read_waits(const aiaccel::Device& device, std::uint32_t only,
                    const std::function<bool(const aiaccel_stats_turn&)>& is_target);

void print(const WaitsNow& now);

// null where it was not told.
Json to_json(const WaitsNow& now);

}  // namespace tools
