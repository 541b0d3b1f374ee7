#include "platform/huge_pages.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "platform/virtual_memory.h"

namespace spanmalloc::platform {
namespace {

constexpr size_t kUnits = 8;
constexpr size_t kBytes = kUnits * kHugePageBytes;

// Memory at a multiple of a huge page.
struct Memory {
  Memory() : mapped(map(kBytes + kHugePageBytes, 0)) {
    address = (mapped + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
    errno = 4711;
  }
  ~Memory() {
    EXPECT_EQ(errno, 4711);
    EXPECT_TRUE(unmap(mapped, kBytes + kHugePageBytes));
  }
  char* bytes() const { return reinterpret_cast<char*>(address); }

  uintptr_t mapped;
  uintptr_t address;
};

// The number behind a name in a file of lines; 0 when there is none.
size_t number_in(const char* path, const char* name) {
  const int error = errno;
  FILE* file = fopen(path, "r");
  size_t number = 0;
  char line[256];
  while (file != nullptr && fgets(line, sizeof line, file) != nullptr) {
    const size_t length = strlen(name);
    if (strncmp(line, name, length) == 0) sscanf(line + length, "%zu", &number);
  }
  if (file != nullptr) fclose(file);
  errno = error;
  return number;
}

// Whether the system lets a range be moved into huge pages at all.
bool can_collapse(uintptr_t address) {
  return huge_page_mode() != HugePageMode::kNever &&
         collapse(address, kHugePageBytes) == CollapseResult::kDone;
}

TEST(HugePages, ModeCanBeAsked) {
  errno = 4711;
  const HugePageMode mode = huge_page_mode();
  EXPECT_TRUE(mode == HugePageMode::kNever || mode == HugePageMode::kOnRequest ||
              mode == HugePageMode::kAlways);
  EXPECT_EQ(errno, 4711);
}

TEST(HugePages, OwnResidentMemoryIsCountedByThePage) {
  const Memory memory;
  advise_huge_pages(memory.address, kBytes, HugePages::kRefuse);
  memset(memory.bytes(), 1, kHugePageBytes);
  if (own_resident_bytes(memory.address, kHugePageBytes) == 0) {
    errno = 4711;
    GTEST_SKIP() << "the kernel does not tell";
  }
  EXPECT_EQ(own_resident_bytes(memory.address, kBytes), kHugePageBytes);
  EXPECT_EQ(release(memory.address + 8 * page_bytes(), 3 * page_bytes()),
            ReleaseResult::kReleasedReadsZero);
  EXPECT_EQ(own_resident_bytes(memory.address, kBytes), kHugePageBytes - 3 * page_bytes());
  EXPECT_EQ(own_resident_bytes(memory.address + kHugePageBytes, kHugePageBytes), 0u);
}

TEST(HugePages, WhatAForkSharesIsNotOwn) {
  const Memory memory;
  memset(memory.bytes(), 1, kHugePageBytes);
  if (own_resident_bytes(memory.address, kHugePageBytes) == 0) GTEST_SKIP();
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(pipe_ends[1]);
    char byte;
    _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
  }
  EXPECT_EQ(own_resident_bytes(memory.address, kHugePageBytes), 0u);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(own_resident_bytes(memory.address, kHugePageBytes), kHugePageBytes);
}

TEST(HugePages, CollapseKeepsWhatMemoryHolds) {
  const Memory memory;
  for (size_t at = 0; at < kBytes; at += 64) memory.bytes()[at] = static_cast<char>(at / 64 % 251);
  (void)collapse(memory.address, kBytes);
  for (size_t at = 0; at < kBytes; at += 64) {
    ASSERT_EQ(memory.bytes()[at], static_cast<char>(at / 64 % 251));
  }
  // Nothing is there.
  EXPECT_NE(collapse(uintptr_t{1} << 40, kHugePageBytes), CollapseResult::kDone);
}

// Fills the memory, and moves all of it into huge pages.
bool becomes_huge_pages(const Memory& memory) {
  memset(memory.bytes(), 1, kBytes);
  if (!can_collapse(memory.address)) return false;
  expect_huge_pages();
  for (size_t unit = 0; unit < kUnits; ++unit) {
    const uintptr_t start = memory.address + unit * kHugePageBytes;
    if (collapse(start, kHugePageBytes) != CollapseResult::kDone) return false;
  }
  return true;
}

TEST(HugePages, APartThatIsReleasedIsSplitOff) {
  const Memory memory;
  if (!becomes_huge_pages(memory)) GTEST_SKIP() << "no huge pages here";
  const size_t before = number_in("/proc/vmstat", "thp_split_page ");
  const MemoryPiece pieces[] = {
      {memory.address + page_bytes(), page_bytes()},
      {memory.address + 9 * page_bytes(), page_bytes()},
      {memory.address + kHugePageBytes, page_bytes()},
      {memory.address + 2 * kHugePageBytes + kHugePageBytes / 2, kHugePageBytes},
      {memory.address + 5 * kHugePageBytes, kHugePageBytes},
  };
  ASSERT_EQ(release_pieces(pieces, 5), 5u);
  const size_t splits = number_in("/proc/vmstat", "thp_split_page ") - before;
  // Of the first four, the last reaches into two; the fifth goes as a whole.
  EXPECT_GE(splits, 4u);
  for (const MemoryPiece& piece : pieces) {
    EXPECT_EQ(own_resident_bytes(piece.address, piece.bytes), 0u);
    const char* bytes = reinterpret_cast<const char*>(piece.address);
    EXPECT_EQ(bytes[0], 0);
    EXPECT_EQ(bytes[piece.bytes - 1], 0);
  }
  EXPECT_EQ(memory.bytes()[0], 1);
  EXPECT_EQ(memory.bytes()[2 * kHugePageBytes], 1);
}

TEST(HugePages, APieceThatReachesIntoTheNextOneSplitsThatToo) {
  const Memory memory;
  if (!becomes_huge_pages(memory)) GTEST_SKIP() << "no huge pages here";
  const size_t before = number_in("/proc/vmstat", "thp_split_page ");
  MemoryPiece pieces[kUnits];
  for (size_t unit = 0; unit < kUnits; unit += 2) {
    const uintptr_t start = memory.address + unit * kHugePageBytes;
    pieces[unit] = {start + page_bytes(), page_bytes()};
    pieces[unit + 1] = {start + kHugePageBytes - page_bytes(), 2 * page_bytes()};
  }
  ASSERT_EQ(release_pieces(pieces, kUnits), kUnits);
  EXPECT_GE(number_in("/proc/vmstat", "thp_split_page ") - before, kUnits);
}

}  // namespace
}  // namespace spanmalloc::platform
