#include "pages/page_summary.h"

#include <algorithm>

namespace spanmalloc {

PageSummary merge_summaries(const PageSummary* parts, size_t count, size_t pages_each) {
  // The parts are smaller than 2^21 pages, so their words have no special case.
  constexpr uint64_t kField = PageSummary::kMaxPages - 1;
  constexpr size_t kShift = PageSummary::kFieldBits;
  size_t start = 0;
  for (size_t i = 0; i < count && start == i * pages_each; ++i) start += parts[i].packed() & kField;
  size_t max = 0;
  size_t end = 0;  // free pages directly below the part that is looked at
  for (size_t i = 0; i < count; ++i) {
    const uint64_t part = parts[i].packed();
    // Most parts of a level near the root are not mapped.
    if (part == 0) {
      end = 0;
      continue;
    }
    const size_t part_end = part >> (2 * kShift);
    max = std::max(max, end + (part & kField));
    max = std::max(max, static_cast<size_t>(part >> kShift & kField));
    end = part_end == pages_each ? end + pages_each : part_end;
  }
  return {start, max, end};
}

}  // namespace spanmalloc
