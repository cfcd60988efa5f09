// SPDX-License-Identifier: MIT
//
// What aiaccel-top makes of two samples: rates, means, and what it does not claim to know.
#include "tap/tap.hpp"

#include "aiaccel-top/json.hpp"
#include "common/histogram.hpp"
#include "top_fixture.hpp"

using namespace tools;
using namespace top_fixture;

BOOST_AUTO_TEST_SUITE(report_of_samples)

BOOST_AUTO_TEST_CASE(rates_are_over_the_interval) {
  const Report report = top_fixture::report();
  BOOST_TEST(report.interval_ns.value() == 2 * second);
  const EngineReport& gpu = report.engines.at(1);
  BOOST_TEST(gpu.alias == "gpu0");
  BOOST_TEST(gpu.granted_per_s.value() == 100.0);
  BOOST_TEST(gpu.busy_fraction.value() == 0.5);  // 8 of 16 slot seconds
  const QueueReport& asr = report.queues.at(0);
  BOOST_TEST(asr.engine == "gpu0");
  BOOST_TEST(asr.tenant == "/system.slice/vllm.service");
  BOOST_TEST(asr.granted_per_s.value() == 100.0);
  BOOST_TEST(asr.wait_mean_ns.value() == 3'000'000u);
  BOOST_TEST(asr.run_mean_ns.value() == 20'000'000u);
}

BOOST_AUTO_TEST_CASE(tenants_are_sorted_by_name) {
  const Report report = top_fixture::report();
  BOOST_TEST(report.tenants.at(0).stats.tenant == 3u);
  BOOST_TEST(report.tenants.at(0).granted_per_s.value() == 0.0);
  BOOST_TEST(report.tenants.at(1).stats.tenant == 2u);
  BOOST_TEST(report.tenants.at(1).slots_mean.value() == 4.0);
}

BOOST_AUTO_TEST_CASE(quantiles_are_of_what_came_between_the_samples) {
  const QueueReport asr = top_fixture::report().queues.at(0);
  BOOST_TEST(asr.wait.p50_ns.value() == 1024u << 11);
  BOOST_TEST(asr.wait.p99_ns.value() == 80'000'000u);  // the longest of all
  BOOST_TEST(asr.run.p50_ns.value() == 1024u << 15);
  BOOST_TEST(asr.run.p99_ns.value() == 1024u << 15);
  const Sample before = second_sample();
  Sample now = second_sample();
  now.time_ns += second;
  BOOST_TEST(!make_report(&before, now).queues.at(0).wait.p50_ns);  // nothing came
  now.queues[0].wait.count[11]--;
  now.queues[0].wait.count[3]++;
  BOOST_TEST(!make_report(&before, now).queues.at(0).wait.p50_ns);  // another queue's
  BOOST_TEST(!make_report(nullptr, now).queues.at(0).wait.p50_ns);
  const TenantReport server = top_fixture::report().tenants.at(1);
  BOOST_TEST(server.wait.p99_ns.value() == 1024u << 17);
  BOOST_TEST(server.run.p50_ns.value() == 1024u << 15);
}

BOOST_AUTO_TEST_CASE(a_quantile_is_the_end_of_a_bucket) {
  aiaccel_histogram histogram{};
  BOOST_TEST(!quantile_ns(histogram, 50));
  histogram.count[0] = 99;
  histogram.count[5] = 1;
  BOOST_TEST(quantile_ns(histogram, 1).value() == 1024u);
  BOOST_TEST(quantile_ns(histogram, 99).value() == 1024u);
  BOOST_TEST(quantile_ns(histogram, 100).value() == 1024u << 5);
  histogram.count[5] = 2;  // 99 of 101 are less than 99 in a hundred
  BOOST_TEST(quantile_ns(histogram, 99).value() == 1024u << 5);
  histogram = {};
  histogram.count[AIACCEL_HISTOGRAM_LEN - 1] = std::uint64_t{1} << 60;
  BOOST_TEST(quantile_ns(histogram, 50).value() == std::uint64_t{512} << 31);
}

BOOST_AUTO_TEST_CASE(one_sample_has_no_rates) {
  const Report report = make_report(nullptr, first_sample());
  BOOST_TEST(!report.interval_ns);
  BOOST_TEST(!report.engines.at(1).busy_fraction);
  BOOST_TEST(!report.engines.at(1).granted_per_s);
  BOOST_TEST(!report.tenants.at(0).granted_per_s);
  BOOST_TEST(!report.queues.at(0).wait_mean_ns);
}

BOOST_AUTO_TEST_CASE(no_turn_is_no_mean) {
  const QueueReport train = top_fixture::report().queues.at(1);
  BOOST_TEST(train.granted_per_s.value() == 0.0);
  BOOST_TEST(!train.wait_mean_ns);
  BOOST_TEST(!train.run_mean_ns);
}

// Queue ids are a context's own: another context's queue of the same id is not the past of this
// one.
BOOST_AUTO_TEST_CASE(what_was_not_there_before_has_no_rate) {
  const Sample before = first_sample();
  Sample now = second_sample();
  now.queues[0].context = 99;
  const Report report = make_report(&before, now);
  BOOST_TEST(!report.queues.at(0).granted_per_s);
  BOOST_TEST(report.queues.at(1).granted_per_s.has_value());
}

BOOST_AUTO_TEST_CASE(counters_that_go_back_give_no_rate) {
  const Sample before = second_sample();
  Sample now = first_sample();
  now.time_ns = before.time_ns + second;
  const Report report = make_report(&before, now);
  BOOST_TEST(!report.engines.at(1).granted_per_s);
  BOOST_TEST(!report.engines.at(1).busy_fraction);
  BOOST_TEST(!report.queues.at(0).granted_per_s);
}

BOOST_AUTO_TEST_CASE(time_that_stands_still_gives_no_rate) {
  const Sample before = first_sample();
  const Report report = make_report(&before, first_sample());
  BOOST_TEST(!report.interval_ns);
  BOOST_TEST(!report.engines.at(1).granted_per_s);
}

// A turn counts when it ends: one that began an hour ago must not show as 1800 slots.
BOOST_AUTO_TEST_CASE(busy_is_never_more_than_all) {
  const Sample before = first_sample();
  Sample now = second_sample();
  now.engines[1].busy_ns += 3600 * second;
  BOOST_TEST(make_report(&before, now).engines.at(1).busy_fraction.value() == 1.0);
}

// No turn began, none ended: those that are held were held all the time.
BOOST_AUTO_TEST_CASE(long_turns_show_as_busy) {
  const Sample before = first_sample();
  Sample now = first_sample();
  now.time_ns += second;
  BOOST_TEST(make_report(&before, now).engines.at(1).busy_fraction.value() == 3.0 / 8);
}

BOOST_AUTO_TEST_CASE(json_has_null_for_what_is_not_known) {
  Sample sample = first_sample();
  sample.host_total_bytes.reset();
  sample.query.max_pinned_bytes = AIACCEL_UNLIMITED;
  sample.engine_infos[0].numa_node = -1;
  sample.queues[0].pid = 0;
  const Json json = to_json(make_report(nullptr, sample));
  BOOST_TEST(json["interval_ns"].is_null());
  BOOST_TEST(json["memory"]["host_total_bytes"].is_null());
  BOOST_TEST(json["memory"]["own_tenant_ceiling_bytes"].is_null());
  BOOST_TEST(json["engines"][0]["numa_node"].is_null());
  BOOST_TEST(json["engines"][0]["busy_fraction"].is_null());
  BOOST_TEST(json["queues"][0]["pid"].is_null());
  BOOST_TEST(json["queues"][0]["wait_mean_ns"].is_null());
  BOOST_TEST(json["queues"][1]["pid"] == 4410);
}

BOOST_AUTO_TEST_CASE(json_has_what_the_manual_names) {
  const Json json = to_json(top_fixture::report());
  BOOST_TEST(json["scope"] == "all");
  BOOST_TEST(json["transport"] == "kernel");
  BOOST_TEST(json["memory"]["own_tenant_bytes"] == 4ull << 30);
  const Json& gpu = json["engines"][1];
  BOOST_TEST(gpu["alias"] == "gpu0");
  BOOST_TEST(gpu["name"] == "0000:41:00.0");
  BOOST_TEST(gpu["busy_fraction"] == 0.5);
  BOOST_TEST(gpu["order"] == "edf");
  BOOST_TEST(gpu["contended"] == 2);
  BOOST_TEST(gpu["wait_histogram"] == Json::array());
  const Json& asr = json["queues"][0];
  BOOST_TEST(asr["label"] == "asr@v2");
  BOOST_TEST(asr["class"] == "high");
  BOOST_TEST(asr["tenant_name"] == "/system.slice/vllm.service");
  BOOST_TEST(asr["max_wait_ns"] == 80'000'000u);
  BOOST_TEST(asr["wait_p99_ns"] == 80'000'000);
  BOOST_TEST(asr["wait_histogram"].size() == 18u);
  BOOST_TEST(asr["wait_histogram"][11] == 190);
  BOOST_TEST(asr["run_histogram"][15] == 100);
  BOOST_TEST(json["queues"][1]["wait_p99_ns"].is_null());
  BOOST_TEST(json["tenants"][1]["run_p50_ns"] == 1024 << 15);
}

// A cgroup's name may have any bytes but a slash and a NUL.
BOOST_AUTO_TEST_CASE(json_stays_json_whatever_names_hold) {
  Sample sample = first_sample();
  put(sample.tenants[0].name, "/\xff\n\"\\");
  const std::string text = json_text(to_json(make_report(nullptr, sample)), -1);
  BOOST_TEST(text.find('\n') == std::string::npos);
  const Json back = Json::parse(text);
  bool found = false;
  for (const Json& tenant : back["tenants"])
    found = found || tenant["name"] == "/\xef\xbf\xbd\n\"\\";
  BOOST_TEST(found);
}

BOOST_AUTO_TEST_SUITE_END()
