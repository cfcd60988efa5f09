// SPDX-License-Identifier: MIT
//
// The event ring, from both sides: what the writer writes, what an honest reader sees, and what a
// dishonest one can do (nothing).

#include <tap/tap.hpp>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "core/core.hpp"

namespace {

using Note = struct aia_ring_note;

// A ring with its two mappings, and a reader that follows the UAPI header's loop.
struct Ring {
  static constexpr std::uint32_t kEntries = 8;

  Ring() { aia_ring_init(&ring, memory, &consumed, kEntries); }
  Ring(const Ring&) = delete;

  // Both counters at `value`, as after so many events.
  void wind_to(std::uint32_t value) {
    ring.produced = value;
    shared()->produced = value;
    consumed = value;
  }
  const aiaccel_ring* shared() const { return reinterpret_cast<const aiaccel_ring*>(memory); }
  aiaccel_ring* shared() { return reinterpret_cast<aiaccel_ring*>(memory); }
  std::vector<aiaccel_event> read(std::size_t most = ~std::size_t{0}) {
    std::vector<aiaccel_event> got;
    const auto* events = reinterpret_cast<const aiaccel_event*>(memory + shared()->events_offset);
    while (got.size() < most &&
           consumed != __atomic_load_n(&shared()->produced, __ATOMIC_ACQUIRE)) {
      got.push_back(events[consumed % shared()->entries]);
      __atomic_store_n(&consumed, consumed + 1, __ATOMIC_RELEASE);
    }
    return got;
  }
  std::vector<std::uint64_t> read_cookies() {
    std::vector<std::uint64_t> cookies;
    for (const aiaccel_event& e : read()) cookies.push_back(e.cookie);
    return cookies;
  }

  alignas(64) char memory[4096] = {};
  std::uint32_t consumed = 0;
  aia_ring ring{};
};

// Notes with cookies 0, 1, 2 ...
std::vector<Note> notes(std::size_t count) {
  std::vector<Note> all(count);
  for (std::size_t i = 0; i < count; i++) all[i].cookie = i;
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ring)

BOOST_AUTO_TEST_CASE(layout_as_the_header_says) {
  Ring r;
  BOOST_TEST(r.shared()->entries == Ring::kEntries);
  BOOST_TEST(r.shared()->produced == 0u);
  BOOST_TEST(r.shared()->events_offset == sizeof(aiaccel_ring));
  BOOST_TEST(r.shared()->yield_offset ==
             sizeof(aiaccel_ring) + Ring::kEntries * sizeof(aiaccel_event));
  BOOST_TEST(aia_ring_bytes(Ring::kEntries) == r.shared()->yield_offset + Ring::kEntries * 4);
  BOOST_TEST(aia_ring_unread(&r.ring) == 0u);
  r.consumed = 5;  // a word that was not zero at first is nonsense, too
  BOOST_TEST(aia_ring_unread(&r.ring) == Ring::kEntries);
}

BOOST_AUTO_TEST_CASE(an_event_says_all_that_the_note_says) {
  Ring r;
  Note note{};
  note.cookie = ~0ULL;
  note.generation = 7;
  note.slot = 3;
  note.queue = 9;
  r.ring.time_offset_ns = static_cast<__u64>(-1000);
  aia_ring_note(&r.ring, &note, AIACCEL_EVENT_GRANTED, 5000);
  BOOST_TEST(r.read().empty());  // not before it is flushed
  BOOST_TEST(aia_ring_flush(&r.ring) == nullptr);
  auto got = r.read();
  BOOST_TEST_REQUIRE(got.size() == 1u);
  BOOST_TEST(got[0].cookie == ~0ULL);
  BOOST_TEST(got[0].events == 1u * AIACCEL_EVENT_GRANTED);
  BOOST_TEST(got[0].generation == 7u);
  BOOST_TEST(got[0].slot == 3u);
  BOOST_TEST(got[0].time_ns == 4000u);
  BOOST_TEST(got[0].queue == 9u);
  BOOST_TEST(note.events == 0u);
}

BOOST_AUTO_TEST_CASE(a_full_ring_keeps_the_rest_for_later_in_order) {
  Ring r;
  auto all = notes(20);
  for (Note& n : all) aia_ring_note(&r.ring, &n, AIACCEL_EVENT_GRANTED, 1);
  aia_ring_flush(&r.ring);
  BOOST_TEST(aia_ring_unread(&r.ring) == Ring::kEntries);
  aia_ring_flush(&r.ring);
  BOOST_TEST(r.shared()->produced == Ring::kEntries);  // nothing was written over

  std::vector<std::uint64_t> got;
  for (const auto& e : r.read(3)) got.push_back(e.cookie);
  aia_ring_flush(&r.ring);
  BOOST_TEST(aia_ring_unread(&r.ring) == Ring::kEntries);
  while (got.size() < all.size()) {
    auto more = r.read_cookies();
    BOOST_TEST_REQUIRE(!more.empty());
    got.insert(got.end(), more.begin(), more.end());
    aia_ring_flush(&r.ring);
  }
  for (std::size_t i = 0; i < got.size(); i++) BOOST_TEST(got[i] == i);
  BOOST_TEST(r.read().empty());
}

BOOST_AUTO_TEST_CASE(what_happens_meanwhile_is_one_event) {
  Ring r;
  auto all = notes(Ring::kEntries + 2);
  for (std::size_t i = 0; i < Ring::kEntries; i++)
    aia_ring_note(&r.ring, &all[i], AIACCEL_EVENT_GRANTED, 1);
  aia_ring_flush(&r.ring);
  Note &first = all[Ring::kEntries], &second = all[Ring::kEntries + 1];
  aia_ring_note(&r.ring, &first, AIACCEL_EVENT_GRANTED, 10);
  aia_ring_note(&r.ring, &second, AIACCEL_EVENT_GRANTED, 11);
  aia_ring_note(&r.ring, &first, AIACCEL_EVENT_YIELD, 12);
  aia_ring_flush(&r.ring);
  r.read();
  aia_ring_flush(&r.ring);
  auto got = r.read();
  BOOST_TEST_REQUIRE(got.size() == 2u);
  BOOST_TEST(got[0].cookie == first.cookie);  // it keeps its place in line
  BOOST_TEST(got[0].events == 1u * (AIACCEL_EVENT_GRANTED | AIACCEL_EVENT_YIELD));
  BOOST_TEST(got[0].time_ns == 12u);
  BOOST_TEST(got[1].cookie == second.cookie);
}

BOOST_AUTO_TEST_CASE(a_nonsense_word_reads_as_full_and_harms_nobody) {
  for (std::uint32_t nonsense : {1u, 0x80000000u, ~0u - Ring::kEntries, 3u}) {
    Ring r;
    auto all = notes(2);
    r.consumed = nonsense;
    aia_ring_note(&r.ring, &all[0], AIACCEL_EVENT_GRANTED, 1);
    aia_ring_flush(&r.ring);
    BOOST_TEST(aia_ring_unread(&r.ring) == Ring::kEntries);
    BOOST_TEST(r.shared()->produced == 0u);
    BOOST_TEST(all[0].events != 0u);  // kept
    r.consumed = 0;                   // it comes to its senses
    aia_ring_flush(&r.ring);
    BOOST_TEST(r.read().size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(counters_wrap) {
  Ring r;
  r.wind_to(~0u - 3);
  auto all = notes(12);
  for (Note& n : all) aia_ring_note(&r.ring, &n, AIACCEL_EVENT_GRANTED, 1);
  aia_ring_flush(&r.ring);
  BOOST_TEST(r.shared()->produced == 4u);
  BOOST_TEST(aia_ring_unread(&r.ring) == Ring::kEntries);
  auto got = r.read_cookies();
  aia_ring_flush(&r.ring);
  for (std::uint64_t cookie : r.read_cookies()) got.push_back(cookie);
  BOOST_TEST_REQUIRE(got.size() == all.size());
  for (std::size_t i = 0; i < got.size(); i++) BOOST_TEST(got[i] == i);
}

BOOST_AUTO_TEST_CASE(a_forgotten_note_is_not_told) {
  Ring r;
  auto all = notes(3);
  for (Note& n : all) aia_ring_note(&r.ring, &n, AIACCEL_EVENT_GRANTED, 1);
  aia_ring_forget(&r.ring, &all[1]);
  aia_ring_forget(&r.ring, &all[1]);  // with nothing to tell, nothing to do
  aia_ring_flush(&r.ring);
  auto got = r.read_cookies();
  BOOST_TEST((got == std::vector<std::uint64_t>{0, 2}));
  BOOST_TEST(all[1].events == 0u);
}

BOOST_AUTO_TEST_CASE(the_last_words_are_handed_back_once_told) {
  Ring r;
  auto all = notes(Ring::kEntries + 3);
  for (Note& n : all) {
    n.last = n.cookie % 2;
    aia_ring_note(&r.ring, &n, AIACCEL_EVENT_FAILED, 1);
  }
  std::multiset<std::uint64_t> done;
  auto flush = [&] {
    for (Note* n = aia_ring_flush(&r.ring); n; n = n->next_done) done.insert(n->cookie);
  };
  flush();
  BOOST_TEST((done == std::multiset<std::uint64_t>{1, 3, 5, 7}));
  r.read();
  flush();
  BOOST_TEST((done == std::multiset<std::uint64_t>{1, 3, 5, 7, 9}));
  flush();
  BOOST_TEST(done.size() == 5u);
}

BOOST_AUTO_TEST_CASE(the_yield_word_is_the_slots_own) {
  Ring r;
  aia_ring_ask_yield(&r.ring, 5, 42);
  const auto* words = reinterpret_cast<const std::uint32_t*>(r.memory + r.shared()->yield_offset);
  for (std::uint32_t slot = 0; slot < Ring::kEntries; slot++)
    BOOST_TEST(words[slot] == (slot == 5 ? 42u : 0u));
}

// Also run under the thread sanitizer: the reader takes no lock.
BOOST_AUTO_TEST_CASE(a_reader_beside_the_writer_misses_nothing) {
  constexpr std::uint64_t count = 20000;
  Ring r;
  std::vector<aiaccel_event> got;
  std::thread reader([&] {
    while (got.size() < count) {
      auto more = r.read();
      got.insert(got.end(), more.begin(), more.end());
      if (more.empty()) std::this_thread::yield();
    }
  });
  auto pool = notes(Ring::kEntries * 2);
  std::uint64_t next = 0;
  while (next < count || !aia_list_empty(&r.ring.waiting)) {
    for (Note& n : pool) {
      if (n.events || next == count) continue;
      n.cookie = next;
      n.generation = static_cast<__u32>(next + 1);
      aia_ring_note(&r.ring, &n, AIACCEL_EVENT_GRANTED, next);
      next++;
    }
    aia_ring_flush(&r.ring);
    std::this_thread::yield();
  }
  reader.join();
  BOOST_TEST_REQUIRE(got.size() == count);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < count; i++)
    wrong += got[i].cookie != i || got[i].generation != i + 1 || got[i].time_ns != i;
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
