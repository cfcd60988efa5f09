// SPDX-License-Identifier: MIT
//
// See find_engine.hpp.
#include "common/find_engine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <vector>

#include "common/failure.hpp"
#include "common/names.hpp"

namespace tools {

aiaccel::Engine find_engine(const aiaccel::Device& device, const std::string& name) try {
  return device.engine(name);
} catch (const aiaccel::Error& e) {
  if (e.code().value() != ENOENT) throw;
  std::vector<aiaccel_engine_info> engines;
  for (const aiaccel::Engine& engine : device.engines()) engines.push_back(engine.info());
  throw Failure(fmt::format("there is no engine '{}'", name),
                fmt::format("the engines here are {}", fmt::join(engine_aliases(engines), ", ")),
                exit_usage);
}

}  // namespace tools
