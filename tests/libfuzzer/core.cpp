// SPDX-License-Identifier: MIT
//
// The core (kmod/core) under calls that the input chooses: the scheduler, contexts with their turns
// and rings, the red-black tree, and the checks of arguments. What has to hold after each step is
// in tests/core/{sched_world,turns_play}.hpp.
#include "libfuzzer/fuzz.hpp"

#include <cerrno>

#include "core/naive_glob.hpp"
#include "core/sched_world.hpp"
#include "core/turns_play.hpp"

namespace {

template <typename T>
T made(fuzz::Input& in) {
  // Out of zeros, with some fields of the input's: what is all noise fails at the first check.
  T value{};
  auto* bytes = reinterpret_cast<unsigned char*>(&value);
  for (unsigned edits = in.below(8); edits; --edits) bytes[in.below(sizeof value)] = in.byte();
  return value;
}

bool of_ladder(int result) {
  return result == 0 || result == -EOPNOTSUPP || result == -EINVAL || result == -EOVERFLOW;
}

// What a check lets pass is what the adapters count on.
void check_arguments(fuzz::Input& in) {
  const auto alloc = made<aiaccel_alloc>(in);
  const int allocated = aia_check_alloc(&alloc);
  MUST(of_ladder(allocated));
  if (!allocated)
    MUST(alloc.length && alloc.length + 0xfffff > alloc.length && alloc.node >= 0 && !alloc.flags &&
         alloc.placement <= AIACCEL_PLACE_NEAR);

  const auto pin = made<aiaccel_pin>(in);
  const int pinned = aia_check_pin(&pin);
  MUST(of_ladder(pinned));
  if (!pinned) MUST(pin.length && pin.addr + pin.length + 0xfffff > pin.addr);

  const auto create = made<aiaccel_queue_create>(in);
  const int created = aia_check_queue_create(&create);
  MUST(of_ladder(created));
  if (!created) {
    MUST(create.class_ <= AIACCEL_CLASS_REALTIME && create.weight <= AIACCEL_WEIGHT_MAX);
    const bool is_promised = create.class_ == AIACCEL_CLASS_REALTIME;
    MUST(!create.period_ns == !is_promised && !create.width == !is_promised);
    if (is_promised) MUST(create.budget_ns >= AIACCEL_BUDGET_MIN_NS);
    const std::size_t length = strnlen(create.label, sizeof create.label);
    MUST(length < sizeof create.label);
    for (std::size_t i = 0; i < length; ++i) MUST(create.label[i] >= 32 && create.label[i] < 127);
    for (std::size_t i = length; i < sizeof create.label; ++i) MUST(create.label[i] == 0);
  }

  const auto stats = made<aiaccel_stats>(in);
  const int shown = aia_check_stats(&stats);
  MUST(of_ladder(shown));
  if (!shown) MUST(stats.record_size && stats.record_size <= 4096 && stats.record_size % 8 == 0);

  const auto enter = made<aiaccel_enter>(in);
  const int entered = aia_check_enter(&enter);
  MUST(of_ladder(entered));
  if (!entered)
    MUST(enter.nr_jobs <= AIACCEL_ENTER_MAX && enter.nr_completions <= AIACCEL_ENTER_MAX &&
         enter.min_events <= AIA_TURNS_MAX);

  const auto job = made<aiaccel_job>(in);
  MUST(of_ladder(aia_check_job(&job)));
  const auto completion = made<aiaccel_completion>(in);
  MUST(of_ladder(aia_check_completion(&completion)));

  const auto policy = made<aiaccel_policy>(in);
  MUST(of_ladder(aia_check_policy(&policy)));
  auto rule = made<aiaccel_policy_rule>(in);
  const std::string pattern = in.text(12), text = in.text(12);
  pattern.copy(rule.pattern, sizeof rule.pattern);
  const int ruled = aia_check_policy_rule(&rule);
  MUST(of_ladder(ruled));
  const bool matches = aia_rule_glob(pattern.c_str(), text.c_str());
  if (aia_rule_is_pattern(pattern.c_str()))
    MUST(matches == naive::glob(pattern.c_str(), text.c_str()));
  aia_settings settings = aia_settings_none;
  if (!ruled) {
    aia_rule_apply(&rule, rule.match == AIACCEL_MATCH_USER ? nullptr : text.c_str(), rule.uid,
                   &settings);
    MUST(settings.max_class <= AIACCEL_CLASS_REALTIME && settings.weight && settings.engine_time);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const Choices choices = [&in] { return in.number(); };
  switch (in.byte() % 3) {
    case 0: {
      World world(choices);
      while (!in.done()) world.step();
      world.end();
      break;
    }
    case 1: {
      Play play(choices);
      while (!in.done()) play.step();
      play.end();
      break;
    }
    default:
      check_arguments(in);
  }
  return 0;
}
