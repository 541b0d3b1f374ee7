// The pages layer: bits and summaries of a chunk, the page cache, and the page allocator on heaps
// of 1 GiB to 1 TiB. It does arithmetic on addresses and never touches them, so the heaps need
// no memory but that of their metadata.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/metadata_arena.h"
#include "micro.h"
#include "pages/page_allocator.h"
#include "pages/page_bitmap.h"
#include "pages/page_cache.h"
#include "pages/page_summary.h"

namespace micro {
namespace {

using namespace spanmalloc;

// Heaps.

struct HeapSize {
  const char* name;
  size_t bytes;
};
constexpr HeapSize kHeapSizes[] = {{"1GiB", size_t{1} << 30},
                                   {"16GiB", size_t{16} << 30},
                                   {"128GiB", size_t{128} << 30},
                                   {"1TiB", size_t{1} << 40}};

// How the free pages lie in a heap that is otherwise in use.
enum class Holes {
  kEverySecondBlock,  // 64 pages free, 64 in use; 128 free pages only at the very end
  kRandom,            // in each chunk one hole of 1 to 64 pages at a random place
};

class FakeHeap {
 public:
  FakeHeap(size_t bytes, Holes holes) : page_count_(pages_for(bytes)) {
    if (!pages.reserve(page_count_) || !pages.grow({{0}, page_count_})) std::abort();
    if (!pages.allocate(page_count_, {1}).ok()) std::abort();
    if (holes == Holes::kEverySecondBlock) {
      make_even_holes();
    } else {
      make_random_holes();
    }
  }
  PageCount page_count() const { return page_count_; }

  MetadataArena arena;
  PageAllocator pages{arena};

 private:
  void make_even_holes() {
    for (size_t page = 0; page < page_count_.value - 256; page += 128) pages.free({{page}, {64}});
    pages.free({{page_count_.value - 128}, {128}});
  }
  void make_random_holes() {
    Random random(1);
    for (size_t chunk = 0; chunk < page_count_.value; chunk += kPagesPerChunk) {
      const size_t count = random.between(1, 64);
      pages.free({{chunk + random.below(kPagesPerChunk - count + 1)}, {count}});
    }
  }

  PageCount page_count_;
};

// Made once: a benchmark runs several times, and the heap of a terabyte takes a second. Every
// benchmark leaves as many holes as it found.
FakeHeap& fake_heap(size_t size_index, Holes holes) {
  static std::unique_ptr<FakeHeap> heaps[std::size(kHeapSizes)][2];
  std::unique_ptr<FakeHeap>& heap = heaps[size_index][static_cast<size_t>(holes)];
  if (heap == nullptr) heap = std::make_unique<FakeHeap>(kHeapSizes[size_index].bytes, holes);
  return *heap;
}

void allocate_and_free(benchmark::State& state, PageAllocator& pages, PageCount count,
                       PageCount alignment) {
  for (auto _ : state) {
    const PageAllocation allocation = pages.allocate(count, alignment);
    if (!allocation.ok()) return state.SkipWithError("nothing found");
    pages.free(allocation.pages);
  }
}

// A pair of allocate and free whose search passes by every hole but the last.
void find_at_the_end(benchmark::State& state, size_t size) {
  allocate_and_free(state, fake_heap(size, Holes::kEverySecondBlock).pages, {100}, {1});
}
void find_first_hole(benchmark::State& state, size_t size) {
  allocate_and_free(state, fake_heap(size, Holes::kEverySecondBlock).pages, {8}, {1});
}
// Every hole is long enough, the last one alone holds an aligned run.
void find_aligned(benchmark::State& state, size_t size) {
  allocate_and_free(state, fake_heap(size, Holes::kEverySecondBlock).pages, {128}, {128});
}

// 128 blocks of 1 to 64 pages, one of which is replaced by another each time.
void replace_random(benchmark::State& state, size_t size) {
  PageAllocator& pages = fake_heap(size, Holes::kRandom).pages;
  Random random(2);
  std::array<PageRange, 128> blocks{};
  for (auto _ : state) {
    PageRange& block = blocks[random.below(blocks.size())];
    if (block.count.value > 0) pages.free(block);
    // At the worst the heap is full for a moment.
    block = pages.allocate({random.between(1, 64)}, {1}).pages;
  }
  for (const PageRange& block : blocks) {
    if (block.count.value > 0) pages.free(block);
  }
}

// A hole far from the last one is taken whole and given back: the cost of the summaries above it.
void take_random_hole(benchmark::State& state, size_t size) {
  FakeHeap& heap = fake_heap(size, Holes::kEverySecondBlock);
  const size_t holes = heap.page_count().value / 128 - 2;
  Random random(3);
  for (auto _ : state) {
    const PageAllocation allocation = heap.pages.allocate_at({{random.below(holes) * 128}, {64}});
    if (!allocation.ok()) return state.SkipWithError("the hole is not free");
    heap.pages.free(allocation.pages);
  }
}

void fill_cache(benchmark::State& state, size_t size) {
  PageAllocator& pages = fake_heap(size, Holes::kEverySecondBlock).pages;
  for (auto _ : state) {
    PageCache cache = pages.allocate_to_cache();
    benchmark::DoNotOptimize(cache);
    pages.flush(cache);
  }
}

void register_page_allocator() {
  for (size_t size = 0; size < std::size(kHeapSizes); ++size) {
    const auto add_for_size = [size](const std::string& name, auto body) {
      add("page_allocator/" + name + "/" + kHeapSizes[size].name,
          [size, body](benchmark::State& state) { body(state, size); });
    };
    add_for_size("find", find_at_the_end);
    add_for_size("find_first", find_first_hole);
    add_for_size("find_aligned", find_aligned);
    add_for_size("random", replace_random);
    add_for_size("allocate_at", take_random_hole);
    add_for_size("to_cache", fill_cache);
  }
}

// Bits and summaries.

// Runs of 1 to 40 clear bits between runs of 1 to 12 set ones; the last bits, this many, are clear.
std::vector<PageBitmap> random_bitmaps(size_t clear_at_end) {
  Random random(4);
  std::vector<PageBitmap> bitmaps(256);
  for (PageBitmap& bits : bitmaps) {
    const size_t end = PageBitmap::kBits - clear_at_end;
    for (size_t bit = random.between(0, 40); bit < end;) {
      const size_t count = std::min(random.between(1, 12), end - bit);
      bits.set(bit, count);
      bit += count + random.between(1, 40);
    }
    bits.set(end - 1, 1);
  }
  return bitmaps;
}

// Calls work(bitmap) for one bitmap after the other.
template <typename Work>
void over_bitmaps(benchmark::State& state, std::vector<PageBitmap> bitmaps, Work work) {
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(work(bitmaps[next]));
    next = (next + 1) % bitmaps.size();
  }
}

void register_bitmaps() {
  for (const size_t count : {1, 8, 32, 64}) {
    add("page_bitmap/find/" + std::to_string(count), [count](benchmark::State& state) {
      over_bitmaps(state, random_bitmaps(64),
                   [count](PageBitmap& bits) { return bits.find_clear_run(count, 0); });
    });
    // The last 64 bits are clear; they are set and cleared with the summaries that follow from it.
    add("page_bitmap/allocate_free/" + std::to_string(count), [count](benchmark::State& state) {
      over_bitmaps(state, random_bitmaps(64), [count](PageBitmap& bits) {
        constexpr size_t kFirst = PageBitmap::kBits - 64;
        const PageSummary before(0, 64, 64);
        bits.set(kFirst, count);
        const PageSummary between = bits.summary_after_set(before, kFirst, count);
        bits.clear(kFirst, count);
        return bits.summary_after_clear(between, kFirst, count);
      });
    });
  }
  // With a run of 62 the summary follows from the borders of the words alone.
  for (const size_t longest : {64, 40}) {
    add("page_bitmap/summarize/" + std::to_string(longest), [longest](benchmark::State& state) {
      over_bitmaps(state, random_bitmaps(longest),
                   [](PageBitmap& bits) { return bits.summarize(); });
    });
  }
  add("page_summary/merge", [](benchmark::State& state) {
    std::vector<PageSummary> parts;
    for (const PageBitmap& bits : random_bitmaps(0)) parts.push_back(bits.summarize());
    size_t first = 0;
    for (auto _ : state) {
      benchmark::DoNotOptimize(merge_summaries(&parts[first], 8, kPagesPerChunk));
      first = (first + 8) % parts.size();
    }
  });
}

// A block of 64 free pages is used up.
void take_from_cache(benchmark::State& state, PageCount count) {
  const size_t takes = PageCache::kPages / count.value;
  for (auto _ : state) {
    PageCache cache({0}, ~uint64_t{0}, 0);
    benchmark::DoNotOptimize(cache);
    for (size_t i = 0; i < takes; ++i) benchmark::DoNotOptimize(cache.take(count));
  }
  report_time_each(state, takes);
}

}  // namespace

void register_benchmarks(int, char**) {
  register_bitmaps();
  for (const size_t count : {1, 4, 15}) {
    add("page_cache/take/" + std::to_string(count),
        [count](benchmark::State& state) { take_from_cache(state, {count}); });
  }
  register_page_allocator();
}

}  // namespace micro
