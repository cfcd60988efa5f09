// SPDX-License-Identifier: MIT
//
// See arbiter_policy.hpp.
#include "aiaccel/arbiter_policy.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <policy/hierarchy.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string_view>

#include "aiaccel/group.hpp"
#include "common/failure.hpp"

namespace tools {
namespace {

const std::string& mount() {
  static const std::string found = aiaccel::policy::find_hierarchy().mount;
  return found;
}

// Reading the rules and replacing them are two calls. The mount is there for all who have groups.
class Alone {
 public:
  Alone() : fd_(::open(mount().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ >= 0) ::flock(fd_, LOCK_EX);
  }
  Alone(const Alone&) = delete;
  ~Alone() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  const int fd_;
};

// The pattern that matches this text alone.
std::string literal(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

std::string plain(const char* pattern) {
  std::string text;
  for (; *pattern; pattern++) {
    if (*pattern == '\\' && pattern[1]) pattern++;
    text += *pattern;
  }
  return text;
}

bool of_group(const aiaccel_policy_rule& rule) {
  if (rule.match != AIACCEL_MATCH_PATH) return false;
  const std::filesystem::path path = plain(rule.pattern);
  const std::string name = path.filename();
  return name.starts_with(kGroupPrefix) && literal(path) == rule.pattern;
}

bool is_there(const aiaccel_policy_rule& rule) {
  return ::access((mount() + plain(rule.pattern)).c_str(), F_OK) == 0;
}

// Whether it is for this group and no other, such as `aiaccel policy set` writes.
bool names(const aiaccel_policy_rule& rule, const aiaccel_policy_rule& group) {
  const std::filesystem::path path = plain(group.pattern);
  return rule.match == AIACCEL_MATCH_NAME
             ? rule.pattern == literal(path.filename())
             : rule.match == AIACCEL_MATCH_PATH && std::string_view(rule.pattern) == group.pattern;
}

// Of several rules the last one wins: the one of a group after those for many, but before what
// names the group itself, by which it is given less or more.
void add_group_rule(Rules& rules, const aiaccel_policy_rule& group) {
  rules.insert(std::find_if(rules.begin(), rules.end(),
                            [&](const auto& rule) { return names(rule, group); }),
               group);
}

void send(const aiaccel::Device& device, const Rules& rules) {
  aiaccel_policy policy{};
  policy.size = sizeof policy;
  policy.flags = AIACCEL_POLICY_REPLACE;
  policy.rules = reinterpret_cast<std::uintptr_t>(rules.data());
  policy.count = static_cast<std::uint32_t>(rules.size());
  policy.rule_size = sizeof(aiaccel_policy_rule);
  aiaccel::detail::check(aiaccel_call(device.handle(), AIACCEL_IOC_POLICY, &policy),
                         "cannot load the policy");
}

}  // namespace

std::optional<aiaccel::Device> open_module(const std::string& transport, std::string& why) {
  const char* environment = std::getenv("AIACCEL_TRANSPORT");
  const std::string asked = !transport.empty() ? transport : environment ? environment : "auto";
  const bool automatic = asked.empty() || asked == "auto";
  try {
    auto device = automatic           ? open_running("auto", why)
                  : asked == "kernel" ? std::optional(open_device("kernel"))
                                      : std::nullopt;
    if (device && device->transport() == "kernel") return device;
    if (device || !automatic)
      why = fmt::format("tenants of the transport '{}' are users, not cgroups",
                        device ? std::string(device->transport()) : asked);
  } catch (const std::exception& e) {
    why = e.what();
  }
  return std::nullopt;
}

Rules loaded_rules(const aiaccel::Device& device) {
  Rules rules(64);
  for (;;) {
    aiaccel_policy policy{};
    policy.size = sizeof policy;
    policy.rules = reinterpret_cast<std::uintptr_t>(rules.data());
    policy.count = static_cast<std::uint32_t>(rules.size());
    policy.rule_size = sizeof(aiaccel_policy_rule);
    aiaccel::detail::check(aiaccel_call(device.handle(), AIACCEL_IOC_POLICY, &policy),
                           "cannot read the policy");
    const bool all = policy.count <= rules.size();
    rules.resize(policy.count);
    if (all) return rules;
  }
}

void replace_rules(const aiaccel::Device& device, Rules rules) {
  const Alone alone;
  std::set<std::string> groups;
  for (const auto& old : loaded_rules(device)) {
    // A second one of the same group is of the files; those count first when there are too many.
    if (!of_group(old) || !is_there(old) || !groups.insert(old.pattern).second) continue;
    if (rules.size() < AIACCEL_POLICY_MAX) add_group_rule(rules, old);
  }
  send(device, rules);
}

void set_group_rule(const aiaccel::Device& device, const std::string& path,
                    aiaccel_policy_rule rule) {
  const std::string pattern = literal(path);
  if (pattern.size() >= sizeof rule.pattern) throw Failure("the group's path is too long", "");
  rule.match = AIACCEL_MATCH_PATH;
  pattern.copy(rule.pattern, sizeof rule.pattern - 1);
  const Alone alone;
  Rules rules = loaded_rules(device);
  std::erase_if(rules, [&](const auto& old) {
    return of_group(old) && (old.pattern == pattern || !is_there(old));
  });
  add_group_rule(rules, rule);
  send(device, rules);
}

void drop_group_rule(const aiaccel::Device& device, const std::string& path) {
  const std::string pattern = literal(path);
  const Alone alone;
  Rules rules = loaded_rules(device);
  if (std::erase_if(rules,
                    [&](const auto& old) { return of_group(old) && old.pattern == pattern; }))
    send(device, rules);
}

}  // namespace tools
