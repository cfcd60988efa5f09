// SPDX-License-Identifier: MIT
//
// Provisional.
#pragma once

#include <string>
#include <system_error>

namespace aiaccel {

class Error : public std::system_error {
 public:
  Error(int error, const std::string& what)
      : std::system_error(error, std::generic_category(), what) {}
};

}  // namespace aiaccel
