// SPDX-License-Identifier: MIT
//
// See waiting.hpp. A context has one turn at an engine, and none while one of its jobs is next, so
// the one in the way is known by its context: the turn that it has there, else the first that waits
// there.
#include "aiaccel/waiting.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>

namespace tools {
namespace {

struct Words {
  const char* name;
  const char* sentence;
  bool somebody;
};

// By enum aiaccel_wait.
constexpr std::array<Words, AIACCEL_WAIT_CONTENDED + 1> kWords{{
    {"not", "nothing", false},
    {"slots", "it is next; the slots that it needs are held", true},
    {"order", "others come first; who is named is next", true},
    {"own", "its context has another turn there, and can have one at a time", true},
    {"cap", "a ceiling of its own tenant, or of one above it, of turns or of engine time", false},
    {"engine", "the engine is faulted, and nothing is granted there", false},
    {"after", "it comes after another job of its context, which is not completed", true},
    {"kept", "slots are kept free for a wider one that comes first", true},
    {"passed",
     "it is wider than what is free; narrower ones pass until slots are kept for it again", true},
    {"group", "its group is not complete: jobs of it are missing", false},
    {"contended", "a turn of its context was revoked, and its holder has not said that it stopped",
     true},
}};

template <std::size_t size>
std::string text(const char (&field)[size]) {
  return {field, strnlen(field, size)};
}

Party party(const aiaccel_stats_turn& turn) {
  return {source_of(turn), turn.pid, text(turn.comm), text(turn.label)};
}

// Who is where.
class Place {
 public:
  explicit Place(const Snapshot& snapshot) : time_ns_(snapshot.time_ns) {
    for (const aiaccel_stats_tenant& tenant : snapshot.tenants)
      units_[tenant.tenant] = source_of(tenant);
    for (const aiaccel_stats_context& context : snapshot.contexts)
      contexts_[context.context] = &context;
    for (const aiaccel_stats_turn& turn : snapshot.turns) {
      const aiaccel_stats_turn*& best = turns_[{turn.context, turn.engine}];
      if (!best || order(turn) < order(*best)) best = &turn;
    }
  }

  std::optional<Obstacle> in_way_of(const aiaccel_stats_turn& waiter) const {
    if (!waiter.waits_for) return {};
    // What the context is waited for is no turn at this engine: a revoked one, or any job of its.
    const bool no_turn = waiter.why == AIACCEL_WAIT_CONTENDED || waiter.why == AIACCEL_WAIT_AFTER;
    const auto turn = turns_.find({waiter.waits_for, waiter.engine});
    if (turn != turns_.end() && !no_turn) {
      const aiaccel_stats_turn& found = *turn->second;
      Obstacle obstacle{party(found), found.class_, {}};
      if (found.state == AIACCEL_TURN_RUNNING)
        obstacle.ran_ns = time_ns_ - std::min<std::uint64_t>(time_ns_, found.granted_ns);
      return obstacle;
    }
    const auto context = contexts_.find(waiter.waits_for);
    if (context == contexts_.end()) return {};
    Obstacle obstacle{{{}, context->second->pid, text(context->second->comm), ""}, {}, {}};
    const auto unit = units_.find(context->second->tenant);
    if (unit != units_.end()) obstacle.who.unit = unit->second;
    return obstacle;
  }

 private:
  static std::pair<bool, std::uint64_t> order(const aiaccel_stats_turn& turn) {
    return {turn.state != AIACCEL_TURN_RUNNING, turn.submitted_ns};
  }

  const std::uint64_t time_ns_;
  std::map<std::uint64_t, Source> units_;
  std::map<std::uint64_t, const aiaccel_stats_context*> contexts_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, const aiaccel_stats_turn*> turns_;
};

}  // namespace

std::vector<Waiting> find_waiting(const Snapshot& snapshot,
                                  const std::function<bool(const aiaccel_stats_turn&)>& is_target) {
  const Place place(snapshot);
  std::vector<Waiting> found;
  for (const aiaccel_stats_turn& turn : snapshot.turns)
    if (turn.state == AIACCEL_TURN_WAITING && is_target(turn))
      found.push_back({party(turn), turn.engine, turn.class_, turn.width, turn.wait_ns, turn.why,
                       place.in_way_of(turn)});
  std::stable_sort(found.begin(), found.end(),
                   [](const Waiting& a, const Waiting& b) { return a.wait_ns > b.wait_ns; });
  return found;
}

std::string wait_name(std::uint32_t why) {
  return why < kWords.size() ? kWords[why].name : std::to_string(why);
}

std::string wait_sentence(std::uint32_t why) {
  return why < kWords.size() ? kWords[why].sentence : "a cause that this version does not know";
}

bool waits_for_somebody(std::uint32_t why) {
  return why < kWords.size() && kWords[why].somebody;
}

}  // namespace tools
