#ifndef SPANMALLOC_STATS_HEAP_STATS_H_
#define SPANMALLOC_STATS_HEAP_STATS_H_

#include <array>
#include <cstddef>

#include "base/text_writer.h"
#include "heap/heap.h"

namespace spanmalloc {

// One size class, in bytes.
struct ClassStats {
  size_t cached = 0;         // in thread caches and depots
  size_t free_in_spans = 0;  // in partly used spans
};

// Where the memory is, in bytes. Each part is read under its own lock, so the whole is exact only
// while no thread allocates. in_use + free_retained + released == mapped. Backed by memory are at
// most in_use - released_in_spans + free_retained + metadata: what was never touched since it was
// taken into use is not.
struct HeapStats {
  size_t mapped = 0;
  size_t in_use = 0;
  size_t free_retained = 0;
  size_t released = 0;
  size_t scavenged = 0;
  size_t small_spans = 0;
  size_t live_large = 0;
  size_t large_count = 0;
  size_t cached = 0;
  size_t free_in_spans = 0;
  size_t span_waste = 0;
  size_t partly_used_spans = 0;
  size_t released_in_spans = 0;
  size_t metadata = 0;
  size_t thread_caches = 0;
  std::array<ClassStats, kSizeClassCount> classes{};

  size_t live_small() const {
    const size_t idle = cached + free_in_spans + span_waste;
    return small_spans > idle ? small_spans - idle : 0;
  }
  size_t live() const { return live_small() + live_large; }
};

// Reads all layers; changes nothing.
HeapStats read_stats(Heap& from);

void write_text(const HeapStats& stats, TextWriter& out);
void write_json(const HeapStats& stats, TextWriter& out);
// The document of glibc's malloc_info().
void write_xml(const HeapStats& stats, TextWriter& out);

}  // namespace spanmalloc

#endif  // SPANMALLOC_STATS_HEAP_STATS_H_
