#include "heap/hardened_large.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "base/bits.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "platform/virtual_memory.h"
#include "spans/misuse.h"
#include "spans/span_stack.h"

namespace spanmalloc {

namespace {

// Canary bytes behind a block, as far as there is room: more would touch pages for nothing.
constexpr size_t kMaxCanaryBytes = 256;

// Freed blocks that stay inaccessible, and how large one may be: their addresses are not to be had
// meanwhile.
constexpr size_t kQueuePlaces = 64;
constexpr size_t kMaxQueuedBytes = size_t{64} << 20;

// The queue is a ring; whoever takes a place takes out the span that lay there.
constinit std::atomic<Span*> queue[kQueuePlaces]{};
constinit std::atomic<size_t> next_place{0};
constinit std::atomic<size_t> queue_bytes{0};
constinit std::atomic<size_t> queue_count{0};

// Blocks that left the queue and that the system did not make accessible again.
constinit SpanStack refused;

size_t canary_count(const Span* span, size_t bytes) {
  const size_t behind = span->base() + span->bytes().value - span->object_address() - bytes;
  return behind < kMaxCanaryBytes ? behind : kMaxCanaryBytes;
}

void set_size(Span* span, size_t offset, size_t bytes) {
  span->set_object(offset, bytes);
  heap.block_ends().write_canary(span->object_address(), bytes, canary_count(span, bytes));
}

// The live block's span, looked at from behind as well.
Span* checked_span_of(const void* pointer, const char* call) {
  Span* span = large_span_of(pointer, call);
  const uintptr_t address = span->object_address();
  const size_t bytes = span->requested_bytes();
  if (bytes == Span::kFreed) report_use_of_free_block(call, address, span->bytes().value);
  if (!heap.block_ends().has_canary(address, bytes, canary_count(span, bytes))) {
    report_overflow(call, address, bytes);
  }
  return span;
}

void end_span(Span* span, platform::ReleaseResult released) {
  if (released == platform::ReleaseResult::kReleasedReadsZero) {
    heap.spans().delete_large_released(span);
  } else {
    (void)heap.spans().delete_large(span);
  }
  heap.scavenger().note_pages_freed();
}

void end_queued(Span* span) {
  const size_t bytes = span->bytes().value;
  if (!platform::remove_guard(span->base(), bytes)) return refused.push(span);
  queue_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  queue_count.fetch_sub(1, std::memory_order_relaxed);
  end_span(span, platform::ReleaseResult::kReleasedReadsZero);
  heap.spans().note_holes_backed({bytes});
}

void enqueue(Span* span) {
  queue_bytes.fetch_add(span->bytes().value, std::memory_order_relaxed);
  queue_count.fetch_add(1, std::memory_order_relaxed);
  // In use, and given back: no limit on memory counts it.
  heap.spans().note_holes_released(span->bytes());
  const size_t place = next_place.fetch_add(1, std::memory_order_relaxed) % kQueuePlaces;
  // Acquire and release: the next owner of a span sees all that was done to it.
  Span* oldest = queue[place].exchange(span, std::memory_order_acq_rel);
  if (oldest != nullptr) end_queued(oldest);
}

// Makes the memory of the span from the byte `from` on zero.
void clear_from(const Span* span, size_t from) {
  const size_t end = span->bytes().value;
  if (from >= end) return;
  const size_t page = align_up(from, kPageBytes);
  memset(reinterpret_cast<void*>(span->base() + from), 0, page - from);
  if (page < end && platform::release(span->base() + page, end - page) !=
                        platform::ReleaseResult::kReleasedReadsZero) {
    memset(reinterpret_cast<void*>(span->base() + page), 0, end - page);
  }
}

}  // namespace

void* allocate_large_hardened(size_t bytes, size_t alignment) {
  if (bytes > PTRDIFF_MAX) return nullptr;
  const bool has_guard = heap.hardening().has_guards();
  const size_t wanted = has_guard ? bytes : bytes + BlockEnds::kWordBytes;
  Span* span = new_large_span(wanted, alignment);
  if (span == nullptr) return nullptr;
  const size_t spare = span->bytes().value - bytes;
  const size_t step = alignment > kMinAlignment ? alignment : kMinAlignment;
  const size_t offset = has_guard ? align_down(spare, step) : 0;
  clear_large_span(span);
  set_size(span, offset, bytes);
  return reinterpret_cast<void*>(span->object_address());
}

void deallocate_large_hardened(void* pointer) {
  Span* span = large_span_of(pointer, "free");
  const uintptr_t address = span->object_address();
  const size_t bytes = span->bytes().value;
  if (span->requested_bytes() == Span::kFreed) report_double_free(address, bytes);
  (void)checked_span_of(pointer, "free");
  if (!span->try_mark_freed()) report_double_free(address, bytes);
  const platform::ReleaseResult released = platform::release(span->base(), bytes);
  if (released == platform::ReleaseResult::kRefused) {
    memset(reinterpret_cast<void*>(span->base()), 0, bytes);
  }
  if (heap.hardening().has_guards() && bytes <= kMaxQueuedBytes &&
      released == platform::ReleaseResult::kReleasedReadsZero &&
      platform::install_guard(span->base(), bytes)) {
    return enqueue(span);
  }
  end_span(span, released);
}

size_t large_bytes_hardened(const void* pointer, const char* call) {
  return checked_span_of(pointer, call)->requested_bytes();
}

void* reallocate_large_hardened(void* pointer, size_t bytes) {
  Span* span = checked_span_of(pointer, "realloc");
  const size_t offset = span->object_address() - span->base();
  const size_t before = span->requested_bytes();
  if (bytes > PTRDIFF_MAX / 2) return nullptr;
  // What was canary is zero for the program.
  const size_t canary = canary_count(span, before);
  memset(static_cast<char*>(pointer) + before, 0, canary);
  // What is cut off must not be there for who gets it next.
  if (bytes < before) clear_from(span, offset + bytes);
  const size_t old_bytes = span->bytes().value;
  Span* fresh = nullptr;
  if (!heap.hardening().has_guards()) {
    void* moved = reallocate_large(pointer, bytes + BlockEnds::kWordBytes);
    if (moved != nullptr) fresh = large_span_of(moved, "realloc");
  } else if (const PageCount wanted = pages_for(offset + bytes);
             wanted == span->pages().count || (wanted < span->pages().count && bytes > before)) {
    // A block that was shortened where it is has room to grow again.
    fresh = span;
  } else if (bytes > before) {
    // The offset stays, so that pages can be moved; the block may then end before its guard.
    fresh = new_large_span(offset + bytes, kPageBytes);
    if (fresh != nullptr && !move_large_content(span, fresh)) fresh = nullptr;
  }
  if (fresh == nullptr) {
    heap.block_ends().write_canary(span->object_address(), before, canary);
    return nullptr;
  }
  // Nor what lay where the block grew to for its owner.
  clear_from(fresh, old_bytes);
  set_size(fresh, offset, bytes);
  return reinterpret_cast<void*>(fresh->object_address());
}

void shorten_large_hardened(void* pointer, size_t bytes) {
  Span* span = large_span_of(pointer, "realloc");
  const size_t offset = span->object_address() - span->base();
  clear_from(span, offset + bytes);
  set_size(span, offset, bytes);
}

bool empty_large_queue() {
  bool any = false;
  for (std::atomic<Span*>& place : queue) {
    Span* span = place.exchange(nullptr, std::memory_order_acq_rel);
    if (span == nullptr) continue;
    end_queued(span);
    any = true;
  }
  refused.take_all(&end_queued);
  return any;
}

void check_large_queue() {
  const auto check = [](const Span& span) {
    SPANMALLOC_CHECK(span.state() == SpanState::kLarge && span.requested_bytes() == Span::kFreed,
                     "a block that is not free waits to be ended");
  };
  for (std::atomic<Span*>& place : queue) {
    // Taken out meanwhile: another thread would end it.
    Span* span = place.exchange(nullptr, std::memory_order_acq_rel);
    if (span == nullptr) continue;
    check(*span);
    Span* nobody = nullptr;
    if (!place.compare_exchange_strong(nobody, span, std::memory_order_acq_rel)) end_queued(span);
  }
  refused.check_invariants(check);
}

size_t large_queue_bytes() {
  return queue_bytes.load(std::memory_order_relaxed);
}

size_t large_queue_count() {
  return queue_count.load(std::memory_order_relaxed);
}

}  // namespace spanmalloc
