// SPDX-License-Identifier: MIT
//
// See unit.hpp.
#include "observe/unit.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "observe/files.hpp"

namespace observe {
namespace {

constexpr std::size_t short_id = 12;  // as container tools print theirs

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    if (end > 0) parts.push_back(path.substr(0, end));
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  return parts;
}

bool is_id(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// The UID of a pod from "kubepods-burstable-pod3f1c_….slice" (the systemd driver) or "pod3f1c-…"
// (the cgroupfs driver), below a part that begins with kubepods. "" where it is none.
std::string pod_of(const std::vector<std::string_view>& parts) {
  bool below = false;
  for (std::string_view part : parts) {
    below = below || part.starts_with("kubepods");
    if (!below) continue;
    std::size_t begin = part.starts_with("pod") ? 3 : part.rfind("-pod");
    if (begin == std::string_view::npos) continue;
    if (begin != 3 || !part.starts_with("pod")) begin += 4;
    std::string uid(part.substr(begin));
    if (uid.ends_with(".slice")) uid.resize(uid.size() - 6);
    std::replace(uid.begin(), uid.end(), '_', '-');
    if (!uid.empty()) return uid;
  }
  return {};
}

std::string container_of(const std::vector<std::string_view>& parts) {
  struct Kind {
    std::string_view prefix, name;
  };
  static constexpr std::array<Kind, 6> scopes = {{{"docker-", "docker"},
                                                  {"libpod-", "podman"},
                                                  {"cri-containerd-", "containerd"},
                                                  {"nerdctl-", "containerd"},
                                                  {"crio-", "cri-o"},
                                                  {"lxc.payload.", "lxc"}}};
  for (std::size_t i = parts.size(); i-- > 0;) {
    std::string_view part = parts[i];
    if (part.ends_with(".scope")) part.remove_suffix(6);
    for (const Kind& kind : scopes) {
      if (!part.starts_with(kind.prefix)) continue;
      const std::string_view id = part.substr(kind.prefix.size());
      if (is_id(id)) return std::string(kind.name) + " " + std::string(id.substr(0, short_id));
      if (kind.name == "lxc" && !id.empty()) return "lxc " + std::string(id);
    }
    if (is_id(part) && i > 0)
      return (parts[i - 1] == "docker" ? "docker " : "container ") +
             std::string(part.substr(0, short_id));
  }
  return {};
}

bool is_user_slice(std::string_view part) {
  return part.starts_with("user-") && part.ends_with(".slice") &&
         number(part.substr(5, part.size() - 11));
}

}  // namespace

std::string cgroup_path(std::string_view text) {
  std::string_view unified, systemd, other;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (line.starts_with("0:") && controllers.empty())
      unified = path;
    else if (controllers == "name=systemd")
      systemd = path;
    else if (other.size() < 2)
      other = path;
  }
  // Beside version 1 the second is mounted for systemd alone, or not used: "/".
  for (const std::string_view path : {unified, systemd, other})
    if (path.size() > 1) return std::string(path);
  return std::string(unified.empty() ? systemd.empty() ? other : systemd : unified);
}

std::string unit_of(std::string_view cgroup) {
  const std::vector<std::string_view> parts = parts_of(cgroup);
  if (const std::string pod = pod_of(parts); !pod.empty()) return "pod " + pod;
  if (const std::string container = container_of(parts); !container.empty()) return container;
  // What a user runs is theirs, in whichever session.
  for (const std::string_view part : parts)
    if (is_user_slice(part)) return "user@" + std::string(part.substr(5, part.size() - 11));
  // What `aiaccel exec` and `attach` put into a group of its own.
  if (parts.size() > 1 && parts[0] == "aiaccel.slice") return std::string(parts[1]);
  for (std::size_t i = parts.size(); i-- > 0;)
    if (parts[i].ends_with(".service") || parts[i].ends_with(".scope") ||
        parts[i].ends_with(".slice"))
      return std::string(parts[i]);
  return cgroup.empty() ? std::string() : std::string(cgroup);
}

std::string policy_unit_of(std::string_view cgroup) {
  const std::vector<std::string_view> parts = parts_of(cgroup);
  for (const std::string_view part : parts)
    if (is_user_slice(part)) return std::string(part);
  if (pod_of(parts).empty())
    for (const std::string_view part : parts)
      if (part.ends_with(".service") || part.ends_with(".scope")) return std::string(part);
  return cgroup.empty() ? std::string() : "cgroup:" + std::string(cgroup);
}

}  // namespace observe
