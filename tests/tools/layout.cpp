// SPDX-License-Identifier: MIT
//
// The lines that aiaccel-top draws, on screens of every size.
#include "aiaccel-top/layout.hpp"

#include <algorithm>

#include "common/text.hpp"
#include "tap/tap.hpp"
#include "top_fixture.hpp"

using namespace tools;

namespace {

std::vector<std::string> texts(const std::vector<Line>& lines) {
  std::vector<std::string> result;
  for (const Line& line : lines) result.push_back(line.text);
  return result;
}

bool contains(const std::vector<Line>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const Line& line) { return line.text.find(part) != std::string::npos; });
}

Style style_of(const std::vector<Line>& lines, const std::string& start) {
  for (const Line& line : lines)
    if (line.text.starts_with(start)) return line.style;
  throw std::runtime_error("no line starts with " + start);
}

// A host with `count` queues q0, q1, …, all alike.
Report crowded(std::size_t count) {
  Sample sample = top_fixture::first_sample();
  const aiaccel_stats_queue one = sample.queues[0];
  sample.queues.clear();
  for (std::size_t i = 0; i < count; i++) {
    aiaccel_stats_queue queue = one;
    queue.context = i + 1;
    top_fixture::put(queue.label, "q" + std::to_string(i));
    sample.queues.push_back(queue);
  }
  return make_report(nullptr, sample);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layout)

BOOST_AUTO_TEST_CASE(everything_where_there_is_room) {
  const std::vector<std::string> wanted{
      "aiaccel-top  kernel: all tenants  2 engines  2 tenants  2 queues",
      "memory  own tenant 4.0 GiB of 16 GiB  host 30 GiB free of 64 GiB",
      "",
      "ENGINE     NAME          NODE  USED  SLOTS  BUSY  WAITING  TURNS/s  CONTENDED            "
      "DEVICE  "
      "ORDER  STATE",
      "cpu-node0  -                0     0      2   0 %        0      0.0          -               "
      "  -  "
      "fair   active",
      "gpu0       0000:41:00.0     1     3      8  50 %        5      100          2  62 GiB of 80 "
      "GiB  "
      "edf    active",
      "",
      "TENANT                         WEIGHT  CONTEXTS  QUEUES   PINNED  ALLOCATED  DEVICE  "
      "TURNS/s  SLOTS  WAIT P50  WAIT P99  RUN P50  RUN P99  "
      "CEILINGS",
      "/machine.slice/notebook.scope     100         1       1  3.0 MiB        0 B       -      "
      "0.0    0.0         -         -        -        -  "
      "low, device 10 GiB, time 25 %, 1 turn",
      "/system.slice/vllm.service        100         1       1      0 B    4.0 GiB  62 GiB      "
      "100    4.0    2.1 ms    134 ms    34 ms    34 ms  "
      "-",
      "",
      "QUEUE   CLASS  WEIGHT  ENGINE  WAITING  HELD  TURNS/s    WAIT  WAIT P50  WAIT P99  MAX WAIT "
      " "
      "  RUN  RUN P50  RUN P99   PID  COMMAND"
      "  TENANT",
      "asr@v2  high      100  gpu0          0     2      100  3.0 ms    2.1 ms     80 ms     80 ms "
      " "
      "20 ms    34 ms    34 ms   812  vllm  "
      " "
      "  /system.slice/vllm.service",
      "train   low       100  gpu0          5     1      0.0       -         -         -     80 ms "
      " "
      "    -        -        -  4410  "
      "python3"
      "  /machine.slice/notebook.scope",
  };
  BOOST_TEST(texts(layout_all(top_fixture::report(), Sort::rate)) == wanted,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_ordinary_terminal_shows_what_matters) {
  const auto lines = layout_screen(top_fixture::report(), {});
  BOOST_TEST(lines.size() == 24u);
  BOOST_TEST(contains(lines, "gpu0"));
  BOOST_TEST(contains(lines, "asr@v2"));
  BOOST_TEST(contains(lines, "TURNS/s    WAIT  MAX WAIT"));
  BOOST_TEST(contains(lines, "PID"));
  BOOST_TEST(lines.back().text == "q quit  s sort: rate  ? help");
}

BOOST_AUTO_TEST_CASE(no_screen_is_overrun) {
  const Report report = crowded(50);
  for (const bool help : {false, true})
    for (std::size_t width = 1; width < 130; width += 3)
      for (std::size_t height = 1; height < 60; height += 2) {
        View view{width, height, Sort::rate, 0, help};
        const auto lines = layout_screen(report, view);
        BOOST_TEST_REQUIRE(lines.size() == height);
        for (const Line& line : lines) BOOST_TEST_REQUIRE(columns(line.text) <= width);
      }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_counted) {
  const auto lines = layout_screen(crowded(50), {});
  // 24 lines: 3 of heading, 4 of engines, 4 of tenants, the foot, and 12 for queues, of which one
  // is the heading and one tells what is left out.
  BOOST_TEST(contains(lines, "q9 "));
  BOOST_TEST(!contains(lines, "q10 "));
  BOOST_TEST(lines[lines.size() - 2].text == "(40 more)");
}

BOOST_AUTO_TEST_CASE(scrolling_reaches_the_last_queue) {
  View view;
  view.first_queue = 45;
  const auto lines = layout_screen(crowded(50), view);
  BOOST_TEST(!contains(lines, "q44 "));
  BOOST_TEST(contains(lines, "q45 "));
  BOOST_TEST(contains(lines, "q49 "));
  BOOST_TEST(!contains(lines, "more)"));
  view.first_queue = 500;  // queues went away meanwhile
  BOOST_TEST(layout_screen(crowded(50), view).size() == 24u);
}

BOOST_AUTO_TEST_CASE(queues_are_sorted_as_asked) {
  const auto first = [](Sort sort) {
    const auto lines = texts(layout_all(top_fixture::report(), sort));
    return lines.at(12).substr(0, lines.at(12).find(' '));
  };
  BOOST_TEST(first(Sort::rate) == "asr@v2");
  BOOST_TEST(first(Sort::wait) == "asr@v2");
  BOOST_TEST(first(Sort::waiting) == "train");
  BOOST_TEST(first(Sort::priority) == "asr@v2");
  BOOST_TEST(first(Sort::pid) == "asr@v2");
}

BOOST_AUTO_TEST_CASE(s_comes_round) {
  Sort sort = Sort::rate;
  std::vector<std::string> names;
  for (int i = 0; i < 5; i++) {
    names.push_back(sort_name(sort));
    sort = next_sort(sort);
  }
  BOOST_TEST(names == (std::vector<std::string>{"rate", "wait", "waiting", "class", "pid"}),
             boost::test_tools::per_element());
  BOOST_TEST((sort == Sort::rate));
}

BOOST_AUTO_TEST_CASE(styles_tell_what_is_at_work) {
  Sample sample = top_fixture::first_sample();
  sample.queues[0].slots_held = 0;
  sample.queues[0].waiting = 0;
  sample.engines[0].state = AIACCEL_ENGINE_FAULTED;
  const auto lines = layout_all(make_report(nullptr, sample), Sort::rate);
  BOOST_TEST((style_of(lines, "QUEUE") == Style::heading));
  BOOST_TEST((style_of(lines, "asr@v2") == Style::faint));
  BOOST_TEST((style_of(lines, "train") == Style::strong));
  BOOST_TEST((style_of(lines, "cpu-node0") == Style::alarm));
  BOOST_TEST((style_of(lines, "gpu0") == Style::alarm));  // work of who lost its turn
  sample.engine_infos[1].contended = 0;
  const auto calm = layout_all(make_report(nullptr, sample), Sort::rate);
  BOOST_TEST((style_of(calm, "gpu0") == Style::strong));
}

BOOST_AUTO_TEST_CASE(it_says_whose_work_is_seen) {
  Sample sample = top_fixture::first_sample();
  sample.scope = Scope::tenant;
  BOOST_TEST(contains(layout_all(make_report(nullptr, sample), Sort::rate), "own tenant only"));
  sample.scope = Scope::process;
  sample.transport = "embedded";
  BOOST_TEST(contains(layout_all(make_report(nullptr, sample), Sort::rate),
                      "embedded: this process alone, others are not seen"));
}

BOOST_AUTO_TEST_CASE(without_an_arbiter_users_are_shown) {
  Sample sample;
  sample.missing = "neither module nor broker runs";
  observe::Engine gpu;
  gpu.alias = "gpu0";
  gpu.name = "NVIDIA H100";
  sample.observed.engines = {gpu};
  observe::User user;
  user.pid = 4410;
  user.comm = "python3";
  user.unit = "user@1001";
  user.engine = 0;
  user.device_bytes = 10ull << 30;
  user.gated = false;
  user.wrong_node = true;
  sample.observed.users = {user};
  const Report report = make_report(nullptr, sample);
  const auto lines = layout_all(report, Sort::rate);
  BOOST_TEST(lines[0].text == "aiaccel-top  no arbiter: neither module nor broker runs");
  BOOST_TEST(contains(lines, "gpu0  NVIDIA H100"));
  BOOST_TEST(contains(lines, "4410  user@1001  python3  10 GiB"));
  BOOST_TEST(contains(lines, "ungated  wrong node"));
  BOOST_TEST(!contains(lines, "TENANT"));
  BOOST_TEST(!contains(lines, "QUEUE"));
  for (std::size_t height = 1; height < 30; height++)
    BOOST_TEST(layout_screen(report, {60, height, Sort::rate, 0, false}).size() == height);
  BOOST_TEST((style_of(layout_screen(report, {}), "4410") == Style::alarm));
}

BOOST_AUTO_TEST_CASE(help_takes_the_place_of_the_queues) {
  View view;
  view.help = true;
  const auto lines = layout_screen(top_fixture::report(), view);
  BOOST_TEST(contains(lines, "q         quit"));
  BOOST_TEST(!contains(lines, "asr@v2"));
}

BOOST_AUTO_TEST_CASE(labels_cannot_steer_the_screen) {
  Sample sample = top_fixture::first_sample();
  top_fixture::put(sample.tenants[0].name, "/\033[31mred");
  top_fixture::put(sample.queues[0].comm, "\033c");
  for (const Line& line : layout_all(make_report(nullptr, sample), Sort::rate))
    BOOST_TEST(line.text.find('\033') == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
