// SPDX-License-Identifier: MIT
//
// The pool: blocks that do not meet, known by buffer and offset, and memory that goes back.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory_resource>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>

#include "memory.hpp"

using namespace aiaccel;
using namespace aiaccel::literals;
using namespace memory_test;

namespace {

struct Block {
  std::size_t bytes, alignment;
  unsigned seed;
};

std::span<std::byte> bytes_of(void* address, std::size_t bytes) {
  return {static_cast<std::byte*>(address), bytes};
}

// Allocates and gives back by chance, looks at every byte, and at what locate() says: blocks of one
// buffer do not overlap.
void play(BufferPool& pool, unsigned seed, unsigned steps, std::size_t most) {
  std::mt19937 random(seed);
  std::map<void*, Block> held;
  std::size_t wrong = 0;
  for (unsigned step = 0; step < steps; ++step) {
    if (held.size() > 40 || (!held.empty() && random() % 2)) {
      const auto gone = std::next(held.begin(), static_cast<long>(random() % held.size()));
      const Block& block = gone->second;
      wrong += !filled(bytes_of(gone->first, block.bytes), block.seed);
      pool.deallocate(gone->first, block.bytes, block.alignment);
      held.erase(gone);
      continue;
    }
    Block block{1 + random() % (std::size_t{1} << (random() % 21)) % most,
                std::size_t{1} << (random() % 14), static_cast<unsigned>(random())};
    void* const address = pool.allocate(block.bytes, block.alignment);
    wrong += reinterpret_cast<std::uintptr_t>(address) % block.alignment != 0;
    fill(bytes_of(address, block.bytes), block.seed);
    wrong += !held.emplace(address, block).second;
  }
  const void* last_end = nullptr;
  for (const auto& [address, block] : held) {
    wrong += address < last_end;
    wrong += !filled(bytes_of(address, block.bytes), block.seed);
    const Location first = pool.locate(address);
    const Location last = pool.locate(static_cast<std::byte*>(address) + block.bytes - 1);
    wrong += first.buffer != last.buffer || last.offset - first.offset != block.bytes - 1;
    last_end = static_cast<std::byte*>(address) + block.bytes;
  }
  for (const auto& [address, block] : held) pool.deallocate(address, block.bytes, block.alignment);
  // From threads: Boost is told once.
  if (wrong) throw std::runtime_error(std::to_string(wrong) + " wrong blocks");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pool)

BOOST_AUTO_TEST_CASE(by_chance) {
  BufferPool pool(open_device(), {.slab_bytes = 64_KiB, .keep_bytes = 1_MiB});
  for (unsigned seed = 0; seed < 5; ++seed) BOOST_CHECK_NO_THROW(play(pool, seed, 400, 300'000));
  BOOST_TEST(pool.stats().used_bytes == 0u);
  BOOST_TEST(pool.stats().free_bytes <= 1_MiB);
  BOOST_TEST(pool.stats().free_bytes == pool.stats().held_bytes);
}

BOOST_AUTO_TEST_CASE(from_several_threads) {
  BufferPool pool(open_device(), {.slab_bytes = 64_KiB, .keep_bytes = 256_KiB});
  std::atomic<unsigned> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 4; ++seed)
      threads.emplace_back([&, seed] {
        try {
          play(pool, seed, 300, 50'000);
        } catch (const std::exception&) {
          ++failed;
        }
      });
  }
  BOOST_TEST(failed == 0u);
  BOOST_TEST(pool.stats().used_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(for_containers) {
  BufferPool pool(open_device());
  {
    std::pmr::vector<float> floats(&pool);
    for (int i = 0; i < 300'000; ++i) floats.push_back(static_cast<float>(i));
    const Location at = pool.locate(&floats[1000]);
    BOOST_TEST(pool.locate(floats.data()).buffer == at.buffer);
    BOOST_TEST(at.offset - pool.locate(floats.data()).offset == 4000u);
    std::pmr::unordered_map<int, std::pmr::string> names(&pool);
    for (int i = 0; i < 1000; ++i) names[i] = std::string(100, static_cast<char>('a' + i % 26));
    for (int i = 0; i < 1000; ++i) BOOST_REQUIRE(names[i][99] == 'a' + i % 26);
  }
  BOOST_TEST(pool.stats().used_bytes == 0u);
  BOOST_TEST(pool.is_equal(pool));
  BOOST_TEST(!pool.is_equal(*std::pmr::get_default_resource()));
}

// The location is that of the buffer: its memory, mapped once more, holds what was written.
BOOST_AUTO_TEST_CASE(a_location_is_where_the_bytes_are) {
  const Device device = open_device();
  BufferPool pool(device);
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{5000}, std::size_t{3_MiB}}) {
    void* const address = pool.allocate(bytes);
    fill(bytes_of(address, bytes), 77);
    const Location at = pool.locate(address);
    aiaccel_buffer_info info{};
    info.size = sizeof info;
    info.id = at.buffer;
    BOOST_REQUIRE_EQUAL(aiaccel_call(device.handle(), AIACCEL_IOC_BUFFER_INFO, &info), 0);
    void* mapped = nullptr;
    BOOST_REQUIRE_EQUAL(
        aiaccel_map(device.handle(), info.mmap_offset, info.length, PROT_READ, &mapped), 0);
    const Memory again(mapped, info.length);
    BOOST_TEST(filled(again.bytes().subspan(at.offset, bytes), 77));
    pool.deallocate(address, bytes);
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_of_the_pool_is_nowhere) {
  BufferPool pool(open_device());
  int own = 0;
  BOOST_TEST(error_of([&] { pool.locate(&own); }) == EINVAL);
  BOOST_TEST(error_of([&] { pool.locate(nullptr); }) == EINVAL);
  void* const address = pool.allocate(1000);
  const Location at = pool.locate(address);
  std::byte* const start = static_cast<std::byte*>(address) - at.offset;
  BOOST_TEST(error_of([&] { pool.locate(start - 1); }) == EINVAL);
  BOOST_TEST(error_of([&] { pool.locate(start + 2_MiB); }) == EINVAL);
  BOOST_TEST(pool.locate(start + 2_MiB - 1).offset == 2_MiB - 1);
  pool.deallocate(address, 1000);
  BOOST_TEST(error_of([&] { pool.locate(address); }) == EINVAL);
}

BOOST_AUTO_TEST_CASE(memory_goes_back_above_the_mark) {
  const Device device = open_device();
  const std::uint64_t before = device.query().pinned_bytes;
  BufferPool pool(device, {.slab_bytes = 64_KiB, .keep_bytes = 256_KiB});
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(pool.allocate(8_KiB));
  // Eight each.
  BOOST_TEST(pool.stats().buffers == 13u);
  BOOST_TEST(device.query().pinned_bytes - before == 13 * 64_KiB);
  for (void* block : blocks) pool.deallocate(block, 8_KiB);
  BOOST_TEST(pool.stats().buffers == 4u);
  BOOST_TEST(pool.stats().free_bytes == 256_KiB);
  BOOST_TEST(device.query().pinned_bytes - before == 256_KiB);
  // What is kept is used, for other sizes, too.
  void* const small = pool.allocate(100);
  BOOST_TEST(pool.stats().buffers == 4u);
  void* const large = pool.allocate(1_MiB);
  BOOST_TEST(pool.stats().buffers == 5u);
  pool.deallocate(large, 1_MiB);
  BOOST_TEST(device.query().pinned_bytes - before <= 64_KiB + 256_KiB);
  pool.deallocate(small, 100);
  pool.trim();
  BOOST_TEST(pool.stats().buffers == 0u);
  BOOST_TEST(pool.stats().held_bytes == 0u);
  BOOST_TEST(device.query().pinned_bytes == before);
}

BOOST_AUTO_TEST_CASE(a_large_block_is_kept_for_the_next_of_its_size) {
  const Device device = open_device();
  BufferPool pool(device);
  void* const first = pool.allocate(5_MiB);
  const std::uint32_t buffer = pool.locate(first).buffer;
  pool.deallocate(first, 5_MiB);
  void* const second = pool.allocate(5_MiB - 1000);
  BOOST_TEST(pool.locate(second).buffer == buffer);
  BOOST_TEST(pool.stats().buffers == 1u);
  pool.deallocate(second, 5_MiB - 1000);
}

BOOST_AUTO_TEST_CASE(large_alignments) {
  BufferPool pool(open_device());
  for (const std::size_t alignment : {8_KiB, 1_MiB, 4_MiB})
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{10'000}, std::size_t{3_MiB}}) {
      void* const address = pool.allocate(bytes, alignment);
      BOOST_TEST(reinterpret_cast<std::uintptr_t>(address) % alignment == 0u);
      fill(bytes_of(address, bytes), 4);
      pool.deallocate(address, bytes, alignment);
    }
  BOOST_TEST(pool.stats().used_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_had_is_an_error_and_the_pool_goes_on) {
  BufferPool pool(open_device());
  BOOST_TEST(error_of([&] { (void)pool.allocate(~std::size_t{0} / 2); }) == ENOMEM);
  BOOST_TEST(error_of([&] { (void)pool.allocate(1ULL << 45); }) != 0);
  BOOST_TEST(error_of([&] { (void)pool.allocate(1, std::size_t{1} << 62); }) == ENOMEM);
  void* const address = pool.allocate(0);
  BOOST_TEST(address != nullptr);
  pool.deallocate(address, 0);
  for (const std::uint64_t slab : {std::uint64_t{0}, 32_KiB, 96_KiB, 2_GiB})
    BOOST_TEST(error_of([&] { BufferPool none(open_device(), {.slab_bytes = slab}); }) == EINVAL);
}

BOOST_AUTO_TEST_CASE(of_pinned_memory) {
  const Device device = open_device();
  if (const std::string why = why_no_pin(device, 1_MiB); !why.empty()) SKIP(why);
  const std::uint64_t before = device.query().pinned_bytes;
  {
    BufferPool pool(device, {.pinned = true, .slab_bytes = 256_KiB, .keep_bytes = 0});
    void* const address = pool.allocate(1000);
    fill(bytes_of(address, 1000), 1);
    BOOST_TEST(device.query().pinned_bytes == before + 256_KiB);
    aiaccel_buffer_info info{};
    info.size = sizeof info;
    info.id = pool.locate(address).buffer;
    BOOST_REQUIRE_EQUAL(aiaccel_call(device.handle(), AIACCEL_IOC_BUFFER_INFO, &info), 0);
    BOOST_TEST(info.kind == static_cast<std::uint32_t>(AIACCEL_BUFFER_PINNED));
    pool.deallocate(address, 1000);
    BOOST_TEST(device.query().pinned_bytes == before);
    // What is still allocated goes with the pool.
    BOOST_TEST(pool.allocate(1000) != nullptr);
  }
  BOOST_TEST(device.query().pinned_bytes == before);
}

BOOST_AUTO_TEST_SUITE_END()
