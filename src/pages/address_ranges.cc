#include "pages/address_ranges.h"

#include <algorithm>

#include "base/check.h"

namespace spanmalloc {

bool AddressRanges::reserve_one() {
  if (size_ < capacity_) return true;
  void* memory = arena_.allocate(2 * capacity_ * sizeof(PageRange), alignof(PageRange));
  if (memory == nullptr) return false;
  // The old array is left behind; doubling bounds what is lost by the size of the new one.
  PageRange* larger = static_cast<PageRange*>(memory);
  std::copy(ranges_, ranges_ + size_, larger);
  ranges_ = larger;
  capacity_ *= 2;
  return true;
}

size_t AddressRanges::find_successor(PageNumber page) const {
  const PageRange* above = std::upper_bound(
      ranges_, ranges_ + size_, page,
      [](PageNumber wanted, const PageRange& range) { return wanted < range.first; });
  return static_cast<size_t>(above - ranges_);
}

bool AddressRanges::contains(PageNumber page) const {
  const size_t above = find_successor(page);
  return above > 0 && page < ranges_[above - 1].end();
}

PageNumber AddressRanges::first_at_or_above(PageNumber page) const {
  const size_t above = find_successor(page);
  if (above > 0 && page < ranges_[above - 1].end()) return page;
  return above < size_ ? ranges_[above].first : kNoPage;
}

void AddressRanges::add(PageRange pages) {
  const size_t above = find_successor(pages.first);
  SPANMALLOC_CHECK((above == 0 || ranges_[above - 1].end() <= pages.first) &&
                       (above == size_ || pages.end() <= ranges_[above].first),
                   "pages mapped twice");
  total_ += pages.count;
  const bool joins_below = above > 0 && ranges_[above - 1].end() == pages.first;
  const bool joins_above = above < size_ && pages.end() == ranges_[above].first;
  if (joins_below) {
    ranges_[above - 1].count += pages.count;
    if (joins_above) {
      ranges_[above - 1].count += ranges_[above].count;
      std::copy(ranges_ + above + 1, ranges_ + size_, ranges_ + above);
      --size_;
    }
  } else if (joins_above) {
    ranges_[above] = {pages.first, pages.count + ranges_[above].count};
  } else {
    SPANMALLOC_CHECK(size_ < capacity_, "address range added without room");
    std::copy_backward(ranges_ + above, ranges_ + size_, ranges_ + size_ + 1);
    ranges_[above] = pages;
    ++size_;
  }
}

void AddressRanges::check_invariants() const {
  PageCount total;
  for (size_t i = 0; i < size_; ++i) {
    SPANMALLOC_CHECK(ranges_[i].count.value > 0, "empty address range");
    SPANMALLOC_CHECK(i == 0 || ranges_[i - 1].end() < ranges_[i].first,
                     "address ranges unsorted or not joined");
    total += ranges_[i].count;
  }
  SPANMALLOC_CHECK(total == total_, "address ranges miscounted");
}

}  // namespace spanmalloc
