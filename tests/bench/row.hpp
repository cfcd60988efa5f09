// SPDX-License-Identifier: MIT
//
// One row of `make bench`: raw samples of ours and of a peer, taken in turn in the same run. A
// benchmark prints a row a line, as JSON, and exits with 0, or with 77 and a reason on stderr where
// it cannot be measured.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace bench {

enum class Better { lower, higher };

struct Row {
  std::string name;  // "adopt/exec-start": the area, then what is measured, sizes and all
  std::vector<double> ours;
  std::vector<double> peer;  // none: the goal is for the value itself
  std::string peer_name;
  std::string unit;
  Better better = Better::lower;
  double goal = 0;  // the ratio ours/peer to reach, or without a peer the value
};

inline void print(const Row& row) {
  nlohmann::ordered_json json = {{"name", row.name}, {"ours", row.ours}};
  if (!row.peer.empty()) {
    json["peer"] = row.peer;
    json["peer_name"] = row.peer_name;
  }
  json["unit"] = row.unit;
  json["better"] = row.better == Better::lower ? "lower" : "higher";
  json["goal"] = row.goal;
  std::printf("%s\n", json.dump().c_str());
  std::fflush(stdout);
}

}  // namespace bench
