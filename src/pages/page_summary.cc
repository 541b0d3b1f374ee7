#include "pages/page_summary.h"

#include <algorithm>

namespace spanmalloc {

PageSummary merge_summaries(const PageSummary* parts, size_t count, size_t pages_each) {
  size_t start = parts[0].start();
  size_t max = parts[0].max();
  size_t end = parts[0].end();
  for (size_t i = 1; i < count; ++i) {
    const PageSummary part = parts[i];
    if (part.nothing_free()) {
      end = 0;
      continue;
    }
    if (start == i * pages_each) start += part.start();
    max = std::max({max, end + part.start(), part.max()});
    end = part.end() == pages_each ? end + pages_each : part.end();
  }
  return {start, max, end};
}

}  // namespace spanmalloc
