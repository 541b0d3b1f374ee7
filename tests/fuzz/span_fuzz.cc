// The free bits of one span against a table of its objects.
#include <bit>
#include <vector>

#include "base/check.h"
#include "fuzz/input.h"
#include "support/span_record.h"

namespace spanmalloc::testing {
namespace {

constexpr uintptr_t kBase = uintptr_t{1} << 40;

class ShadowSpan {
 public:
  explicit ShadowSpan(Input& input)
      : input_(input),
        size_class_(static_cast<SizeClass>(1 + input.below(kSizeClassCount - 1))),
        content_(input.below(2) == 0 ? MemoryContent::kZero : MemoryContent::kUnknown),
        length_(input.below(2) == 0 ? SpanLength::kShort : SpanLength::kLong),
        is_free_(info().objects_in(info().pages_of(length_)), true),
        was_used_(is_free_.size(), false) {
    span_->start_small({{1000}, info().pages_of(length_)}, kBase, size_class_, content_);
  }

  void step() {
    if (input_.below(2) == 0) return claim();
    give_back(input_.below(is_free_.size()));
  }

  void check() {
    span_->check_invariants();
    size_t free = 0;
    for (size_t index = 0; index < is_free_.size(); ++index) {
      free += is_free_[index];
      SPANMALLOC_CHECK(span_->is_free_object(address(index)) == is_free_[index], "bits differ");
    }
    SPANMALLOC_CHECK(span_->free_count() == free, "free counts differ");
  }

  void finish() {
    check();
    for (size_t index = 0; index < is_free_.size(); ++index) give_back(index);
    SPANMALLOC_CHECK(span_->is_empty(), "objects are lost");
    check();
  }

 private:
  const SizeClassInfo& info() const { return kSizeClasses[size_class_]; }
  size_t object_bytes() const { return info().object_bytes; }
  uintptr_t address(size_t index) const { return kBase + index * object_bytes(); }

  // The lowest free objects of the first word that has any, at most `limit`.
  std::vector<size_t> expected_claim(size_t limit) const {
    std::vector<size_t> indices;
    for (size_t index = 0; index < is_free_.size() && indices.size() < limit; ++index) {
      if (!indices.empty() && index / 64 != indices.front() / 64) break;
      if (is_free_[index]) indices.push_back(index);
    }
    return indices;
  }

  void claim() {
    const size_t limit = 1 + input_.below(64);
    const std::vector<size_t> expected = expected_claim(limit);
    SPANMALLOC_CHECK(span_->is_full() == expected.empty(), "full wrongly");
    if (expected.empty()) return;
    const Claim claim = span_->claim(limit);
    const size_t first = expected.front() / 64 * 64;
    SPANMALLOC_CHECK(claim.word_base == address(first), "a claim of another word");
    uint64_t bits = 0;
    bool untouched = true;
    for (const size_t index : expected) {
      bits |= uint64_t{1} << (index - first);
      untouched = untouched && !was_used_[index];
      is_free_[index] = false;
    }
    SPANMALLOC_CHECK(claim.bits == bits, "a claim of other objects");
    if (claim.content == MemoryContent::kZero) {
      SPANMALLOC_CHECK(untouched && content_ == MemoryContent::kZero, "used memory given as zero");
    }
    for (const size_t index : expected) was_used_[index] = true;
  }

  void give_back(size_t index) {
    SPANMALLOC_CHECK(span_->give_back(address(index)) == !is_free_[index], "a second free");
    is_free_[index] = true;
  }

  Input& input_;
  const SizeClass size_class_;
  const MemoryContent content_;
  const SpanLength length_;
  SpanRecord span_ = make_span_record();
  std::vector<bool> is_free_;
  std::vector<bool> was_used_;
};

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  Input input(data, size);
  ShadowSpan span(input);
  while (!input.empty()) span.step();
  span.finish();
  return 0;
}
