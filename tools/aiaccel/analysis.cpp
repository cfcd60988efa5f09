// SPDX-License-Identifier: MIT
//
// Who made whom wait: each wait is cut where a turn began or ended, and each piece is laid to those
// who ran during it, by width. A wait's parts add up to the wait; what nobody on record explains is
// `unseen`. Nothing here asks the arbiter: the same turns give the same answer. See analysis.hpp.
#include "aiaccel/analysis.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

namespace tools {
namespace {

using Turn = aiaccel_stats_turn;

struct Span {
  std::uint64_t begin, end;
  std::uint64_t length() const { return end > begin ? end - begin : 0; }
};

Span clip(Span span, const Question& question) {
  return {std::max(span.begin, question.from_ns), std::min(span.end, question.to_ns)};
}

Span waited(const Turn& turn, std::uint64_t now) {
  const std::uint64_t end = turn.granted_ns ? turn.granted_ns : turn.ended_ns ? turn.ended_ns : now;
  return {turn.submitted_ns, end};
}

Span ran(const Turn& turn, std::uint64_t now) {
  if (!turn.granted_ns) return {0, 0};
  return {turn.granted_ns, turn.ended_ns ? turn.ended_ns : now};
}

bool is_background(const Turn& turn) {
  return turn.class_ < AIACCEL_CLASS_NORMAL;
}

bool in_the_way(const Turn& turn, const Turn& waiter, const Question& question) {
  return !question.gives_way || is_background(waiter) || !is_background(turn);
}

using Key = std::tuple<Why, Source, std::int32_t, std::uint32_t, std::string, std::string>;
using Parts = std::map<Key, std::uint64_t>;

Key key(Why why, const Turn& turn) {
  return {why,
          source_of(turn),
          turn.pid,
          turn.class_,
          std::string(turn.comm, strnlen(turn.comm, sizeof turn.comm)),
          std::string(turn.label, strnlen(turn.label, sizeof turn.label))};
}

Key nobody(Why why) {
  return {why, {}, 0, 0, "", ""};
}

Why why_of(const Turn& turn, const Turn& waiter, const Question& question) {
  if (turn.context == waiter.context || question.is_target(turn)) return Why::own;
  return turn.class_ > waiter.class_    ? Why::class_
         : turn.class_ == waiter.class_ ? Why::share
                                        : Why::running;
}

std::uint64_t scaled(std::uint64_t ns, std::uint64_t part, std::uint64_t whole) {
  __extension__ using Wide = unsigned __int128;
  return whole ? static_cast<std::uint64_t>(static_cast<Wide>(ns) * part / whole) : 0;
}

// How long a job, or all jobs of a record, waited in a part of the time from submission to end.
std::uint64_t wait_within(const Turn& turn, Span part, const Question& question) {
  if (turn.count <= 1) return part.length();
  return scaled(turn.wait_ns, part.length(), waited(turn, question.to_ns).length());
}

struct Run {
  Span span;
  const Turn* turn;
};

// All that ran on the engine, made once for all who waited.
struct Timeline {
  std::vector<Run> runs;            // by when they began
  std::vector<std::uint64_t> cuts;  // when any of them began or ended, each once
};

Timeline make_timeline(const std::vector<Turn>& turns, const Question& question) {
  Timeline timeline;
  for (const Turn& turn : turns) {
    if (turn.engine != question.engine || turn.state == AIACCEL_TURN_REFUSED) continue;
    const Span run = ran(turn, question.to_ns);
    if (!run.length()) continue;
    timeline.runs.push_back({run, &turn});
    timeline.cuts.insert(timeline.cuts.end(), {run.begin, run.end});
  }
  std::stable_sort(timeline.runs.begin(), timeline.runs.end(),
                   [](const Run& a, const Run& b) { return a.span.begin < b.span.begin; });
  std::sort(timeline.cuts.begin(), timeline.cuts.end());
  timeline.cuts.erase(std::unique(timeline.cuts.begin(), timeline.cuts.end()), timeline.cuts.end());
  return timeline;
}

// How much of one wait each of the runs is to blame for, by its place, and nobody.
struct Blame {
  std::vector<std::uint64_t> by_run;
  std::uint64_t unseen = 0;
};

// One stretch in which the same runs, given by their places, were in the way.
void apportion(const Turn& waiter, const Timeline& timeline,
               const std::vector<std::size_t>& running, std::uint64_t ns, Blame& blame) {
  std::uint64_t width = 0, left = ns;
  for (const std::size_t place : running) {
    const Turn& turn = *timeline.runs[place].turn;
    // Nothing else matters meanwhile: a context has one turn on an engine.
    if (turn.context == waiter.context) {
      blame.by_run[place] += ns;
      return;
    }
    width += turn.width;
  }
  if (!width) {
    blame.unseen += ns;
    return;
  }
  for (const std::size_t place : running) {
    const bool last = place == running.back();
    const std::uint64_t part = last ? left : scaled(ns, timeline.runs[place].turn->width, width);
    blame.by_run[place] += part;
    left -= part;
  }
}

// Of jobs in one record it is known how long they waited together, but not when: what was in the
// way from the first to the last counts alike. The parts add up to `from_ns`, and then to `to_ns`.
void stretch(std::uint64_t from_ns, std::uint64_t to_ns, Parts& parts) {
  std::uint64_t seen = 0, given = 0;
  for (auto& [who, part] : parts) {
    seen += part;
    part = scaled(to_ns, seen, from_ns) - given;
    given += part;
  }
}

// A ceiling held the job back for some of its wait, but nobody knows when: all parts give alike.
void take_cap(const Turn& waiter, std::uint64_t whole_ns, std::uint64_t ns, Parts& parts) {
  const std::uint64_t capped =
      scaled(ns, std::min<std::uint64_t>(waiter.capped_ns, whole_ns), whole_ns);
  if (!capped) return;
  std::uint64_t sum = 0;
  for (auto& [who, part] : parts) sum += part = scaled(part, ns - capped, ns);
  parts[nobody(Why::cap)] += ns - sum;  // what rounding lost is its too
}

// One sweep over the wait, so that a long table of long waits costs no more than what ran in each.
Parts explain_one(const Turn& waiter, const Timeline& timeline, const Question& question) {
  const Span wait = clip(waited(waiter, question.to_ns), question);
  if (!wait.length()) return {};
  const std::vector<Run>& runs = timeline.runs;
  Blame blame{std::vector<std::uint64_t>(runs.size()), 0};
  std::vector<std::size_t> running;
  std::size_t next = 0;
  auto cut = std::upper_bound(timeline.cuts.begin(), timeline.cuts.end(), wait.begin);
  for (std::uint64_t at = wait.begin, until; at < wait.end; at = until) {
    until = cut == timeline.cuts.end() ? wait.end : std::min(*cut++, wait.end);
    std::erase_if(running, [&](std::size_t place) { return runs[place].span.end <= at; });
    for (; next < runs.size() && runs[next].span.begin <= at; next++)
      if (runs[next].span.end > at && (runs[next].turn->context == waiter.context ||
                                       in_the_way(*runs[next].turn, waiter, question)))
        running.push_back(next);
    apportion(waiter, timeline, running, until - at, blame);
  }
  Parts parts;
  for (std::size_t place = 0; place < runs.size(); place++)
    if (blame.by_run[place])
      parts[key(why_of(*runs[place].turn, waiter, question), *runs[place].turn)] +=
          blame.by_run[place];
  if (blame.unseen) parts[nobody(Why::unseen)] += blame.unseen;
  const std::uint64_t ns = wait_within(waiter, wait, question);
  if (waiter.count > 1) stretch(wait.length(), ns, parts);
  take_cap(waiter, wait_within(waiter, waited(waiter, question.to_ns), question), ns, parts);
  return parts;
}

void count(const Turn& turn, const Question& question, Explanation& explanation) {
  explanation.revoked += turn.state == AIACCEL_TURN_REVOKED && turn.ended_ns >= question.from_ns;
  explanation.failed += turn.state == AIACCEL_TURN_FAILED && turn.ended_ns >= question.from_ns;
  const Span run = clip(ran(turn, question.to_ns), question);
  if (turn.granted_ns && run.end >= run.begin) explanation.turns++;
  explanation.run_ns += run.length();
  const Span wait = clip(waited(turn, question.to_ns), question);
  const std::uint64_t wait_ns = wait_within(turn, wait, question);
  if (!wait_ns) return;
  explanation.waits += std::max<std::uint64_t>(turn.count, 1);
  explanation.wait_ns += wait_ns;
  explanation.longest_ns =
      std::max(explanation.longest_ns,
               turn.count > 1 ? std::min<std::uint64_t>(turn.max_wait_ns, wait.length()) : wait_ns);
}

void count_refused(const Turn& turn, const Question& question, Explanation& explanation) {
  const Span span = clip({turn.submitted_ns, turn.ended_ns}, question);
  if (span.end < span.begin) return;
  explanation.refused += turn.count;
  explanation.refused_ns += span.length();
}

}  // namespace

const char* why_name(Why why) {
  switch (why) {
    case Why::class_:
      return "class";
    case Why::share:
      return "share";
    case Why::running:
      return "running";
    case Why::own:
      return "own";
    case Why::cap:
      return "cap";
    case Why::unseen:
      return "unseen";
  }
  return "";
}

const char* why_sentence(Why why) {
  switch (why) {
    case Why::class_:
      return "a higher class ran";
    case Why::share:
      return "others of the same class had their turns";
    case Why::running:
      return "a lower class had the engine and could not be stopped at once";
    case Why::own:
      return "it had other turns there itself; a context can have one at a time";
    case Why::cap:
      return "a ceiling of its own tenant, of turns or of engine time";
    case Why::unseen:
      return "nobody's turn on record";
  }
  return "";
}

Explanation explain(const std::vector<Turn>& turns, const Question& question) {
  Explanation explanation;
  for (const Turn& turn : turns)
    if (turn.engine == question.engine && turn.ended_ns &&
        (!explanation.oldest_ns || turn.ended_ns < explanation.oldest_ns))
      explanation.oldest_ns = turn.ended_ns;
  const Timeline timeline = make_timeline(turns, question);
  Parts all;
  for (const Turn& turn : turns) {
    if (turn.engine != question.engine || !question.is_target(turn)) continue;
    if (turn.state == AIACCEL_TURN_REFUSED) {
      count_refused(turn, question, explanation);
      continue;
    }
    count(turn, question, explanation);
    for (const auto& [who, ns] : explain_one(turn, timeline, question)) all[who] += ns;
  }
  for (const auto& [who, ns] : all) {
    const auto& [why, unit, pid, class_, comm, label] = who;
    if (ns) explanation.parts.push_back({why, unit, pid, class_, comm, label, ns});
  }
  std::stable_sort(explanation.parts.begin(), explanation.parts.end(),
                   [](const Part& a, const Part& b) { return a.ns > b.ns; });
  return explanation;
}

std::vector<Turn> without_doubles(std::vector<Turn> turns, std::uint64_t time_ns) {
  const auto name = [](const Turn& turn) {
    return std::tuple(turn.context, turn.engine, turn.queue, turn.submitted_ns);
  };
  std::map<decltype(name(turns[0])), int> ended;
  for (const Turn& turn : turns)
    if (turn.ended_ns > time_ns) ended[name(turn)]++;
  std::erase_if(turns, [&](const Turn& turn) {
    if (turn.ended_ns) return false;
    const auto found = ended.find(name(turn));
    return found != ended.end() && found->second-- > 0;
  });
  return turns;
}

}  // namespace tools
