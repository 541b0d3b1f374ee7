// The part of the page heap that finds what is worth huge pages.
#include <algorithm>

#include "pages/page_heap.h"

namespace spanmalloc {

namespace {

// Chunks looked at under one hold of the lock: some microseconds.
constexpr size_t kChunksPerHold = 256;

}  // namespace

PageHeap::DenseChunk PageHeap::next_dense_chunk(ChunkNumber from, uint32_t epoch) {
  MutexLock lock(mutex_);
  if (!open_) return {};
  if (!looks_.is_reserved() && !looks_.reserve(window_.size.value / kPagesPerChunk, arena_)) {
    return {};
  }
  const ScavengeIndex& index = pages_.scavenge_index();
  for (size_t visited = 0; visited < kChunksPerHold; ++visited) {
    const PageNumber page = pages_.mapped().first_at_or_above(first_page(from));
    if (page == kNoPage) return {};
    const ChunkNumber chunk = page.chunk();
    from = {chunk.value + 1};
    const ChunkActivity activity = index.activity(chunk);
    if (!HugePageSchedule::is_dense(activity)) continue;
    if (!looks_.make_writable(chunk.value, chunk.value + 1)) return {};
    if (!HugePageSchedule::should_ask(activity, looks_[chunk.value], epoch)) continue;
    return {{first_page(chunk), {kPagesPerChunk}}, from, SearchEnd::kGoesOn};
  }
  return {{}, from, SearchEnd::kGoesOn};
}

Bytes PageHeap::expected_resident_bytes(PageRange unit) const {
  MutexLock lock(mutex_);
  const ChunkBits& bits = pages_.chunk(unit.first.chunk());
  const size_t released = bits.released.count_set(unit.first.index_in_chunk(), unit.count.value);
  return unit.count.bytes() - PageCount{released}.bytes();
}

void PageHeap::note_backed(PageRange unit) {
  MutexLock lock(mutex_);
  const ChunkBits& bits = pages_.chunk(unit.first.chunk());
  const size_t first = unit.first.index_in_chunk();
  const size_t end = first + unit.count.value;
  for (size_t begin = bits.released.find_set(first); begin < end;) {
    const size_t stop = std::min(bits.released.find_clear(begin), end);
    const PageRange run{unit.first + PageCount{begin - first}, {stop - begin}};
    const PageCount released = pages_.take_out(run);
    pages_.put_back_retained(run);
    subtract(released_, released);
    add(free_retained_, released);
    begin = bits.released.find_set(stop);
  }
  // They may be given back again.
  const size_t chunk = unit.first.chunk().value;
  pages_.scavenge_index().offer(chunk, chunk + 1);
}

}  // namespace spanmalloc
