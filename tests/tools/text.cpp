// SPDX-License-Identifier: MIT
//
// Text and tables for terminals: widths, cutting, and that no name can steer the terminal.
#include <clocale>
#include <stdexcept>

#include "common/table.hpp"
#include "common/text.hpp"
#include "tap/tap.hpp"

namespace {

using namespace tools;

// Widths are those of a locale; the C library itself brings this one.
struct Utf8 {
  Utf8() { BOOST_REQUIRE(std::setlocale(LC_CTYPE, "C.UTF-8")); }
  ~Utf8() { std::setlocale(LC_CTYPE, "C"); }
};

std::vector<std::string> lines(const Table& table, std::size_t width) {
  return table.lines(width);
}

using Lines = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(text)

BOOST_FIXTURE_TEST_CASE(names_cannot_steer_the_terminal, Utf8) {
  BOOST_TEST(printable("plain@v1") == "plain@v1");
  BOOST_TEST(printable("\033[2Jwiped") == "?[2Jwiped");
  BOOST_TEST(printable("a\nb\tc\x7f") == "a?b?c?");
  BOOST_TEST(printable("\xc2\x9b"
                       "31m") == "?31m");  // CSI as one C1 character
  BOOST_TEST(printable("caf\xc3\xa9") == "caf\xc3\xa9");
  BOOST_TEST(printable("\xff\xfe.slice") == "??.slice");
  BOOST_TEST(printable(std::string("a\0b", 3)) == "a?b");
  BOOST_TEST(printable("cut \xe2\x82") == "cut ??");
  // Marks of the direction of writing: this reads fdp.exe where a terminal obeys.
  BOOST_TEST(printable("\u202eexe.pdf") == "?exe.pdf");
  BOOST_TEST(printable("a\u061cb\u200ec\u200fd\u202ae\u2066f\u2069") == "a?b?c?d?e?f?");
  BOOST_TEST(printable("\u202f\u05d0") == "\u202f\u05d0");
  BOOST_TEST(columns("\u202e") == 1u);
}

BOOST_AUTO_TEST_CASE(the_c_locale_knows_ascii_only) {
  BOOST_TEST(printable("caf\xc3\xa9") == "caf??");
  BOOST_TEST(fit("abcdef", 4) == "abc~");
}

BOOST_FIXTURE_TEST_CASE(widths_count_columns, Utf8) {
  BOOST_TEST(columns("abc") == 3u);
  BOOST_TEST(columns("caf\xc3\xa9") == 4u);
  BOOST_TEST(columns("\xe6\xbc\xa2\xe5\xad\x97") == 4u);  // two wide characters
  BOOST_TEST(columns("e\xcc\x81") == 1u);                 // a combining accent
}

BOOST_FIXTURE_TEST_CASE(fit_is_exactly_as_wide_as_asked, Utf8) {
  BOOST_TEST(fit("ab", 4) == "ab  ");
  BOOST_TEST(fit("ab", 4, Align::right) == "  ab");
  BOOST_TEST(fit("abcd", 4) == "abcd");
  BOOST_TEST(fit("abcde", 4) == "abc…");
  BOOST_TEST(fit("abcde", 1) == "…");
  BOOST_TEST(fit("abcde", 0) == "");
  // The wide character would reach over the edge: a blank takes its place.
  BOOST_TEST(fit("\xe6\xbc\xa2\xe5\xad\x97", 3) == "\xe6\xbc\xa2…");
  BOOST_TEST(fit("a\xe6\xbc\xa2\xe5\xad\x97", 3) == "a… ");
}

BOOST_AUTO_TEST_CASE(numbers_as_people_read_them) {
  BOOST_TEST(bytes_text(0) == "0 B");
  BOOST_TEST(bytes_text(1023) == "1023 B");
  BOOST_TEST(bytes_text(1024) == "1.0 KiB");
  BOOST_TEST(bytes_text(1536) == "1.5 KiB");
  BOOST_TEST(bytes_text((1ull << 20) - 1) == "1.0 MiB");
  BOOST_TEST(bytes_text(71ull << 30) == "71 GiB");
  BOOST_TEST(bytes_text(~0ull) == "16 EiB");
  BOOST_TEST(duration_text(0) == "0 ns");
  BOOST_TEST(duration_text(999) == "999 ns");
  BOOST_TEST(duration_text(1000) == "1.0 us");
  BOOST_TEST(duration_text(340'000) == "340 us");
  BOOST_TEST(duration_text(999'600) == "1.0 ms");
  BOOST_TEST(duration_text(12'000'000'000) == "12 s");
  BOOST_TEST(rate_text(0) == "0.0");
  BOOST_TEST(rate_text(31.25) == "31");
  BOOST_TEST(rate_text(12345) == "12k");
  BOOST_TEST(percent_text(0.614) == "61 %");
  BOOST_TEST(count_text(1, "queue") == "1 queue");
  BOOST_TEST(count_text(0, "queue") == "0 queues");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(table)

BOOST_AUTO_TEST_CASE(columns_are_aligned) {
  Table table({{"NAME"}, {"SLOTS", Align::right}, {"STATE"}});
  table.add({"cpu0", "2", "active"});
  table.add({"a-longer-name", "128", "draining"});
  BOOST_TEST(lines(table, Table::unlimited) ==
                 (Lines{"NAME           SLOTS  STATE", "cpu0               2  active",
                        "a-longer-name    128  draining"}),
             boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(wide_characters_keep_columns_aligned, Utf8) {
  Table table({{"NAME"}, {"N", Align::right}});
  table.add({"\xe6\xbc\xa2\xe5\xad\x97", "1"});
  table.add({"ascii", "2"});
  BOOST_TEST(lines(table, Table::unlimited) ==
                 (Lines{"NAME   N", "\xe6\xbc\xa2\xe5\xad\x97   1", "ascii  2"}),
             boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(text_is_cut_before_columns_go, Utf8) {
  Table table({{"NAME", Align::left, 0, 4}, {"SLOTS", Align::right}, {"STATE", Align::left, 1}});
  table.add({"a-longer-name", "128", "draining"});
  BOOST_TEST(
      lines(table, 28) == (Lines{"NAME         SLOTS  STATE", "a-longer-n…    128  draining"}),
      boost::test_tools::per_element());
  BOOST_TEST(lines(table, 21) == (Lines{"NAME  SLOTS  STATE", "a-l…    128  draining"}),
             boost::test_tools::per_element());
  // One column less, and the one of rank 1 goes; the name gets the room.
  BOOST_TEST(lines(table, 20) == (Lines{"NAME           SLOTS", "a-longer-name    128"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_highest_rank_goes_first) {
  Table table(
      {{"A", Align::left, 2}, {"B", Align::left, 0}, {"C", Align::left, 3}, {"D", Align::left, 3}});
  table.add({"a", "b", "c", "d"});
  BOOST_TEST(lines(table, 10)[1] == "a  b  c  d");
  BOOST_TEST(lines(table, 9)[1] == "a  b  c");
  BOOST_TEST(lines(table, 6)[1] == "a  b");
  BOOST_TEST(lines(table, 3)[1] == "b");
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_asked) {
  Table table({{"NAME"}, {"SLOTS", Align::right, 1}});
  table.add({"a-name-that-may-not-be-cut", "128"});
  for (std::size_t width = 0; width < 40; width++)
    for (const std::string& line : lines(table, width)) BOOST_TEST(columns(line) <= width);
}

BOOST_AUTO_TEST_CASE(cells_are_made_printable) {
  Table table({{"NAME"}});
  table.add({"x\033]0;title\a"});
  BOOST_TEST(lines(table, Table::unlimited)[1] == "x?]0;title?");
}

BOOST_AUTO_TEST_CASE(a_row_needs_every_cell) {
  Table table({{"A"}, {"B"}});
  BOOST_CHECK_THROW(table.add({"a"}), std::logic_error);
}

BOOST_AUTO_TEST_SUITE_END()
