// SPDX-License-Identifier: MIT
//
// The red-black tree against std::multimap: the same random operations on both, the same order
// in both, and the rules of colour after every step.

#include <tap/tap.hpp>

#include <map>
#include <random>
#include <vector>

#include "core/core.hpp"

namespace {

struct Item {
  aia_rb_node node{};
  unsigned key = 0;
  unsigned serial = 0;
  bool in_tree = false;
};

const Item* item(const aia_rb_node* node) {
  return aia_container_of(node, const Item, node);
}

bool less(const aia_rb_node* a, const aia_rb_node* b) {
  return item(a)->key < item(b)->key;
}

// Black nodes on each way down from `node`, -1 where a rule is broken.
int black_height(const aia_rb_node* node, const aia_rb_node* parent) {
  if (!node) return 1;
  if (node->parent != parent) return -1;
  if (node->red && ((node->left && node->left->red) || (node->right && node->right->red)))
    return -1;
  int left = black_height(node->left, node);
  int right = black_height(node->right, node);
  if (left < 0 || left != right) return -1;
  return left + (node->red ? 0 : 1);
}

bool is_sound(const aia_rb_root& root) {
  return !(root.top && root.top->red) && black_height(root.top, nullptr) > 0;
}

using Model = std::multimap<unsigned, unsigned>;

// Same keys in the same order, equal keys in the order of their insertion.
bool equals(const aia_rb_root& root, const Model& model) {
  const aia_rb_node* node = aia_rb_first(&root);
  for (const auto& [key, serial] : model) {
    if (!node || item(node)->key != key || item(node)->serial != serial) return false;
    node = aia_rb_next(node);
  }
  return node == nullptr;
}

void random_operations(unsigned seed, unsigned keys, unsigned items) {
  std::mt19937 random(seed);
  std::vector<Item> pool(items);
  aia_rb_root root{};
  Model model;
  unsigned serial = 0;
  for (int step = 0; step < 6000; step++) {
    Item& it = pool[random() % pool.size()];
    if (it.in_tree) {
      aia_rb_remove(&root, &it.node);
      auto [begin, end] = model.equal_range(it.key);
      for (auto i = begin; i != end; ++i) {
        if (i->second != it.serial) continue;
        model.erase(i);
        break;
      }
    } else {
      it.key = random() % keys;
      it.serial = serial++;
      aia_rb_insert(&root, &it.node, less);
      model.emplace(it.key, it.serial);
    }
    it.in_tree = !it.in_tree;
    BOOST_TEST_REQUIRE(is_sound(root), "seed " << seed << " step " << step);
    BOOST_TEST_REQUIRE(equals(root, model), "seed " << seed << " step " << step);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rbtree)

BOOST_AUTO_TEST_CASE(an_empty_tree_has_no_first) {
  aia_rb_root root{};
  BOOST_TEST(aia_rb_first(&root) == nullptr);
  Item only;
  aia_rb_insert(&root, &only.node, less);
  BOOST_TEST(aia_rb_first(&root) == &only.node);
  BOOST_TEST(aia_rb_next(&only.node) == nullptr);
  aia_rb_remove(&root, &only.node);
  BOOST_TEST(aia_rb_first(&root) == nullptr);
  BOOST_TEST(root.top == nullptr);
}

BOOST_AUTO_TEST_CASE(few_items_as_a_multimap) {
  for (unsigned seed = 1; seed <= 8; seed++) random_operations(seed, 5, 6);
}

BOOST_AUTO_TEST_CASE(many_items_as_a_multimap) {
  random_operations(101, 1000000, 150);
  random_operations(102, 10, 150);  // most keys are equal
}

BOOST_AUTO_TEST_CASE(hostile_orders_stay_shallow) {
  constexpr unsigned count = 1 << 14;
  for (bool ascending : {true, false}) {
    std::vector<Item> pool(count);
    aia_rb_root root{};
    for (unsigned i = 0; i < count; i++) {
      pool[i].key = ascending ? i : count - i;
      aia_rb_insert(&root, &pool[i].node, less);
    }
    BOOST_TEST(is_sound(root));
    std::size_t deepest = 0;
    for (const Item& it : pool) {
      std::size_t depth = 0;
      for (const aia_rb_node* n = &it.node; n; n = n->parent) depth++;
      deepest = std::max(deepest, depth);
    }
    BOOST_TEST(deepest <= 2u * 14 + 2);
  }
}

BOOST_AUTO_TEST_SUITE_END()
