// SPDX-License-Identifier: MIT
//
// The calling convention, by the rows of all ioctls: numbers, sizes, tails, unreadable and
// unwritable memory, outputs, reserved fields, and that of two reasons the earlier one wins and a
// refused call changes nothing. Of the transports, conformance/ladder.cpp has what all of them
// share.
#include <unistd.h>

#include <algorithm>

#include "row.hpp"

using namespace raw;
using namespace uapi;

BOOST_AUTO_TEST_SUITE(ladder)

namespace {

int call(const Scene& scene, const Row& row, Bytes& bytes) {
  const int error = scene.context.call(row.number, bytes.data());
  // What it gave is a descriptor: none is to be left of a call that was refused.
  if (!error && row.number == AIACCEL_IOC_EXPORT) close(as<aiaccel_export>(bytes).fd);
  return error;
}

void set_size(Bytes& bytes, uint32_t size) {
  memcpy(bytes.data(), &size, sizeof(size));
}

// Each good argument of theirs names a new object, which they take away; they have no reply.
bool ends_what_it_names(const Row& row) {
  return row.number == AIACCEL_IOC_DESTROY || row.number == AIACCEL_IOC_ENGINE_UNREGISTER;
}

// A good argument of another size than it has; what is added is zeros, and what is beyond a smaller
// size is not the call's.
Bytes sized(const Row& row, const Scene& scene, uint32_t size) {
  Bytes bytes = row.good(scene);
  bytes.resize(std::max<size_t>(bytes.size(), size));
  std::fill(bytes.begin() + std::min<ptrdiff_t>(size, row.size()), bytes.begin() + row.size(),
            0x77);
  set_size(bytes, size);
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_CASE(numbers) {
  NEED_DEVICE();
  const Context context;
  aiaccel_query query{};
  for (unsigned nr = 0; nr < 256; nr++) {
    query.size = 0;  // known numbers answer EINVAL, and do nothing
    const unsigned long number = _IO(AIACCEL_IOC_TYPE, nr);
    const bool known = std::any_of(rows().begin(), rows().end(),
                                   [&](const Row& row) { return row.number == number; });
    BOOST_TEST(context.call(number, &query) == (known ? EINVAL : ENOTTY),
               "number " << nr << (known ? "" : " has no file in tests/uapi/"));
  }
  query.size = sizeof(query);
  BOOST_TEST(context.call(_IOWR(AIACCEL_IOC_TYPE, 0, aiaccel_query), &query) == ENOTTY);
  BOOST_TEST(context.call(_IO('x', 0), &query) == ENOTTY);
}

BOOST_AUTO_TEST_CASE(sizes) {
  NEED_DEVICE();
  const Scene scene;
  for (const Row& row : rows()) {
    BOOST_TEST_CONTEXT(row.name) {
      for (const uint32_t size : {0u, 1u, 4u, row.first_size() - 1}) {
        Bytes bytes = sized(row, scene, size);
        BOOST_TEST(call(scene, row, bytes) == EINVAL, "size " << size);
      }
      // What the caller's struct ends before is not written, be it in the middle of a field.
      for (uint32_t size = row.first_size(); size < row.size(); size += 4) {
        Bytes bytes = sized(row, scene, size);
        BOOST_TEST(call(scene, row, bytes) == 0, "size " << size);
        BOOST_TEST(std::all_of(bytes.begin() + size, bytes.end(), [](char b) { return b == 0x77; }),
                   "size " << size);
      }
      for (const uint32_t size : {row.size(), row.size() + 1, row.size() + 8, uint32_t{kPage}}) {
        Bytes bytes = sized(row, scene, size);
        BOOST_TEST(call(scene, row, bytes) == 0, "size " << size);
        BOOST_TEST(as<uint32_t>(bytes) == size);
        BOOST_TEST(std::all_of(bytes.begin() + row.size(), bytes.end(), [](char b) { return !b; }));
      }
      for (const uint32_t size : {uint32_t{kPage} + 1, 0x80000000u, ~0u}) {
        Bytes bytes = sized(row, scene, row.size());
        set_size(bytes, size);
        bytes.resize(kPage + 8);
        BOOST_TEST(call(scene, row, bytes) == E2BIG, "size " << size);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(unknown_tails_are_e2big_before_all_else) {
  NEED_DEVICE();
  const Scene scene;
  for (const Row& row : rows()) {
    const Use before(scene.context);
    for (const uint32_t size : {row.size() + 1, row.size() + 8, uint32_t{kPage}})
      for (const uint32_t at : {row.size(), size - 1}) {
        Bytes bytes = sized(row, scene, size);
        // a bad pointer and a bad flag would be found later
        for (const Spoil& spoil : row.spoils(scene)) spoil.apply(bytes.data());
        bytes[at] = 1;
        const Bytes wanted = bytes;
        BOOST_TEST(call(scene, row, bytes) == E2BIG, row.name << " byte " << at << " of " << size);
        BOOST_TEST((bytes == wanted), row.name << " was written");
      }
    if (!ends_what_it_names(row)) BOOST_TEST(Use(scene.context) == before);
  }
}

BOOST_AUTO_TEST_CASE(memory_that_cannot_be_read) {
  NEED_DEVICE();
  const Scene scene;
  const Map& page = scene.page;
  BOOST_REQUIRE_EQUAL(mprotect(page.data() + kPage, kPage, PROT_NONE), 0);
  for (const Row& row : rows()) {
    BOOST_TEST_CONTEXT(row.name) {
      BOOST_TEST(scene.context.call(row.number, nullptr) == EFAULT);
      BOOST_TEST(scene.context.call(row.number, page.data() + kPage) == EFAULT);
      BOOST_TEST(scene.context.call(row.number, page.data() + kPage - 3) == EFAULT);
      // the highest address of all, and where the kernel's begin
      BOOST_TEST(scene.context.call(row.number, reinterpret_cast<void*>(~uintptr_t{0})) == EFAULT);
      const uint64_t kernel = ~0ULL << 47;
      BOOST_TEST(scene.context.call(row.number, reinterpret_cast<void*>(
                                                    static_cast<uintptr_t>(kernel))) == EFAULT);
      // only the size can be read: it is looked at first
      char* split = page.data() + kPage - 4;
      for (const auto& [size, error] :
           std::initializer_list<std::pair<uint32_t, int>>{{row.first_size() - 1, EINVAL},
                                                           {row.size(), EFAULT},
                                                           {uint32_t{kPage} + 1, E2BIG}}) {
        memcpy(split, &size, sizeof(size));
        BOOST_TEST(scene.context.call(row.number, split) == error, "size " << size);
      }
      // all that is known can be read, its tail cannot
      Bytes bytes = sized(row, scene, row.size() + 8);
      split = page.data() + kPage - row.size();
      memcpy(split, bytes.data(), row.size());
      BOOST_TEST(scene.context.call(row.number, split) == EFAULT);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reply_that_cannot_be_written_leaves_nothing_behind) {
  NEED_DEVICE();
  for (const Row& row : rows()) {
    if (std::none_of(row.fields.begin(), row.fields.end(),
                     [](const Field& field) { return field.kind != kIn && field.kind != kZero; }))
      continue;  // it has no reply
    const Scene scene;
    const Map struct_page = anonymous(kPage);
    const Bytes bytes = row.good(scene);
    memcpy(struct_page.data(), bytes.data(), bytes.size());
    BOOST_REQUIRE_EQUAL(mprotect(struct_page.data(), kPage, PROT_READ), 0);
    const Use before(scene.context);
    BOOST_TEST(scene.context.call(row.number, struct_page.data()) == EFAULT, row.name);
    BOOST_TEST(Use(scene.context) == before, row.name);
    // nor an id that nobody was told of
    aiaccel_destroy destroy{};
    for (destroy.id = 1; destroy.id < 20; destroy.id++)
      BOOST_TEST(
          scene.context(AIACCEL_IOC_DESTROY, destroy) ==
              (destroy.id == scene.buffer || destroy.id == scene.queue || destroy.id == scene.spare
                   ? 0
                   : ENOENT),
          row.name << " left id " << destroy.id);
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_does_not_depend_on_being_told) {
  NEED_DEVICE();
  for (const Row& row : rows()) {
    const Scene scene;
    const Map struct_page = anonymous(kPage);
    const Bytes good = row.good(scene);
    for (const Spoil& spoil : row.spoils(scene)) {
      // ENTER looks whether it can tell what it took before it takes any entry
      if (row.number == AIACCEL_IOC_ENTER && spoil.error == ENOENT) continue;
      BOOST_REQUIRE_EQUAL(mprotect(struct_page.data(), kPage, PROT_READ | PROT_WRITE), 0);
      memcpy(struct_page.data(), good.data(), good.size());
      spoil.apply(struct_page.data());
      BOOST_REQUIRE_EQUAL(mprotect(struct_page.data(), kPage, PROT_READ), 0);
      BOOST_TEST(scene.context.call(row.number, struct_page.data()) == spoil.error,
                 row.name << ": " << spoil.what);
    }
  }
}

BOOST_AUTO_TEST_CASE(of_two_reasons_the_earlier_wins_and_nothing_changes) {
  NEED_DEVICE();
  for (const Row& row : rows()) {
    const Scene scene;
    Bytes good = row.good(scene);
    row.poison(good, 0x5a);
    const Use use(scene.context);
    spoil_one_and_two(
        row.name, good, row.spoils(scene), [&](Bytes& bytes) { return call(scene, row, bytes); },
        [&](const Bytes& before, const Bytes& after, const Spoil& met) {
          Bytes wanted = before;
          if (row.refused_at())
            memcpy(wanted.data() + row.refused_at(), &met.refused_by, sizeof(met.refused_by));
          BOOST_TEST((after == wanted), "something was written but refused_by");
          BOOST_TEST(Use(scene.context) == use);
        });
    BOOST_TEST(call(scene, row, good) == 0, row.name << " is taken afterwards");
  }
}

BOOST_AUTO_TEST_CASE(reserved_fields_are_einval_by_every_byte) {
  NEED_DEVICE();
  const Scene scene;
  unsigned bytes_tried = 0;
  for (const Row& row : rows())
    for (const Field& field : row.fields) {
      if (field.kind != kZero) continue;
      for (size_t i = 0; i < field.size; i++, bytes_tried++) {
        Bytes bytes = row.good(scene);
        bytes[field.offset + i] = static_cast<char>(0x80);
        BOOST_TEST(call(scene, row, bytes) == EINVAL, row.name << "." << field.name);
      }
    }
  BOOST_TEST(bytes_tried == 9 * sizeof(uint32_t));
}

// Twice with different bytes where outputs go: one that keeps both was not written. What is written
// holds no address of the kernel.
BOOST_AUTO_TEST_CASE(all_outputs_are_written_and_none_is_read) {
  NEED_DEVICE();
  const Scene scene;
  for (const Row& row : rows()) {
    Bytes poisoned[2];
    const char with[] = {0x5a, static_cast<char>(0xa5)};
    for (int i = 0; i < 2; i++) {
      poisoned[i] = row.good(scene);
      row.poison(poisoned[i], with[i]);
      poisoned[i].resize(row.size() + 64, 0x77);
      BOOST_TEST(call(scene, row, poisoned[i]) == 0, row.name);
      BOOST_TEST(std::all_of(poisoned[i].begin() + row.size(), poisoned[i].end(),
                             [](char byte) { return byte == 0x77; }),
                 row.name << " wrote past the caller's size");
      BOOST_TEST(!has_kernel_address(poisoned[i].data(), row.size()), row.name);
    }
    for (const Field& field : row.fields)
      for (size_t at = field.offset; at < field.offset + field.size; at++)
        BOOST_TEST(!(poisoned[0][at] == with[0] && poisoned[1][at] == with[1]),
                   row.name << "." << field.name << " byte " << at - field.offset);
  }
}

BOOST_AUTO_TEST_CASE(another_address_space_gets_eperm_before_all_else) {
  NEED_DEVICE();
  const Scene scene;
  BOOST_TEST(in_child([&] {
               int nth = 0;
               for (const Row& row : rows()) {
                 nth++;
                 if (scene.context.call(row.number, nullptr) != EPERM) return nth;
                 uint32_t size = 0;
                 if (scene.context.call(row.number, &size) != EPERM) return 100 + nth;
               }
               return scene.context.call(_IO(AIACCEL_IOC_TYPE, 0xff), nullptr) == ENOTTY ? 0 : 99;
             }) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
