// Span records outside any pool, for tests of what a record does by itself.
#ifndef SPANMALLOC_TESTS_SUPPORT_SPAN_RECORD_H_
#define SPANMALLOC_TESTS_SUPPORT_SPAN_RECORD_H_

#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "spans/span.h"

namespace spanmalloc::testing {

struct FreeSpanRecord {
  void operator()(Span* span) const { free(span); }
};
using SpanRecord = std::unique_ptr<Span, FreeSpanRecord>;

// A dead record: of zeros, as the metadata arena gives them out.
inline SpanRecord make_span_record() {
  return SpanRecord(static_cast<Span*>(calloc(1, sizeof(Span))));
}

// Every class with each length that a span of it may have.
inline std::vector<std::pair<SizeClass, SpanLength>> kinds_of_spans() {
  std::vector<std::pair<SizeClass, SpanLength>> kinds;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const auto size_class = static_cast<SizeClass>(index);
    kinds.emplace_back(size_class, SpanLength::kLong);
    const SizeClassInfo& info = kSizeClasses[index];
    if (info.short_span_pages < info.span_pages) kinds.emplace_back(size_class, SpanLength::kShort);
  }
  return kinds;
}

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_SPAN_RECORD_H_
