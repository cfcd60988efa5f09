// SPDX-License-Identifier: MIT
//
// A host under virtual time: host.hpp.

#include "sim/host.hpp"

#include <cerrno>
#include <stdexcept>
#include <string>

namespace sim {

namespace {

// The names of a context's jobs.
std::uint64_t cookie_of(const Client& c, const aia_turn& turn) {
  return 1 + static_cast<std::uint64_t>(&turn - c.turns_of_jobs);
}

// More than ever happens at one time: an engine asks to be looked at again, and again.
constexpr std::uint64_t kAtOnceMax = 100'000;

// What cannot be, whatever the workload.
[[noreturn]] void broken(const std::string& what) {
  throw std::logic_error("host: " + what);
}

}  // namespace

// ---- who is there ----

Host::Host(std::uint32_t slots, Random random) : random_(std::move(random)) {
  aia_sched_engine_init(&engine, slots);
  engine.witness = witness;
  enforce(AIACCEL_ADVISORY);
  root = tenant_below(nullptr, &engine, 0);
}

void Host::enforce(std::uint32_t enforcement, Ns grace_ns, Ns longest_stop_ns) {
  aia_terms_set_engine(&engine, enforcement, grace_ns);
  if (enforcement != AIACCEL_PREEMPTIBLE) return;
  stops_.resize(engine.slots);
  aia_stops_init(&engine, stops_.data(), longest_stop_ns);
}

aia_sched_node* Host::another(std::uint32_t slots) {
  aia_sched_engine& made = others_.emplace_back();
  aia_sched_engine_init(&made, slots);
  made.witness = witness;
  made.number = static_cast<std::uint32_t>(others_.size());
  return tenant_below(nullptr, &made, 0);
}

aia_sched_node* Host::tenant_below(aia_sched_node* parent, aia_sched_engine* at,
                                   std::uint32_t weight) {
  aia_sched_node* node = &tenants_.emplace_back();
  aia_sched_node_init(node, parent ? parent->engine : at, parent, weight);
  return node;
}

// What the engine says to it: with a period, to the promise of a turn in each.
int Host::init(Client& c, aia_sched_node* node, std::uint32_t class_, std::uint32_t weight,
               Ns budget_ns, Ns period_ns) {
  c.host = this;
  aia_turns_init(&c.turns, c.ring, &c.consumed, 1);
  c.turns.groups = &groups_;
  aia_sched_seat_init(&c.seat, node->engine);
  aia_sched_queue_init(&c.queue, &c.seat, node, class_, weight);
  c.who.context = reinterpret_cast<std::uintptr_t>(&c);
  c.queue.who = &c.who;
  aia_terms_set_queue(&c.queue, c.stream && c.stream->fills ? AIACCEL_QUEUE_FILL : 0, budget_ns);
  return aia_realtime_join(&c.queue, aia_terms_longest_ns(&c.queue), period_ns,
                           period_ns ? c.width : 0, now_ns);
}

Client& Host::client(aia_sched_node* node, Options options) {
  Client& c = clients_.emplace_back();
  c.turn_ns = options.turn_ns;
  c.think_ns = options.think_ns;
  c.width = options.width;
  c.claimed_ns = options.claimed_ns;
  if (init(c, node, options.class_, options.weight, options.budget_ns, 0))
    broken("a queue was refused");
  return c;
}

int Host::add_client(Stream& stream, Ns period_ns) {
  Client& c = stream.clients.emplace_back();
  c.stream = &stream;
  c.width = stream.width;
  c.claimed_ns = stream.claimed_ns;
  stream.idle.push_back(&c);
  const int err = init(c, stream.tenant, stream.class_, stream.weight, stream.budget_ns, period_ns);
  if (err) return err;
  for (aia_sched_node* node : stream.elsewhere) join(c, node);
  return 0;
}

// A queue like its first one, at another engine, for the same jobs.
void Host::join(Client& c, aia_sched_node* node) {
  c.anys.resize(std::size(c.turns_of_jobs));
  Place& p = c.elsewhere.emplace_back();
  aia_sched_seat_init(&p.seat, node->engine);
  aia_sched_queue_init(&p.queue, &p.seat, node, c.queue.class_, c.queue.share.weight);
  p.queue.who = &c.who;
  p.queue.fill = c.queue.fill;
  p.queue.budget_ns = c.queue.budget_ns;
  if (aia_any_takes(&c.queue, node->engine)) broken("a set took no queue");
  aia_any_join(&p.queue, &c.queue);
}

Gang& Host::gang(std::vector<Client*> members) {
  Gang& gang = gangs_.emplace_back(Gang{.members = std::move(members)});
  for (Client* c : gang.members) {
    c->gang = &gang;
    c->turns.tenant = &gang;
  }
  put_in_line(gang);
  return gang;
}

Stream& Host::open(Stream options) {
  Stream& stream = streams_.emplace_back(std::move(options));
  if (!stream.tenant) stream.tenant = root;
  if (add_client(stream, 0)) broken("a queue was refused");
  foresee(stream.gap(random_), &stream);
  return stream;
}

bool Host::promise(Stream options, Ns period_ns) {
  Stream& stream = streams_.emplace_back(std::move(options));
  stream.class_ = AIACCEL_CLASS_REALTIME;
  stream.contexts = 1;
  stream.gap = constant(period_ns);
  if (add_client(stream, period_ns)) {
    close(stream.clients.front());
    streams_.pop_back();
    return false;
  }
  foresee(random_.below(period_ns), &stream);
  return true;
}

void Host::stop_all() {
  for (Stream& s : streams_) s.stopped = true;
  for (Gang& g : gangs_) g.stopped = true;
  for (Client& c : clients_) c.wants_more = false;
}

std::vector<Client*> Host::clients() {
  std::vector<Client*> all;
  for (Stream& s : streams_)
    for (Client& c : s.clients) all.push_back(&c);
  for (Client& c : clients_) all.push_back(&c);
  return all;
}

Stream& Host::saturate(Stream options, std::size_t jobs) {
  Stream& stream = streams_.emplace_back(std::move(options));
  if (!stream.tenant) stream.tenant = root;
  if (stream.gap) throw std::logic_error("jobs that follow one another have no gap");
  while (stream.clients.size() < jobs) come(stream);
  return stream;
}

// ---- what happens ----

void Host::foresee(Ns after_ns, Stream* comes) {
  agenda_.push({now_ns + after_ns, foreseen_++, comes, nullptr, 0});
}

void Host::foresee(Ns after_ns, Client& wakes) {
  agenda_.push({now_ns + after_ns, foreseen_++, nullptr, &wakes, wakes.epoch});
}

void Host::happen() {
  const Event event = agenda_.top();
  agenda_.pop();
  if (event.comes) {
    if (event.comes->stopped) return;
    come(*event.comes);
    foresee(event.comes->gap(random_), event.comes);
    return;
  }
  Client& c = *event.wakes;
  if (event.epoch == c.epoch) wake(c);
}

// A job comes: to a client that has none, or to a new one.
void Host::come(Stream& stream) {
  if (stream.idle.empty() && stream.contexts && stream.clients.size() == stream.contexts)
    return stream.backlog.push_back(now_ns);
  if (stream.idle.empty() && add_client(stream, 0)) broken("a queue was refused");
  Client& c = *stream.idle.back();
  stream.idle.pop_back();
  put_in_line(c, now_ns);
}

void Host::put_in_line(Client& c, Ns came_ns) {
  c.came_ns = came_ns;
  submit(c, *c.turn, nullptr, came_ns);
  if (c.stream && c.stream->follows) submit(c, *c.other(), c.turn, came_ns);
}

void Host::submit(Client& c, aia_turn& turn, const aia_turn* after, Ns came_ns) {
  turn = {};
  turn.owner = &c;
  aiaccel_job arg{};
  arg.cookie = cookie_of(c, turn);
  if (after) {
    arg.flags |= AIACCEL_JOB_AFTER;
    arg.after = cookie_of(c, *after);
  }
  if (!c.elsewhere.empty()) {
    aia_any& any = c.anys[cookie_of(c, turn) - 1];
    any = {};
    any.numa_node = -1;
    turn.job.any = &any;
    arg.flags |= AIACCEL_JOB_ANY;
  }
  arg.width = c.width;
  arg.cost_ns = c.claimed_ns;
  arg.deadline_ns = c.stream && c.stream->due_ns ? came_ns + c.stream->due_ns : 0;
  if (c.gang) {
    arg.group = c.gang->number;
    arg.group_size = static_cast<std::uint32_t>(c.gang->members.size());
  }
  if (aia_turns_check(&c.turns, &c.queue, &arg) ||
      aia_turns_submit(&c.turns, &c.queue, &turn, &arg, now_ns, &news_))
    broken("a job was refused");
}

void Host::put_in_line(Gang& gang) {
  gang.number++;
  gang.ended = 0;
  for (Client* c : gang.members) put_in_line(*c, now_ns);
}

// ---- what an adapter does ----

Ns Host::next_look_ns() {
  Ns next_ns = aia_turns_next_ns(&engine);
  for (aia_sched_engine& e : others_) next_ns = std::min<Ns>(next_ns, aia_turns_next_ns(&e));
  return next_ns;
}

void Host::pass_time(Ns until_ns) {
  at_once_ = until_ns > now_ns ? 0 : at_once_ + 1;
  if (at_once_ > kAtOnceMax) broken("time stands still");
  now_ns = std::max(now_ns, until_ns);
}

void Host::look_where_due() {
  if (aia_turns_next_ns(&engine) <= now_ns) aia_turns_stir(&engine, &news_);
  for (aia_sched_engine& e : others_)
    if (aia_turns_next_ns(&e) <= now_ns) aia_turns_stir(&e, &news_);
}

void Host::look() {
  aia_turns_stir(&engine, &news_);
  for (aia_sched_engine& e : others_) aia_turns_stir(&e, &news_);
  dispatch();
}

void Host::dispatch() {
  while (aia_sched_engine* stirred = aia_turns_next_stirred(&news_)) {
    aia_turns_dispatch(stirred, now_ns, &news_);
    while (aia_turns* woken = news_.woken) {
      news_.woken = woken->next_woken;
      woken->woken = false;
      read(*aia_container_of(woken, Client, turns));
    }
    take_freed();
  }
  if (!stopping_) begin_stop();
}

// What a provider does: one after the other.
void Host::begin_stop() {
  const Ns longest_ns = engine.stops.longest_ns;
  stopping_ = aia_stop_next(&engine);
  if (stopping_) stopped_ns_ = now_ns + (longest_ns ? random_.below(longest_ns + 1) : 0);
}

void Host::end_stop() {
  Client& c = *reinterpret_cast<Client*>(stopping_->context);
  aia_turns_stopped(std::exchange(stopping_, nullptr), now_ns, &news_);
  stopped_ns_ = AIACCEL_NEVER;
  give_back(c);
  take_freed();
  if (c.killed_ns) return;
  c.works = false;
  c.epoch++;
  wake(c);
}

void Host::read(Client& c) {
  if (c.frozen) return;
  c.consumed = c.turns.ring.produced;
  aia_turns_flush(&c.turns, &news_);
}

void Host::take_freed() {
  for (aia_turn* freed = std::exchange(news_.freed, nullptr); freed; freed = freed->next_freed) {
    if (!freed->owner) broken("a turn was freed twice");
    freed->owner = nullptr;
  }
}

// ---- the life of a turn ----

void Host::witness(const aia_turn* turn, __u32 state, __u64) {
  Client& c = *static_cast<Client*>(turn->owner);
  switch (state) {
    case AIACCEL_TURN_RUNNING:
      if (turn != c.turn) broken("a job began before the one that it is after has ended");
      return c.host->begin(c);
    case AIA_TURN_ASKED:
      return c.host->asked(c);
    case AIACCEL_TURN_COMPLETED:
      if (!c.is_being_stopped()) c.host->give_back(c);
      return;
    case AIACCEL_TURN_REVOKED:
      return c.host->revoked(c);
    default:
      return;
  }
}

void Host::begin(Client& c) {
  const Ns wait_ns = now_ns - c.came_ns;
  c.longest_wait_ns = std::max(c.longest_wait_ns, wait_ns);
  c.begun_ns = now_ns;
  c.revoked_ns = 0;
  c.epoch++;
  if (c.stream) {
    c.turn_ns = c.stream->service(random_);
    if (c.stream->began) c.stream->began(wait_ns);
  }
  c.has_slept = c.frozen;
  if (!c.frozen) begin_work(c);
  if (granted) granted(c);
}

void Host::begin_work(Client& c) {
  c.works = true;
  c.works_until_ns = now_ns + c.turn_ns;
  foresee(c.turn_ns, c);
}

void Host::asked(Client& c) {
  if (c.stream && c.stream->yields_ns && c.works) foresee(c.stream->yields_ns, c);
}

void Host::yield(Client& c) {
  if (!c.stream->renews) return end_turn(c);
  const int err = complete(c, AIACCEL_COMPLETE_RENEW);
  if (err == -EAGAIN) return end_turn(c);
  if (err) broken("a renewal was answered wrongly");
  if (renewed) renewed(c);
  c.begun_ns = now_ns;
}

// Its slots are given back. Called from within the scheduler, which is not to be called then.
void Host::give_back(Client& c) {
  const Ns ns = now_ns - c.job().granted_ns;
  c.longest_turn_ns = std::max(c.longest_turn_ns, ns);
  c.had_ns += ns * c.width;
  c.turns_had++;
  if (Stream* stream = c.stream) {
    stream->had_ns += ns * c.width;
    stream->turns++;
  }
  if (ended) ended(c);
}

void Host::revoked(Client& c) {
  if (!c.is_being_stopped()) give_back(c);
  c.revoked_ns = now_ns;
  c.revoked++;
  if (c.stream) c.stream->revoked++;
}

// Its time has come to do something, or it is thawed.
void Host::wake(Client& c) {
  c.has_slept = c.frozen;
  if (c.frozen) return;
  if (c.revoked_ns && !c.turn->owner) {
    go_on(c);
  } else if (c.works && now_ns < c.works_until_ns) {
    if (!c.revoked_ns) yield(c);
  } else if (c.works || c.revoked_ns) {
    end_turn(c);
  } else if (c.is_engaged()) {
    begin_work(c);
  } else if (c.wants_more && !c.turn->owner) {
    put_in_line(c, now_ns);
  }
}

int Host::complete(Client& c, std::uint32_t flags) {
  const aiaccel_completion arg{cookie_of(c, *c.turn), c.turn->note.generation, flags};
  return aia_turns_complete(&c.turns, &arg, true, now_ns, &news_);
}

void Host::end_turn(Client& c) {
  const bool overran = c.overruns();
  const int err = complete(c, 0);
  if (err != (c.revoked_ns ? -ESTALE : 0)) broken("a completion was answered wrongly");
  if (overran) is_released(c);
  if (c.stream && !err && c.stream->ended) c.stream->ended(now_ns - c.came_ns);
  take_freed();
  // Else its seat is taken until its work was stopped.
  if (!c.turn->owner) return go_on(c);
  c.works = false;
  c.epoch++;
}

void Host::is_released(Client& c) {
  const Ns ns = (now_ns - c.revoked_ns) * c.width;
  c.overran_ns += ns;
  if (c.stream) c.stream->overran_ns += ns;
  if (released) released(c);
}

void Host::go_on(Client& c) {
  const bool was_revoked = std::exchange(c.revoked_ns, 0);
  c.works = false;
  c.epoch++;
  if (c.other()->owner) {
    if (was_revoked) broken("a job goes on after one that was revoked");
    c.turn = c.other();
    c.came_ns = now_ns;
  } else if (Gang* gang = c.gang) {
    if (++gang->ended == gang->members.size() && !gang->stopped) put_in_line(*gang);
  } else if (Stream* stream = c.stream) {
    if (!stream->backlog.empty()) {
      put_in_line(c, stream->backlog.front());
      stream->backlog.pop_front();
    } else {
      stream->idle.push_back(&c);
      if (!stream->gap && !stream->stopped) come(*stream);
    }
  } else if (c.wants_more && c.think_ns) {
    foresee(c.think_ns, c);
  } else if (c.wants_more) {
    put_in_line(c, now_ns);
  }
}

void Host::thaw(Client& c) {
  c.frozen = false;
  read(c);
  if (c.has_slept) wake(c);
  dispatch();
}

void Host::kill(Client& c) {
  const bool overran = c.overruns();
  aia_turns_end_all(&c.turns, now_ns, &news_);
  if (overran) is_released(c);
  c.killed_ns = now_ns;
  c.wants_more = false;
  c.works = false;
  c.epoch++;
  close(c);
  dispatch();
}

}  // namespace sim
