// Span records outside any pool, for tests of what a record does by itself.
#ifndef SPANMALLOC_TESTS_SUPPORT_SPAN_RECORD_H_
#define SPANMALLOC_TESTS_SUPPORT_SPAN_RECORD_H_

#include <cstdlib>
#include <memory>

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

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_SPAN_RECORD_H_
