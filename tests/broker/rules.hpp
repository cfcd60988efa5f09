// SPDX-License-Identifier: MIT
//
// Rules for the brokers that a test starts: a folder of them, and what a call sets.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "conformance/device.hpp"

namespace conformance {

// A policy's folder.
class Folder {
 public:
  Folder() {
    BOOST_REQUIRE(mkdtemp(path_.data()));
    std::filesystem::permissions(path_, static_cast<std::filesystem::perms>(0755));
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/aiaccel-test-XXXXXX";
};

// For this user, who gets nothing by it yet.
inline aiaccel_policy_rule rule(uint32_t uid) {
  aiaccel_policy_rule rule{};
  rule.match = AIACCEL_MATCH_USER;
  rule.uid = uid;
  return rule;
}

// POLICY: these rules instead of those that were.
inline int replace_rules(Device& device, const std::vector<aiaccel_policy_rule>& rules) {
  aiaccel_policy arg{};
  arg.flags = AIACCEL_POLICY_REPLACE;
  arg.rules = reinterpret_cast<uintptr_t>(rules.data());
  arg.count = static_cast<uint32_t>(rules.size());
  arg.rule_size = sizeof rules[0];
  return device.call(AIACCEL_IOC_POLICY, arg);
}

}  // namespace conformance
