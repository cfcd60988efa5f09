// SPDX-License-Identifier: MIT
//
// The clients that only ask; see ask.cpp.
#pragma once

namespace client {

int ask();

// A line for each function of the stand-in: what cuGetProcAddress gives for it.
int ask_meant();

// See storm.cpp.
int storm(const char* plugin);

}  // namespace client
