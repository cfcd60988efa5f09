// SPDX-License-Identifier: MIT
//
// See number_list.h.
#include "host/number_list.h"

namespace aiaccel::host {
namespace {

constexpr int kEnd = 65536;

}  // namespace

std::vector<int> read_number_list(std::istream& from) {
  std::vector<int> numbers;
  int first;
  while (from >> first) {
    int last = first;
    if (from.peek() == '-') {
      from.get();
      from >> last;
    }
    const int least = numbers.empty() ? 0 : numbers.back() + 1;
    if (first < least || last < first || last >= kEnd) break;
    for (int number = first; number <= last; ++number) numbers.push_back(number);
    if (from.peek() == ',') from.get();
  }
  return numbers;
}

}  // namespace aiaccel::host
