// The base and spans layers: metadata, size classes, the page map, free bits, making and ending
// spans.
#include <array>
#include <bit>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/metadata_arena.h"
#include "base/record_pool.h"
#include "heap/heap.h"
#include "micro.h"
#include "spans/size_class.h"
#include "spans/span.h"

namespace micro {
namespace {

using namespace spanmalloc;

constexpr size_t kObjectBytes[] = {16, 64, 1024, 16384};

void take_record(benchmark::State& state) {
  MetadataArena arena;
  RecordPool pool(arena, sizeof(Span), alignof(Span));
  for (auto _ : state) {
    void* record = pool.take();
    benchmark::DoNotOptimize(record);
    pool.give_back(record);
  }
}

void allocate_metadata(benchmark::State& state) {
  MetadataArena arena;
  for (auto _ : state) benchmark::DoNotOptimize(arena.allocate(sizeof(Span), alignof(Span)));
}

void look_up_size_class(benchmark::State& state, size_t most) {
  Random random(1);
  std::vector<size_t> sizes(1024);
  for (size_t& size : sizes) size = random.between(1, most);
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(size_class_of(sizes[next]));
    next = (next + 1) % sizes.size();
  }
}

// Spans of 1 KiB objects, and an address in each of them.
struct Spans {
  explicit Spans(size_t count) {
    if (!heap.open()) std::abort();
    Random random(2);
    for (size_t i = 0; i < count; ++i) {
      Span* span = heap.spans().new_small(size_class_of(1024), SpanLength::kLong, Growth::kAllowed);
      if (span == nullptr) std::abort();
      spans.push_back(span);
      addresses.push_back(span->base() + random.below(span->object_count()) * 1024);
    }
    for (size_t i = count; i > 1; --i) std::swap(addresses[i - 1], addresses[random.below(i)]);
  }
  ~Spans() {
    for (Span* span : spans) heap.spans().delete_small(span);
  }
  std::vector<Span*> spans;
  std::vector<uintptr_t> addresses;
};

// Calls look(address) for one address after the other, in spans that lie in any order.
template <typename Look>
void over_addresses(benchmark::State& state, size_t span_count, Look look) {
  const Spans spans(span_count);
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(look(spans.addresses[next]));
    next = next + 1 < span_count ? next + 1 : 0;
  }
}

void set_page_map(benchmark::State& state) {
  const Spans spans(1);
  Span* span = spans.spans[0];
  for (auto _ : state) heap.page_map().set_small(span->pages(), span, span->size_class());
}

void register_page_map() {
  for (const size_t count : {1, 256, 8192}) {
    const std::string spans = std::to_string(count) + "_spans";
    add("class_map/lookup/" + spans, [count](benchmark::State& state) {
      over_addresses(state, count, [](uintptr_t address) { return heap.class_map()[address]; });
    });
    add("page_map/lookup/" + spans, [count](benchmark::State& state) {
      over_addresses(state, count, [](uintptr_t address) { return heap.page_map().find(address); });
    });
  }
  add("page_map/set/4_pages", set_page_map);
}

// A span's objects are claimed word by word and given back one by one. The bits lie outside the
// objects, so the span needs no memory.
void claim_and_give_back(benchmark::State& state, SizeClass size_class) {
  const SizeClassInfo& info = kSizeClasses[size_class];
  // A record starts as zeros.
  struct FreeRecord {
    void operator()(Span* record) const { std::free(record); }
  };
  const std::unique_ptr<Span, FreeRecord> span(static_cast<Span*>(std::calloc(1, sizeof(Span))));
  span->start_small({{1}, {info.span_pages}}, uintptr_t{1} << 40, size_class,
                    MemoryContent::kUnknown);
  for (auto _ : state) {
    std::array<Claim, kMaxObjectsPerSpan / 64> claims;
    size_t count = 0;
    while (!span->is_full()) claims[count++] = span->claim(64);
    benchmark::DoNotOptimize(claims);
    while (count > 0) {
      const Claim& claim = claims[--count];
      for (uint64_t bits = claim.bits; bits != 0; bits &= bits - 1) {
        const size_t index = static_cast<size_t>(std::countr_zero(bits));
        benchmark::DoNotOptimize(span->give_back(claim.word_base + index * info.object_bytes));
      }
    }
  }
  report_time_each(state, info.objects_per_span);
}

void new_and_delete_small(benchmark::State& state, SizeClass size_class) {
  if (!heap.open()) std::abort();
  for (auto _ : state) {
    Span* span = heap.spans().new_small(size_class, SpanLength::kLong, Growth::kAllowed);
    if (span == nullptr) return state.SkipWithError("no memory");
    heap.spans().delete_small(span);
  }
}

void new_and_delete_large(benchmark::State& state, PageCount count) {
  if (!heap.open()) std::abort();
  for (auto _ : state) {
    Span* span = heap.spans().new_large(count, {1}, Growth::kAllowed);
    if (span == nullptr) return state.SkipWithError("no memory");
    benchmark::DoNotOptimize(heap.spans().delete_large(span));
  }
}

}  // namespace

void register_benchmarks(int, char**) {
  add("metadata/record_pool", take_record);
  // Metadata is never given back.
  add("metadata/arena", allocate_metadata)->Iterations(100000);
  for (const size_t most : {256, 1024, 32768}) {
    add("size_class/lookup/to_" + std::to_string(most),
        [most](benchmark::State& state) { look_up_size_class(state, most); });
  }
  register_page_map();
  for (const size_t bytes : kObjectBytes) {
    const SizeClass size_class = size_class_of(bytes);
    add("span/claim_give_back/" + std::to_string(bytes),
        [size_class](benchmark::State& state) { claim_and_give_back(state, size_class); });
    add("span_allocator/small/" + std::to_string(bytes),
        [size_class](benchmark::State& state) { new_and_delete_small(state, size_class); });
  }
  for (const size_t count : {8, 32, 512}) {
    add("span_allocator/large/" + std::to_string(count) + "_pages",
        [count](benchmark::State& state) { new_and_delete_large(state, {count}); });
  }
}

}  // namespace micro
