// A page heap on a fake source.
#ifndef SPANMALLOC_TESTS_UNIT_PAGES_PAGE_HEAP_FIXTURE_H_
#define SPANMALLOC_TESTS_UNIT_PAGES_PAGE_HEAP_FIXTURE_H_

#include <gtest/gtest.h>

#include "base/metadata_arena.h"
#include "pages/page_heap.h"
#include "support/fake_page_source.h"

namespace spanmalloc {

struct TestHeap {
  explicit TestHeap(size_t window_bytes = 16 * testing::kGiB) : source(window_bytes) {
    EXPECT_TRUE(heap.open(source.window()));
  }

  PageAllocation allocate(size_t count, size_t alignment = 1, Growth growth = Growth::kAllowed) {
    return heap.allocate({count}, {alignment}, growth);
  }

  testing::FakePageSource source;
  MetadataArena arena;
  PageHeap heap{source, arena};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_TESTS_UNIT_PAGES_PAGE_HEAP_FIXTURE_H_
