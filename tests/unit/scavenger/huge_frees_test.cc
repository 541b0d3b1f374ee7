#include "scavenger/huge_frees.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spanmalloc {
namespace {

using Memory = HugeFrees::Memory;

constexpr size_t kMiB = size_t{1} << 20;
constexpr uint64_t kRecentNs = 5'000'000'000;

// A heap that is nothing but these counts and a clock, and asks what its frees are to do.
class FakeHeap {
 public:
  explicit FakeHeap(size_t small_bytes = 0) : in_use_(small_bytes), backed_(small_bytes) {}

  // Taken from what was kept as far as that goes, or all from the system.
  void take(size_t bytes) {
    in_use_ += bytes;
    backed_ = std::max(backed_, in_use_);
  }
  void take_elsewhere(size_t bytes) {
    in_use_ += bytes;
    backed_ += bytes;
  }
  Memory free(size_t bytes) {
    const Memory memory = frees_.decide(bytes, {in_use_, backed_}, now_ns_, kRecentNs);
    in_use_ -= bytes;
    if (memory == Memory::kGoesBack) backed_ -= bytes;
    return memory;
  }
  void pass(uint64_t ns) { now_ns_ += ns; }
  size_t backed() const { return backed_; }

 private:
  HugeFrees frees_;
  size_t in_use_;
  size_t backed_;
  uint64_t now_ns_ = 123'456'789'012;
};

TEST(HugeFrees, TheFirstBlockGoesBackAndThoseAfterItInTurnAreKept) {
  FakeHeap heap(20 * kMiB);
  heap.take(200 * kMiB);
  EXPECT_EQ(heap.free(200 * kMiB), Memory::kGoesBack);
  for (int round = 0; round < 10; ++round) {
    heap.pass(kRecentNs / 2);
    heap.take(200 * kMiB);
    EXPECT_EQ(heap.free(200 * kMiB), Memory::kIsKept);
    EXPECT_EQ(heap.backed(), 220 * kMiB);
  }
}

TEST(HugeFrees, BlocksThatAreNotTakenAgainSoonGoBack) {
  FakeHeap heap;
  for (int round = 0; round < 10; ++round) {
    heap.take(100 * kMiB);
    EXPECT_EQ(heap.free(100 * kMiB), Memory::kGoesBack);
    heap.pass(kRecentNs);
  }
}

// A program that frees all it has, block by block.
TEST(HugeFrees, BlocksFreedOneAfterAnotherGoBack) {
  FakeHeap heap;
  heap.take(1000 * kMiB);
  for (int block = 0; block < 10; ++block) {
    EXPECT_EQ(heap.free(100 * kMiB), Memory::kGoesBack) << block;
  }
  EXPECT_EQ(heap.backed(), 0u);
}

TEST(HugeFrees, SeveralBlocksInTurnAreKeptFromTheSecondRoundOn) {
  FakeHeap heap(kMiB);
  for (int round = 0; round < 5; ++round) {
    for (int block = 0; block < 4; ++block) heap.take(64 * kMiB);
    for (int block = 0; block < 4; ++block) {
      EXPECT_EQ(heap.free(64 * kMiB), round == 0 ? Memory::kGoesBack : Memory::kIsKept);
    }
  }
  EXPECT_EQ(heap.backed(), 257 * kMiB);
}

TEST(HugeFrees, WhatRoseByLessThanTheBlockWasNotNeededAgain) {
  FakeHeap heap;
  heap.take(200 * kMiB);
  EXPECT_EQ(heap.free(100 * kMiB), Memory::kGoesBack);
  heap.take(99 * kMiB);
  EXPECT_EQ(heap.free(100 * kMiB), Memory::kGoesBack);
}

// Each block is too large for the place of the last one.
TEST(HugeFrees, BlocksThatGrowFromTurnToTurnHoldLittleBeyondTheirHighest) {
  FakeHeap heap;
  size_t highest = 0;
  for (size_t bytes = 40 * kMiB; bytes < 4000 * kMiB; bytes += bytes / 10) {
    heap.take_elsewhere(bytes);
    highest = std::max(highest, bytes);
    (void)heap.free(bytes);
    EXPECT_LE(heap.backed(), highest + highest / HugeFrees::kBeyondDivisor);
    heap.pass(1000);
  }
}

TEST(HugeFrees, MoreThanIsInUseIsNoReasonToKeep) {
  HugeFrees frees;
  EXPECT_EQ(frees.decide(50 * kMiB, {20 * kMiB, 20 * kMiB}, 1, kRecentNs), Memory::kGoesBack);
}

}  // namespace
}  // namespace spanmalloc
