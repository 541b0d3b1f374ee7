#include "spans/free_list.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spanmalloc {
namespace {

constexpr ListKey kKey = ListKey::from_random(0xfedcba9876543210);

struct List {
  explicit List(size_t room) { end.make_sentinel(kKey, room); }
  void push(FreeNode* node) {
    node->link_above(top, kKey);
    top = node;
  }
  FreeNode* pop() {
    FreeNode* node = top;
    top = node->next(kKey);
    node->remove_seal();
    return node;
  }

  FreeNode end{};
  FreeNode* top = &end;
};

TEST(ListKey, LeavesTheLow16BitsToTheRoom) {
  EXPECT_EQ(ListKey::from_random(UINT64_MAX).value, ~uintptr_t{0xffff});
  EXPECT_EQ(ListKey::from_random(0xffff).value, 0u);
}

TEST(FreeList, ASentinelEndsTheListWithAllItsRoom) {
  const List list(5);
  EXPECT_EQ(list.top->next(kKey), nullptr);
  EXPECT_EQ(list.top->room(), 5u);
}

TEST(FreeList, NodesComeBackLastInFirstOut) {
  FreeNode nodes[10]{};
  List list(10);
  for (FreeNode& node : nodes) list.push(&node);
  for (size_t index = 10; index > 0; --index) EXPECT_EQ(list.pop(), &nodes[index - 1]);
  EXPECT_EQ(list.top, &list.end);
}

TEST(FreeList, RoomCountsDownToZeroAndUpAgain) {
  FreeNode nodes[10]{};
  List list(10);
  for (size_t index = 0; index < 10; ++index) {
    EXPECT_EQ(list.top->room(), 10 - index);
    list.push(&nodes[index]);
  }
  EXPECT_EQ(list.top->room(), 0u);
  for (size_t room = 1; room <= 10; ++room) {
    list.pop();
    EXPECT_EQ(list.top->room(), room);
  }
}

TEST(FreeList, EveryNodeOfAListHasTheSealOfEveryOther) {
  FreeNode nodes[512]{};
  List list(512);
  for (FreeNode& node : nodes) list.push(&node);
  for (const FreeNode& node : nodes) {
    EXPECT_TRUE(node.has_seal_of(&list.end));
    EXPECT_TRUE(list.end.has_seal_of(&node));
    EXPECT_TRUE(node.has_seal_of(list.top));
  }
}

TEST(FreeList, ABlockThatThePoolHandedOutHasNoSeal) {
  FreeNode node{};
  List list(3);
  EXPECT_FALSE(node.has_seal_of(&list.end));
  list.push(&node);
  EXPECT_TRUE(node.has_seal_of(&list.end));
  list.pop();
  EXPECT_FALSE(node.has_seal_of(&list.end));
}

TEST(FreeList, OrdinaryContentIsNoSeal) {
  List list(100);
  FreeNode node{};
  for (const uintptr_t content : {uintptr_t{0}, uintptr_t{1}, UINTPTR_MAX, uintptr_t{0xffff},
                                  reinterpret_cast<uintptr_t>(&list), ~kKey.value}) {
    node.seal = content;
    EXPECT_FALSE(node.has_seal_of(&list.end)) << content;
  }
  std::mt19937_64 random(1);
  for (int round = 0; round < 100000; ++round) {
    node.seal = random();
    ASSERT_FALSE(node.has_seal_of(&list.end));
  }
}

TEST(FreeList, LinksAreNotPlainPointers) {
  FreeNode nodes[2]{};
  List list(2);
  list.push(&nodes[0]);
  list.push(&nodes[1]);
  EXPECT_NE(nodes[1].link, reinterpret_cast<uintptr_t>(&nodes[0]));
  EXPECT_EQ(nodes[1].next(kKey), &nodes[0]);
}

}  // namespace
}  // namespace spanmalloc
