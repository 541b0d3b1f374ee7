#include "cache/address_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "support/cache_parts.h"

namespace spanmalloc {
namespace {

using testing::CacheParts;
using testing::kTestKey;

const SizeClass kClass = size_class_of(64);

struct Fixture : CacheParts {
  // Blocks of one class, in the order of their addresses.
  std::vector<FreeNode*> take(size_t count, SizeClass size_class = kClass) {
    std::vector<FreeNode*> blocks;
    while (blocks.size() < count) blocks.push_back(allocate(cache, size_class));
    std::sort(blocks.begin(), blocks.end());
    return blocks;
  }
  // A list in which the first block of `blocks` lies on top.
  Magazine list_of(const std::vector<FreeNode*>& blocks, SizeClass size_class = kClass) {
    FreeNode* top = sentinels.sentinel(size_class, SentinelTable::kLevels - 1, SealCheck::kDeferred,
                                       centrals[size_class].mutex());
    for (size_t index = blocks.size(); index > 0; --index) {
      blocks[index - 1]->link_above(top, kTestKey);
      top = blocks[index - 1];
    }
    return {top, blocks.size()};
  }
  std::optional<FreeNode*> try_to_order(Magazine list, SizeClass size_class = kClass) {
    return in_address_order(list, size_class, kTestKey, page_map.class_map().view(), sentinels);
  }
  FreeNode* ordered(Magazine list, SizeClass size_class = kClass) {
    return try_to_order(list, size_class).value();
  }
  // What the list has from its top to its end, which must be a sentinel; every node with the room
  // that its place gives it.
  std::vector<FreeNode*> blocks_of(FreeNode* top) const {
    std::vector<FreeNode*> blocks;
    const size_t room = top->room();
    for (FreeNode* node = top; !FreeNode::is_end(node->next(kTestKey));
         node = node->next(kTestKey)) {
      EXPECT_EQ(node->room(), room + blocks.size());
      EXPECT_EQ(node->seal_check(), SealCheck::kDeferred);
      EXPECT_TRUE(node->has_mark_of(kTestKey.mark));
      EXPECT_FALSE(sentinels.contains(node));
      blocks.push_back(node);
    }
    return blocks;
  }

  ThreadCache& cache = *acquire();
};

TEST(AddressOrder, OrdersBlocksThatLieCloseTogether) {
  Fixture test;
  std::mt19937_64 random(1);
  for (const size_t bytes : {size_t{16}, size_t{48}, size_t{64}, size_t{208}, size_t{1024}}) {
    const SizeClass size_class = size_class_of(bytes);
    for (int round = 0; round < 20; ++round) {
      const size_t capacity = kSizeClasses[size_class].magazine_capacity;
      const size_t count = 32 + random() % (capacity - 31);
      const std::vector<FreeNode*> sorted = test.take(count, size_class);
      std::vector<FreeNode*> mixed = sorted;
      std::shuffle(mixed.begin(), mixed.end(), random);
      const Magazine list = test.list_of(mixed, size_class);
      EXPECT_EQ(test.blocks_of(test.ordered(list, size_class)), sorted) << bytes;
      for (FreeNode* block : mixed) test.deallocate(test.cache, size_class, block);
    }
  }
}

TEST(AddressOrder, KeepsWhatIsShort) {
  Fixture test;
  const std::vector<FreeNode*> sorted = test.take(31);
  std::vector<FreeNode*> mixed = sorted;
  std::shuffle(mixed.begin(), mixed.end(), std::mt19937_64(2));
  EXPECT_EQ(test.blocks_of(test.ordered(test.list_of(mixed))), mixed);
}

TEST(AddressOrder, KeepsWhatRunsInOneDirection) {
  Fixture test;
  std::vector<FreeNode*> blocks = test.take(100);
  EXPECT_EQ(test.blocks_of(test.ordered(test.list_of(blocks))), blocks);
  std::reverse(blocks.begin(), blocks.end());
  EXPECT_EQ(test.blocks_of(test.ordered(test.list_of(blocks))), blocks);
}

TEST(AddressOrder, SaysThatBlocksLieFarApartAndLeavesThemAsTheyAre) {
  Fixture test;
  const std::vector<FreeNode*> many = test.take(100'000);
  std::vector<FreeNode*> apart;
  // One block of each 40 KiB.
  for (size_t index = 0; apart.size() < 100; index += 640) apart.push_back(many[index]);
  std::shuffle(apart.begin(), apart.end(), std::mt19937_64(3));
  const Magazine list = test.list_of(apart);
  EXPECT_EQ(test.try_to_order(list), std::nullopt);
  EXPECT_EQ(test.blocks_of(list.top), apart);
}

TEST(AddressOrder, KeepsAListThatTheProgramHasWrittenTo) {
  Fixture test;
  std::vector<FreeNode*> blocks = test.take(100);
  std::shuffle(blocks.begin(), blocks.end(), std::mt19937_64(4));
  for (const size_t place : {size_t{0}, size_t{5}, size_t{50}, size_t{98}, size_t{99}}) {
    for (const uintptr_t value : {uintptr_t{0}, uintptr_t{0x4141414141414141}, ~uintptr_t{0}}) {
      const Magazine list = test.list_of(blocks);
      blocks[place]->link = value;
      const FreeNode* second = blocks[0]->next(kTestKey);
      EXPECT_EQ(test.ordered(list), blocks[0]) << place << ' ' << value;
      EXPECT_EQ(blocks[0]->next(kTestKey), second);
      EXPECT_EQ(blocks[place]->link, value) << "the trace of what was done stays";
    }
    const Magazine list = test.list_of(blocks);
    blocks[place]->remove_seal();
    EXPECT_EQ(test.ordered(list), blocks[0]) << place;
    EXPECT_FALSE(blocks[place]->has_mark_of(kTestKey.mark));
  }
}

TEST(AddressOrder, KeepsAListWithABlockThatWasFreedTwice) {
  Fixture test;
  std::vector<FreeNode*> blocks = test.take(100);
  std::shuffle(blocks.begin(), blocks.end(), std::mt19937_64(5));
  const Magazine list = test.list_of(blocks);
  // The second free put block 70 on top of block 20: the list runs in a circle.
  blocks[70]->link_above(blocks[20], kTestKey);
  EXPECT_EQ(test.ordered(list), blocks[0]);
  EXPECT_EQ(blocks[70]->next(kTestKey), blocks[20]);
}

// What parsers and compilers do, round after round: they free blocks in nearly the order in which
// they allocated them.
double neighbours_after_rounds(BlockOrder order) {
  Fixture test;
  test.check = SealCheck::kDeferred;
  test.order = order;
  constexpr size_t kBlocks = 20'000;
  std::mt19937_64 random(6);
  std::vector<FreeNode*> blocks = test.take(kBlocks);
  for (int round = 0; round < 20; ++round) {
    for (auto first = blocks.begin(); first != blocks.end(); first += 8) {
      std::shuffle(first, first + 8, random);
    }
    for (FreeNode* block : blocks) test.deallocate(test.cache, kClass, block);
    for (FreeNode*& block : blocks) block = test.allocate(test.cache, kClass);
  }
  size_t neighbours = 0;
  for (size_t index = 1; index < kBlocks; ++index) {
    const auto distance =
        reinterpret_cast<intptr_t>(blocks[index]) - reinterpret_cast<intptr_t>(blocks[index - 1]);
    neighbours += distance == 64 || distance == -64 ? 1 : 0;
  }
  test.cache.check_invariants(test.page_map.class_map());
  for (FreeNode* block : blocks) test.deallocate(test.cache, kClass, block);
  return static_cast<double>(neighbours) / kBlocks;
}

TEST(AddressOrder, KeepsNeighboursTogetherOverManyRounds) {
  EXPECT_GT(neighbours_after_rounds(BlockOrder::kByAddress), 0.9);
  EXPECT_LT(neighbours_after_rounds(BlockOrder::kAsFreed), 0.7) << "the rounds mix nothing";
}

// What a program finds that frees every second block of a large heap, in any order, and then
// allocates as many: the part of blocks that lie within a kernel page of the one before.
double near_after_scattered_frees(BlockOrder order, size_t* depot_bytes) {
  Fixture test;
  test.check = SealCheck::kDeferred;
  test.order = order;
  constexpr size_t kBlocks = 20'000;
  const std::vector<FreeNode*> blocks = test.take(2 * kBlocks);
  std::vector<FreeNode*> freed;
  for (size_t index = 0; index < blocks.size(); index += 2) freed.push_back(blocks[index]);
  std::shuffle(freed.begin(), freed.end(), std::mt19937_64(7));
  for (FreeNode* block : freed) test.deallocate(test.cache, kClass, block);
  *depot_bytes = test.centrals[kClass].depot_bytes();
  size_t near = 0;
  uintptr_t last = 0;
  for (FreeNode*& block : freed) {
    block = test.allocate(test.cache, kClass);
    const uintptr_t address = reinterpret_cast<uintptr_t>(block);
    near += address - last < 4096 || last - address < 4096 ? 1 : 0;
    last = address;
  }
  test.cache.check_invariants(test.page_map.class_map());
  test.centrals[kClass].check_invariants();
  for (FreeNode* block : blocks) test.deallocate(test.cache, kClass, block);
  return static_cast<double>(near) / kBlocks;
}

TEST(AddressOrder, BlocksThatLieFarApartGoBackToTheirSpans) {
  size_t depot_bytes = 0;
  EXPECT_GT(near_after_scattered_frees(BlockOrder::kByAddress, &depot_bytes), 0.75);
  EXPECT_LE(depot_bytes, size_t{96} << 10) << "two lists of 32 KiB, and one that joined them";
  EXPECT_GE(depot_bytes, size_t{64} << 10) << "of these few lists none";
  EXPECT_LT(near_after_scattered_frees(BlockOrder::kAsFreed, &depot_bytes), 0.2);
  EXPECT_GT(depot_bytes, size_t{1} << 20);
}

}  // namespace
}  // namespace spanmalloc
