// SPDX-License-Identifier: MIT
#include "row.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace uapi {

namespace {

std::vector<Row>& registered() {
  static std::vector<Row> rows;
  return rows;
}

// Which bytes a spoil sets, also to what they are already.
std::vector<bool> touched(const Bytes& good, const Spoil& spoil) {
  std::vector<bool> touched(good.size());
  for (const char flip : {0, -1}) {
    Bytes before = good;
    for (char& byte : before) byte = static_cast<char>(byte ^ flip);
    Bytes after = before;
    spoil.apply(after.data());
    for (size_t i = 0; i < good.size(); i++) touched[i] = touched[i] || after[i] != before[i];
  }
  return touched;
}

bool overlap(const std::vector<bool>& one, const std::vector<bool>& other) {
  for (size_t i = 0; i < one.size(); i++)
    if (one[i] && other[i]) return true;
  return false;
}

}  // namespace

uint32_t Row::size() const {
  return static_cast<uint32_t>(fields.back().offset + fields.back().size);
}

uint32_t Row::refused_at() const {
  for (const Field& field : fields)
    if (field.kind == kRefusal) return static_cast<uint32_t>(field.offset);
  return 0;
}

void Row::poison(Bytes& bytes, char with) const {
  for (const Field& field : fields)
    if (field.kind == kOut || field.kind == kRefusal)
      memset(bytes.data() + field.offset, with, field.size);
}

const std::vector<Row>& rows() {
  return registered();
}

const Row& row_of(unsigned long number) {
  const auto it = std::find_if(rows().begin(), rows().end(),
                               [&](const Row& row) { return row.number == number; });
  BOOST_REQUIRE(it != rows().end());
  return *it;
}

Register::Register(const Row& row) {
  registered().push_back(row);
}

aiaccel_stats_queue only_queue(const raw::Context& context) {
  aiaccel_stats_queue record{};
  aiaccel_stats stats{};
  stats.kind = AIACCEL_STATS_QUEUES;
  stats.records = raw::address(&record);
  stats.count = 1;
  stats.record_size = sizeof(record);
  BOOST_REQUIRE_EQUAL(context(AIACCEL_IOC_STATS, stats), 0);
  BOOST_REQUIRE_EQUAL(stats.count, 1u);
  return record;
}

void spoil_one_and_two(const char* name, const Bytes& good, const std::vector<Spoil>& spoils,
                       const std::function<int(Bytes&)>& call, const Check& check) {
  std::vector<std::vector<bool>> sets;
  for (const Spoil& spoil : spoils) sets.push_back(touched(good, spoil));
  for (size_t i = 0; i < spoils.size(); i++)
    for (size_t j = i; j < spoils.size(); j++) {
      if (j > i && overlap(sets[i], sets[j])) continue;
      Bytes bytes = good;
      spoils[i].apply(bytes.data());
      spoils[j].apply(bytes.data());
      const Bytes before = bytes;
      const int error = call(bytes);
      BOOST_TEST_CONTEXT(name << ": " << spoils[i].what << ", " << spoils[j].what) {
        BOOST_TEST(error == spoils[i].error);
        if (check) check(before, bytes, spoils[i]);
      }
    }
}

uint64_t frame_of(const void* at) {
  const raw::Fd fd(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  uint64_t entry = 0;
  BOOST_REQUIRE(pread(fd.get(), &entry, 8, static_cast<off_t>(raw::address(at) / raw::kPage * 8)) ==
                8);
  BOOST_REQUIRE(entry >> 63);  // present
  return entry & ((1ULL << 55) - 1);
}

bool has_kernel_address(const void* from, size_t size) {
  for (size_t at = 0; at + 8 <= size; at += 8) {
    uint64_t value;
    memcpy(&value, static_cast<const char*>(from) + at, 8);
    if (value >= 0xffff800000000000 && value != AIACCEL_UNLIMITED) return true;
  }
  return false;
}

}  // namespace uapi
