// The allocator up to its span allocator, on a page source that tests steer.
#ifndef SPANMALLOC_TESTS_SUPPORT_SPAN_PARTS_H_
#define SPANMALLOC_TESTS_SUPPORT_SPAN_PARTS_H_

#include <cstddef>

#include "base/check.h"
#include "base/metadata_arena.h"
#include "pages/page_heap.h"
#include "spans/page_map.h"
#include "spans/span_allocator.h"
#include "support/real_page_source.h"

namespace spanmalloc::testing {

// One for the process: it covers all addresses, and address space is never given back.
inline PageMap& shared_page_map() {
  static MetadataArena arena;
  static PageMap map(arena);
  static const bool open = map.open(RealPageSource::kWindowEnd);
  SPANMALLOC_CHECK(open, "the page map does not open");
  return map;
}

struct SpanParts {
  explicit SpanParts(size_t bytes = size_t{64} << 20, PageMap& map = shared_page_map())
      : source(bytes), page_map(map) {
    SPANMALLOC_CHECK(page_heap.open(source.window()), "the page heap does not open");
  }
  // Leaves nothing in the map that the next test could find.
  ~SpanParts() {
    if (page_map.prepare(source.all())) page_map.clear_small(source.all());
  }

  RealPageSource source;
  MetadataArena arena;
  PageHeap page_heap{source, arena};
  PageMap& page_map;
  SpanAllocator spans{page_heap, page_map, arena};
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_SPAN_PARTS_H_
