// SPDX-License-Identifier: MIT
//
// What a program is to do: words NAME=VALUE on its command line.
#pragma once

#include <cstdint>
#include <string>

struct Options {
  std::string reach;                // how it gets at CUDA (reach_loaded.cpp)
  std::string streams = "default";  // default, per-thread, own, own-nonblocking
  std::string exec;  // fork: a child that uses CUDA itself; exec: one that starts anew
  std::uint64_t threads = 1;
  std::uint64_t kernels = 100;  // of each thread
  std::uint64_t us = 100;       // how long each runs
  std::uint64_t pace_us = 0;    // one every so often, waited for; 0: one behind the other
  std::uint64_t ahead = 32;     // where not waited for: how many are in flight at most
  std::uint64_t seconds = 0;    // instead of a number of kernels
  std::uint64_t graph = 0;      // launch graphs of so many kernels, captured
  std::uint64_t copy = 0;       // bytes copied to the device and back around every kernel
  std::uint64_t alloc = 0;      // bytes allocated in all
  std::uint64_t tag = 0;        // of the first kernel's line in the stand-in's log; 0: no lines
};

Options parse(int argc, char** argv);  // ends the process where a word means nothing
