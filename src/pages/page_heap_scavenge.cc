// The part of the page heap that gives memory back to the system.
#include <algorithm>

#include "pages/page_heap.h"
#include "platform/thread.h"

namespace spanmalloc {

Bytes PageHeap::scavenge(Bytes at_least, ScavengeMode mode, Refused refused) {
  PageCount goal;
  Release* release = nullptr;
  {
    MutexLock lock(mutex_);
    recover_if_due();
    if (!open_ || (release = free_release_slot()) == nullptr) return {};
    release->thread = platform::thread_number();
    // What is free now bounds the work, whatever other threads free meanwhile.
    const size_t wanted = at_least.value / kPageBytes + (at_least.value % kPageBytes != 0);
    goal = std::min(count_of(free_retained_), PageCount{wanted});
    if (mode != ScavengeMode::kBackground) {
      pages_.flush(cache_);
      if (refused == Refused::kTriedAgain) offer_refused_pages();
      // Searches of other threads may have lowered the cursors past pages freed meanwhile.
      pages_.scavenge_index().rewind_forced();
    }
  }
  PageCount done = scavenge_unit(*release, goal, mode, ScavengeUnit::kHugePage);
  if (done < goal) done += scavenge_unit(*release, goal - done, mode, ScavengeUnit::kAnyPages);
  MutexLock lock(mutex_);
  *release = {};
  return done.bytes();
}

PageNumber PageHeap::first_mapped_page(PageNumber page) const {
  MutexLock lock(mutex_);
  return open_ ? pages_.mapped().first_at_or_above(page) : kNoPage;
}

void PageHeap::offer_refused_pages() {
  if (!has_refused_pages_) return;
  has_refused_pages_ = false;
  const AddressRanges& mapped = pages_.mapped();
  for (size_t index = 0; index < mapped.size(); ++index) {
    const PageRange range = mapped[index];
    pages_.scavenge_index().offer(range.first.chunk().value, range.end().chunk().value);
  }
}

PageHeap::Release* PageHeap::free_release_slot() {
  for (Release& release : releases_) {
    if (release.thread == 0) return &release;
  }
  return nullptr;
}

// Releases candidates of one kind until `goal` pages are done. Each turn releases pages or takes a
// chunk off the list, so it ends.
PageCount PageHeap::scavenge_unit(Release& release, PageCount goal, ScavengeMode mode,
                                  ScavengeUnit unit) {
  PageCount done;
  while (done < goal) {
    const ScavengeIndex::Found found = pages_.scavenge_index().find(mode, unit);
    if (!found.ok) break;
    {
      MutexLock lock(mutex_);
      if (!begin_release(release, found.chunk, unit, goal - done)) continue;
    }
    // Only this thread writes the slot, so it may read it without the lock.
    const platform::ReleaseResult result = source_.release(release.pages);
    MutexLock lock(mutex_);
    done += finish_release(release, result);
  }
  return done;
}

// Takes a candidate of the chunk out of reach of allocations. False when there is none; searches
// then leave the chunk alone.
bool PageHeap::begin_release(Release& release, ChunkNumber chunk, ScavengeUnit unit,
                             PageCount max) {
  // The kernel gives back whole pages of its own only.
  const size_t group = std::max<size_t>(1, platform::page_bytes() / kPageBytes);
  RunInChunk run;
  if (pages_.longest_run(chunk) >= group) {
    const ChunkBits& bits = pages_.chunk(chunk);
    // Wherever the search for the chunk stood, all of the chunk is looked at: a chunk is taken off
    // the list as a whole.
    run = unit == ScavengeUnit::kHugePage
              ? bits.find_free_huge_page()
              : bits.find_release_candidate(group, max.value, kPagesPerHugePage);
  }
  if (run.count == 0) {
    pages_.scavenge_index().set_empty(chunk, unit);
    return false;
  }
  // A run that covers a huge page in part is released as it is: memory counts for more than a huge
  // page, which platform::release() splits first.
  release.pages = {first_page(chunk) + PageCount{run.first}, {run.count}};
  release.already_released = pages_.take_out(release.pages);
  return true;
}

// Puts the candidate back. Returns the pages that were retained and no longer are.
PageCount PageHeap::finish_release(Release& release, platform::ReleaseResult result) {
  if (result == platform::ReleaseResult::kRefused) {
    ++scavenge_refusals_;
    const ChunkNumber chunk = release.pages.first.chunk();
    take_back(release);
    // The kernel would refuse again (locked memory); a free in the chunk puts it on the list again,
    // and so does the next forced search that tries again.
    has_refused_pages_ = true;
    pages_.scavenge_index().set_empty(chunk, ScavengeUnit::kHugePage);
    pages_.scavenge_index().set_empty(chunk, ScavengeUnit::kAnyPages);
    return {};
  }
  const PageCount newly_released = release.pages.count - release.already_released;
  pages_.put_back_released(release.pages);
  subtract(free_retained_, newly_released);
  add(released_, newly_released);
  scavenged_pages_ += newly_released.value;
  release.pages = {};
  release.already_released = {};
  return newly_released;
}

// Puts a candidate back of which it is not known what is backed: all of it counts as retained.
void PageHeap::take_back(Release& release) {
  pages_.put_back_retained(release.pages);
  subtract(released_, release.already_released);
  add(free_retained_, release.already_released);
  release.pages = {};
  release.already_released = {};
}

void PageHeap::take_back_all_but(uint32_t survivor) {
  for (Release& release : releases_) {
    if (release.thread == 0 || release.thread == survivor) continue;
    if (release.pages.count.value > 0) take_back(release);
    release = {};
  }
}

void PageHeap::recover_in_child() {
  MutexLock lock(mutex_);
  survivor_.store(0, std::memory_order_relaxed);
  take_back_all_but(platform::thread_number());
}

void PageHeap::recover_later() {
  survivor_.store(platform::thread_number(), std::memory_order_relaxed);
}

// Before a thread of the child gets a slot: who has one, but for the survivor, was not copied.
void PageHeap::recover_if_due() {
  if (survivor_.load(std::memory_order_relaxed) == 0) return;
  take_back_all_but(survivor_.exchange(0, std::memory_order_relaxed));
}

}  // namespace spanmalloc
