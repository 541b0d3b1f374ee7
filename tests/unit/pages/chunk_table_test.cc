#include "pages/chunk_table.h"

#include <gtest/gtest.h>

#include "platform/huge_pages.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {
namespace {

// An array over so many chunks is not one of those that lie in the arena.
constexpr size_t kChunks = size_t{1} << 15;
constexpr size_t kFirst = 1000;

class ChunkTableTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(table_.reserve(kChunks, arena_)); }

  // Writes to the chunks a number each, and looks at all of them then.
  void use(size_t begin, size_t end) {
    ASSERT_TRUE(table_.make_writable(begin, end));
    for (size_t chunk = begin; chunk < end; ++chunk) {
      EXPECT_TRUE(table_[chunk].in_use.all_clear(0, kPagesPerChunk)) << chunk;
      table_[chunk].in_use.set(chunk % kPagesPerChunk, 1);
    }
    for (size_t chunk = begin; chunk < end; ++chunk) {
      EXPECT_EQ(table_[chunk].in_use.find_set(0), chunk % kPagesPerChunk) << chunk;
    }
  }

  MetadataArena arena_;
  ChunkTable table_;
};

TEST_F(ChunkTableTest, EachChunkHasBitsOfItsOwn) {
  use(kFirst, kFirst + 1);
  use(kFirst + 1, kFirst + ChunkTable::kNear + 3);
  use(kFirst - 5, kFirst);
  EXPECT_EQ(table_[kFirst].in_use.find_set(0), kFirst % kPagesPerChunk);
  EXPECT_TRUE(table_[kFirst - 6].in_use.all_clear(0, kPagesPerChunk));
}

TEST_F(ChunkTableTest, AHeapMayGrowPastTheFirstChunksOnBothSides) {
  use(kFirst, kFirst + 1);
  ASSERT_TRUE(table_.make_writable(kFirst - 100, kFirst + 100));
  for (size_t chunk = kFirst - 100; chunk < kFirst + 100; ++chunk) {
    table_[chunk].in_use.set(0, kPagesPerChunk);
  }
  EXPECT_TRUE(table_[kFirst + 100].in_use.all_clear(0, kPagesPerChunk));
  EXPECT_TRUE(table_[kFirst - 101].in_use.all_clear(0, kPagesPerChunk));
}

TEST_F(ChunkTableTest, ItMayBeginWithManyChunks) {
  use(0, 3 * ChunkTable::kNear);
  use(kChunks - 1, kChunks);
}

TEST_F(ChunkTableTest, ASmallHeapTouchesNoPartOfTheLargeArray) {
  use(kFirst, kFirst + ChunkTable::kNear);
  const auto first = reinterpret_cast<uintptr_t>(&table_[kFirst + ChunkTable::kNear]);
  const uintptr_t page = first / platform::page_bytes() * platform::page_bytes();
  EXPECT_EQ(platform::own_resident_bytes(page, platform::page_bytes()), 0u);
}

}  // namespace
}  // namespace spanmalloc
