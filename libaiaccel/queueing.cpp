// SPDX-License-Identifier: MIT
//
// The formulas of aiaccel/queueing.hpp. Erlang's B is computed by its recurrence over servers,
// which only adds and multiplies numbers of one sign, so nothing overflows or cancels for any
// count.
#include <aiaccel/error.hpp>
#include <aiaccel/queueing.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <limits>

namespace aiaccel::queueing {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void require(bool good, const char* what) {
  if (!good) throw Error(EINVAL, what);
}

bool is_amount(double value) {
  return std::isfinite(value) && value >= 0;
}

void check_service(const Station& station) {
  require(std::isfinite(station.service_rate) && station.service_rate > 0,
          "the service rate must be a number above 0");
}

void check(const Station& station) {
  check_service(station);
  require(is_amount(station.arrival_rate), "the arrival rate must be a number from 0");
  require(station.servers > 0, "a station needs a server");
}

void check_quantile(double quantile) {
  require(quantile >= 0 && quantile < 1, "a quantile is from 0 to below 1");
}

// B of one server more, from B of `servers - 1`.
double next_erlang_b(double b, std::uint32_t servers, double load) {
  return load * b / (servers + load * b);
}

double c_from_b(double b, std::uint32_t servers, double load) {
  if (load >= servers) return 1;
  return b / (1 - load / servers * (1 - b));
}

// What the servers can do beyond what they must: jobs a second, below 0 if they can't.
double spare_rate(const Station& station) {
  return station.servers * station.service_rate - station.arrival_rate;
}

// Those who wait do so for an exponential time: P(wait > t) = C exp(-spare t).
double wait_quantile_of(double wait_probability, double spare, double quantile) {
  if (quantile <= 1 - wait_probability) return 0;
  if (spare <= 0) return kInfinity;
  return std::log(wait_probability / (1 - quantile)) / spare;
}

// By Little's law, from the mean wait; 0 jobs do not wait, however long that would be.
Measures with_wait(double wait_probability, double wait_s, double arrival_rate,
                   double service_rate) {
  Measures m;
  m.wait_probability = wait_probability;
  m.wait_s = wait_s;
  m.waiting = arrival_rate > 0 ? arrival_rate * wait_s : 0;
  m.sojourn_s = wait_s + 1 / service_rate;
  m.present = m.waiting + arrival_rate / service_rate;
  return m;
}

// The least count for which `enough(erlang_c, spare rate)`; it must stay true for larger counts.
template <typename Enough>
std::optional<std::uint32_t> least(Station station, std::uint32_t most, Enough enough) {
  station.servers = 1;
  check(station);
  const double load = station.offered_load();
  double b = 1;
  for (std::uint32_t servers = 1; servers <= most && servers != 0; servers++) {
    b = next_erlang_b(b, servers, load);
    station.servers = servers;
    const double spare = spare_rate(station);
    if (spare > 0 && enough(c_from_b(b, servers, load), spare)) return servers;
  }
  return std::nullopt;
}

}  // namespace

double erlang_b(std::uint32_t servers, double offered_load) {
  require(is_amount(offered_load), "the offered load must be a number from 0");
  double b = 1;
  for (std::uint32_t n = 1; n <= servers && n != 0; n++) b = next_erlang_b(b, n, offered_load);
  return b;
}

double erlang_c(std::uint32_t servers, double offered_load) {
  require(servers > 0, "a station needs a server");
  return c_from_b(erlang_b(servers, offered_load), servers, offered_load);
}

Measures mmc(const Station& station) {
  check(station);
  const double c = erlang_c(station.servers, station.offered_load());
  const double spare = spare_rate(station);
  return with_wait(c, spare > 0 ? c / spare : kInfinity, station.arrival_rate,
                   station.service_rate);
}

double wait_quantile_s(const Station& station, double quantile) {
  check(station);
  check_quantile(quantile);
  return wait_quantile_of(erlang_c(station.servers, station.offered_load()), spare_rate(station),
                          quantile);
}

BoundedMeasures mmck(const Station& station, std::uint32_t capacity) {
  check(station);
  require(capacity >= station.servers, "a station holds at least what its servers work on");
  // Weights of n jobs present, relative to those of 0; scaled down before they overflow.
  const double load = station.offered_load();
  double weight = 1, all = 1, present = 0, waiting = 0, found_busy = 0;
  for (std::uint64_t n = 1; n <= capacity; n++) {
    if (n > station.servers) found_busy += weight;  // who comes as the n-th waits
    weight *= load / static_cast<double>(std::min<std::uint64_t>(n, station.servers));
    all += weight;
    present += static_cast<double>(n) * weight;
    if (n > station.servers) waiting += static_cast<double>(n - station.servers) * weight;
    if (all > 1e200)
      for (double* sum : {&weight, &all, &present, &waiting, &found_busy}) *sum /= 1e200;
  }
  BoundedMeasures m;
  m.refused = weight / all;
  m.throughput = station.arrival_rate * (1 - m.refused);
  Measures& of = m.of_those_admitted;
  of.wait_probability = all > weight ? found_busy / (all - weight) : 1;
  of.waiting = waiting / all;
  of.present = present / all;
  of.wait_s = m.throughput > 0 ? of.waiting / m.throughput : 0;
  of.sojourn_s = of.wait_s + 1 / station.service_rate;
  return m;
}

std::vector<Measures> mmc_by_priority(const Station& station,
                                      std::span<const double> arrival_rates) {
  Station all = station;
  all.arrival_rate = 0;
  for (double rate : arrival_rates) {
    require(is_amount(rate), "the arrival rate must be a number from 0");
    all.arrival_rate += rate;
  }
  check(all);
  const double c = erlang_c(all.servers, all.offered_load());
  const double capacity = all.servers * all.service_rate;
  double above = 1;  // share of the servers that the classes above leave
  double left = capacity;
  std::vector<Measures> classes;
  classes.reserve(arrival_rates.size());
  for (double rate : arrival_rates) {
    left -= rate;
    const double with_it = left / capacity;
    const double wait_s = with_it > 0 ? c / (capacity * above * with_it) : kInfinity;
    classes.push_back(with_wait(c, wait_s, rate, all.service_rate));
    above = with_it;
  }
  return classes;
}

Measures allen_cunneen(const Station& station, double arrival_scv, double service_scv) {
  require(is_amount(arrival_scv) && is_amount(service_scv),
          "a squared coefficient of variation is a number from 0");
  const Measures m = mmc(station);
  const double factor = (arrival_scv + service_scv) / 2;
  // Not even constant arrivals and service help a station that is offered more than it can serve.
  const double wait_s = std::isfinite(m.wait_s) ? m.wait_s * factor : kInfinity;
  return with_wait(m.wait_probability, wait_s, station.arrival_rate, station.service_rate);
}

std::optional<std::uint32_t> least_servers(const Station& station, const WaitTarget& target,
                                           std::uint32_t most) {
  require(is_amount(target.wait_s), "the wait must be a number from 0");
  check_quantile(target.quantile);
  return least(station, most, [&](double c, double spare) {
    return wait_quantile_of(c, spare, target.quantile) <= target.wait_s;
  });
}

std::optional<std::uint32_t> least_servers_for_mean(const Station& station, double mean_wait_s,
                                                    std::uint32_t most) {
  require(is_amount(mean_wait_s), "the wait must be a number from 0");
  return least(station, most, [&](double c, double spare) { return c / spare <= mean_wait_s; });
}

}  // namespace aiaccel::queueing
