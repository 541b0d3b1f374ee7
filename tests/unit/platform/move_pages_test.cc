// Moves of pages: content, and what is left when a move is refused, also half-way.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/compiler.h"
#include "platform/virtual_memory.h"
#include "support/used_up_mappings.h"

namespace spanmalloc::platform {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr char kName[] = "spanmalloc test";
constexpr int kMark = 12345;  // a value of errno that no call sets

unsigned char* memory(uintptr_t address) {
  return reinterpret_cast<unsigned char*>(address);
}

bool has_only(unsigned char byte, uintptr_t address, size_t bytes) {
  for (size_t offset = 0; offset < bytes; ++offset) {
    if (memory(address)[offset] != byte) return false;
  }
  return true;
}

// Each page with a number of its own.
void number_pages(uintptr_t address, size_t bytes) {
  for (size_t offset = 0; offset < bytes; offset += page_bytes()) {
    memset(memory(address + offset), static_cast<int>(1 + offset / page_bytes() % 250),
           page_bytes());
  }
}
bool has_numbered_pages(uintptr_t address, size_t bytes) {
  for (size_t offset = 0; offset < bytes; offset += page_bytes()) {
    const auto number = static_cast<unsigned char>(1 + offset / page_bytes() % 250);
    if (!has_only(number, address + offset, page_bytes())) return false;
  }
  return true;
}

// Splits a mapping into `pieces` of unequal length, by a wish that tells them apart.
void split(uintptr_t address, size_t bytes, size_t pieces) {
  const size_t pages = bytes / page_bytes();
  for (size_t piece = 1; piece < pieces; piece += 2) {
    const size_t first = pages * piece / pieces + 1;
    const size_t end = piece + 1 == pieces ? pages : pages * (piece + 1) / pieces - 1;
    ASSERT_EQ(madvise(memory(address + first * page_bytes()), (end - first) * page_bytes(),
                      MADV_DONTDUMP),
              0);
  }
}

class MovePages : public ::testing::Test {
 protected:
  void SetUp() override { errno = kMark; }
  void TearDown() override { EXPECT_EQ(errno, kMark) << "a function changed errno"; }
};

using MovePagesDeathTest = MovePages;

TEST_F(MovePages, BringsContentAndLeavesAZeroUsableSource) {
  const uintptr_t from = map(kMiB, 0);
  const uintptr_t to = map(2 * kMiB, 0);
  memset(memory(from), 0xab, kMiB);
  memset(memory(to), 0xcd, 2 * kMiB);
  if (move_pages(from, to, kMiB, kName) != MoveResult::kMoved)
    GTEST_SKIP() << "this kernel moves no pages";
  for (size_t offset = 0; offset < kMiB; ++offset) ASSERT_EQ(memory(to)[offset], 0xab);
  EXPECT_EQ(memory(to)[kMiB], 0xcd) << "behind the target";
  EXPECT_TRUE(has_only(0, from, kMiB));
  memset(memory(from), 1, kMiB);
  EXPECT_EQ(memory(to)[0], 0xab);
  EXPECT_TRUE(unmap(from, kMiB));
  EXPECT_TRUE(unmap(to, 2 * kMiB));
}

TEST_F(MovePages, RefusedMoveLeavesBothRanges) {
  const uintptr_t from = map(kMiB, 0);
  memset(memory(from), 0xab, kMiB);
  EXPECT_EQ(move_pages(from, from + kMiB / 2, kMiB, kName), MoveResult::kRefused) << "they overlap";
  EXPECT_EQ(memory(from)[kMiB - 1], 0xab);
  EXPECT_TRUE(unmap(from, kMiB));
}

TEST_F(MovePagesDeathTest, MoveBelowALimitThatIsExceededLeavesAUsableTarget) {
  const uintptr_t from = map(kMiB, 0);
  const uintptr_t to = map(kMiB, 0);
  const auto move_under_limit = [&] {
    const rlimit limits{kMiB, kMiB};
    setrlimit(RLIMIT_DATA, &limits);
    if (move_pages(from, to, kMiB, kName) != MoveResult::kRefused) _exit(1);
    memset(memory(to), 1, kMiB);
    _exit(0);
  };
  const int saved = errno;
  EXPECT_EXIT(move_under_limit(), ::testing::ExitedWithCode(0), "");
  errno = saved;
  EXPECT_TRUE(unmap(from, kMiB));
  EXPECT_TRUE(unmap(to, kMiB));
}

TEST_F(MovePages, ASourceInAFewMappingsIsMovedAsAWhole) {
  constexpr size_t kBytes = 8 * kMiB;
  for (const size_t pieces : {1u, 2u, 3u, 4u, 8u}) {
    const uintptr_t from = map(kBytes, 0);
    const uintptr_t to = map(kBytes, 0);
    number_pages(from, kBytes);
    split(from, kBytes, pieces);
    const MoveResult result = move_pages(from, to, kBytes, kName);
    EXPECT_TRUE(has_numbered_pages(result == MoveResult::kMoved ? to : from, kBytes)) << pieces;
    if (result != MoveResult::kMoved) GTEST_SKIP() << "this kernel moves no pages";
    EXPECT_TRUE(has_only(0, from, kBytes)) << pieces;
    memset(memory(from), 1, kBytes);
    EXPECT_TRUE(has_numbered_pages(to, kBytes)) << pieces;
    EXPECT_TRUE(unmap(from, kBytes));
    EXPECT_TRUE(unmap(to, kBytes));
  }
}

TEST_F(MovePages, ASourceInManyMappingsIsRefusedAndLeavesAUsableTarget) {
  for (const size_t bytes : {kMiB, 8 * kMiB}) {
    for (const size_t pieces : {10u, 20u}) {
      const uintptr_t from = map(bytes, 0);
      const uintptr_t to = map(bytes, 0);
      number_pages(from, bytes);
      split(from, bytes, pieces);
      EXPECT_EQ(move_pages(from, to, bytes, kName), MoveResult::kRefused) << pieces;
      EXPECT_TRUE(has_numbered_pages(from, bytes)) << pieces;
      memset(memory(to), 1, bytes);
      EXPECT_TRUE(unmap(from, bytes));
      EXPECT_TRUE(unmap(to, bytes));
    }
  }
}

// The kernel refuses a mapping when the limit is near, so the first piece may be moved, and the
// next not.
TEST_F(MovePagesDeathTest, WhatIsMovedInPartIsUndoneWhereMappingsRunOut) {
  if (!kAddressHintsAllowed) GTEST_SKIP() << "the sanitizer needs mappings itself";
  constexpr size_t kBytes = 4 * kMiB;
  constexpr size_t kMostLeft = 12;
  const auto move_with_few_left = [](size_t left) {
    const uintptr_t from = map(kBytes, 0);
    const uintptr_t to = map(kBytes, 0);
    // What is given back when the others are used up; one each.
    const uintptr_t spare = map(2 * kMostLeft * page_bytes(), 0);
    for (size_t index = 1; index < 2 * kMostLeft; index += 2) {
      (void)make_inaccessible(spare + index * page_bytes(), page_bytes());
    }
    number_pages(from, kBytes);
    split(from, kBytes, 4);
    // Known from here on, so that no mapping is wanted for finding out.
    const uintptr_t other = map(2 * page_bytes(), 0);
    (void)move_pages(other, other + page_bytes(), page_bytes(), kName);
    if (!spanmalloc::testing::use_up_mappings()) _exit(77);
    for (size_t index = 0; index < left; ++index) {
      (void)unmap(spare + 2 * index * page_bytes(), page_bytes());
    }
    const MoveResult result = move_pages(from, to, kBytes, kName);
    if (!has_numbered_pages(result == MoveResult::kMoved ? to : from, kBytes)) _exit(1);
    if (result == MoveResult::kMoved && !has_only(0, from, kBytes)) _exit(2);
    memset(memory(from), 1, kBytes);
    if (result != MoveResult::kTargetLost) memset(memory(to), 1, kBytes);
    _exit(result == MoveResult::kMoved ? 10 : 0);
  };
  const int saved = errno;
  size_t moved = 0;
  for (size_t left = 0; left <= kMostLeft; ++left) {
    const pid_t child = fork();
    if (child == 0) move_with_few_left(left);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << left << " left: ended by signal " << WTERMSIG(status);
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this kernel has no limit within reach";
    EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 10)
        << left << " left: " << WEXITSTATUS(status);
    moved += WEXITSTATUS(status) == 10 ? 1 : 0;
  }
  RecordProperty("moved", static_cast<int>(moved));
  errno = saved;
}

}  // namespace
}  // namespace spanmalloc::platform
