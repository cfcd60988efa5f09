// SPDX-License-Identifier: MIT
//
// Two tenants with a weight each, whatever tenants are here: cgroups for the module, users for the
// broker. No rule is left behind.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace bounds {

class Tenants {
 public:
  // Why there cannot be two tenants here; empty where there can.
  static std::string missing();

  virtual ~Tenants() = default;
  // For good: in a child that has no context yet.
  virtual void enter(int tenant) const = 0;
};

// Asserts that these rules were taken.
std::unique_ptr<Tenants> tenants(const std::array<uint32_t, 2>& weights);

}  // namespace bounds
