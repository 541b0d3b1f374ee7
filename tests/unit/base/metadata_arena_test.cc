#include "base/metadata_arena.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "base/bits.h"
#include "platform/huge_pages.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

bool is_zero(const void* memory, size_t bytes) {
  const auto* from = static_cast<const unsigned char*>(memory);
  for (size_t offset = 0; offset < bytes; ++offset) {
    if (from[offset] != 0) return false;
  }
  return true;
}

TEST(MetadataArena, MapsNothingBeforeTheFirstUse) {
  MetadataArena arena;
  EXPECT_EQ(arena.mapped_bytes(), 0u);
  EXPECT_EQ(arena.used_bytes(), 0u);
}

TEST(MetadataArena, WhatIsHandedOutWasNotWrittenTo) {
  MetadataArena arena;
  const auto array = reinterpret_cast<uintptr_t>(arena.allocate_sparse(size_t{512} << 10));
  ASSERT_NE(array, 0u);
  EXPECT_EQ(platform::own_resident_bytes(array, size_t{512} << 10), 0u);
}

TEST(MetadataArena, RecordsAreZeroAlignedAndDisjoint) {
  MetadataArena arena;
  std::mt19937_64 random(1);
  struct Record {
    unsigned char* memory;
    size_t bytes;
    unsigned char fill;
  };
  std::vector<Record> records;
  size_t used = 0;
  for (int round = 0; round < 3000; ++round) {
    const size_t alignment = size_t{1} << (random() % 13);
    const size_t bytes = 1 + random() % (round % 100 == 0 ? 200000 : 2000);
    auto* memory = static_cast<unsigned char*>(arena.allocate(bytes, alignment));
    ASSERT_NE(memory, nullptr);
    ASSERT_TRUE(is_aligned(reinterpret_cast<uintptr_t>(memory), alignment));
    ASSERT_TRUE(is_zero(memory, bytes));
    const auto fill = static_cast<unsigned char>(1 + round % 255);
    memset(memory, fill, bytes);
    records.push_back({memory, bytes, fill});
    used += bytes;
  }
  for (const Record& record : records) {
    for (size_t offset = 0; offset < record.bytes; ++offset) {
      ASSERT_EQ(record.memory[offset], record.fill);
    }
  }
  EXPECT_EQ(arena.used_bytes(), used);
  EXPECT_GE(arena.mapped_bytes(), used);
  arena.check_invariants();
}

TEST(MetadataArena, OneBlockServesManySmallRecords) {
  MetadataArena arena;
  for (int round = 0; round < 1000; ++round) ASSERT_NE(arena.allocate(512, 64), nullptr);
  EXPECT_EQ(arena.mapped_bytes(), kBlockBytes);
}

TEST(MetadataArena, ARecordAboveTheBlockSizeIsWhole) {
  MetadataArena arena;
  (void)arena.allocate(100, 8);
  auto* memory = static_cast<unsigned char*>(arena.allocate(5 * kBlockBytes + 1, 4096));
  ASSERT_NE(memory, nullptr);
  EXPECT_TRUE(is_zero(memory, 5 * kBlockBytes + 1));
  memset(memory, 1, 5 * kBlockBytes + 1);
}

TEST(MetadataArena, RefusedMemoryIsReportedAndTheArenaStaysUsable) {
  MetadataArena arena;
  EXPECT_EQ(arena.allocate(size_t{1} << 60, 8), nullptr);
  EXPECT_EQ(arena.used_bytes(), 0u);
  EXPECT_NE(arena.allocate(64, 8), nullptr);
}

TEST(MetadataArena, WhatIsMappedAheadIsUsedBeforeMoreIsMapped) {
  MetadataArena arena;
  ASSERT_TRUE(arena.ensure_mapped(3 * kBlockBytes));
  EXPECT_GE(arena.mapped_bytes(), 3 * kBlockBytes);
  EXPECT_EQ(arena.used_bytes(), 0u);
  const size_t mapped = arena.mapped_bytes();
  ASSERT_TRUE(arena.ensure_mapped(kBlockBytes)) << "there is more already";
  arena.check_invariants();
  for (size_t used = 0; used < 3 * kBlockBytes; used += kBlockBytes / 4) {
    void* memory = arena.allocate(kBlockBytes / 4, 64);
    ASSERT_NE(memory, nullptr);
    ASSERT_TRUE(is_zero(memory, kBlockBytes / 4));
    memset(memory, 1, kBlockBytes / 4);
  }
  EXPECT_EQ(arena.mapped_bytes(), mapped);
}

TEST(MetadataArena, WhatIsMappedAheadCanBeUnmappedAsFarAsItIsNotInUse) {
  MetadataArena arena;
  ASSERT_NE(arena.allocate(kBlockBytes / 2, 64), nullptr);
  const size_t before = arena.mapped_bytes();
  ASSERT_TRUE(arena.ensure_mapped(before + 3 * kBlockBytes));
  arena.unmap_spare(before + kBlockBytes);
  EXPECT_EQ(arena.mapped_bytes(), before + kBlockBytes);
  arena.unmap_spare(before);
  EXPECT_EQ(arena.mapped_bytes(), before);
  arena.unmap_spare(0);
  EXPECT_EQ(arena.mapped_bytes(), before) << "the block in use stays";
  arena.check_invariants();
}

TEST(MetadataArena, MuchThatIsMappedAheadIsOneMappingAndNotTouched) {
  MetadataArena arena;
  constexpr size_t kAhead = 64 * kBlockBytes;
  ASSERT_TRUE(arena.ensure_mapped(kAhead));
  EXPECT_EQ(arena.mapped_bytes(), kAhead);
  constexpr size_t kRecord = kBlockBytes / 4;
  const auto first = reinterpret_cast<uintptr_t>(arena.allocate(kRecord, 64));
  ASSERT_NE(first, 0u);
  // The headers of what is in use and of the rest.
  EXPECT_LE(platform::own_resident_bytes(first, kAhead), 2 * platform::page_bytes());
  for (size_t used = kRecord; used < kAhead; used += kRecord) {
    arena.check_invariants();
    void* record = arena.allocate(kRecord, 64);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(record), first + used);
    ASSERT_TRUE(is_zero(record, kRecord));
    memset(record, 1, kRecord);
  }
  EXPECT_EQ(arena.mapped_bytes(), kAhead);
}

TEST(MetadataArena, OfMuchThatIsMappedAheadWhatIsNotInUseCanBeUnmapped) {
  MetadataArena arena;
  ASSERT_NE(arena.allocate(kBlockBytes, 64), nullptr);
  const size_t before = arena.mapped_bytes();
  ASSERT_TRUE(arena.ensure_mapped(before + 64 * kBlockBytes));
  // As by another thread, before it turns out that the heap cannot grow.
  auto* record = static_cast<unsigned char*>(arena.allocate(64, 64));
  ASSERT_NE(record, nullptr);
  arena.unmap_spare(before);
  EXPECT_EQ(arena.mapped_bytes(), before + kBlockBytes);
  record[63] = 1;
  arena.check_invariants();
  void* whole = arena.allocate(kBlockBytes, 64);
  ASSERT_NE(whole, nullptr);
  memset(whole, 1, kBlockBytes);
  arena.check_invariants();
}

// Where the system refuses much at once, as much is mapped as it gives.
TEST(MetadataArena, BelowALimitAllIsMappedThatFits) {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const size_t in_use = pages * platform::page_bytes();
  if (in_use > size_t{1} << 40) GTEST_SKIP() << "a sanitizer's shadow needs the address space";
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{in_use + 41 * kBlockBytes, in_use + 41 * kBlockBytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
    MetadataArena arena;
    if (arena.ensure_mapped(5000 * kBlockBytes)) _exit(2);
    if (arena.mapped_bytes() < 38 * kBlockBytes || arena.mapped_bytes() > 41 * kBlockBytes) {
      _exit(3);
    }
    arena.check_invariants();
    arena.unmap_spare(0);
    if (arena.mapped_bytes() != 0) _exit(4);
    if (!arena.ensure_mapped(30 * kBlockBytes)) _exit(5);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(MetadataArena, MemoryFromElsewhereIsUsedBeforeMoreIsMapped) {
  MetadataArena arena;
  const uintptr_t elsewhere = platform::map(2 * kBlockBytes, 0);
  ASSERT_NE(elsewhere, 0u);
  arena.add_memory(elsewhere, 2 * kBlockBytes);
  EXPECT_EQ(arena.mapped_bytes(), 2 * kBlockBytes);
  arena.unmap_spare(0);
  EXPECT_EQ(arena.mapped_bytes(), 2 * kBlockBytes) << "it is kept for good";
  ASSERT_TRUE(arena.ensure_mapped(2 * kBlockBytes));
  for (size_t used = 0; used < 2 * kBlockBytes; used += kBlockBytes / 4) {
    void* memory = arena.allocate(kBlockBytes / 4, 64);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory), elsewhere + used);
    ASSERT_TRUE(is_zero(memory, kBlockBytes / 4));
  }
  EXPECT_EQ(arena.mapped_bytes(), 2 * kBlockBytes);
  EXPECT_TRUE(platform::unmap(elsewhere, 2 * kBlockBytes));
}

TEST(MetadataArena, SparseMemoryIsZeroAlignedAndLeavesTheRestOfTheBlock) {
  MetadataArena arena;
  auto* first = static_cast<unsigned char*>(arena.allocate_sparse(100));
  ASSERT_NE(first, nullptr);
  auto* record = static_cast<unsigned char*>(arena.allocate(64, 8));
  ASSERT_NE(record, nullptr);
  const size_t mapped = arena.mapped_bytes();
  // More than a block: a mapping of its own.
  auto* large = static_cast<unsigned char*>(arena.allocate_sparse(4 * kBlockBytes));
  ASSERT_NE(large, nullptr);
  EXPECT_LT(arena.mapped_bytes() - mapped, size_t{64} << 10);
  EXPECT_EQ(arena.used_bytes(), 64u);
  for (unsigned char* sparse : {first, large}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(sparse) % 64, 0u);
    EXPECT_EQ(sparse[0], 0);
    EXPECT_EQ(sparse[99], 0);
    memset(sparse, 0xff, 100);
  }
  EXPECT_EQ(large[4 * kBlockBytes - 1], 0);
  auto* next = static_cast<unsigned char*>(arena.allocate(64, 8));
  EXPECT_EQ(next, record + 64) << "from the same block";
  EXPECT_EQ(next[0], 0);
  arena.check_invariants();
}

TEST(MetadataArena, RefusedSparseMemoryIsReportedAndTheArenaStaysUsable) {
  MetadataArena arena;
  EXPECT_EQ(arena.allocate_sparse(size_t{1} << 60), nullptr);
  EXPECT_NE(arena.allocate_sparse(kBlockBytes), nullptr);
  EXPECT_NE(arena.allocate(64, 8), nullptr);
}

TEST(MetadataArena, ThreadsGetDisjointRecords) {
  MetadataArena arena;
  constexpr size_t kThreads = 4;
  std::vector<std::thread> threads;
  for (size_t index = 0; index < kThreads; ++index) {
    threads.emplace_back([&, index] {
      std::vector<size_t*> mine;
      for (int round = 0; round < 2000; ++round) {
        auto* record = static_cast<size_t*>(arena.allocate(sizeof(size_t), alignof(size_t)));
        EXPECT_EQ(*record, 0u);
        *record = index + 1;
        mine.push_back(record);
      }
      for (const size_t* record : mine) EXPECT_EQ(*record, index + 1);
    });
  }
  for (int round = 0; round < 100; ++round) {
    EXPECT_TRUE(arena.ensure_mapped(arena.mapped_bytes() + 1));
    arena.check_invariants();
  }
  for (std::thread& thread : threads) thread.join();
  arena.check_invariants();
  EXPECT_EQ(arena.used_bytes(), kThreads * 2000 * sizeof(size_t));
}

TEST(MetadataArenaDeathTest, SpareBlocksThatOverlapAreAFault) {
  MetadataArena arena;
  const uintptr_t elsewhere = platform::map(2 * kBlockBytes, 0);
  ASSERT_NE(elsewhere, 0u);
  arena.add_memory(elsewhere, 2 * kBlockBytes);
  arena.add_memory(elsewhere + kBlockBytes, kBlockBytes);
  EXPECT_DEATH(arena.check_invariants(), "spare blocks of metadata overlap");
  EXPECT_TRUE(platform::unmap(elsewhere, 2 * kBlockBytes));
}

TEST(MetadataArenaDeathTest, ASpareBlockInsideTheOneInUseIsAFault) {
  MetadataArena arena;
  const auto record = reinterpret_cast<uintptr_t>(arena.allocate(64, 4096));
  ASSERT_NE(record, 0u);
  arena.check_invariants();
  arena.add_memory(record + 8192, 4096);
  EXPECT_DEATH(arena.check_invariants(), "a spare block of metadata is in use");
}

TEST(MetadataArenaDeathTest, ASpareBlockThatWasWrittenToIsAFault) {
  MetadataArena arena;
  const uintptr_t elsewhere = platform::map(kBlockBytes, 0);
  ASSERT_NE(elsewhere, 0u);
  arena.add_memory(elsewhere, kBlockBytes);
  arena.check_invariants();
  auto* words = reinterpret_cast<size_t*>(elsewhere);
  words[1] += 1;
  EXPECT_DEATH(arena.check_invariants(), "a spare block of metadata has a wrong length");
  words[1] -= 1;
  // A list that leads to itself.
  words[0] = elsewhere;
  EXPECT_DEATH(arena.check_invariants(), "a spare block of metadata has a wrong length");
  EXPECT_TRUE(platform::unmap(elsewhere, kBlockBytes));
}

}  // namespace
}  // namespace spanmalloc
