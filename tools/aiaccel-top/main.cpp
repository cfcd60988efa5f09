// SPDX-License-Identifier: MIT
//
// aiaccel-top: who uses which engine and which memory. Reads the command line and chooses between
// the screen, text once, and JSON.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <thread>

#include "aiaccel-top/json.hpp"
#include "aiaccel-top/layout.hpp"
#include "aiaccel-top/view.hpp"
#include "common/command_line.hpp"
#include "common/failure.hpp"

namespace {

struct Options {
  std::string transport;
  double interval = 1;  // seconds
  bool once = false;
  bool json = false;
  std::uint64_t count = 1;  // samples of --json, 0: without end
};

std::chrono::nanoseconds interval_of(const Options& options) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(options.interval * 1e9));
}

// Samples one after the other, each reported with the rates since the one before.
class Reporter {
 public:
  explicit Reporter(const Options& options)
      : options_(options), device_(tools::open_device(options.transport)) {}

  // The first report has no rates. A broker that went away and came again is opened anew, and the
  // rates start over.
  tools::Report next() {
    try {
      return report(tools::take_sample(device_));
    } catch (const aiaccel::Error& e) {
      if (e.code().value() != ECONNRESET) throw;
    }
    device_ = tools::open_device(options_.transport);
    before_.reset();
    return report(tools::take_sample(device_));
  }

 private:
  tools::Report report(tools::Sample now) {
    tools::Report result = tools::make_report(before_ ? &*before_ : nullptr, std::move(now));
    before_ = result.now;
    return result;
  }

  const Options options_;
  aiaccel::Device device_;
  std::optional<tools::Sample> before_;
};

// The first report that has what rates need, which takes an interval; at once where that is 0.
tools::Report first_with_rates(Reporter& reporter, const Options& options) {
  tools::Report report = reporter.next();
  if (options.interval <= 0) return report;
  std::this_thread::sleep_for(interval_of(options));
  return reporter.next();
}

int print_once(const Options& options) {
  Reporter reporter(options);
  const tools::Report report = first_with_rates(reporter, options);
  for (const tools::Line& line : tools::layout_all(report, tools::Sort::rate))
    fmt::print("{}\n", line.text);
  return tools::exit_ok;
}

int print_json(const Options& options) {
  Reporter reporter(options);
  tools::Report report = first_with_rates(reporter, options);
  for (std::uint64_t printed = 0;;) {
    fmt::print("{}\n", tools::json_text(tools::to_json(report), -1));
    std::fflush(stdout);
    if (std::ferror(stdout) || ++printed == options.count) return tools::exit_ok;
    std::this_thread::sleep_for(interval_of(options));
    report = reporter.next();
  }
}

int show_screen(const Options& options) {
  if (!::isatty(STDIN_FILENO) || !::isatty(STDOUT_FILENO))
    throw tools::Failure("the screen needs a terminal", "`aiaccel-top --once` or `--json`",
                         tools::exit_usage);
  if (options.interval <= 0)
    throw tools::Failure("the screen needs an interval above 0", "`aiaccel-top -d 1`",
                         tools::exit_usage);
  Reporter reporter(options);
  tools::show([&] { return reporter.next(); }, interval_of(options));
  return tools::exit_ok;
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Who uses which accelerator engine and memory.", "aiaccel-top");
  Options options;
  tools::add_common_options(app, options.transport);
  app.add_option("-d,--interval", options.interval,
                 "Between samples; 0: a single one, without rates [1]")
      ->type_name("SECONDS")
      ->check(tools::between(0.0, 3600.0));
  auto* once = app.add_flag("--once", options.once, "Print once, as text, and exit");
  auto* json =
      app.add_flag("--json", options.json, "Print JSON, one sample a line")->excludes(once);
  app.add_option("--count", options.count, "Samples to print; 0: without end [1]")
      ->type_name("N")
      ->needs(json);
  if (!tools::parse_command_line(app, argc, argv)) return tools::exit_ok;
  if (options.json) return print_json(options);
  return options.once ? print_once(options) : show_screen(options);
}

}  // namespace

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");
  return tools::guarded("aiaccel-top", [&] { return parse_and_run(argc, argv); });
}
