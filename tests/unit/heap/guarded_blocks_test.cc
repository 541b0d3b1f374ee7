#include "heap/guarded_blocks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

namespace spanmalloc {
namespace {

struct Fixture {
  Fixture() {
    BlockEnds ends;
    ends.set_secret(11);
    if (!blocks.open(ends)) abort();
  }
  unsigned char* allocate(size_t bytes, size_t alignment = 16) {
    return static_cast<unsigned char*>(
        blocks.allocate(bytes, alignment, ++random, __builtin_frame_address(0)));
  }
  void deallocate(void* pointer) { blocks.deallocate(pointer, __builtin_frame_address(0)); }

  MetadataArena arena;
  GuardedBlocks blocks{arena};
  uint64_t random = 0;
};

TEST(GuardedBlocks, AreZeroAlignedAndOfTheirSize) {
  Fixture fixture;
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{100}, GuardedBlocks::kMaxBlockBytes}) {
    for (size_t alignment : {size_t{16}, size_t{64}, size_t{4096}}) {
      unsigned char* block = fixture.allocate(bytes, alignment);
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % alignment, 0u);
      EXPECT_TRUE(fixture.blocks.contains(reinterpret_cast<uintptr_t>(block)));
      EXPECT_EQ(fixture.blocks.block_bytes(block, "free"), bytes);
      for (size_t offset = 0; offset < bytes; ++offset) ASSERT_EQ(block[offset], 0);
      memset(block, 1, bytes);
      fixture.deallocate(block);
    }
  }
  EXPECT_EQ(fixture.blocks.live_count(), 0u);
  fixture.blocks.check_invariants();
}

TEST(GuardedBlocks, RefuseWhatASlotDoesNotHold) {
  Fixture fixture;
  EXPECT_EQ(fixture.allocate(GuardedBlocks::kMaxBlockBytes + 1), nullptr);
  EXPECT_EQ(fixture.allocate(16, size_t{1} << 20), nullptr);
  fixture.blocks.check_invariants();
}

TEST(GuardedBlocks, EndWithTheirSlotsAndComeBack) {
  Fixture fixture;
  std::vector<unsigned char*> blocks;
  for (size_t index = 0; index < GuardedBlocks::kSlots; ++index) {
    blocks.push_back(fixture.allocate(64));
    ASSERT_NE(blocks.back(), nullptr);
  }
  EXPECT_EQ(fixture.allocate(64), nullptr);
  EXPECT_EQ(fixture.blocks.live_count(), GuardedBlocks::kSlots);
  fixture.blocks.check_invariants();
  EXPECT_EQ(std::set<unsigned char*>(blocks.begin(), blocks.end()).size(), blocks.size());
  for (unsigned char* block : blocks) fixture.deallocate(block);
  fixture.blocks.check_invariants();
  EXPECT_NE(fixture.allocate(64), nullptr);
  EXPECT_EQ(fixture.blocks.live_count(), 1u);
}

TEST(GuardedBlocksDeathTest, TellMisuse) {
  Fixture fixture;
  unsigned char* block = fixture.allocate(64);
  unsigned char* freed = fixture.allocate(64);
  fixture.deallocate(freed);
  EXPECT_DEATH(fixture.deallocate(freed), "double free of a 64-byte block");
  EXPECT_DEATH(fixture.deallocate(block + 1), "pointer into the middle of a 64-byte block");
  EXPECT_DEATH((void)fixture.blocks.block_bytes(freed, "realloc"), "block is free");
  EXPECT_DEATH(fixture.blocks.report_size(block, 40, "free_sized"), "size 40 given for a 64-byte");
  EXPECT_DEATH(fixture.blocks.report_alignment(block, 4096, "operator delete"),
               "alignment 4096 given for a 64-byte block that is not so aligned");
  EXPECT_DEATH(freed[0] = 1, "");
}

TEST(GuardedBlocksDeathTest, TellBytesWrittenBehindABlock) {
  Fixture fixture;
  // One at either end of its slot; 60 bytes leave canary bytes in both.
  for (int which = 0; which < 2; ++which) {
    unsigned char* block = fixture.allocate(60);
    EXPECT_DEATH(
        {
          block[60] ^= 1;
          fixture.deallocate(block);
        },
        "memory behind a 60-byte block was overwritten");
  }
}

}  // namespace
}  // namespace spanmalloc
