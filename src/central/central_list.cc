#include "central/central_list.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/event_counts.h"
#include "spans/misuse.h"

namespace spanmalloc {

namespace {

// Inlined always: calls of a function that does nothing but prefetch are dropped by GCC.
SPANMALLOC_ALWAYS_INLINE void prefetch_record(const Span* span) {
  const auto* bytes = reinterpret_cast<const char*>(span);
  for (size_t line = 0; line < sizeof(Span); line += platform::kCacheLineBytes) {
    __builtin_prefetch(bytes + line, 1);
  }
}

}  // namespace

Magazine CentralList::take_magazine() const {
  MutexLock lock(state_.mutex);
  const Magazine magazine = state_.depot.take();
  note_depot();
  return magazine;
}

void CentralList::put_magazine(Magazine magazine, ListKey key) const {
  {
    MutexLock lock(state_.mutex);
    const bool kept = state_.depot.object_count() * object_bytes() < kMaxDepotBytes &&
                      state_.depot.put(magazine, environment_.arena);
    note_depot();
    if (kept) return;
  }
  drain(magazine, key);
}

Claim CentralList::claim_from(Span* span, size_t limit, size_t skip) const {
  const Claim claim =
      span->claim(std::min<size_t>(limit, kSizeClasses[size_class_].claim_limit), skip);
  span->set_claim_epoch(environment_.epoch.load(std::memory_order_relaxed));
  if (!environment_.was_claimed_from.load(std::memory_order_relaxed)) {
    environment_.was_claimed_from.store(true, std::memory_order_relaxed);
  }
  if (span->has_released_units()) environment_.spans.note_holes_backed(span->note_touched(claim));
  return claim;
}

// The fullest one; where a hard limit forbids to back what was given back of it, another.
Span* CentralList::span_with_room() const {
  Span* span = state_.with_room.fullest();
  const bool may_be_used = span == nullptr || !span->has_released_units() ||
                           environment_.spans.may_back_holes(span->bytes());
  return may_be_used ? span : state_.with_room.fullest_without_holes();
}

Claim CentralList::claim(Growth growth, size_t limit) const {
  {
    MutexLock lock(state_.mutex);
    if (Span* span = span_with_room(); span != nullptr) {
      const Claim claim = claim_from(span, limit);
      state_.free_objects -= static_cast<size_t>(std::popcount(claim.bits));
      state_.with_room.update(span);
      return claim;
    }
  }
  const SpanLength length = span_count() < kShortSpans ? SpanLength::kShort : SpanLength::kLong;
  Span* span = environment_.spans.new_small(size_class_, length, growth);
  if (span == nullptr) return {};
  const size_t spans_before =
      static_cast<uint32_t>(state_.span_counts.fetch_add(one_of(span), std::memory_order_relaxed));
  count_shared_write();
  // Nobody else knows the span yet. A program that has many blocks of a size walks over them in the
  // order in which it allocated them: other spans than the first are handed out from their start.
  const size_t skip = spans_before == 0 ? kSizeClasses[size_class_].color : 0;
  const Claim claim = claim_from(span, limit, skip);
  if (claim.content == MemoryContent::kZero && spans_before >= kSpansBeforePopulating &&
      object_bytes() <= kPageBytes / 2) {
    environment_.spans.populate(span);
  }
  if (!span->is_full()) {
    MutexLock lock(state_.mutex);
    state_.with_room.insert(span);
    state_.free_objects += span->free_count();
  }
  return claim;
}

void CentralList::after_give_back(Span* span, bool was_full, Span** emptied) const {
  if (span->is_empty()) {
    state_.free_objects -= span->object_count();
    if (!was_full) state_.with_room.remove(span);
    span->next = *emptied;
    *emptied = span;
  } else if (was_full) {
    state_.with_room.insert(span);
  } else {
    state_.with_room.update(span);
  }
}

SPANMALLOC_ALWAYS_INLINE CentralList::Batch::Entry CentralList::take_object(Magazine& magazine,
                                                                            Batch::Entry from,
                                                                            ClassMapView class_map,
                                                                            ListKey key) const {
  const FreeNode* node = magazine.top;
  const uintptr_t address = reinterpret_cast<uintptr_t>(node);
  Span* span = from.span;
  // Neighbours in a list are often neighbours in a page.
  const bool same_page = (address ^ from.address) < kPageBytes;
  if (span == nullptr || !same_page) {
    // A program that wrote to the freed block `from` may have sent the link anywhere: nothing is
    // read there before the class map knows the address.
    span = class_map[address] == size_class_ ? environment_.page_map.small_span(address) : nullptr;
    if (span == nullptr) report_changed_in_list(from.address, object_bytes());
    prefetch_record(span);
  }
  // All links are read before an object is back, whose memory may go then.
  magazine.top = node->next(key);
  --magazine.count;
  // A block without mark or link is one that the program owns: it is in a second list, out of
  // which it was taken, or was written to. Its bit would hand it out again.
  if (!node->has_mark_of(key.mark) || FreeNode::is_end(magazine.top)) {
    report_changed_in_list(address, object_bytes());
  }
  return {address, span};
}

CentralList::Batch CentralList::take_batch(std::span<Magazine> magazines, ListKey key) const {
  const ClassMapView class_map = environment_.page_map.class_map().view();
  Batch batch;
  batch.lane_size = kDrainBatch / magazines.size();
  for (size_t lane = 0; lane < magazines.size(); ++lane) {
    batch.lane_counts[lane] = std::min(batch.lane_size, magazines[lane].count);
    *batch.start_of(lane) = {reinterpret_cast<uintptr_t>(magazines[lane].top), nullptr};
  }
  for (size_t index = 0; index < batch.lane_size; ++index) {
    for (size_t lane = 0; lane < magazines.size(); ++lane) {
      if (index >= batch.lane_counts[lane]) continue;
      Batch::Entry* from = batch.start_of(lane) + index;
      from[1] = take_object(magazines[lane], *from, class_map, key);
      // Wherever the link leads to: it is looked at when the other lanes have had their turn.
      __builtin_prefetch(magazines[lane].top);
    }
  }
  return batch;
}

void CentralList::put_back(const Batch& batch, Span** emptied) const {
  MutexLock lock(state_.mutex);
  for (size_t lane = 0; lane < kDrainLanes; ++lane) {
    if (batch.lane_counts[lane] > 0) put_back_lane(batch.objects_of(lane), emptied);
  }
}

void CentralList::put_back_lane(std::span<const Batch::Entry> objects, Span** emptied) const {
  state_.free_objects += objects.size();
  Span* span = nullptr;
  bool was_full = false;
  for (const auto& [address, span_of_object] : objects) {
    // The list of a span is looked after once a run.
    if (span_of_object != span) {
      if (span != nullptr) after_give_back(span, was_full, emptied);
      span = span_of_object;
      // What the program freed twice can have gone back meanwhile, and its span ended with it.
      if (span->state() != SpanState::kSmall || span->size_class() != size_class_) {
        report_double_free(address, object_bytes());
      }
      was_full = span->is_full();
      // It has just been made, and all of it belongs to the thread that is about to list it.
      if (!was_full && !span->is_listed()) report_double_free(address, object_bytes());
    }
    const size_t index = span->object_starting_at(address);
    if (index == kNoObject) report_interior_pointer("free", address, object_bytes());
    if (!span->give_back_object(index)) report_double_free(address, object_bytes());
  }
  if (span != nullptr) after_give_back(span, was_full, emptied);
}

void CentralList::drain(std::span<Magazine> magazines, ListKey key) const {
  while (true) {
    // Without those that are done the others have longer turns.
    const auto done = std::remove_if(magazines.begin(), magazines.end(),
                                     [](const Magazine& magazine) { return magazine.count == 0; });
    magazines = {magazines.begin(), done};
    if (magazines.empty()) return;
    const Batch batch = take_batch(magazines, key);
    Span* emptied = nullptr;
    put_back(batch, &emptied);
    delete_spans(emptied);
  }
}

void CentralList::drain(Magazine magazine, ListKey key) const {
  drain({&magazine, 1}, key);
}

void CentralList::delete_spans(Span* emptied) const {
  while (emptied != nullptr) {
    Span* next = emptied->next;
    emptied->next = nullptr;
    state_.span_counts.fetch_sub(one_of(emptied), std::memory_order_relaxed);
    count_shared_write();
    environment_.spans.delete_small(emptied);
    emptied = next;
  }
}

void CentralList::give_back(const Claim& claim) const {
  if (claim.empty()) return;
  Span* emptied = nullptr;
  {
    MutexLock lock(state_.mutex);
    state_.free_objects += static_cast<size_t>(std::popcount(claim.bits));
    Span* span = nullptr;
    bool was_full = false;
    for (uint64_t bits = claim.bits; bits != 0; bits &= bits - 1) {
      const uintptr_t address =
          claim.word_base + static_cast<size_t>(std::countr_zero(bits)) * object_bytes();
      if (span == nullptr) {
        span = environment_.page_map.find(address);
        was_full = span->is_full();
        if (claim.content != MemoryContent::kSealed) span->note_unsealed(claim);
      }
      const bool given = span->give_back(address);
      SPANMALLOC_CHECK(given, "an object of a claim is free in its span");
    }
    after_give_back(span, was_full, &emptied);
  }
  delete_spans(emptied);
}

template <typename Take>
size_t CentralList::drain_taken(Take take, ListKey key, DrainAllowance* allowance) const {
  size_t drained = 0;
  for (bool is_done = false; !is_done && *allowance > 0;) {
    std::array<Magazine, kDrainLanes> magazines;
    size_t lanes = 0;
    {
      MutexLock lock(state_.mutex);
      while (*allowance > 0 && lanes < kDrainLanes) {
        const Magazine magazine = take(state_.depot);
        is_done = magazine.top == nullptr;
        if (is_done) break;
        magazines[lanes++] = magazine;
        drained += magazine.count * object_bytes();
        *allowance -= std::min(*allowance, magazine.count);
      }
      note_depot();
    }
    drain({magazines.data(), lanes}, key);
  }
  return drained;
}

size_t CentralList::drain_depot(size_t keep, ListKey key, DrainAllowance* allowance) const {
  // What is there now bounds the work, whatever other threads hand over meanwhile.
  size_t left = SIZE_MAX;
  return drain_taken(
      [&](Depot& depot) {
        const size_t count = depot.magazine_count();
        if (left == SIZE_MAX) left = count;
        return count <= keep || left-- == 0 ? Magazine{} : depot.take();
      },
      key, allowance);
}

size_t CentralList::drain_idle(ListKey key, DrainAllowance* allowance) const {
  return drain_taken(
      [](Depot& depot) {
        const Magazine magazine = depot.take_idle();
        if (magazine.top == nullptr) depot.start_epoch();
        return magazine;
      },
      key, allowance);
}

bool CentralList::lend_holes(Span* span, HoleLoan& loan) const {
  MutexLock lock(state_.mutex);
  // It may have ended, or begun anew as one of another class, before the lock was taken.
  if (!span->is_listed() || span->size_class() != size_class_) return false;
  const uint64_t units = span->backed_holes();
  // Until an object comes back, there will be nothing more to do, be it that the kernel refuses.
  span->settle_holes();
  if (units == 0) return false;
  // Memory behind the last object that was refused alone goes with the next objects.
  const size_t free_before = span->free_count();
  if (!span->borrow(units, loan.objects)) return false;
  state_.free_objects -= free_before - span->free_count();
  state_.with_room.update(span);
  loan.size_class = size_class_;
  loan.units = units;
  loan.span = span;
  return true;
}

void CentralList::end_loan(HoleLoan& loan, uint64_t released) const {
  Span* emptied = nullptr;
  {
    MutexLock lock(state_.mutex);
    Span* span = loan.span;
    const size_t free_before = span->free_count();
    const bool was_full = span->is_full();
    if (const uintptr_t twice = span->put_back(loan.objects); twice != 0) {
      report_double_free(twice, object_bytes());
    }
    state_.free_objects += span->free_count() - free_before;
    span->note_released(released);
    environment_.spans.note_holes_released(
        {static_cast<size_t>(std::popcount(released)) * span->unit_bytes()});
    after_give_back(span, was_full, &emptied);
    loan.span = nullptr;
  }
  delete_spans(emptied);
}

bool CentralList::is_free(uintptr_t address, ListKey key) const {
  MutexLock lock(state_.mutex);
  const Span* span = environment_.page_map.find(address);
  if (span == nullptr || span->state() != SpanState::kSmall) return true;
  if (!span->is_object_start(address)) return false;
  if (span->is_free_object(address)) return true;
  bool found = false;
  state_.depot.for_each([&](const Magazine& magazine) {
    size_t left = magazine.count;
    for (const FreeNode* node = magazine.top; left > 0 && !found; node = node->next(key), --left) {
      found = reinterpret_cast<uintptr_t>(node) == address;
      if (environment_.page_map.class_map()[reinterpret_cast<uintptr_t>(node)] != size_class_)
        break;
    }
    return !found;
  });
  return found;
}

CentralStats CentralList::stats() const {
  MutexLock lock(state_.mutex);
  CentralStats stats;
  stats.depot_bytes = state_.depot.object_count() * object_bytes();
  stats.partly_used_spans = state_.with_room.span_count();
  const SizeClassInfo& info = kSizeClasses[size_class_];
  const uint64_t counts = state_.span_counts.load(std::memory_order_relaxed);
  stats.spans = static_cast<uint32_t>(counts);
  const size_t short_spans = counts >> 32;
  const size_t long_spans = stats.spans - short_spans;
  stats.objects = long_spans * info.objects_per_span + short_spans * info.objects_per_short_span;
  stats.span_bytes =
      PageCount{long_spans * info.span_pages + short_spans * info.short_span_pages}.bytes().value;
  stats.free_bytes = state_.free_objects * object_bytes();
  return stats;
}

void CentralList::check_invariants() const {
  MutexLock lock(state_.mutex);
  state_.with_room.check_invariants();
  state_.depot.check_invariants();
  SpanAllocator::HeldSpans held;
  size_t free_objects = 0;
  state_.with_room.for_each([&](const Span& span) {
    SPANMALLOC_CHECK(span.size_class() == size_class_, "a span is listed with another class");
    environment_.page_map.check_invariants(span);
    ++held.count;
    held.pages += span.pages().count;
    held.guards += span.guards().total();
    free_objects += span.free_count();
  });
  SPANMALLOC_CHECK(free_objects == state_.free_objects,
                   "a class with a wrong count of free objects");
  SPANMALLOC_CHECK(span_count() >= held.count, "a class has more spans than it counts");
  environment_.spans.check_counts(held);
}

}  // namespace spanmalloc
