#include "central/central_list.h"

#include <bit>

#include "base/check.h"
#include "spans/misuse.h"

namespace spanmalloc {

Magazine CentralList::take_magazine() {
  MutexLock lock(mutex_);
  const Magazine magazine = depot_.take();
  note_depot();
  return magazine;
}

void CentralList::put_magazine(Magazine magazine, ListKey key) {
  {
    MutexLock lock(mutex_);
    const bool kept = depot_.put(magazine);
    note_depot();
    if (kept) return;
  }
  drain(magazine, key);
}

Claim CentralList::claim(Growth growth) {
  const size_t limit = kSizeClasses[size_class_].claim_limit;
  {
    MutexLock lock(mutex_);
    if (Span* span = with_room_.fullest(); span != nullptr) {
      const Claim claim = span->claim(limit);
      with_room_.update(span);
      return claim;
    }
  }
  Span* span = spans_.new_small(size_class_, growth);
  if (span == nullptr) return {};
  span_count_.fetch_add(1, std::memory_order_relaxed);
  // Nobody else knows the span yet.
  const Claim claim = span->claim(limit);
  if (!span->is_full()) {
    MutexLock lock(mutex_);
    with_room_.insert(span);
  }
  return claim;
}

// The span of a node that a link led to; a program that wrote to the freed block `from` may have
// sent the link anywhere, so nothing is read there before the page map knows the address.
Span* CentralList::checked_span_of(const FreeNode* node, const FreeNode* from) const {
  const uintptr_t address = reinterpret_cast<uintptr_t>(node);
  Span* span = nullptr;
  if (page_map_.class_map()[address] == size_class_) span = page_map_.find(address);
  if (span == nullptr || span->state() != SpanState::kSmall) {
    report_write_after_free(reinterpret_cast<uintptr_t>(from), object_bytes());
  }
  if (!span->is_object_start(address)) report_interior_pointer("free", address, object_bytes());
  return span;
}

void CentralList::after_give_back(Span* span, bool was_full, Span** emptied) {
  if (span->is_empty()) {
    if (!was_full) with_room_.remove(span);
    span->next = *emptied;
    *emptied = span;
  } else if (was_full) {
    with_room_.insert(span);
  } else {
    with_room_.update(span);
  }
}

void CentralList::drain_batch(Magazine& magazine, ListKey key, Span** emptied) {
  MutexLock lock(mutex_);
  Span* span = nullptr;
  bool was_full = false;
  for (size_t batch = 0; batch < kDrainBatch && magazine.count > 0; ++batch) {
    FreeNode* node = magazine.top;
    const uintptr_t address = reinterpret_cast<uintptr_t>(node);
    // Neighbours in a list are often neighbours in a span: its list is looked after once a run.
    const bool same_span = span != nullptr && address - span->base() < span->bytes().value;
    if (!same_span) {
      if (span != nullptr) after_give_back(span, was_full, emptied);
      span = checked_span_of(node, last_drained_);
      was_full = span->is_full();
    } else if (!span->is_object_start(address)) {
      report_interior_pointer("free", address, object_bytes());
    }
    // The link is read first: once the object is back, its memory may go.
    magazine.top = node->next(key);
    --magazine.count;
    last_drained_ = node;
    if (!span->give_back(address)) report_double_free(address, object_bytes());
  }
  if (span != nullptr) after_give_back(span, was_full, emptied);
}

void CentralList::drain(Magazine magazine, ListKey key) {
  while (magazine.count > 0) {
    Span* emptied = nullptr;
    drain_batch(magazine, key, &emptied);
    delete_spans(emptied);
  }
}

void CentralList::delete_spans(Span* emptied) {
  while (emptied != nullptr) {
    Span* next = emptied->next;
    emptied->next = nullptr;
    spans_.delete_small(emptied);
    span_count_.fetch_sub(1, std::memory_order_relaxed);
    emptied = next;
  }
}

void CentralList::give_back(const Claim& claim) {
  if (claim.empty()) return;
  Span* emptied = nullptr;
  {
    MutexLock lock(mutex_);
    Span* span = nullptr;
    bool was_full = false;
    for (uint64_t bits = claim.bits; bits != 0; bits &= bits - 1) {
      const uintptr_t address =
          claim.word_base + static_cast<size_t>(std::countr_zero(bits)) * object_bytes();
      if (span == nullptr) {
        span = page_map_.find(address);
        was_full = span->is_full();
      }
      const bool given = span->give_back(address);
      SPANMALLOC_CHECK(given, "an object of a claim is free in its span");
    }
    after_give_back(span, was_full, &emptied);
  }
  delete_spans(emptied);
}

size_t CentralList::drain_depot(size_t keep, ListKey key) {
  size_t drained = 0;
  while (true) {
    Magazine magazine;
    {
      MutexLock lock(mutex_);
      if (depot_.magazine_count() <= keep) return drained;
      magazine = depot_.take();
      note_depot();
    }
    drained += magazine.count * object_bytes();
    drain(magazine, key);
  }
}

size_t CentralList::drain_idle(ListKey key) {
  size_t keep;
  {
    MutexLock lock(mutex_);
    keep = depot_.magazine_count() - depot_.idle_magazines();
  }
  const size_t drained = drain_depot(keep, key);
  MutexLock lock(mutex_);
  depot_.start_epoch();
  return drained;
}

bool CentralList::is_free(uintptr_t address, ListKey key) {
  MutexLock lock(mutex_);
  const Span* span = page_map_.find(address);
  if (span == nullptr || span->state() != SpanState::kSmall) return true;
  if (!span->is_object_start(address)) return false;
  if (span->is_free_object(address)) return true;
  bool found = false;
  depot_.for_each([&](const Magazine& magazine) {
    size_t left = magazine.count;
    for (const FreeNode* node = magazine.top; left > 0 && !found; node = node->next(key), --left) {
      found = reinterpret_cast<uintptr_t>(node) == address;
      if (page_map_.class_map()[reinterpret_cast<uintptr_t>(node)] != size_class_) break;
    }
    return !found;
  });
  return found;
}

CentralStats CentralList::stats() {
  MutexLock lock(mutex_);
  CentralStats stats;
  stats.depot_bytes = depot_.object_count() * object_bytes();
  stats.partly_used_spans = with_room_.span_count();
  stats.spans = span_count_.load(std::memory_order_relaxed);
  with_room_.for_each(
      [&](const Span& span) { stats.free_bytes += span.free_count() * object_bytes(); });
  return stats;
}

void CentralList::check_invariants() {
  MutexLock lock(mutex_);
  with_room_.check_invariants();
  depot_.check_invariants();
}

}  // namespace spanmalloc
