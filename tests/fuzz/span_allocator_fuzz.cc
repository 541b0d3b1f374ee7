// Spans of all kinds on a page source that refuses: records, page map, contents and sums.
#include <cstring>
#include <vector>

#include "base/check.h"
#include "fuzz/fresh_page_map.h"
#include "fuzz/input.h"
#include "support/span_parts.h"

namespace spanmalloc::testing {
namespace {

class ShadowSpans {
 public:
  ShadowSpans(Input& input, PageMap& map) : input_(input), parts_(kBytes, map) {}

  void step() {
    switch (input_.below(8)) {
      case 0:
      case 1:
        return make_small();
      case 2:
      case 3:
        return make_large();
      case 4:
      case 5:
        return end_one();
      case 6:
        return resize();
      default:
        if (input_.below(4) == 0) parts_.source.fail_grow(input_.below(3));
        (void)parts_.page_heap.scavenge(Bytes{input_.below(65536) << 8}, ScavengeMode::kForced);
        return;
    }
  }

  void check() {
    parts_.page_heap.check_invariants();
    size_t small_bytes = 0;
    size_t large_bytes = 0;
    size_t large_count = 0;
    for (Span* span : spans_) {
      const bool is_small = span->state() == SpanState::kSmall;
      is_small ? check_small(span) : check_large(span);
      (is_small ? small_bytes : large_bytes) += span->bytes().value;
      large_count += !is_small;
    }
    SPANMALLOC_CHECK(parts_.spans.small_span_bytes() == small_bytes, "bytes of small spans differ");
    SPANMALLOC_CHECK(parts_.spans.large_bytes() == large_bytes, "bytes of large spans differ");
    SPANMALLOC_CHECK(parts_.spans.large_count() == large_count, "count of large spans differs");
  }

  void finish() {
    check();
    while (!spans_.empty()) end_one();
    check();
    const PageRange all = parts_.source.all();
    for (PageNumber page = all.first; page < all.end(); page = page + PageCount{1}) {
      const uintptr_t address = page.value << kPageShift;
      SPANMALLOC_CHECK(parts_.page_map.find(address) == nullptr, "an ended span in the page map");
      SPANMALLOC_CHECK(parts_.page_map.class_map()[address] == kNoSizeClass, "a class is left");
    }
  }

 private:
  static constexpr size_t kBytes = size_t{24} << 20;

  SpanLength any_length() { return input_.below(2) == 0 ? SpanLength::kShort : SpanLength::kLong; }
  Growth any_growth() { return input_.below(4) == 0 ? Growth::kForbidden : Growth::kAllowed; }

  static char* page_of(const Span* span, size_t page) {
    return reinterpret_cast<char*>(span->base() + page * kPageBytes);
  }
  // Each page of a live span carries the span's mark at both ends.
  static void write(const Span* span) {
    for (size_t page = 0; page < span->pages().count.value; ++page) {
      memcpy(page_of(span, page), &span, sizeof(span));
      memcpy(page_of(span, page + 1) - sizeof(span), &span, sizeof(span));
    }
  }
  static void check_written(const Span* span) {
    for (size_t page = 0; page < span->pages().count.value; ++page) {
      SPANMALLOC_CHECK(memcmp(page_of(span, page), &span, sizeof(span)) == 0 &&
                           memcmp(page_of(span, page + 1) - sizeof(span), &span, 8) == 0,
                       "a span's memory changes");
    }
  }
  static void check_zero(const Span* span) {
    for (size_t page = 0; page < span->pages().count.value; ++page) {
      SPANMALLOC_CHECK(*page_of(span, page) == 0 && page_of(span, page + 1)[-1] == 0,
                       "memory that is not zero");
    }
  }

  void make_small() {
    const auto size_class = static_cast<SizeClass>(1 + input_.below(kSizeClassCount - 1));
    Span* span = parts_.spans.new_small(size_class, any_length(), any_growth());
    if (span == nullptr) return;
    Claim claim = span->claim(1);
    if (claim.content == MemoryContent::kZero) check_zero(span);
    const bool given = span->give_back(claim.word_base);
    SPANMALLOC_CHECK(given && span->is_empty(), "a fresh span has used objects");
    write(span);
    spans_.push_back(span);
  }

  void make_large() {
    const PageCount count{1 + input_.below(input_.below(4) == 0 ? 1100 : 70)};
    const PageCount alignment{size_t{1} << input_.below(10)};
    Span* span = parts_.spans.new_large(count, alignment, any_growth());
    if (span == nullptr) return;
    SPANMALLOC_CHECK(span->pages().first.value % alignment.value == 0, "not aligned");
    SPANMALLOC_CHECK(span->pages().count == count, "of the wrong size");
    if (span->zero_pages() == count) check_zero(span);
    write(span);
    spans_.push_back(span);
  }

  void end_one() {
    if (spans_.empty()) return;
    std::swap(spans_[input_.below(spans_.size())], spans_.back());
    Span* span = spans_.back();
    spans_.pop_back();
    check_written(span);
    if (span->state() == SpanState::kSmall) return parts_.spans.delete_small(span);
    if (input_.below(4) == 0) {
      SPANMALLOC_CHECK(is_released(span->base(), span->bytes().value), "release refused");
      return parts_.spans.delete_large_released(span);
    }
    const bool ended = parts_.spans.delete_large(span);
    SPANMALLOC_CHECK(ended, "a live span ended before");
  }

  static bool is_released(uintptr_t address, size_t bytes) {
    return platform::release(address, bytes) == platform::ReleaseResult::kReleasedReadsZero;
  }

  void resize() {
    if (spans_.empty()) return;
    Span* span = spans_[input_.below(spans_.size())];
    if (span->state() != SpanState::kLarge) return;
    check_written(span);
    const PageCount before = span->pages().count;
    const PageCount count{1 + input_.below(600)};
    if (count < before && input_.below(2) == 0) {
      const size_t kept = count.bytes().value;
      SPANMALLOC_CHECK(is_released(span->base() + kept, span->bytes().value - kept), "refused");
      parts_.spans.shrink_large_released(span, count);
    } else {
      const bool resized = parts_.spans.resize_large(span, count);
      SPANMALLOC_CHECK(resized || count > before, "a span does not shrink");
      if (!resized) return;
    }
    SPANMALLOC_CHECK(span->pages().count == count, "of the wrong size");
    write(span);
  }

  void check_small(Span* span) {
    span->check_invariants();
    const size_t object_bytes = kSizeClasses[span->size_class()].object_bytes;
    for (size_t page = 0; page < span->pages().count.value; ++page) {
      const uintptr_t address = span->base() + page * kPageBytes;
      SPANMALLOC_CHECK(parts_.page_map.find(address + 1) == span, "a page maps to another span");
      const size_t next_object = (page * kPageBytes + object_bytes - 1) / object_bytes;
      const bool starts = next_object < span->object_count() &&
                          next_object * object_bytes < (page + 1) * kPageBytes;
      const SizeClass mapped = parts_.page_map.class_map()[address];
      SPANMALLOC_CHECK(!starts || mapped == span->size_class(), "a page of another class");
    }
  }

  void check_large(Span* span) {
    const uintptr_t last = span->base() + span->bytes().value - 1;
    SPANMALLOC_CHECK(parts_.page_map.find(span->base()) == span, "maps to another span");
    SPANMALLOC_CHECK(parts_.page_map.find_large_around(last) == span, "not found from its end");
    SPANMALLOC_CHECK(parts_.page_map.class_map()[span->base()] == kNoSizeClass, "has a class");
  }

  Input& input_;
  SpanParts parts_;
  std::vector<Span*> spans_;
};

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  FreshPageMap map;
  Input input(data, size);
  ShadowSpans spans(input, map.get());
  for (size_t step = 1; !input.empty(); ++step) {
    spans.step();
    if (step % 16 == 0) spans.check();
  }
  spans.finish();
  return 0;
}
