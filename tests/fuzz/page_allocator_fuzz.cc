// The page allocator against a first fit that looks at every page, in any arrangement of chunks.
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "fuzz/input.h"
#include "fuzz/undo_mappings.h"
#include "pages/page_allocator.h"
#include "support/flat_pages.h"

namespace spanmalloc::testing {
namespace {

class ShadowAllocator {
 public:
  explicit ShadowAllocator(Input& input) : input_(input) {
    constexpr size_t kWindowChunks[] = {8, 513, 4100, size_t{1} << 22};
    window_ = {kWindowChunks[input_.below(4)] * kPagesPerChunk};
    SPANMALLOC_CHECK(pages_.reserve(window_), "no address space");
    grow();
  }

  void step() {
    switch (input_.below(16)) {
      case 0:
        return grow();
      case 1:
      case 2:
        return allocate_at();
      case 3:
      case 4:
        return use_cache();
      case 5:
      case 6:
        return take_out_and_put_back();
      case 7:
      case 8:
      case 9:
      case 10:
        return free_one();
      case 11:
        return check();
      default:
        return allocate();
    }
  }

  void finish() {
    check();
    while (!blocks_.empty()) free_one();
    const PageAllocator::Totals totals = pages_.check_invariants();
    SPANMALLOC_CHECK(totals.in_use.value == 0, "pages are lost");
  }

 private:
  bool chance(size_t one_in) { return input_.below(one_in) == 0; }

  PageCount any_count() {
    const size_t most[] = {16, 64, 600, 3000};
    return {1 + input_.below(most[input_.below(4)])};
  }

  // Maps chunks that lie near the last ones or near the border of a summary of any level.
  void grow() {
    const size_t window_chunks = window_.value / kPagesPerChunk;
    const size_t border = size_t{1} << (3 * input_.below(8));
    size_t chunk = chance(2) ? last_chunk_ + 1 : border * (1 + input_.below(7)) - input_.below(2);
    chunk %= window_chunks;
    const size_t count = std::min(1 + input_.below(3), window_chunks - chunk);
    for (size_t each = chunk; each < chunk + count; ++each) {
      if (model_.is_mapped(first_page({each})) || model_.mapped().value > 16 * kPagesPerChunk) {
        continue;
      }
      const PageRange range{first_page({each}), {kPagesPerChunk}};
      SPANMALLOC_CHECK(pages_.grow(range), "no metadata");
      model_.map(range);
      last_chunk_ = each;
    }
  }

  void note_allocated(const PageAllocation& allocation) {
    SPANMALLOC_CHECK(allocation.released == model_.count(allocation.pages, PageState::kReleased),
                     "an allocation with a wrong count of released pages");
    model_.set(allocation.pages, PageState::kInUse);
    blocks_.push_back(allocation.pages);
  }

  void allocate() {
    const PageCount count = any_count();
    const PageCount alignment{chance(3) ? size_t{1} << input_.below(13) : 1};
    const PageNumber expected = model_.first_fit(count, alignment);
    const PageAllocation allocation = pages_.allocate(count, alignment);
    SPANMALLOC_CHECK(allocation.ok() == (expected != kNoPage), "a search that fails wrongly");
    if (!allocation.ok()) return;
    SPANMALLOC_CHECK(allocation.pages == (PageRange{expected, count}), "not the first fit");
    note_allocated(allocation);
  }

  void allocate_at() {
    PageRange wanted{first_page({last_chunk_}) + PageCount{input_.below(kPagesPerChunk)},
                     any_count()};
    if (!blocks_.empty() && chance(2)) wanted.first = blocks_[input_.below(blocks_.size())].end();
    if (wanted.end().value > window_.value) return;
    const bool is_free = model_.is_free(wanted);
    SPANMALLOC_CHECK(pages_.is_free(wanted) == is_free, "a wrong answer about free pages");
    const PageAllocation allocation = pages_.allocate_at(wanted);
    SPANMALLOC_CHECK(allocation.ok() == is_free, "an allocation at a place fails wrongly");
    if (is_free) note_allocated(allocation);
  }

  void free_one() {
    if (blocks_.empty()) return;
    std::swap(blocks_[input_.below(blocks_.size())], blocks_.back());
    PageRange block = blocks_.back();
    blocks_.pop_back();
    if (block.count.value > 1 && chance(4)) {
      const PageCount kept{1 + input_.below(block.count.value - 1)};
      blocks_.push_back({block.first, kept});
      block = {block.first + kept, block.count - kept};
    }
    const bool released = chance(3);
    released ? pages_.free_released(block) : pages_.free(block);
    model_.set(block, released ? PageState::kReleased : PageState::kRetained);
  }

  void use_cache() {
    const PageNumber first = model_.first_fit({1}, {1});
    PageCache cache = pages_.allocate_to_cache();
    SPANMALLOC_CHECK(cache.empty() == (first == kNoPage), "a cache that is empty wrongly");
    if (cache.empty()) return;
    const PageNumber base{align_down(first.value, PageCache::kPages)};
    for (size_t index = 0; index < PageCache::kPages; ++index) {
      const PageNumber page = base + PageCount{index};
      const bool free = (cache.free() >> index & 1) != 0;
      const bool released = (cache.released() >> index & 1) != 0;
      SPANMALLOC_CHECK(free == model_.is_free(page), "a cache with wrong pages");
      SPANMALLOC_CHECK(released == (free && model_[page] == PageState::kReleased),
                       "a cache with wrong released pages");
    }
    for (size_t request = input_.below(4); request > 0; --request) {
      const PageCount count{1 + input_.below(PageCache::kPages)};
      const PageAllocation allocation = cache.take(count);
      if (!allocation.ok()) continue;
      SPANMALLOC_CHECK(model_.is_free(allocation.pages), "a cache gives pages out twice");
      note_allocated(allocation);
    }
    pages_.flush(cache);
    SPANMALLOC_CHECK(cache.empty(), "a cache that keeps pages");
  }

  // As the scavenger does, with searches of the program in between.
  void take_out_and_put_back() {
    const PageNumber from = model_.first_fit({1 + input_.below(16)}, {1});
    if (from == kNoPage) return;
    PageRange run{from, {0}};
    const size_t most =
        std::min(1 + input_.below(kPagesPerChunk), kPagesPerChunk - from.index_in_chunk());
    while (run.count.value < most && model_.is_free(run.end())) run.count += PageCount{1};
    const PageCount released = model_.count(run, PageState::kReleased);
    SPANMALLOC_CHECK(pages_.take_out(run) == released, "a wrong count of what was released");
    model_.set(run, PageState::kInUse);
    allocate();
    const bool refused = chance(3);
    refused ? pages_.put_back_retained(run) : pages_.put_back_released(run);
    model_.set(run, refused ? PageState::kRetained : PageState::kReleased);
  }

  void check() {
    const PageAllocator::Totals totals = pages_.check_invariants();
    SPANMALLOC_CHECK(totals.in_use == model_.count(PageState::kInUse), "pages in use differ");
    SPANMALLOC_CHECK(totals.retained == model_.count(PageState::kRetained),
                     "retained pages differ");
    SPANMALLOC_CHECK(totals.released == model_.count(PageState::kReleased),
                     "released pages differ");
  }

  Input& input_;
  MetadataArena arena_;
  PageAllocator pages_{arena_};
  PageCount window_;
  FlatPages model_;
  std::vector<PageRange> blocks_;
  size_t last_chunk_ = 0;
};

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  const UndoMappings undo;
  Input input(data, size);
  ShadowAllocator allocator(input);
  while (!input.empty()) allocator.step();
  allocator.finish();
  return 0;
}
