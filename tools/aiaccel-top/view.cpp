// SPDX-License-Identifier: MIT
//
// See view.hpp. One thread; ncurses keeps global state, so there is one screen at a time.
#include "aiaccel-top/view.hpp"

#include <curses.h>

#include <algorithm>
#include <stdexcept>

#include "common/text.hpp"

namespace tools {
namespace {

// Owns the terminal: its destructor gives it back, also when something throws. ncurses itself does
// so when SIGINT or SIGTERM comes.
class Screen {
 public:
  Screen() {
    // newterm() instead of initscr(), which ends the process itself when it fails.
    screen_ = newterm(nullptr, stdout, stdin);
    if (!screen_) throw std::runtime_error("the terminal cannot show a screen (is TERM right?)");
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    if (wants_colour(1) && has_colors()) {
      start_color();
      use_default_colors();
      init_pair(1, COLOR_RED, -1);
      alarm_ = COLOR_PAIR(1) | A_BOLD;
    }
  }
  ~Screen() {
    endwin();
    delscreen(screen_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void draw(const std::vector<Line>& lines) const {
    erase();
    for (std::size_t row = 0; row < lines.size(); row++) {
      const chtype style = attributes(lines[row].style);
      attrset(static_cast<int>(style));
      mvaddstr(static_cast<int>(row), 0, lines[row].text.c_str());
      // A heading is a bar through the whole line.
      if (lines[row].style == Style::heading)
        mvchgat(static_cast<int>(row), 0, -1, style, 0, nullptr);
    }
    refresh();
  }

 private:
  chtype attributes(Style style) const {
    switch (style) {
      case Style::plain:
        return A_NORMAL;
      case Style::heading:
        return A_REVERSE;
      case Style::strong:
        return A_BOLD;
      case Style::faint:
        return A_DIM;
      case Style::alarm:
        return alarm_;
    }
    return A_NORMAL;
  }

  SCREEN* screen_ = nullptr;
  chtype alarm_ = A_BOLD;
};

// False: quit.
bool handle_key(int key, const Report& report, View& view) {
  const std::size_t page = view.height / 2;
  const std::size_t last = report.queues.empty() ? 0 : report.queues.size() - 1;
  switch (key) {
    case 'q':
      return false;
    case 's':
      view.sort = next_sort(view.sort);
      view.first_queue = 0;
      break;
    case '?':
      view.help = !view.help;
      break;
    case KEY_DOWN:
      view.first_queue++;
      break;
    case KEY_UP:
      view.first_queue -= std::min<std::size_t>(1, view.first_queue);
      break;
    case KEY_NPAGE:
      view.first_queue += page;
      break;
    case KEY_PPAGE:
      view.first_queue -= std::min(page, view.first_queue);
      break;
    case KEY_HOME:
      view.first_queue = 0;
      break;
  }
  view.first_queue = std::min(view.first_queue, last);
  return true;
}

}  // namespace

void show(const std::function<Report()>& next, std::chrono::nanoseconds interval) {
  using Clock = std::chrono::steady_clock;
  const Screen screen;
  View view;
  for (;;) {
    const Report report = next();
    const Clock::time_point until = Clock::now() + interval;
    for (;;) {
      int rows = 0, width = 0;
      getmaxyx(stdscr, rows, width);
      view.height = static_cast<std::size_t>(rows);
      view.width = static_cast<std::size_t>(width);
      screen.draw(layout_screen(report, view));
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
      if (left.count() <= 0) break;
      timeout(static_cast<int>(std::min<std::int64_t>(left.count(), 3'600'000)));
      if (!handle_key(getch(), report, view)) return;
    }
  }
}

}  // namespace tools
