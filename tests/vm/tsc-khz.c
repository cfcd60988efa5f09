// SPDX-License-Identifier: MIT
/*
 * Prints the frequency of this processor's time stamp counter in kHz, measured against the clock for a
 * fifth of a second. An emulated guest reads the same counter, and has nothing to measure it by when it
 * has no ACPI. x86 only, one thread.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct at {
  int64_t ns;
  uint64_t ticks;
};

/* Both clocks at one time: the pair of a hundred that was read the fastest. */
static struct at now(void) {
  struct at best = {0, 0};
  uint64_t fastest = UINT64_MAX;
  for (int i = 0; i < 100; i++) {
    struct timespec t;
    const uint64_t before = __rdtsc();
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    const uint64_t took = __rdtsc() - before;
    if (took < fastest) {
      fastest = took;
      best = (struct at){t.tv_sec * 1000000000LL + t.tv_nsec, before + took / 2};
    }
  }
  return best;
}

int main(void) {
  const struct at start = now();
  nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
  const struct at end = now();
  printf("%.0f\n", (double)(end.ticks - start.ticks) * 1e6 / (double)(end.ns - start.ns));
  return 0;
}
