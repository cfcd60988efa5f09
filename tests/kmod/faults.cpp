// SPDX-License-Identifier: MIT
#include "faults.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace raw {

namespace {

constexpr const char* kNth = "/proc/thread-self/fail-nth";

void set(const std::string& file, const char* value) {
  BOOST_REQUIRE(std::ofstream("/sys/kernel/debug/" + file) << value << std::flush);
}

}  // namespace

bool injects_faults() {
  if (access(kNth, F_OK)) return false;
  for (const std::string kind : {"failslab", "fail_page_alloc", "fail_usercopy"})
    set(kind + "/verbose", "0");
  set("failslab/ignore-gfp-wait", "N");
  set("fail_page_alloc/ignore-gfp-wait", "N");
  set("fail_page_alloc/ignore-gfp-highmem", "N");
  set("fail_page_alloc/min-order", "0");
  return true;
}

Faults::Faults() : fd_(open(kNth, O_RDWR | O_CLOEXEC)) {
  BOOST_REQUIRE(fd_.get() >= 0);
}

void Faults::arm(int nth) const {
  const std::string text = std::to_string(nth);
  BOOST_REQUIRE(pwrite(fd_.get(), text.data(), text.size(), 0) > 0);
}

// A fault that is still to come may be met in here: hence the second tries.
int Faults::disarm() const {
  char text[32] = {};
  const bool could_read = pread(fd_.get(), text, sizeof(text) - 1, 0) > 0;
  if (pwrite(fd_.get(), "0", 1, 0) != 1) BOOST_REQUIRE(pwrite(fd_.get(), "0", 1, 0) == 1);
  return could_read ? atoi(text) : 1;
}

void sweep(const Swept& swept) {
  const Context watcher;
  const Faults faults;
  const auto prepare = [&] {
    if (swept.prepare) swept.prepare();
  };
  const auto undo = [&] {
    if (swept.undo) swept.undo();
  };
  const auto look = [&](int err) {
    if (swept.look) swept.look(err);
  };
  // What is allocated once and kept is out of the way after one try.
  prepare();
  BOOST_REQUIRE_EQUAL(swept.call(), 0);
  look(0);
  undo();
  const Use idle(watcher);
  const int64_t idle_pinned = pinned_pages();
  int failures = 0;
  for (int nth = 1; nth < kMostFaults; nth++) {
    prepare();
    const Use prepared(watcher);
    faults.arm(nth);
    const int err = swept.call();
    const bool met = faults.disarm() == 0;
    BOOST_TEST_INFO_SCOPE(swept.name << ": fault " << nth << ", errno " << err);
    look(err);
    if (err) {
      failures++;
      BOOST_REQUIRE(met);
      BOOST_TEST(swept.errors.contains(err));
      BOOST_TEST(Use(watcher) == prepared);
      BOOST_REQUIRE_EQUAL(swept.call(), 0);
      look(0);
    }
    undo();
    BOOST_TEST(Use(watcher) == idle);
    if (!met) {
      BOOST_TEST(pinned_pages() == idle_pinned);  // not each time: it takes long
      BOOST_TEST(nth > swept.least);
      note(swept.name + ": " + std::to_string(nth - 1) + " faults, " + std::to_string(failures) +
           " of them told");
      return;
    }
  }
  BOOST_ERROR(swept.name << ": no end of faults");
}

}  // namespace raw
