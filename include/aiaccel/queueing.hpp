// SPDX-License-Identifier: MIT
//
// How long work waits: stations of c equal servers with Poisson arrivals (M/M/c) and their kin, and
// how many servers keep a promise.
//
// Rates are by second, times in seconds, both as double. A station that is offered more than it can
// serve is no error, since loads change: its queue grows without end, and what grows is infinite.
// Bad numbers (a rate that is negative or no number, no servers) throw Error(EINVAL).
//
// All functions are pure; any thread may call them at any time.
//
// Sources:
//   Erlang B and C, M/M/c, M/M/c/K: L. Kleinrock, Queueing Systems I (1975), chapter 3.
//   priorities: A. Cobham, Priority assignment in waiting line problems, Operations Research 2
//   (1954);
//     equal rates of all classes: O. Kella, U. Yechiali, Waiting times in the non-preemptive
//     priority M/M/c queue, Stochastic Models 1 (1985).
//   Allen-Cunneen: A. O. Allen, Probability, Statistics, and Queueing Theory, 2nd edition
//   (1990), 5.3.
#ifndef AIACCEL_QUEUEING_HPP
#define AIACCEL_QUEUEING_HPP

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace aiaccel::queueing {

// Poisson arrivals to servers that each complete `service_rate` jobs a second while they have work,
// their times exponentially distributed; one line, first come, first served.
struct Station {
  double arrival_rate = 0;
  double service_rate = 0;  // of one server, above 0
  std::uint32_t servers = 1;

  // Erlangs: how many servers are busy on the average, if there are enough.
  double offered_load() const { return arrival_rate / service_rate; }
  // Share of the servers' time that is asked for; 1 and more is too much.
  double utilization() const { return offered_load() / servers; }
};

// A station in the long run.
struct Measures {
  double wait_probability = 0;  // that a job finds all servers busy
  double waiting = 0;           // Lq: jobs in the line, on the average
  double wait_s = 0;            // Wq: of a job, on the average over all jobs
  double present = 0;           // L: jobs in the line and in service
  double sojourn_s = 0;         // W: wait and service
};

// Erlang's B: the share of calls lost by `servers` trunks with no line when `offered_load` erlangs
// come. O(servers).
[[gnu::visibility("default")]] double erlang_b(std::uint32_t servers, double offered_load);

// Erlang's C: the share of jobs that wait; 1 where offered_load >= servers. O(servers).
[[gnu::visibility("default")]] double erlang_c(std::uint32_t servers, double offered_load);

// M/M/c. O(servers).
[[gnu::visibility("default")]] Measures mmc(const Station& station);

// The wait that a share of `quantile` (0 to below 1) of all jobs do not exceed: 0 where that many
// do not wait at all. M/M/c, O(servers).
[[gnu::visibility("default")]] double wait_quantile_s(const Station& station, double quantile);

// M/M/c/K: whoever finds `capacity` jobs present (in the line and in service; at least `servers`)
// is turned away.
struct BoundedMeasures {
  double refused = 0;          // share of arrivals that are turned away
  double throughput = 0;       // jobs a second that are not
  Measures of_those_admitted;  // always finite
};

// O(capacity).
[[gnu::visibility("default")]] BoundedMeasures mmck(const Station& station, std::uint32_t capacity);

// Classes that share a station, the highest first: a free server takes the first job of the highest
// class that waits, and nobody is interrupted. One Measures for each of `arrival_rates`;
// `station.arrival_rate` is not looked at. A class may be stable although lower ones are not.
// O(servers + classes).
[[gnu::visibility("default")]] std::vector<Measures> mmc_by_priority(
    const Station& station, std::span<const double> arrival_rates);

// Allen and Cunneen's approximation for arrivals and service times of any distribution (G/G/c): the
// line and the wait of M/M/c times (arrival_scv + service_scv) / 2, where scv, the squared
// coefficient of variation, is variance / mean^2: 1 of an exponential, 0 of a constant. The wait's
// probability is M/M/c's. Exact for M/M/c and M/G/1.
[[gnu::visibility("default")]] Measures allen_cunneen(const Station& station, double arrival_scv,
                                                      double service_scv);

// A promise on waiting: `quantile` of the jobs wait at most `wait_s`.
struct WaitTarget {
  double wait_s = 0;
  double quantile = 0.99;  // 0 to below 1
};

// The least count of servers with which the station (its own count is not looked at) keeps the
// promise; none if more than `most` were needed. O(most).
[[gnu::visibility("default")]] std::optional<std::uint32_t> least_servers(const Station& station,
                                                                          const WaitTarget& target,
                                                                          std::uint32_t most);

// The same where the mean wait may be at most `mean_wait_s`.
[[gnu::visibility("default")]] std::optional<std::uint32_t> least_servers_for_mean(
    const Station& station, double mean_wait_s, std::uint32_t most);

}  // namespace aiaccel::queueing

#endif  // AIACCEL_QUEUEING_HPP
