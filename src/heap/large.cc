#include "heap/large.h"

#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "base/event_counts.h"
#include "heap/heap.h"
#include "platform/errno_guard.h"
#include "platform/virtual_memory.h"
#include "spans/misuse.h"

namespace spanmalloc {

namespace {

// Below this a block is cleared without asking how much of it must be.
constexpr size_t kReleaseToZeroBytes = size_t{1} << 20;

// Below this copying takes about as long as what a move has others do: whoever uses the place that
// it leaves faults its memory in anew. And each move costs the process mappings.
constexpr size_t kMovePagesBytes = size_t{1} << 20;

Span* new_span(PageCount count, PageCount alignment) {
  // What no heap has room for costs nobody the blocks in lists and depots.
  if (count > heap.page_heap().window().size) return nullptr;
  SpanAllocator& spans = heap.spans();
  Span* span = spans.new_large(count, alignment, Growth::kForbidden);
  if (span == nullptr && heap.reclaim_before_growth()) {
    span = spans.new_large(count, alignment, Growth::kForbidden);
  }
  if (span == nullptr) {
    span = spans.new_large(count, alignment, Growth::kAllowed);
    heap.scavenger().note_growth();
  }
  if (span == nullptr) {
    heap.reclaim_everything();
    span = spans.new_large(count, alignment, Growth::kAllowed);
  }
  heap.after_allocation();
  return span;
}

// A span for a block that has grown. It will grow again, so it is put where a quarter of its size
// is free behind it, unless the heap would pass its limit for that.
Span* new_span_with_room(PageCount count) {
  const PageCount with_room{count.value + count.value / 4};
  PageHeap& page_heap = heap.page_heap();
  const size_t bytes = with_room.bytes().value;
  Span* span = nullptr;
  if (page_heap.consumed_bytes() + bytes <= page_heap.limit().bytes()) {
    span = new_span(with_room, PageCount{1});
  }
  if (span == nullptr) return new_span(count, PageCount{1});
  if (span->zero_pages() == with_room) {
    heap.spans().shrink_large_released(span, count);
  } else {
    (void)heap.spans().resize_large(span, count);
  }
  return span;
}

// A move throws away what the target is backed by, and leaves its place without memory: where both
// are used time and again, copying between them is many times cheaper. So pages move to where a
// copy would have to fault most of them in, and huge blocks move always: a copy of one is as much
// memory again.
bool is_worth_moving(const Span* from, const Span* to) {
  const size_t bytes = from->bytes().value;
  return bytes >= HugeFrees::kLeastBytes ||
         (bytes >= kMovePagesBytes && to->zero_pages().value >= from->pages().count.value / 2);
}

platform::MoveResult move_pages(const Span* from, const Span* to) {
  const size_t bytes = from->bytes().value;
  if (!is_worth_moving(from, to)) return platform::MoveResult::kRefused;
  count_shared_write();
  return platform::move_pages(from->base(), to->base(), bytes, OsPageSource::kName);
}

}  // namespace

bool move_large_content(Span* from, Span* to) {
  SPANMALLOC_DCHECK(from->bytes() <= to->bytes(), "a block moved to where it does not fit");
  const platform::MoveResult result = move_pages(from, to);
  switch (result) {
    case platform::MoveResult::kTargetLost:
      return false;
    case platform::MoveResult::kSourceLost:
      return true;
    case platform::MoveResult::kMoved:
      heap.page_heap().advise_again(from->pages());
      heap.spans().delete_large_released(from);
      return true;
    case platform::MoveResult::kRefused:
      break;
  }
  memcpy(reinterpret_cast<void*>(to->base()), reinterpret_cast<const void*>(from->base()),
         from->bytes().value);
  (void)heap.spans().delete_large(from);
  heap.scavenger().note_pages_freed();
  return true;
}

namespace {

void* object_of(const Span* span) {
  return reinterpret_cast<void*>(span->base());
}

// Whether the memory of so many bytes that come free, of one block, goes back to the system before
// anybody can take it.
bool goes_back_at_free(size_t bytes) {
  return bytes >= HugeFrees::kLeastBytes &&
         heap.scavenger().decide_huge_free(bytes) == HugeFrees::Memory::kGoesBack;
}

}  // namespace

Span* new_large_span(size_t bytes, size_t alignment) {
  platform::ErrnoGuard errno_guard;
  if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX / 2 || !heap.open()) return nullptr;
  const size_t least = bytes > 0 ? bytes : 1;
  const size_t page_alignment = alignment > kPageBytes ? alignment / kPageBytes : 1;
  return new_span(pages_for(least), PageCount{page_alignment});
}

void* allocate_large(size_t bytes, size_t alignment) {
  const Span* span = new_large_span(bytes, alignment);
  return span != nullptr ? object_of(span) : nullptr;
}

void clear_large_span(const Span* span) {
  const size_t bytes = span->bytes().value;
  const size_t unknown = (span->pages().count - span->zero_pages()).bytes().value;
  if (unknown == 0) return;
  // Where most pages are not backed anyway, giving back the others is cheaper than backing all.
  const bool mostly_zero = unknown < bytes / 2 && bytes >= kReleaseToZeroBytes;
  if (!mostly_zero ||
      platform::release(span->base(), bytes) != platform::ReleaseResult::kReleasedReadsZero) {
    memset(object_of(span), 0, bytes);
  }
}

void* allocate_large_zeroed(size_t bytes) {
  const Span* span = new_large_span(bytes, kPageBytes);
  if (span == nullptr) return nullptr;
  // To the end of what malloc_usable_size() tells, as of small blocks.
  clear_large_span(span);
  return object_of(span);
}

Span* large_span_of(const void* pointer, const char* call) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  Span* span = heap.page_map().find(address);
  if (span != nullptr && span->state() == SpanState::kLarge && span->object_address() == address) {
    return span;
  }
  if (span != nullptr && span->state() == SpanState::kSmall) {
    report_interior_pointer(call, address, kSizeClasses[span->size_class()].object_bytes);
  }
  const Span* around = heap.page_map().find_large_around(address);
  if (around == nullptr) report_foreign_pointer(call, address);
  report_interior_pointer(call, address, around->bytes().value);
}

void deallocate_large(void* pointer) {
  Span* span = large_span_of(pointer, "free");
  const size_t bytes = span->bytes().value;
  // Of two threads that free the block, the second may come while the first gives its memory back.
  if (bytes >= HugeFrees::kLeastBytes && !span->try_mark_freed()) {
    report_double_free(reinterpret_cast<uintptr_t>(pointer), bytes);
  }
  if (goes_back_at_free(bytes) &&
      platform::release(span->base(), bytes) == platform::ReleaseResult::kReleasedReadsZero) {
    heap.spans().delete_large_released(span);
  } else if (!heap.spans().delete_large(span)) {
    report_double_free(reinterpret_cast<uintptr_t>(pointer), bytes);
  }
  heap.scavenger().note_pages_freed();
}

void* reallocate_large(void* pointer, size_t bytes) {
  if (bytes > PTRDIFF_MAX) return nullptr;
  platform::ErrnoGuard errno_guard;
  Span* span = large_span_of(pointer, "realloc");
  const PageCount count = pages_for(bytes);
  const size_t kept = count.bytes().value;
  if (kept < span->bytes().value && goes_back_at_free(span->bytes().value - kept) &&
      platform::release(span->base() + kept, span->bytes().value - kept) ==
          platform::ReleaseResult::kReleasedReadsZero) {
    heap.spans().shrink_large_released(span, count);
    heap.scavenger().note_pages_freed();
    return pointer;
  }
  const bool is_shorter = count < span->pages().count;
  if (heap.spans().resize_large(span, count)) {
    heap.after_allocation();
    if (is_shorter) heap.scavenger().note_pages_freed();
    return pointer;
  }
  Span* const moved = new_span_with_room(count);
  if (moved == nullptr) return nullptr;
  return move_large_content(span, moved) ? object_of(moved) : nullptr;
}

}  // namespace spanmalloc
