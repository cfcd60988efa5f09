// SPDX-License-Identifier: MIT
//
// Ceilings: a charge is taken at every level or at none.

#include <tap/tap.hpp>

#include <random>

#include "core/core.hpp"

namespace {

struct Chain {
  aia_limit root, middle, leaf;
  Chain(__u64 root_max, __u64 middle_max, __u64 leaf_max) {
    aia_limit_init(&root, nullptr, root_max);
    aia_limit_init(&middle, &root, middle_max);
    aia_limit_init(&leaf, &middle, leaf_max);
  }
  bool used(__u64 amount) const {
    return root.used == amount && middle.used == amount && leaf.used == amount;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(limit)

BOOST_AUTO_TEST_CASE(a_charge_counts_all_the_way_up) {
  Chain chain(100, 50, AIA_LIMIT_NONE);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 30) == nullptr);
  BOOST_TEST(chain.used(30));
  aia_limit_uncharge(&chain.leaf, 10);
  BOOST_TEST(chain.used(20));
  BOOST_TEST(aia_limit_charge(&chain.leaf, 30) == nullptr);  // to the brim
  BOOST_TEST(chain.used(50));
}

BOOST_AUTO_TEST_CASE(the_nearest_that_refuses_is_named_and_nothing_changes) {
  Chain chain(100, 50, 60);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 51) == &chain.middle);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 61) == &chain.leaf);
  BOOST_TEST(aia_limit_charge(&chain.root, 101) == &chain.root);
  BOOST_TEST(chain.used(0));
  BOOST_TEST(aia_limit_charge(&chain.root, 90) == nullptr);  // a sibling's
  BOOST_TEST(aia_limit_charge(&chain.leaf, 11) == &chain.root);
  BOOST_TEST(chain.leaf.used == 0u);
}

BOOST_AUTO_TEST_CASE(sums_do_not_wrap) {
  Chain chain(AIA_LIMIT_NONE, AIA_LIMIT_NONE, AIA_LIMIT_NONE);
  BOOST_TEST(aia_limit_charge(&chain.leaf, ~0ULL) == nullptr);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 1) == &chain.leaf);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 0) == nullptr);
  BOOST_TEST(chain.used(~0ULL));
}

BOOST_AUTO_TEST_CASE(a_lowered_ceiling_refuses_until_there_is_room) {
  Chain chain(100, 100, 100);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 80) == nullptr);
  chain.middle.max = 40;
  BOOST_TEST(aia_limit_charge(&chain.leaf, 1) == &chain.middle);
  aia_limit_uncharge(&chain.leaf, 50);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 11) == &chain.middle);
  BOOST_TEST(aia_limit_charge(&chain.leaf, 10) == nullptr);
  BOOST_TEST(chain.used(40));
}

BOOST_AUTO_TEST_CASE(room_is_that_of_the_tightest) {
  Chain chain(100, AIA_LIMIT_NONE, 60);
  __u64 max = 0, room = 0;
  auto look = [&](const aia_limit& from) { aia_limit_room(&from, &max, &room); };
  look(chain.leaf);
  BOOST_TEST((max == 60 && room == 60));
  BOOST_TEST(aia_limit_charge(&chain.root, 70) == nullptr);  // a sibling's
  look(chain.leaf);
  BOOST_TEST((max == 60 && room == 30));
  BOOST_TEST(aia_limit_charge(&chain.leaf, room + 1) == &chain.root);
  BOOST_TEST(aia_limit_charge(&chain.leaf, room) == nullptr);
  look(chain.leaf);
  BOOST_TEST((max == 60 && room == 0));
  chain.leaf.max = 10;  // lowered
  aia_limit_uncharge(&chain.root, 70);
  look(chain.leaf);
  BOOST_TEST((max == 10 && room == 0));
  look(chain.middle);
  BOOST_TEST((max == 100 && room == 70));
  const Chain none(AIA_LIMIT_NONE, AIA_LIMIT_NONE, AIA_LIMIT_NONE);
  look(none.leaf);
  BOOST_TEST((max == AIA_LIMIT_NONE && room == AIA_LIMIT_NONE));
}

BOOST_AUTO_TEST_CASE(random_charges_keep_the_sums) {
  constexpr unsigned seed = 3;
  std::mt19937 random(seed);
  aia_limit root, nodes[6];
  aia_limit_init(&root, nullptr, 1000);
  for (int i = 0; i < 6; i++) aia_limit_init(&nodes[i], i < 2 ? &root : &nodes[i % 2], 400);
  __u64 own[6] = {};
  for (int step = 0; step < 20000; step++) {
    unsigned i = random() % 6;
    __u64 amount = random() % 120;
    if (random() % 2) {
      if (!aia_limit_charge(&nodes[i], amount)) own[i] += amount;
    } else if (amount <= own[i]) {
      aia_limit_uncharge(&nodes[i], amount);
      own[i] -= amount;
    }
    __u64 sum[2] = {own[0], own[1]};
    for (int c = 2; c < 6; c++) sum[c % 2] += own[c];
    BOOST_TEST_REQUIRE(nodes[0].used == sum[0], "seed " << seed << " step " << step);
    BOOST_TEST_REQUIRE(nodes[1].used == sum[1]);
    BOOST_TEST_REQUIRE(root.used == sum[0] + sum[1]);
    BOOST_TEST_REQUIRE((root.used <= 1000 && nodes[0].used <= 400 && nodes[1].used <= 400));
  }
  BOOST_TEST(root.used > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
