#include "pages/page_cache.h"

#include <bit>

#include "base/bits.h"
#include "base/check.h"
#include "pages/page_bitmap.h"

namespace spanmalloc {

PageAllocation PageCache::take(PageCount count) {
  const size_t first = find_run_of_ones(free_, count.value);
  if (first >= kPages) return {};
  const uint64_t mask = low_bits(count.value) << first;
  const size_t released = static_cast<size_t>(std::popcount(released_ & mask));
  free_ &= ~mask;
  released_ &= ~mask;
  return {{base_ + PageCount{first}, count}, {released}};
}

void PageCache::check_invariants() const {
  SPANMALLOC_CHECK((released_ & ~free_) == 0, "page cache knows released pages it does not have");
  SPANMALLOC_CHECK(base_.value % kPages == 0, "page cache is not aligned");
}

}  // namespace spanmalloc
