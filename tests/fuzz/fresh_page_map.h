#ifndef SPANMALLOC_TESTS_FUZZ_FRESH_PAGE_MAP_H_
#define SPANMALLOC_TESTS_FUZZ_FRESH_PAGE_MAP_H_

#include "base/check.h"
#include "fuzz/undo_mappings.h"
#include "spans/page_map.h"
#include "support/real_page_source.h"

namespace spanmalloc::testing {

// A page map that lives as long as one input.
class FreshPageMap {
 public:
  FreshPageMap() {
    SPANMALLOC_CHECK(map_.open(RealPageSource::kWindowEnd), "the page map does not open");
  }
  PageMap& get() { return map_; }

 private:
  const UndoMappings undo_;
  MetadataArena arena_;
  PageMap map_{arena_};
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_FUZZ_FRESH_PAGE_MAP_H_
