#include "heap/allocate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <vector>

#include "unit/heap/heap_fixture.h"

namespace spanmalloc {
namespace {

using testing::fill;
using testing::is_aligned_to;
using testing::is_filled;
using testing::is_zero;
using testing::kKiB;
using testing::kMiB;

constexpr int kMark = 12345;

class Allocate : public testing::HeapTest {};
class Reallocate : public testing::HeapTest {};
class AllocateDeathTest : public testing::HeapTest {
 protected:
  AllocateDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

const std::vector<size_t>& interesting_sizes() {
  static const std::vector<size_t> sizes = [] {
    std::vector<size_t> all{0, 1};
    for (size_t index = 1; index < kSizeClassCount; ++index) {
      const size_t bytes = kSizeClasses[index].object_bytes;
      all.insert(all.end(), {bytes - 1, bytes, bytes + 1});
    }
    for (size_t pages = 5; pages < 600; pages += 99) {
      all.insert(all.end(), {pages * kPageBytes - 1, pages * kPageBytes, pages * kPageBytes + 1});
    }
    return all;
  }();
  return sizes;
}

TEST_F(Allocate, EverySizeIsAlignedUsableAndNotSmallerThanAskedFor) {
  for (const size_t bytes : interesting_sizes()) {
    void* block = allocate(bytes);
    ASSERT_NE(block, nullptr) << bytes;
    ASSERT_TRUE(is_aligned_to(block, kMinAlignment));
    const size_t usable = usable_bytes(block, "test");
    ASSERT_GE(usable, bytes);
    ASSERT_LE(usable, bytes + std::max(bytes / 5, kPageBytes));
    memset(block, 0xa5, usable);
    deallocate(block);
  }
}

TEST_F(Allocate, BlocksOfSizeZeroAreDistinct) {
  std::set<void*> blocks;
  for (int count = 0; count < 1000; ++count) blocks.insert(allocate(0));
  EXPECT_EQ(blocks.size(), 1000u);
  EXPECT_EQ(blocks.count(nullptr), 0u);
  for (void* block : blocks) deallocate(block);
}

TEST_F(Allocate, SizesBeyondPtrdiffMaxFailWithEnomem) {
  for (const size_t bytes : {size_t{PTRDIFF_MAX} + 1, SIZE_MAX - kPageBytes, SIZE_MAX}) {
    errno = 0;
    EXPECT_EQ(allocate(bytes), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(allocate_zeroed(bytes), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(allocate_aligned(bytes, 64), nullptr);
    EXPECT_EQ(errno, ENOMEM);
  }
}

TEST_F(Allocate, WhatNoHeapHasRoomForEmptiesNoLists) {
  const size_t room = heap.page_heap().window().size.bytes().value;
  void* block = allocate(100);
  deallocate(block);
  const ThreadCache* cache = own_thread_cache();
  ASSERT_NE(cache, nullptr);
  const size_t held = cache->held_bytes();
  ASSERT_GT(held, 0u);
  for (const size_t bytes : {room + 1, static_cast<size_t>(PTRDIFF_MAX)}) {
    EXPECT_EQ(allocate(bytes), nullptr);
    EXPECT_EQ(allocate_aligned(bytes, 2 * kPageBytes), nullptr);
    block = allocate(kMiB);
    EXPECT_EQ(reallocate(block, bytes), nullptr);
    deallocate(block);
  }
  EXPECT_EQ(cache->held_bytes(), held);
}

TEST_F(Allocate, SuccessAndEveryFreeLeaveErrnoAlone) {
  errno = kMark;
  for (const size_t bytes : {size_t{16}, 20 * kKiB, 100 * kKiB, 40 * kMiB}) {
    deallocate(allocate(bytes));
    deallocate(allocate_zeroed(bytes));
    deallocate(allocate_aligned(bytes, 4096));
    ASSERT_EQ(errno, kMark) << bytes;
  }
  deallocate(nullptr);
  EXPECT_EQ(errno, kMark);
  EXPECT_EQ(usable_bytes(nullptr, "test"), 0u);
}

TEST_F(Allocate, ZeroedBlocksAreZeroAlsoWhereMemoryWasUsedBefore) {
  for (int round = 0; round < 3; ++round) {
    for (const size_t bytes : interesting_sizes()) {
      void* block = allocate_zeroed(bytes);
      ASSERT_NE(block, nullptr);
      ASSERT_TRUE(is_zero(block, bytes)) << bytes << " in round " << round;
      memset(block, 0xff, usable_bytes(block, "test"));
      deallocate(block);
    }
    if (round == 1) (void)heap.release_everything();
  }
}

TEST_F(Allocate, ZeroedBlocksAreZeroInSpansThatWerePartlyUsed) {
  std::mt19937_64 random(1);
  std::vector<void*> blocks;
  for (int round = 0; round < 30000; ++round) {
    const size_t bytes = 1 + random() % 300;
    if (random() % 2 == 0 && !blocks.empty()) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      deallocate(blocks.back());
      blocks.pop_back();
    } else {
      void* block = allocate_zeroed(bytes);
      ASSERT_TRUE(is_zero(block, bytes));
      memset(block, 0xff, usable_bytes(block, "test"));
      blocks.push_back(block);
    }
    if (round % 1000 == 0) (void)heap.release_everything();
  }
  for (void* block : blocks) deallocate(block);
}

TEST_F(Allocate, AlignedBlocksAreAlignedAndWhole) {
  for (size_t alignment = 1; alignment <= 8 * kMiB; alignment *= 2) {
    std::vector<void*> blocks;
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100}, 5 * kKiB, 40 * kKiB, kMiB}) {
      void* block = allocate_aligned(bytes, alignment);
      ASSERT_NE(block, nullptr) << bytes << " aligned to " << alignment;
      ASSERT_TRUE(is_aligned_to(block, std::max(alignment, kMinAlignment)));
      ASSERT_GE(usable_bytes(block, "test"), bytes);
      fill(block, bytes, alignment);
      blocks.push_back(block);
    }
    size_t index = 0;
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100}, 5 * kKiB, 40 * kKiB, kMiB}) {
      ASSERT_TRUE(is_filled(blocks[index], bytes, alignment));
      deallocate(blocks[index++]);
    }
  }
}

TEST_F(Allocate, AHopelessAlignmentFailsWithEnomem) {
  for (const size_t alignment : {size_t{1} << 50, size_t{1} << 62, size_t{1} << 63}) {
    errno = 0;
    EXPECT_EQ(allocate_aligned(1, alignment), nullptr);
    EXPECT_EQ(errno, ENOMEM);
  }
}

TEST_F(Allocate, ASealCopiedIntoALiveBlockIsNoDoubleFree) {
  for (const size_t bytes : {size_t{16}, size_t{64}, 4 * kKiB}) {
    auto* freed = static_cast<FreeNode*>(allocate(bytes));
    auto* other = static_cast<FreeNode*>(allocate(bytes));
    deallocate(freed);
    *other = *freed;
    deallocate(other);
    heap.check_invariants();
  }
}

TEST_F(Reallocate, OfNullAllocatesAndToZeroFrees) {
  void* block = reallocate(nullptr, 100);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(reallocate(block, 0), nullptr);
}

TEST_F(Reallocate, KeepsTheContentBetweenAnyTwoSizes) {
  const std::vector<size_t> sizes{
      1,         16,         17,         500,     5 * kKiB, 32 * kKiB, 32 * kKiB + 1,
      40 * kKiB, 127 * kKiB, 300 * kKiB, 5 * kMiB};
  for (const size_t from : sizes) {
    for (const size_t to : sizes) {
      void* block = allocate(from);
      fill(block, from, from);
      block = reallocate(block, to);
      ASSERT_NE(block, nullptr);
      ASSERT_GE(usable_bytes(block, "test"), to);
      ASSERT_TRUE(is_filled(block, std::min(from, to), from)) << from << " to " << to;
      memset(block, 1, to);
      deallocate(block);
    }
  }
}

TEST_F(Reallocate, ABlockThatGrowsInStepsKeepsItsContent) {
  for (const size_t step : {size_t{1000}, 70 * kKiB}) {
    size_t bytes = step;
    void* block = allocate(bytes);
    fill(block, bytes, 7);
    for (int round = 0; round < 100; ++round) {
      block = reallocate(block, bytes + step);
      ASSERT_NE(block, nullptr);
      ASSERT_TRUE(is_filled(block, bytes, 7));
      bytes += step;
      fill(block, bytes, 7);
      if (round % 16 == 0) heap.check_invariants();
    }
    deallocate(block);
  }
}

TEST_F(Reallocate, ABlockThatMovesByPagesLeavesUsableMemory) {
  void* block = allocate(kMiB);
  void* wall = allocate(kMiB);
  fill(block, kMiB, 3);
  void* moved = reallocate(block, 3 * kMiB);
  ASSERT_NE(moved, nullptr);
  EXPECT_TRUE(is_filled(moved, kMiB, 3));
  void* again = allocate_zeroed(kMiB);
  EXPECT_TRUE(is_zero(again, kMiB));
  memset(again, 1, kMiB);
  EXPECT_TRUE(is_filled(moved, kMiB, 3));
  for (void* each : {moved, wall, again}) deallocate(each);
}

// Pages that nobody has touched are looked for behind it, and are not backed afterwards either.
TEST_F(Reallocate, TheRoomBehindABlockThatMovesStaysReleased) {
  void* block = reallocate(nullptr, 20 * kMiB);
  fill(block, 20 * kMiB, 1);
  void* behind = reallocate(nullptr, kMiB);
  const size_t retained = heap.page_heap().free_retained_bytes();
  void* moved = reallocate(block, 24 * kMiB);
  EXPECT_NE(moved, block);
  EXPECT_LT(heap.page_heap().free_retained_bytes(), retained + 2 * kMiB);
  deallocate(moved);
  deallocate(behind);
}

TEST_F(Reallocate, ARefusedGrowthLeavesTheBlock) {
  for (const size_t bytes : {size_t{100}, 100 * kKiB}) {
    void* block = allocate(bytes);
    fill(block, bytes, 5);
    for (const size_t huge : {size_t{1} << 60, size_t{PTRDIFF_MAX} + 1, SIZE_MAX}) {
      errno = 0;
      EXPECT_EQ(reallocate(block, huge), nullptr);
      EXPECT_EQ(errno, ENOMEM);
    }
    EXPECT_TRUE(is_filled(block, bytes, 5));
    deallocate(block);
  }
}

TEST_F(Reallocate, ShrinkingALargeBlockFreesItsTail) {
  void* block = allocate(20 * kMiB);
  const size_t before = heap.page_heap().in_use_bytes();
  block = reallocate(block, 5 * kMiB);
  EXPECT_EQ(before - heap.page_heap().in_use_bytes(), 15 * kMiB);
  deallocate(block);
}

// In a process of its own, whose heap was never large.
TEST_F(AllocateDeathTest, AllListsOfAThreadAreOfOneKindAlsoWhenTheHeapHasGrown) {
  const auto are_all = [](SealCheck check) {
    const ThreadCache* cache = own_thread_cache();
    size_t seen = 0;
    for (size_t index = 1; index < kSizeClassCount; ++index) {
      const SizeClass size_class = static_cast<SizeClass>(index);
      if (cache->object_count(size_class) == 0) continue;
      if (cache->head(size_class)->seal_check() != check) return false;
      ++seen;
    }
    return seen >= 20;
  };
  const auto grows = [&] {
    std::vector<void*> blocks;
    for (size_t bytes = 16; bytes <= kKiB; bytes += 16) {
      void* pair[] = {allocate(bytes), allocate(bytes)};
      for (void* block : pair) deallocate(block);
    }
    if (heap.seal_check() != SealCheck::kAtFree || !are_all(SealCheck::kAtFree)) return 1;
    while (heap.seal_check() == SealCheck::kAtFree) blocks.push_back(allocate(1000));
    for (void* block : blocks) deallocate(block);
    if (!are_all(SealCheck::kDeferred)) return 2;
    // It stays so when the memory is gone.
    (void)heap.release_everything();
    return heap.seal_check() == SealCheck::kDeferred ? 0 : 3;
  };
  EXPECT_EXIT(_exit(grows()), ::testing::ExitedWithCode(0), "");
}

TEST_F(AllocateDeathTest, DoubleFreesEndTheProcess) {
  for (const size_t bytes : {size_t{16}, size_t{4000}, 100 * kKiB}) {
    void* block = allocate(bytes);
    deallocate(block);
    EXPECT_DEATH(deallocate(block), "spanmalloc: free\\(0x[0-9a-f]+\\): ");
  }
}

TEST_F(AllocateDeathTest, ForeignAndInteriorPointersEndTheProcess) {
  static int variable;
  EXPECT_DEATH(deallocate(&variable), "not a pointer from this allocator");
  EXPECT_DEATH(deallocate(reinterpret_cast<void*>(0xdeadbeefdeadbee0)), "not a pointer from");
  char* block = static_cast<char*>(allocate(200 * kKiB));
  EXPECT_DEATH(deallocate(block + 16), "pointer into the middle of a 204800-byte block");
  EXPECT_DEATH(deallocate(block + 5 * kPageBytes), "pointer into the middle of a 204800-byte");
  deallocate(block);
  char* medium = static_cast<char*>(allocate(100 * kKiB));
  EXPECT_DEATH(deallocate(medium + 5 * kPageBytes), "pointer into the middle of a 114688-byte");
  deallocate(medium);
}

// Where the next block would start, if the first spans of a class were as long as the others.
TEST_F(AllocateDeathTest, WhatLiesBehindTheLastBlockOfAShortSpanIsNone) {
  constexpr size_t kBytes = 976;
  std::vector<void*> blocks;
  for (size_t index = 0; index < 100; ++index) blocks.push_back(allocate(kBytes));
  const Span* span = heap.page_map().find(reinterpret_cast<uintptr_t>(blocks[0]));
  ASSERT_TRUE(span->is_short());
  const uintptr_t end = span->base() + span->object_count() * kBytes;
  ASSERT_LT(end, span->base() + span->bytes().value);
  EXPECT_DEATH(usable_bytes(reinterpret_cast<void*>(end), "malloc_usable_size"),
               "pointer into the middle of a 976-byte block");
  for (void* block : blocks) {
    EXPECT_EQ(usable_bytes(block, "test"), kBytes);
    deallocate(block);
  }
}

TEST_F(AllocateDeathTest, UseOfAFreeBlockEndsTheProcess) {
  void* block = allocate(64);
  deallocate(block);
  EXPECT_DEATH(reallocate(block, 100), "realloc\\(0x[0-9a-f]+\\): block is free \\(64 bytes\\)");
  EXPECT_DEATH(usable_bytes(block, "malloc_usable_size"), "malloc_usable_size.*block is free");
}

}  // namespace
}  // namespace spanmalloc
