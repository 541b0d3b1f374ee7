#include "cache/thread_cache.h"

#include <atomic>
#include <bit>

#include "base/check.h"
#include "cache/address_order.h"
#include "spans/misuse.h"

namespace spanmalloc {

namespace {

// From so many bytes in a class's depot on, lists of blocks that lie far apart do not join it. A
// program that frees here and allocates there, all the time, wants back what it handed over last.
constexpr size_t kScatteredDepotBytes = size_t{64} << 10;

}  // namespace

constinit thread_local ThreadCache* withheld_thread_cache SPANMALLOC_INITIAL_EXEC_TLS = nullptr;

void ThreadCache::open(ListKey key, ClassMapView class_map, SentinelTable& sentinels) {
  class_map_ = class_map;
  key_ = key;
  heads_.fill(sentinels.sentinel_without_room());
}

void ThreadCache::set_empty_head(SizeClass size_class, const CentralList& central,
                                 SentinelTable& sentinels) {
  const uint8_t level = levels_[size_class];
  set_head_list(size_class, {sentinels.sentinel(size_class, level, check_, central.mutex()),
                             static_cast<uint32_t>(SentinelTable::capacity(size_class, level))});
}

size_t ThreadCache::claim_limit(SizeClass size_class) const {
  const SizeClassInfo& info = kSizeClasses[size_class];
  constexpr size_t kLeast = 4;
  const int steps_left = kClaimsToGrow - claims_in_a_row_[size_class];
  return std::clamp<size_t>(info.magazine_capacity >> steps_left,
                            std::min<size_t>(info.claim_limit, kLeast), info.claim_limit);
}

void ThreadCache::accept(SizeClass size_class, const Claim& claim) {
  Claim& own = reserves_[size_class].claim;
  own.word_base = claim.word_base;
  own.content = claim.content;
  step_for_fork();
  own.bits = claim.bits;
  ++refills_;
  note_motion(size_class);
  if (claims_in_a_row_[size_class] < kClaimsToGrow) ++claims_in_a_row_[size_class];
}

void* ThreadCache::exchange_with_claim(void* object, MemoryContent content, const Span& span,
                                       uint64_t random) {
  Claim& claim = reserves_[span.size_class()].claim;
  const bool same_span = claim.word_base - span.base() < span.bytes().value;
  const bool is_zero = claim.content == MemoryContent::kZero;
  if (claim.empty() || is_zero != (content == MemoryContent::kZero) || !same_span) return object;
  const size_t object_bytes = kSizeClasses[span.size_class()].object_bytes;
  const size_t own = (reinterpret_cast<uintptr_t>(object) - claim.word_base) / object_bytes;
  if (own >= 64) return object;
  uint64_t bits = claim.bits;
  for (size_t skip = random % static_cast<size_t>(std::popcount(bits)); skip > 0; --skip) {
    bits &= bits - 1;
  }
  const size_t chosen = static_cast<size_t>(std::countr_zero(bits));
  // The object has lost its seal.
  if (!is_zero) claim.content = MemoryContent::kUnknown;
  step_for_fork();
  claim.bits = (claim.bits & ~(uint64_t{1} << chosen)) | (uint64_t{1} << own);
  return reinterpret_cast<void*>(claim.word_base + chosen * object_bytes);
}

void* ThreadCache::take_top(SizeClass size_class, List list) {
  FreeNode* object = list.top;
  FreeNode* next = object->next(key_);
  // A block that the program has written to, or one that is in two lists and was taken out of the
  // other, would get an owner here, perhaps a second one.
  const bool leads_on = list.count() > 1
                            ? class_map_[reinterpret_cast<uintptr_t>(next)] == size_class
                            : !FreeNode::is_end(next);
  if (!leads_on || !object->has_mark_of(key_.mark)) {
    report_changed_in_list(reinterpret_cast<uintptr_t>(object),
                           kSizeClasses[size_class].object_bytes);
  }
  set_head_list(size_class, {next, list.capacity});
  step_for_fork();
  object->remove_seal();
  note_motion(size_class);
  return object;
}

void* ThreadCache::take_from_spare(SizeClass size_class) {
  const List list = reserves_[size_class].spare;
  reserves_[size_class].spare = head_list(size_class);
  step_for_fork();
  return take_top(size_class, list);
}

void* ThreadCache::allocate_from_reserve(SizeClass size_class, const CentralList& central,
                                         SentinelTable& sentinels, MemoryContent* content) {
  if (has_claim(size_class)) return take_from_claim(size_class, content);
  SPANMALLOC_DCHECK(head_list(size_class).count() == 0, "the head list is not empty");
  *content = MemoryContent::kUnknown;
  if (has_spare(size_class)) return take_from_spare(size_class);
  const Magazine magazine = central.take_magazine();
  if (magazine.top == nullptr) return nullptr;
  ++refills_;
  const size_t capacity = magazine.count + magazine.top->room();
  const List list{magazine.top, static_cast<uint32_t>(capacity)};
  return take_top(size_class, with_own_check(size_class, list, central, sentinels));
}

void ThreadCache::grow_lists(SizeClass size_class, size_t budget) {
  const uint8_t level = levels_[size_class];
  if (level + 1 == SentinelTable::kLevels) return;
  const uint8_t next = static_cast<uint8_t>(level + 1);
  const size_t grown = grown_bytes_ - grown_bytes(size_class) + grown_bytes(size_class, next);
  if (grown > budget) return;
  levels_[size_class] = next;
  grown_bytes_ = grown;
}

ThreadCache::List ThreadCache::moved_to(List empty, SizeClass size_class, List list,
                                        const SentinelTable& sentinels) {
  const size_t count = list.count();
  FreeNode* node = list.top;
  for (size_t height = count; height > 0; --height) {
    FreeNode* next = node->next(key_);
    const bool leads_on = height > 1 ? class_map_[reinterpret_cast<uintptr_t>(next)] == size_class
                                     : sentinels.contains(next);
    if (!leads_on || !node->has_mark_of(key_.mark)) {
      report_changed_in_list(reinterpret_cast<uintptr_t>(node),
                             kSizeClasses[size_class].object_bytes);
    }
    node->link_above(height > 1 ? next : empty.top, empty.top->seal - height * FreeNode::kOneRoom,
                     key_);
    node = next;
  }
  // The child of a fork in between does not have the blocks.
  step_for_fork();
  return {count > 0 ? list.top : empty.top, empty.capacity};
}

ThreadCache::List ThreadCache::with_own_check(SizeClass size_class, List list,
                                              const CentralList& central,
                                              SentinelTable& sentinels) {
  if (list.capacity == 0 || list.top->seal_check() == check_) return list;
  // Classes of large blocks have one length on several levels.
  uint8_t level = levels_[size_class];
  for (uint8_t other = 0; SentinelTable::capacity(size_class, level) != list.capacity; ++other) {
    if (other == SentinelTable::kLevels) return list;
    level = other;
  }
  const List empty{sentinels.sentinel(size_class, level, check_, central.mutex()), list.capacity};
  return moved_to(empty, size_class, list, sentinels);
}

void ThreadCache::change_seal_check(SealCheck check, CentralLists& centrals,
                                    SentinelTable& sentinels) {
  check_ = check;
  centrals.for_each([&](const CentralList& central, SizeClass size_class) {
    const List head = head_list(size_class);
    const List spare = reserves_[size_class].spare;
    if (head.capacity == 0 && spare.capacity == 0) return;
    set_head_list(size_class, {sentinels.sentinel_without_room(), 0});
    reserves_[size_class].spare = {};
    step_for_fork();
    const List new_spare = with_own_check(size_class, spare, central, sentinels);
    const List new_head = with_own_check(size_class, head, central, sentinels);
    reserves_[size_class].spare = new_spare;
    set_head_list(size_class, new_head);
    note_motion(size_class);
  });
}

bool ThreadCache::make_room(SizeClass size_class, const CentralList& central,
                            SentinelTable& sentinels, ListRules rules) {
  List& in_reserve = reserves_[size_class].spare;
  const List full = head_list(size_class);
  const List spare = in_reserve;
  if (spare.count() == 0) {
    set_empty_head(size_class, central, sentinels);
    step_for_fork();
    // Before its first use a class has no lists.
    if (full.capacity != 0) in_reserve = full;
    return false;
  }
  note_motion(size_class);
  claims_in_a_row_[size_class] = 0;
  grow_lists(size_class, rules.budget);
  set_empty_head(size_class, central, sentinels);
  step_for_fork();
  if (full.count() < head_list(size_class).capacity) {
    // Scattered blocks that go to another thread share lines of the processors' caches with those
    // that stay, for as long as both are in use.
    set_head_list(size_class, moved_to(head_list(size_class), size_class, full, sentinels));
    return false;
  }
  if (central.depot_is_full()) {
    // It will be drained. Of the two, that is the one whose blocks still lie in the processor's
    // caches.
    central.put_magazine({full.top, full.count()}, key_);
    return true;
  }
  // Now, while its blocks are warm, and not when it leaves. A fork in between finds it nowhere.
  List next_spare = full;
  if (rules.order == BlockOrder::kByAddress) {
    const Magazine blocks{full.top, full.count()};
    const auto ordered = in_address_order(blocks, size_class, key_, class_map_, sentinels);
    if (!ordered && central.depot_bytes() >= kScatteredDepotBytes) {
      central.drain(blocks, key_);
      return true;
    }
    if (ordered) next_spare.top = *ordered;
  }
  step_for_fork();
  in_reserve = next_spare;
  central.put_magazine({spare.top, spare.count()}, key_);
  return true;
}

void ThreadCache::flush(SizeClass size_class, const CentralList& central, SentinelTable& sentinels,
                        FlushTo to) {
  const Reserve reserve = reserves_[size_class];
  const List lists[] = {head_list(size_class), reserve.spare};
  // What was never used is not written to.
  if (lists[0].capacity == 0 && lists[1].capacity == 0 && reserve.claim.empty()) return;
  set_head_list(size_class, {sentinels.sentinel_without_room(), 0});
  grown_bytes_ -= grown_bytes(size_class);
  levels_[size_class] = 0;
  claims_in_a_row_[size_class] = 0;
  reserves_[size_class].claim.bits = 0;
  step_for_fork();
  reserves_[size_class] = {};
  if (lists_are_noted()) note_lists(size_class);
  central.give_back(reserve.claim);
  for (const List& list : lists) {
    if (list.count() == 0) continue;
    const Magazine magazine{list.top, list.count()};
    if (to == FlushTo::kDepot) {
      central.put_magazine(magazine, key_);
    } else {
      central.drain(magazine, key_);
    }
  }
}

void ThreadCache::flush_quarantine(CentralLists& centrals) {
  Quarantine* quarantine = hardened_.quarantine;
  if (quarantine == nullptr) return;
  FreeNode sentinel{};
  sentinel.make_sentinel(key_, 1, SealCheck::kAtFree);
  for (size_t place = 0; quarantine->bytes() > 0; ++place) {
    const Quarantine::Block block = quarantine->take(place);
    auto* object = reinterpret_cast<FreeNode*>(block.address);
    object->link_above(&sentinel, key_);
    centrals[block.size_class].drain({object, 1}, key_);
  }
}

size_t ThreadCache::flush_if_idle(SizeClass size_class, const CentralList& central,
                                  SentinelTable& sentinels) {
  size_t flushed = 0;
  const bool rests = heads_[size_class] == resting_heads_[size_class];
  if (rests && listed_count(size_class) > 0) {
    flushed = object_count(size_class) * kSizeClasses[size_class].object_bytes;
    flush(size_class, central, sentinels, FlushTo::kSpans);
    ++flushed_classes_;
  }
  resting_heads_[size_class] = heads_[size_class];
  return flushed;
}

size_t ThreadCache::flush_idle(CentralLists& centrals, SentinelTable& sentinels) {
  size_t flushed = 0;
  forget_refills();
  centrals.for_each([&](const CentralList& central, SizeClass size_class) {
    flushed += flush_if_idle(size_class, central, sentinels);
  });
  return flushed;
}

void ThreadCache::note_handover(CentralLists& centrals, SentinelTable& sentinels) {
  const uint32_t due = std::max(kHandoversPerLook, returned_classes_ * kHandoversPerReturnedClass);
  if (++handovers_ < due) return;
  handovers_ = 0;
  returned_classes_ = 0;
  for (size_t index = size_class_of(kReturnedAtHandoverBytes); index < kSizeClassCount; ++index) {
    const SizeClass size_class = static_cast<SizeClass>(index);
    if (flush_if_idle(size_class, centrals[size_class], sentinels) > 0) ++returned_classes_;
  }
}

void ThreadCache::note_lists(SizeClass size_class) {
  if (!lists_are_noted()) note_all_lists();
  __atomic_store_n(&hardened_.listed[size_class], static_cast<uint16_t>(listed_count(size_class)),
                   __ATOMIC_RELAXED);
}

void ThreadCache::note_all_lists() {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    hardened_.listed[index] = static_cast<uint16_t>(listed_count(static_cast<SizeClass>(index)));
  }
  __atomic_store_n(&hardened_.lists_are_noted, true, __ATOMIC_RELEASE);
}

bool ThreadCache::holds(SizeClass size_class, uintptr_t address, const ClassMap& class_map) const {
  // Acquire: the bits are those of a claim with this base if the base is the same after them.
  const Claim& claim = reserves_[size_class].claim;
  const uintptr_t base = __atomic_load_n(&claim.word_base, __ATOMIC_ACQUIRE);
  const uint64_t claimed = __atomic_load_n(&claim.bits, __ATOMIC_ACQUIRE);
  const bool is_whole = __atomic_load_n(&claim.word_base, __ATOMIC_RELAXED) == base;
  const size_t offset = address - base;
  const size_t bytes = kSizeClasses[size_class].object_bytes;
  if (is_whole && offset < 64 * bytes && (claimed >> (offset / bytes) & 1) != 0) return true;
  if (lists_are_noted() && own_thread_cache() != this) return false;
  for (const FreeNode* node : {heads_[size_class], reserves_[size_class].spare.top}) {
    // The owner may change the list meanwhile: only blocks of the class are followed, and no more
    // of them than a list can have.
    for (size_t steps = kSizeClasses[size_class].magazine_capacity; steps > 0; --steps) {
      if (class_map[reinterpret_cast<uintptr_t>(node)] != size_class) break;
      if (reinterpret_cast<uintptr_t>(node) == address) return true;
      node = node->next(key_);
    }
  }
  return false;
}

size_t ThreadCache::object_count(SizeClass size_class) const {
  size_t count = static_cast<size_t>(std::popcount(reserves_[size_class].claim.bits));
  if (hardened_.quarantine != nullptr) count += hardened_.quarantine->object_count(size_class);
  if (lists_are_noted()) {
    return count + __atomic_load_n(&hardened_.listed[size_class], __ATOMIC_RELAXED);
  }
  const size_t limit = kSizeClasses[size_class].magazine_capacity;
  for (const List& list : {head_list(size_class), reserves_[size_class].spare}) {
    // A torn view of a moving list may give nonsense; a list never has more than its limit.
    const size_t listed = list.count();
    if (listed <= limit) count += listed;
  }
  return count;
}

size_t ThreadCache::held_bytes() const {
  size_t bytes = 0;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    bytes += object_count(static_cast<SizeClass>(index)) * kSizeClasses[index].object_bytes;
  }
  return bytes;
}

bool ThreadCache::rests() {
  uintptr_t sum = 0;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    // The owner may be at work.
    const auto head = __atomic_load_n(&heads_[index], __ATOMIC_RELAXED);
    sum = sum * 31 + reinterpret_cast<uintptr_t>(head);
  }
  const bool same = sum == seen_heads_;
  seen_heads_ = sum;
  return same;
}

// The room of the sentinel below `node`.
size_t ThreadCache::capacity_from_end(const FreeNode* node) const {
  while (!FreeNode::is_end(node->next(key_))) node = node->next(key_);
  return node->room();
}

// What the thread may have left: an empty list that is both head and spare, since
// allocate_from_reserve() was between two steps; a head or spare with the capacity of the list
// before; sums to match.
void ThreadCache::repair_if_orphaned() {
  if (!orphaned_) return;
  orphaned_ = false;
  grown_bytes_ = 0;
  if (hardened_.quarantine != nullptr) hardened_.quarantine->recount();
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const SizeClass size_class = static_cast<SizeClass>(index);
    List& spare = reserves_[size_class].spare;
    if (spare.top == heads_[size_class]) spare = {};
    head_capacities_[size_class] = static_cast<uint16_t>(capacity_from_end(heads_[size_class]));
    if (spare.top != nullptr) spare.capacity = static_cast<uint32_t>(capacity_from_end(spare.top));
    grown_bytes_ += grown_bytes(size_class);
  }
  if (lists_are_noted()) note_all_lists();
}

void ThreadCache::check_invariants(const ClassMap& class_map) const {
  if (hardened_.quarantine != nullptr) hardened_.quarantine->check_invariants();
  size_t grown = 0;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const SizeClass size_class = static_cast<SizeClass>(index);
    grown += grown_bytes(size_class);
    SPANMALLOC_CHECK(!lists_are_noted() || hardened_.listed[index] == listed_count(size_class),
                     "a cache that notes a wrong length of its lists");
    for (const List& list : {head_list(size_class), reserves_[size_class].spare}) {
      const FreeNode* node = list.top;
      if (node == nullptr) continue;
      for (size_t left = list.count(); left > 0; --left) {
        SPANMALLOC_CHECK(class_map[reinterpret_cast<uintptr_t>(node)] == size_class,
                         "a list has a block of another class");
        SPANMALLOC_CHECK(node->room() + left == list.capacity, "a node with the wrong room");
        SPANMALLOC_CHECK(node->has_mark_of(key_.mark), "a node without seal");
        node = node->next(key_);
      }
      SPANMALLOC_CHECK(FreeNode::is_end(node->next(key_)),
                       "a list that does not end in a sentinel");
    }
  }
  SPANMALLOC_CHECK(grown == grown_bytes_, "a cache that miscounts how much its lists have grown");
}

}  // namespace spanmalloc
