// Page allocators in a given state, for the tests of the page allocator.
#ifndef SPANMALLOC_TESTS_UNIT_PAGES_PAGE_ALLOCATOR_FIXTURE_H_
#define SPANMALLOC_TESTS_UNIT_PAGES_PAGE_ALLOCATOR_FIXTURE_H_

#include <gtest/gtest.h>

#include <vector>

#include "base/metadata_arena.h"
#include "pages/page_allocator.h"

namespace spanmalloc {

using Runs = std::vector<RunInChunk>;

// The state of one chunk of a test: mapped, these pages released, then these allocated.
struct ChunkState {
  size_t chunk;
  Runs used;
  Runs released;
};

// Tests count chunks from here, so that there is room below.
inline constexpr size_t kBaseChunk = 0x1000;

class TestAllocator {
 public:
  explicit TestAllocator(const std::vector<ChunkState>& chunks) {
    EXPECT_TRUE(pages.reserve({kWindowChunks * kPagesPerChunk}));
    for (const ChunkState& state : chunks) {
      const PageNumber base = first_page({kBaseChunk + state.chunk});
      EXPECT_TRUE(pages.grow({base, {kPagesPerChunk}}));
      ChunkBits& bits = pages.chunk({kBaseChunk + state.chunk});
      bits.released.clear(0, kPagesPerChunk);
      for (const RunInChunk& run : state.released) bits.released.set(run.first, run.count);
      for (const RunInChunk& run : state.used) {
        EXPECT_TRUE(pages.allocate_at({base + PageCount{run.first}, {run.count}}).ok());
      }
    }
    pages.check_invariants();
  }

  // Allocates and compares: the page is counted from the base chunk.
  void expect(size_t count, size_t chunk, size_t page, size_t released) {
    SCOPED_TRACE(count);
    const PageAllocation a = pages.allocate({count}, {1});
    ASSERT_TRUE(a.ok());
    EXPECT_EQ(a.pages.first.value, at(chunk, page).value);
    EXPECT_EQ(a.pages.count.value, count);
    EXPECT_EQ(a.released.value, released);
    pages.check_invariants();
  }
  void expect_failure(size_t count) {
    EXPECT_FALSE(pages.allocate({count}, {1}).ok()) << count;
    pages.check_invariants();
  }
  static PageNumber at(size_t chunk, size_t page) {
    return first_page({kBaseChunk + chunk}) + PageCount{page};
  }
  const ChunkBits& chunk(size_t number) { return pages.chunk({kBaseChunk + number}); }

  MetadataArena arena;
  PageAllocator pages{arena};

 private:
  static constexpr size_t kWindowChunks = size_t{1} << 22;  // 16 TiB
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_TESTS_UNIT_PAGES_PAGE_ALLOCATOR_FIXTURE_H_
