// SPDX-License-Identifier: MIT
//
// What the fuzzer knows of the device's ioctls: a row each. An ioctl that the device has and that
// has no row is a failure of the suite.
//
// A row fills the struct with what may well succeed, from what lives; mutate() then spoils some of
// its fields by their kinds; learn() keeps what a success has told.
#pragma once

#include <span>

#include "fuzz/world.hpp"

namespace fuzz {

enum class Kind { kSize, kId, kFlags, kNumber, kPointer, kBytes };

struct Field {
  uint16_t at;
  uint16_t bytes;
  Kind kind;
};

struct Row {
  unsigned long number;
  const char* name;
  uint32_t size;
  uint32_t weight;  // how often, against the other rows
  std::span<const Field> fields;
  void (*fill)(Actor& actor, int context, void* argument);
  void (*learn)(Actor& actor, int context, const void* argument);
};

std::span<const Row> rows();

// One of the rows' calls, or now and then a number that no row has.
void call_device(Actor& actor);
// The call of one row on one context.
void call_row(Actor& actor, int row, int context);
// The same with another descriptor, without keeping what it tells.
void call_number(Actor& actor, int fd, int row);

// COPY of aiaccel_edu.ko, where there is such a device.
void call_edu(Actor& actor);

// Spoils one field, sometimes more.
void mutate(Random& random, std::span<const Field> fields, void* bytes);

// The indices of these in the tally; the rows come first.
int tally_unknown();
int tally_open();
int tally_map_ring();
int tally_map_consumed();
int tally_map_buffer();
int tally_map_export();
int tally_copy();

}  // namespace fuzz
