#include "pages/scavenge_index.h"

#include <algorithm>

#include "base/bits.h"
#include "base/check.h"
#include "base/event_counts.h"

namespace spanmalloc {

ChunkActivity ChunkActivity::unpack(uint64_t word) {
  const auto take = [&word](unsigned bits) {
    const uint32_t field = static_cast<uint32_t>(word & low_bits(bits));
    word >>= bits;
    return field;
  };
  ChunkActivity activity;
  activity.in_use = take(kCountBits);
  activity.peak = take(kCountBits);
  activity.last_peak = take(kCountBits);
  activity.flags = take(kFlagBits);
  activity.generation = take(32);
  return activity;
}

uint64_t ChunkActivity::pack() const {
  uint64_t word = generation;
  word = word << kFlagBits | flags;
  word = word << kCountBits | last_peak;
  word = word << kCountBits | peak;
  return word << kCountBits | in_use;
}

void ChunkActivity::roll_to(uint32_t now) {
  if (generation == now) return;
  // Nobody wrote the word since, so what was in use then was in use all through the epochs between.
  last_peak = generation + 1 == now ? peak : in_use;
  peak = in_use;
  generation = now;
}

bool ChunkActivity::is_sparse(uint32_t now) const {
  ChunkActivity rolled = *this;
  rolled.roll_to(now);
  return rolled.peak < kDensePages && rolled.last_peak < kDensePages;
}

void ScavengeCursor::raise(PageNumber page) {
  const uint64_t position = page.value + 1;
  uint64_t old = stored_.load(std::memory_order_relaxed);
  while ((old & kPageMask) <= position) {
    const uint64_t raised = ((old & ~kPageMask) + kOnePage) | position;
    // Release: pairs with the acquire of load().
    if (stored_.compare_exchange_weak(old, raised, std::memory_order_release,
                                      std::memory_order_relaxed)) {
      return;
    }
  }
}

void ScavengeCursor::lower(Position seen, PageNumber page) {
  const uint64_t lowered = (seen.stored & ~kPageMask) | (page.value + 1);
  stored_.compare_exchange_strong(seen.stored, lowered, std::memory_order_relaxed);
  count_shared_write();
}

void ScavengeCursor::clear(Position seen) {
  stored_.compare_exchange_strong(seen.stored, seen.stored & ~kPageMask, std::memory_order_relaxed);
  count_shared_write();
}

ChunkActivity ScavengeIndex::current(ChunkNumber chunk) const {
  ChunkActivity now = activity(chunk);
  now.roll_to(generation());
  return now;
}

void ScavengeIndex::add_chunks(size_t begin, size_t end) {
  low_.store(std::min(low_.load(std::memory_order_relaxed), begin), std::memory_order_relaxed);
  high_.store(std::max(high_.load(std::memory_order_relaxed), end), std::memory_order_relaxed);
}

void ScavengeIndex::allocated(ChunkNumber chunk, size_t count) {
  ChunkActivity now = current(chunk);
  now.in_use += static_cast<uint32_t>(count);
  SPANMALLOC_DCHECK(now.in_use <= kPagesPerChunk, "more pages in use than a chunk has");
  now.peak = std::max(now.peak, now.in_use);
  if (now.in_use == kPagesPerChunk) now.flags = 0;
  store(chunk, now);
}

void ScavengeIndex::freed(ChunkNumber chunk, size_t first, size_t count) {
  ChunkActivity now = current(chunk);
  SPANMALLOC_DCHECK(count <= now.in_use, "more pages freed than a chunk had in use");
  now.in_use -= static_cast<uint32_t>(count);
  now.flags |= ChunkActivity::kMayHaveFree;
  const bool huge = now.in_use <= kPagesPerChunk - kPagesPerHugePage;
  if (huge) now.flags |= ChunkActivity::kMayHaveFreeHugePage;
  store(chunk, now);

  const PageNumber last = first_page(chunk) + PageCount{first + count - 1};
  freed_end_ = std::max(freed_end_, last + PageCount{1});
  cursor(ScavengeMode::kForced, ScavengeUnit::kAnyPages).raise(last);
  if (huge) cursor(ScavengeMode::kForced, ScavengeUnit::kHugePage).raise(last);
}

void ScavengeIndex::freed_released(ChunkNumber chunk, size_t count) {
  ChunkActivity now = current(chunk);
  SPANMALLOC_DCHECK(count <= now.in_use, "more pages freed than a chunk had in use");
  now.in_use -= static_cast<uint32_t>(count);
  store(chunk, now);
}

void ScavengeIndex::set_empty(ChunkNumber chunk, ScavengeUnit unit) {
  ChunkActivity now = activity(chunk);
  now.flags &= ~ChunkActivity::flag_of(unit);
  store(chunk, now);
}

bool ScavengeIndex::is_for(ScavengeMode mode, const ChunkActivity& activity, uint32_t now) const {
  if (mode == ScavengeMode::kBackground) return activity.is_sparse(now);
  return activity.age(now) >= idle_age_.load(std::memory_order_relaxed);
}

ScavengeIndex::Found ScavengeIndex::find(ScavengeMode mode, ScavengeUnit unit) {
  ScavengeCursor& from = cursor(mode, unit);
  const ScavengeCursor::Position seen = from.load();
  if (seen.cleared()) return {};
  const uint32_t now = generation();
  const size_t low = low_.load(std::memory_order_relaxed);
  const size_t start = seen.page().chunk().value;
  for (size_t chunk = start + 1; chunk > low;) {
    --chunk;
    const uint64_t word = words_[chunk].load(std::memory_order_relaxed);
    if (!ChunkActivity::may_have(word, unit)) continue;
    if (mode != ScavengeMode::kForced && !is_for(mode, ChunkActivity::unpack(word), now)) continue;
    if (chunk == start) return {.chunk = {chunk}, .page = seen.page().index_in_chunk(), .ok = true};
    from.lower(seen, first_page({chunk}) + PageCount{kPagesPerChunk - 1});
    return {.chunk = {chunk}, .page = kPagesPerChunk - 1, .ok = true};
  }
  from.clear(seen);
  return {};
}

void ScavengeIndex::rewind_forced() {
  const size_t high = high_.load(std::memory_order_relaxed);
  if (high == 0) return;
  const PageNumber last{high * kPagesPerChunk - 1};
  cursor(ScavengeMode::kForced, ScavengeUnit::kHugePage).raise(last);
  cursor(ScavengeMode::kForced, ScavengeUnit::kAnyPages).raise(last);
}

void ScavengeIndex::offer(size_t begin, size_t end) {
  for (size_t chunk = begin; chunk < end; ++chunk) {
    ChunkActivity now = activity({chunk});
    if (now.in_use == kPagesPerChunk) continue;
    now.flags = ChunkActivity::kMayHaveFree | ChunkActivity::kMayHaveFreeHugePage;
    store({chunk}, now);
  }
}

void ScavengeIndex::start_epoch() {
  generation_.store(generation() + 1, std::memory_order_relaxed);
  const PageNumber end = std::max(freed_end_, last_freed_end_);
  if (end.value > 0) {
    cursor(ScavengeMode::kBackground, ScavengeUnit::kHugePage).raise({end.value - 1});
    cursor(ScavengeMode::kBackground, ScavengeUnit::kAnyPages).raise({end.value - 1});
  }
  last_freed_end_ = freed_end_;
  freed_end_ = {0};
}

}  // namespace spanmalloc
