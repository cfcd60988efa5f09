// SPDX-License-Identifier: MIT
//
// Lists of numbers as /sys writes them: "0-3,8".
#ifndef AIACCEL_HOST_NUMBER_LIST_H
#define AIACCEL_HOST_NUMBER_LIST_H

#include <istream>
#include <vector>

namespace aiaccel::host {

// The numbers, up to what makes no sense: no kernel has 65536 processors or nodes.
std::vector<int> read_number_list(std::istream& from);

}  // namespace aiaccel::host

#endif  // AIACCEL_HOST_NUMBER_LIST_H
