// SPDX-License-Identifier: MIT
//
// The client that only asks; see ask.cpp.
#pragma once

namespace client {

int ask();

}  // namespace client
