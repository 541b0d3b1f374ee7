#include "spans/free_list.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spanmalloc {
namespace {

constexpr ListKey kKey = ListKey::from_random(0xfedcba9876543210);

struct List {
  explicit List(size_t room, SealCheck check = SealCheck::kAtFree) {
    end.make_sentinel(kKey, room, check);
  }
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

TEST(ListKey, LinkKeysAreNegative) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    EXPECT_LT(static_cast<intptr_t>(ListKey::from_random(random()).link), 0);
  }
}

TEST(ListKey, MarksAreNeverZeroAndDifferFromTheLinksKey) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    const ListKey key = ListKey::from_random(random());
    EXPECT_NE(key.mark, 0u);
    EXPECT_NE(key.mark, static_cast<uint32_t>(key.link));
    EXPECT_NE(key.mark, static_cast<uint32_t>(key.link >> 32));
  }
  EXPECT_NE(ListKey::from_random(0).mark, 0u);
}

TEST(FreeList, ASentinelEndsTheListWithAllItsRoom) {
  const List list(5);
  EXPECT_TRUE(FreeNode::is_end(list.top->next(kKey)));
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

TEST(FreeList, TheSealAboveIsRefusedWithoutRoom) {
  FreeNode node{};
  List list(1);
  uint64_t seal;
  ASSERT_TRUE(list.top->seal_above(&seal));
  list.push(&node);
  EXPECT_EQ(node.seal, seal);
  EXPECT_FALSE(list.top->seal_above(&seal));
}

TEST(FreeList, AListWithDeferredChecksCountsItsRoomAndTellsThem) {
  FreeNode nodes[10]{};
  List list(10, SealCheck::kDeferred);
  for (FreeNode& node : nodes) {
    uint64_t seal;
    EXPECT_FALSE(list.top->seal_above(&seal));
    EXPECT_TRUE(FreeNode::is_deferred(seal));
    EXPECT_EQ(list.top->seal_check(), SealCheck::kDeferred);
    list.push(&node);
    EXPECT_EQ(node.seal, seal);
    EXPECT_EQ(node.room(), static_cast<size_t>(&nodes[9] - &node));
  }
  uint64_t seal;
  EXPECT_FALSE(list.top->seal_above(&seal));
  EXPECT_FALSE(FreeNode::is_deferred(seal));
  for (size_t index = 10; index > 0; --index) EXPECT_EQ(list.pop(), &nodes[index - 1]);
  EXPECT_EQ(list.top->room(), 10u);
}

TEST(FreeList, RoomsAreCountedAlikeWhateverTheCheck) {
  for (size_t room = 0; room <= FreeNode::kMaxRoom; room += room < 8 ? 1 : 1009) {
    const List at_free(room);
    const List deferred(room, SealCheck::kDeferred);
    EXPECT_EQ(at_free.top->room(), room);
    EXPECT_EQ(deferred.top->room(), room);
    EXPECT_EQ(at_free.top->seal_check(), SealCheck::kAtFree);
    EXPECT_EQ(deferred.top->seal_check(), SealCheck::kDeferred);
    uint64_t seal;
    EXPECT_EQ(at_free.top->seal_above(&seal), room > 0);
    EXPECT_FALSE(FreeNode::is_deferred(seal));
    EXPECT_FALSE(deferred.top->seal_above(&seal));
    EXPECT_EQ(FreeNode::is_deferred(seal), room > 0);
  }
}

TEST(FreeList, ABlockThatWasHandedOutLooksLikeTheEndOfAList) {
  FreeNode nodes[2]{};
  List list(2);
  for (FreeNode& node : nodes) list.push(&node);
  for (int taken = 0; taken < 2; ++taken) {
    (void)list.pop();
    EXPECT_FALSE(list.top->has_mark_of(0)) << "only the block itself is changed";
  }
  for (const FreeNode& node : nodes) EXPECT_TRUE(FreeNode::is_end(node.next(kKey)));
}

TEST(FreeList, NumbersAndAddressesInTheFirstWordEndAList) {
  FreeNode node{};
  for (const uintptr_t content : {uintptr_t{0}, uintptr_t{1}, uintptr_t{0x4141414141414141},
                                  reinterpret_cast<uintptr_t>(&node)}) {
    node.link = content;
    EXPECT_TRUE(FreeNode::is_end(node.next(kKey))) << content;
  }
}

TEST(FreeList, EveryNodeOfAListHasTheSealOfEveryOther) {
  FreeNode nodes[512]{};
  List list(512);
  for (FreeNode& node : nodes) list.push(&node);
  for (const FreeNode& node : nodes) {
    EXPECT_TRUE(node.has_mark_of(list.end.seal));
    EXPECT_TRUE(list.end.has_mark_of(node.seal));
    EXPECT_TRUE(node.has_mark_of(list.top->seal));
  }
}

TEST(FreeList, ABlockThatThePoolHandedOutHasNoSeal) {
  FreeNode node{};
  List list(3);
  EXPECT_FALSE(node.has_mark_of(list.end.seal));
  list.push(&node);
  EXPECT_TRUE(node.has_mark_of(list.end.seal));
  list.pop();
  EXPECT_FALSE(node.has_mark_of(list.end.seal));
}

TEST(FreeList, OrdinaryContentIsNoSeal) {
  List list(100);
  FreeNode node{};
  for (const uint64_t content : {uint64_t{0}, uint64_t{1}, UINT64_MAX, uint64_t{0xffff},
                                 uint64_t{reinterpret_cast<uintptr_t>(&list)}, ~list.end.seal}) {
    node.seal = content;
    EXPECT_FALSE(node.has_mark_of(list.end.seal)) << content;
  }
  std::mt19937_64 random(1);
  for (int round = 0; round < 100000; ++round) {
    node.seal = random();
    ASSERT_FALSE(node.has_mark_of(list.end.seal));
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
