// SPDX-License-Identifier: MIT
//
// Spoiling a field by its kind.
#include <cstring>

#include "fuzz/calls.hpp"

namespace fuzz {

namespace {

uint64_t bad_size(Random& random, uint64_t good) {
  const uint64_t sizes[] = {0,        4,        good - 8, good - 4,  good - 1, good + 1,
                            good + 8, good * 2, kPage,    kPage + 1, ~0ULL,    random.next()};
  return random.one_of(sizes);
}

// Near the edges of what numbers, pages and signs have.
uint64_t bad_number(Random& random) {
  const uint64_t edges[] = {0,          1ULL << 8,  kPage,      1ULL << 20, 1ULL << 31,
                            1ULL << 32, 1ULL << 44, 1ULL << 47, 1ULL << 63};
  return random.percent(20) ? random.next() : random.one_of(edges) + random.below(5) - 2;
}

void spoil(Random& random, const Field& field, uint8_t* bytes) {
  uint64_t value = 0;
  memcpy(&value, bytes + field.at, field.bytes < 8 ? field.bytes : 8);
  switch (field.kind) {
    case Kind::kSize: {
      const uint64_t good = value;
      value = bad_size(random, good);
      // sometimes a tail that is not known and not zero
      if (random.percent(50)) bytes[(good + random.below(16)) % 4096] = 1;
      break;
    }
    case Kind::kId:  // another's, one of another kind, one that was or will be
      value = random.percent(70) ? random.below(128) : bad_number(random);
      break;
    case Kind::kFlags:
      value ^= 1ULL << random.below(32);
      break;
    case Kind::kNumber:
      value = bad_number(random);
      break;
    case Kind::kPointer:
      value = hostile_address(random);
      break;
    case Kind::kBytes:
      bytes[field.at + random.below(field.bytes)] = static_cast<uint8_t>(random.next());
      return;
  }
  if (random.percent(10)) value ^= 1ULL << random.below(64);
  memcpy(bytes + field.at, &value, field.bytes < 8 ? field.bytes : 8);
}

}  // namespace

void mutate(Random& random, std::span<const Field> fields, void* bytes) {
  do spoil(random, fields[random.below(fields.size())], static_cast<uint8_t*>(bytes));
  while (random.percent(25));
}

}  // namespace fuzz
