#include "stats/heap_stats.h"

#include <algorithm>

#include "heap/hardened_large.h"

namespace spanmalloc {

namespace {

void read_pages(Heap& from, HeapStats& stats) {
  const PageHeapStats pages = from.page_heap().stats();
  stats.mapped = pages.mapped.bytes().value;
  stats.in_use = pages.in_use.bytes().value;
  stats.free_retained = pages.free_retained.bytes().value;
  stats.released = pages.released.bytes().value;
  stats.released_in_spans = std::min(from.page_heap().hole_bytes(), stats.in_use);
  stats.scavenged = static_cast<size_t>(pages.scavenged_pages) * kPageBytes;
}

void read_class(const CentralList& central, SizeClass size_class, HeapStats& stats) {
  const CentralStats shared = central.stats();
  ClassStats& of_class = stats.classes[size_class];
  of_class.cached = shared.depot_bytes;
  of_class.free_in_spans = shared.free_bytes;
  stats.free_in_spans += shared.free_bytes;
  stats.partly_used_spans += shared.partly_used_spans;
  stats.small_spans += shared.span_bytes;
  stats.span_waste += shared.span_bytes - shared.objects * kSizeClasses[size_class].object_bytes;
}

void read_thread_caches(Heap& from, HeapStats& stats) {
  from.registry().for_each([&](const ThreadCache& cache) {
    ++stats.thread_caches;
    for (size_t index = 1; index < kSizeClassCount; ++index) {
      const SizeClass size_class = static_cast<SizeClass>(index);
      stats.classes[size_class].cached +=
          cache.object_count(size_class) * kSizeClasses[size_class].object_bytes;
    }
    return true;
  });
}

}  // namespace

HeapStats read_stats(Heap& from) {
  HeapStats stats;
  if (!from.is_open()) return stats;
  read_pages(from, stats);
  from.centrals().for_each([&](const CentralList& central, SizeClass size_class) {
    read_class(central, size_class, stats);
  });
  read_thread_caches(from, stats);
  for (const ClassStats& of_class : stats.classes) stats.cached += of_class.cached;
  // Guard pages count as waste of spans, freed large blocks that wait as cached.
  const size_t guards = from.spans().guard_bytes();
  stats.small_spans += guards + large_queue_bytes();
  stats.span_waste += guards;
  const size_t waiting = large_queue_bytes();
  stats.cached += waiting;
  const size_t large = from.spans().large_bytes();
  stats.live_large = large > waiting ? large - waiting : 0;
  const size_t large_count = from.spans().large_count();
  const size_t waiting_count = large_queue_count();
  stats.large_count = large_count > waiting_count ? large_count - waiting_count : 0;
  const size_t sampled = from.guarded_blocks().live_bytes();
  stats.mapped += sampled;
  stats.in_use += sampled;
  stats.small_spans += sampled;
  stats.metadata = from.arena().used_bytes();
  return stats;
}

}  // namespace spanmalloc
