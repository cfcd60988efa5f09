// SPDX-License-Identifier: MIT
//
// Deployments: requests in a line, instances that take them by turns, versions that come and go.
//
// A version lives as long as somebody points to it: the deployment (the current one and the one
// before), a stream, a request. Nothing else counts its users, so that no request can meet a
// version that is gone, and none needs to be stopped for an update.
//
// Locks: State::lock guards the line and which versions there are; it is never held while anything
// is loaded, run or told. State::updating is taken before it, by those who change the versions, one
// at a time. Counts have a lock of their own, taken last.
//
// An arbiter that goes (a broker that ends, a module that is to be replaced) gets back all that is
// open of it, by busy instances and by idle ones. Requests then wait or do without turns, as the
// tenant's on_missing said when it was last seen, and each instance looks for the next arbiter.

#include <aiaccel/deployment.hpp>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "backends/cpu_class.hpp"
#include "backends/onnxruntime.hpp"
#include "deploy/opener.hpp"
#include "mutex.h"
#include "policy/values.h"

namespace aiaccel {
namespace {

constexpr std::size_t kKeptStats = 16;

// How often an instance looks whether its arbiter leaves, or whether there is one again.
constexpr auto kLook = std::chrono::milliseconds(250);

// The arbiter ended, or is about to and wants all that is open of it back.
bool has_gone(const Error& error) {
  const int code = error.code().value();
  return code == ECONNRESET || code == ENODEV;
}

// There is none to open. EACCES: a device that was made this moment has not got its mode yet.
// EPROTO: a broker of another version than this library, which goes on after an upgrade.
bool is_absent(const Error& error) {
  const int code = error.code().value();
  return has_gone(error) || code == ENOENT || code == ENXIO || code == ECONNREFUSED ||
         code == EACCES || code == EPROTO;
}

// Whether work goes on without an arbiter, where the environment says so.
std::optional<bool> fail_open_by_environment() {
  const char* value = secure_getenv("AIACCEL_ON_MISSING");
  const std::string wanted = value ? value : "";
  if (wanted.empty()) return std::nullopt;
  if (const auto known = policy::read_word(wanted, policy::kOnMissing))
    return *known == AIACCEL_ON_MISSING_OPEN;
  throw Error(EINVAL, "AIACCEL_ON_MISSING=" + wanted + ": open or closed is expected");
}

struct Counts {
  explicit Counts(const std::string& version) { stats.version = version; }

  Mutex lock;
  VersionStats stats GUARDED_BY(lock);
};

std::vector<TensorView> views_of(std::span<const Tensor> tensors) {
  return {tensors.begin(), tensors.end()};
}

}  // namespace

struct [[gnu::visibility("hidden")]] Deployment::Version {
  Model model;
  std::vector<std::shared_ptr<const ort::Session>> sessions;  // one for each instance
  std::shared_ptr<Counts> counts;
};

struct [[gnu::visibility("hidden")]] Deployment::State {
  struct Request {
    std::shared_ptr<const Version> version;
    std::vector<Tensor> owned;  // what the views look at, unless the caller waits
    std::vector<TensorView> inputs;
    Done done;
    Clock::time_point asked;
  };
  class Instance;

  explicit State(const DeploymentOptions& wanted) : options(wanted) {}

  std::shared_ptr<const Version> load(const Model& model);
  Device open();
  void start(Model model);
  void stop();
  void submit(std::shared_ptr<const Version> version, std::vector<TensorView> inputs,
              std::vector<Tensor> owned, Done done);
  std::future<Answer> ask(std::shared_ptr<const Version> version, std::vector<TensorView> inputs,
                          std::vector<Tensor> owned);
  std::shared_ptr<const Version> now() const {
    Lock guard(lock);
    return current;
  }

  DeploymentOptions options;     // fixed after start(), as are the next three
  std::optional<Opener> opener;  // on the broker, whose contexts may have to be opened again
  int node = -1;
  CpuClass help;
  const std::optional<bool> fail_open_wanted = fail_open_by_environment();
  std::atomic<bool> fail_open = true;  // without an arbiter: without turns, or not at all

  Mutex updating ACQUIRED_BEFORE(lock);

  mutable Mutex lock;
  std::condition_variable_any work;  // more is waiting
  std::deque<Request> waiting GUARDED_BY(lock);
  bool closed GUARDED_BY(lock) = false;
  std::shared_ptr<const Version> current GUARDED_BY(lock), previous GUARDED_BY(lock);
  std::vector<std::shared_ptr<Counts>> counts GUARDED_BY(lock);

  std::vector<std::jthread> threads;
};

// One thread's context and its lines to the engine, one for each version that it meets.
class Deployment::State::Instance {
 public:
  // `in_background`: inferences, and nothing else, are computed there.
  Instance(State& state, unsigned index, bool in_background)
      : state_(state), index_(index), in_background_(in_background), device_(state.open()) {}

  void serve(std::stop_token stop) {
    for (;;) {
      Lock guard(state_.lock);
      if (!state_.work.wait_for(guard, stop, kLook,
                                [&]() REQUIRES(state_.lock) { return !state_.waiting.empty(); })) {
        if (stop.stop_requested()) return;
        guard.unlock();
        look();
        continue;
      }
      Request request = std::move(state_.waiting.front());
      state_.waiting.pop_front();
      guard.unlock();
      answer(request, stop);
    }
  }

 private:
  Queue& queue(const std::shared_ptr<const Version>& version) {
    std::erase_if(queues_, [](const auto& entry) { return entry.first.expired(); });
    for (auto& [known, queue] : queues_)
      if (known.lock() == version) return queue;
    const DeploymentOptions& options = state_.options;
    queues_.emplace_back(version, device_->engine(options.engine)
                                      .queue({.label = version->model.label(),
                                              .priority = options.priority,
                                              .weight = options.weight,
                                              .width = options.width}));
    return queues_.back().second;
  }

  // A turn; none where there is no arbiter and work goes on without.
  std::optional<Grant> acquire(const std::shared_ptr<const Version>& version,
                               std::stop_token stop) {
    for (;;) {
      if (Queue* queue = reach(version)) try {
          // No signal reaches this thread, and the wait goes on after a stop (^Z) by itself.
          return queue->acquire({}, stop);
        } catch (const Error& error) {
          if (!has_gone(error)) throw;
          let_go();
          continue;  // there may be another already; who was evicted asks again
        }
      if (state_.fail_open) return std::nullopt;
      Mutex nobody;  // takes this: only the end wakes
      Lock guard(nobody);
      std::condition_variable_any end;
      end.wait_until(guard, stop, next_try_, [] { return false; });
      if (stop.stop_requested()) throw Error(ECANCELED, "the deployment ends");
    }
  }

  // The line to the arbiter, null where there is none.
  Queue* reach(const std::shared_ptr<const Version>& version) {
    if (!device_ && Clock::now() < next_try_) return nullptr;
    try {
      if (!device_) device_ = state_.open();
      return &queue(version);
    } catch (const Error& error) {
      if (!is_absent(error)) throw;
      let_go();
      next_try_ = Clock::now() + kLook;
      return nullptr;
    }
  }

  // An arbiter that leaves waits for idle instances too.
  void look() {
    if (!device_) return;
    try {
      if (device_->engine(state_.options.engine).info().state != AIACCEL_ENGINE_LEAVING) return;
    } catch (const Error&) {  // the next request meets it again
    }
    let_go();
  }

  void let_go() {
    queues_.clear();
    device_.reset();
  }

  void answer(Request& request, std::stop_token stop) {
    Answer answer;
    std::exception_ptr error;
    try {
      std::optional<Grant> grant = acquire(request.version, stop);
      auto begun = Clock::now();
      {
        InBackground background(in_background_);
        answer.outputs = request.version->sessions[index_]->run(request.inputs);
      }
      answer.run = Clock::now() - begun;
      answer.wait = begun - request.asked;
      answer.version = request.version->model.label();
    } catch (...) {
      error = std::current_exception();
      answer = {};
    }
    {
      Counts& counts = *request.version->counts;
      Lock guard(counts.lock);
      if (error) {
        counts.stats.failed++;
      } else {
        counts.stats.wait.add(answer.wait);
        counts.stats.run.add(answer.run);
        counts.stats.total.add(Clock::now() - request.asked);
      }
    }
    // What it was answered by may go before the caller hears of it: nobody need wait for that.
    request.version.reset();
    request.done(std::move(answer), error);
  }

  State& state_;
  const unsigned index_;
  const bool in_background_;
  std::optional<Device> device_;  // none: the arbiter went
  Clock::time_point next_try_{};  // for another, where there is none
  std::vector<std::pair<std::weak_ptr<const Version>, Queue>> queues_;
};

std::shared_ptr<const Deployment::Version> Deployment::State::load(const Model& model) {
  auto version = std::make_shared<Version>(Version{model, {}, nullptr});
  std::exception_ptr error;
  // The runtime's threads take class and node after the thread that makes them: one such as they
  // need. Where it has none, loading waits for no background class.
  std::thread([&] {
    block_signals();
    if (options.width > 1) apply_cpu_class(options.priority);
    run_on_node(node);
    try {
      // A session of width 1 has no threads and serves any number of instances. Work that the
      // kernel may stop at any moment has one apart from the model's own: stopped inside the
      // runtime's locks, it would hold up whoever else runs this model.
      const bool apart = options.priority <= Class::low;
      for (unsigned i = 0; i < options.instances; i++) {
        if (options.width > 1 || (apart && i == 0))
          version->sessions.push_back(model.load_session(options.width));
        else
          version->sessions.push_back(apart ? version->sessions[0] : model.session());
      }
    } catch (...) {
      error = std::current_exception();
    }
  }).join();
  if (error) std::rethrow_exception(error);

  Lock guard(lock);
  for (const auto& known : counts) {
    Lock reading(known->lock);
    if (known->stats.version == model.label()) version->counts = known;
  }
  if (!version->counts) {
    version->counts = std::make_shared<Counts>(model.label());
    if (counts.size() == kKeptStats) counts.erase(counts.begin());
    counts.push_back(version->counts);
  }
  return version;
}

// A broker that is started for us must not inherit an instance's class: State's opener, or whoever
// makes the deployment, opens.
Device Deployment::State::open() {
  Device device = opener ? opener->open() : Device::open(options.transport);
  fail_open = fail_open_wanted.value_or(device.query().on_missing != AIACCEL_ON_MISSING_CLOSED);
  return device;
}

void Deployment::State::start(Model model) {
  const Device device = open();  // and closed when all instances have one of their own
  options.transport = device.transport();
  if (options.transport == "broker") opener.emplace(options.transport);
  aiaccel_engine_info engine = device.engine(options.engine).info();
  if (engine.kind != AIACCEL_ENGINE_CPU)
    throw Error(EOPNOTSUPP, options.engine + " is no CPU engine; models run on those only");
  if (options.priority == Class::realtime)
    throw Error(EOPNOTSUPP, "CPU engines promise no time: there is no class realtime");
  if (options.instances == 0) throw Error(EINVAL, "a deployment has at least one instance");
  if (options.width == 0 || options.width > engine.slots)
    throw Error(EINVAL, options.engine + " has " + std::to_string(engine.slots) +
                            " slots, and an inference of width " + std::to_string(options.width) +
                            " is asked for");
  node = engine.numa_node;
  std::shared_ptr<const Version> first = load(model);
  {
    Lock guard(lock);
    current = std::move(first);
  }
  for (unsigned i = 0; i < options.instances; i++) {
    std::promise<CpuClass> ready;
    std::future<CpuClass> started = ready.get_future();
    threads.emplace_back([this, i, ready = std::move(ready)](std::stop_token stop) mutable {
      block_signals();
      std::optional<Instance> instance;
      try {
        CpuClass got = apply_cpu_class(options.priority);
        if (std::string why = run_on_node(node); !why.empty())
          got.refused += (got.refused.empty() ? "" : "; ") + why;
        const bool low = options.priority <= Class::low && !got.applied.empty();
        instance.emplace(*this, i, low && leave_background());
        ready.set_value(got);
      } catch (...) {
        ready.set_exception(std::current_exception());
        return;
      }
      instance->serve(stop);
    });
    help = started.get();
  }
}

void Deployment::State::stop() {
  std::deque<Request> left;
  {
    Lock guard(lock);
    closed = true;
    left.swap(waiting);
  }
  for (std::jthread& thread : threads) thread.request_stop();
  threads.clear();
  for (Request& request : left)
    request.done({}, std::make_exception_ptr(Error(ECANCELED, "the deployment ends")));
}

void Deployment::State::submit(std::shared_ptr<const Version> version,
                               std::vector<TensorView> inputs, std::vector<Tensor> owned,
                               Done done) {
  version->sessions[0]->check(inputs);
  {
    Lock guard(lock);
    if (closed) throw Error(ECANCELED, "the deployment has ended");
    if (waiting.size() >= options.max_waiting)
      throw Error(EAGAIN, std::to_string(waiting.size()) + " requests wait for " +
                              version->model.label() + " already");
    waiting.push_back(
        {std::move(version), std::move(owned), std::move(inputs), std::move(done), Clock::now()});
  }
  work.notify_one();
}

std::future<Answer> Deployment::State::ask(std::shared_ptr<const Version> version,
                                           std::vector<TensorView> inputs,
                                           std::vector<Tensor> owned) {
  // Shared, since who waits may be done with it before the instance is.
  auto promise = std::make_shared<std::promise<Answer>>();
  submit(std::move(version), std::move(inputs), std::move(owned),
         [promise](Answer answer, std::exception_ptr error) {
           if (error)
             promise->set_exception(error);
           else
             promise->set_value(std::move(answer));
         });
  return promise->get_future();
}

Deployment::Deployment(Model model, const DeploymentOptions& options)
    : state_(std::make_shared<State>(options)) {
  try {
    state_->start(std::move(model));
  } catch (...) {
    state_->stop();
    throw;
  }
}

Deployment& Deployment::operator=(Deployment&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Deployment::~Deployment() {
  if (state_) state_->stop();
}

Answer Deployment::infer(std::span<const TensorView> inputs) {
  return state_->ask(state_->now(), {inputs.begin(), inputs.end()}, {}).get();
}

Answer Deployment::infer(std::span<const Tensor> inputs) {
  return infer(views_of(inputs));
}

std::future<Answer> Deployment::infer_async(std::vector<Tensor> inputs) {
  auto views = views_of(inputs);
  return state_->ask(state_->now(), std::move(views), std::move(inputs));
}

void Deployment::infer_async(std::vector<Tensor> inputs, Done done) {
  auto views = views_of(inputs);
  state_->submit(state_->now(), std::move(views), std::move(inputs), std::move(done));
}

Stream Deployment::stream() {
  return Stream(state_, state_->now());
}

void Deployment::update(Model next) {
  Lock updating(state_->updating);
  std::shared_ptr<const Version> now = state_->now();
  if (std::string why = now->model.replaceable_by(next); !why.empty())
    throw Error(EINVAL, next.label() + " cannot replace " + now->model.label() + ": " + why);
  std::shared_ptr<const Version> version = state_->load(next);
  Lock guard(state_->lock);
  now.swap(state_->previous);  // the one before goes after the lock is let go
  state_->current.swap(version);
}

void Deployment::rollback() {
  Lock updating(state_->updating);
  Lock guard(state_->lock);
  if (!state_->previous)
    throw Error(ENOENT, "there is no version before " + state_->current->model.label());
  state_->current.swap(state_->previous);
}

Model Deployment::model() const {
  return state_->now()->model;
}

std::vector<VersionStats> Deployment::stats() const {
  std::vector<std::shared_ptr<Counts>> counts;
  {
    Lock guard(state_->lock);
    counts = state_->counts;
  }
  std::vector<VersionStats> stats;
  for (const auto& entry : counts) {
    Lock guard(entry->lock);
    stats.push_back(entry->stats);
  }
  return stats;
}

std::string Deployment::os_help() const {
  const CpuClass& help = state_->help;
  if (help.refused.empty()) return help.applied;
  return (help.applied.empty() ? "" : help.applied + "; ") + "refused: " + help.refused;
}

std::string Deployment::transport() const {
  return state_->options.transport;
}

const std::string& Stream::version() const {
  return version_->model.label();
}

Answer Stream::infer(std::span<const TensorView> inputs) {
  return state_->ask(version_, {inputs.begin(), inputs.end()}, {}).get();
}

Answer Stream::infer(std::span<const Tensor> inputs) {
  return infer(views_of(inputs));
}

std::future<Answer> Stream::infer_async(std::vector<Tensor> inputs) {
  auto views = views_of(inputs);
  return state_->ask(version_, std::move(views), std::move(inputs));
}

void Stream::infer_async(std::vector<Tensor> inputs, Deployment::Done done) {
  auto views = views_of(inputs);
  state_->submit(version_, std::move(views), std::move(inputs), std::move(done));
}

}  // namespace aiaccel
