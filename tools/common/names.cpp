// SPDX-License-Identifier: MIT
//
// See names.hpp.
#include "common/names.hpp"

#include <map>

namespace tools {
namespace {

using Names = std::map<std::uint32_t, const char*>;

std::string name_of(const Names& names, std::uint32_t value) {
  const auto it = names.find(value);
  return it == names.end() ? std::to_string(value) : it->second;
}

}  // namespace

std::string class_name(std::uint32_t value) {
  static const Names names{{AIACCEL_CLASS_IDLE, "idle"},
                           {AIACCEL_CLASS_LOW, "low"},
                           {AIACCEL_CLASS_NORMAL, "normal"},
                           {AIACCEL_CLASS_HIGH, "high"},
                           {AIACCEL_CLASS_REALTIME, "realtime"}};
  return name_of(names, value);
}

std::string engine_kind_name(std::uint32_t value) {
  static const Names names{{AIACCEL_ENGINE_CPU, "cpu"},
                           {AIACCEL_ENGINE_GPU, "gpu"},
                           {AIACCEL_ENGINE_FPGA, "fpga"},
                           {AIACCEL_ENGINE_OTHER, "other"}};
  return name_of(names, value);
}

std::string enforcement_name(std::uint32_t value) {
  static const Names names{{AIACCEL_ADVISORY, "advisory"},
                           {AIACCEL_GATED, "gated"},
                           {AIACCEL_PREEMPTIBLE, "preemptible"}};
  return name_of(names, value);
}

std::string state_name(std::uint32_t value) {
  static const Names names{{AIACCEL_ENGINE_ACTIVE, "active"},
                           {AIACCEL_ENGINE_DRAINING, "draining"},
                           {AIACCEL_ENGINE_FAULTED, "faulted"},
                           {AIACCEL_ENGINE_LEAVING, "leaving"}};
  return name_of(names, value);
}

std::string order_name(std::uint32_t value) {
  static const Names names{{AIACCEL_ORDER_FAIR, "fair"},
                           {AIACCEL_ORDER_STRICT, "strict"},
                           {AIACCEL_ORDER_EDF, "edf"},
                           {AIACCEL_ORDER_FIFO, "fifo"}};
  return name_of(names, value);
}

std::string tenant_kind_name(std::uint32_t value) {
  static const Names names{{AIACCEL_TENANT_ROOT, "root"},
                           {AIACCEL_TENANT_CGROUP, "cgroup"},
                           {AIACCEL_TENANT_USERNS, "userns"},
                           {AIACCEL_TENANT_USER, "user"}};
  return name_of(names, value);
}

std::vector<std::string> engine_aliases(const std::vector<aiaccel_engine_info>& engines) {
  std::vector<std::string> aliases;
  std::map<std::uint32_t, int> of_kind;
  for (const aiaccel_engine_info& engine : engines)
    aliases.push_back(engine.kind == AIACCEL_ENGINE_CPU
                          ? std::string(engine.name)
                          : engine_kind_name(engine.kind) + std::to_string(of_kind[engine.kind]++));
  return aliases;
}

std::string name_beside(const std::string& alias, const aiaccel_engine_info& engine) {
  return alias == engine.name ? "-" : engine.name;
}

}  // namespace tools
