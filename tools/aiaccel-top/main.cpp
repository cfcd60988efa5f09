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
#include "observe/drm.hpp"

namespace {

struct Options {
  std::string transport;
  std::optional<double> interval;  // seconds
  std::vector<std::string> watched;
  bool once = false;
  bool json = false;
  std::uint64_t count = 1;  // samples of --json, 0: without end
};

std::chrono::nanoseconds interval_of(const Options& options) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(options.interval.value_or(1) * 1e9));
}

// Samples one after the other, each reported with the rates since the one before.
class Reporter {
 public:
  explicit Reporter(const Options& options)
      : options_(options), nvml_(aiaccel::nvml::Nvml::open(nvml_missing_)) {
    question_.watched = options.watched;
    question_.drm_name = observe::libdrm_name;
    question_.self = ::getpid();
    device_ = tools::open_running(options_.transport, missing_);
  }

  // The first report has no rates. An arbiter that went away and came again is opened anew, and the
  // rates start over.
  tools::Report next() {
    if (!device_) {
      device_ = tools::open_running(options_.transport, missing_);
      if (device_) before_.reset();
    }
    try {
      return report(tools::take_sample(device_ ? &*device_ : nullptr));
    } catch (const aiaccel::Error& e) {
      if (e.code().value() != ECONNRESET) throw;
    }
    device_ = tools::open_running(options_.transport, missing_);
    before_.reset();
    return report(tools::take_sample(device_ ? &*device_ : nullptr));
  }

 private:
  tools::Report report(tools::Sample now) {
    if (!device_) now.missing = missing_;
    observe::Gpus gpus;
    if (nvml_) gpus = observe::read_gpus(*nvml_);
    gpus.missing = nvml_missing_;
    const auto arbiter = tools::arbiter_of(now);
    question_.last = before_ ? &before_->observed : nullptr;
    now.observed = observe::observe(question_, gpus, arbiter ? &*arbiter : nullptr);
    // Without an arbiter's clock, that of the observation.
    if (!device_) now.time_ns = now.observed.time_ns;
    tools::Report result = tools::make_report(before_ ? &*before_ : nullptr, std::move(now));
    before_ = result.now;
    return result;
  }

  const Options options_;
  observe::Question question_;
  std::string nvml_missing_;
  std::unique_ptr<const aiaccel::nvml::Nvml> nvml_;
  std::string missing_;
  std::optional<aiaccel::Device> device_;
  std::optional<tools::Sample> before_;
};

// At once and without rates, but where an interval is asked for: then what rates need is there
// after it.
tools::Report first_with_rates(Reporter& reporter, const Options& options) {
  tools::Report report = reporter.next();
  if (options.interval.value_or(0) <= 0) return report;
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
  if (options.interval.value_or(1) <= 0)
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
                 "Between samples [1]; makes --once and --json wait for rates")
      ->type_name("SECONDS")
      ->check(tools::between(0.0, 3600.0));
  auto* once = app.add_flag("--once", options.once, "Print once, as text, and exit");
  auto* json =
      app.add_flag("--json", options.json, "Print JSON, one sample a line")->excludes(once);
  app.add_option("--count", options.count, "Samples to print; 0: without end [1]")
      ->type_name("N")
      ->needs(json);
  app.add_option("--watch", options.watched,
                 "Count as users what has this name or command line; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  if (!tools::parse_command_line(app, argc, argv)) return tools::exit_ok;
  if (options.json) return print_json(options);
  return options.once ? print_once(options) : show_screen(options);
}

}  // namespace

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");
  return tools::guarded("aiaccel-top", [&] { return parse_and_run(argc, argv); });
}
