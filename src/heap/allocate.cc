#include "heap/allocate.h"

#include <atomic>
#include <cstring>

#include "heap/hardened.h"
#include "heap/large.h"
#include "heap/small.h"
#include "platform/errno_guard.h"
#include "spans/misuse.h"

namespace spanmalloc {

namespace {

// Up to `limit` objects of the class from wherever they can be had, the heap's growth last.
SPANMALLOC_NOINLINE Claim refill(SizeClass size_class, size_t limit) {
  const CentralList central = heap.central(size_class);
  Claim claim = central.claim(Growth::kForbidden, limit);
  if (claim.empty() && heap.reclaim_before_growth())
    claim = central.claim(Growth::kForbidden, limit);
  if (claim.empty()) {
    claim = central.claim(Growth::kAllowed, limit);
    heap.scavenger().note_growth();
  }
  if (claim.empty()) {
    heap.reclaim_everything();
    claim = central.claim(Growth::kAllowed, limit);
  }
  heap.after_allocation();
  return claim;
}

// Before lists come or go. REQUIRES: a CacheUse.
void adopt_seal_check(ThreadCache& cache) {
  const SealCheck check = heap.seal_check();
  if (SPANMALLOC_UNLIKELY(cache.seal_check() != check)) {
    cache.change_seal_check(check, heap.centrals(), heap.sentinels());
  }
}

}  // namespace

Object allocate_without_cache(SizeClass size_class) {
  if (!heap.open()) return {};
  Claim claim = refill(size_class, 1);
  if (claim.empty()) return {};
  auto* object = reinterpret_cast<FreeNode*>(claim.take(kSizeClasses[size_class].object_bytes));
  heap.central(size_class).give_back(claim);
  unseal(object, claim.content, size_class, heap.key());
  return {object, claim.content};
}

Object allocate_beyond_list(ThreadCache& cache, SizeClass size_class) {
  const CacheUse use(cache);
  const FreeNode* head = cache.head(size_class);
  if (!heap.sentinels().contains(head)) {
    // A block whose link leads nowhere: the program has overwritten it.
    report_changed_in_list(reinterpret_cast<uintptr_t>(head),
                           kSizeClasses[size_class].object_bytes);
  }
  adopt_seal_check(cache);
  Object object;
  const CentralList central = heap.central(size_class);
  object.address =
      cache.allocate_from_reserve(size_class, central, heap.sentinels(), &object.content);
  if (object.address != nullptr) return object;
  // Under hardening a block's place is chosen among those of a claim: the more the better.
  const size_t limit = heap.hardening().has_ends() ? kSizeClasses[size_class].claim_limit
                                                   : cache.claim_limit(size_class);
  const Claim claim = refill(size_class, limit);
  if (claim.empty()) return {};
  // The start of the scavenger's thread allocates, so there may be a claim already.
  if (cache.has_claim(size_class)) {
    central.give_back(claim);
  } else {
    cache.accept(size_class, claim);
  }
  object.address =
      cache.allocate_from_reserve(size_class, central, heap.sentinels(), &object.content);
  return object;
}

namespace {

Object allocate_of_class(SizeClass size_class);

// Each of the first slow paths of a process checks all structures, then one of so many, so that a
// test ends.
constexpr uint32_t kCheckedSlowPaths = 500;
constexpr uint32_t kSlowPathsPerCheck = 2000;

// REQUIRES: no pointer to a cache is held, since it may sleep; no lock is held.
[[maybe_unused]] void check_now_and_then() {
  static constinit std::atomic<uint32_t> slow_paths{0};
  platform::ErrnoGuard errno_guard;
  const uint32_t count = slow_paths.fetch_add(1, std::memory_order_relaxed);
  if (count < kCheckedSlowPaths || count % kSlowPathsPerCheck == 0) heap.check_invariants();
}

// Takes an object of the thread's claim or spare list; false when the full slow path is due.
// REQUIRES: the cache is not the empty one. Like the hot path it makes no system call, so it needs
// no CacheUse.
SPANMALLOC_ALWAYS_INLINE bool take_at_hand(HotCache* cache, SizeClass size_class, Object* object) {
  auto* own = static_cast<ThreadCache*>(cache);
  // A head that is no sentinel is a list, or a block whose link the program has overwritten.
  if (!heap.sentinels().contains(own->head(size_class))) return false;
  if (own->has_claim(size_class)) {
    object->address = own->take_from_claim(size_class, &object->content);
  } else if (own->has_spare(size_class)) {
    *object = {own->take_from_spare(size_class), MemoryContent::kUnknown};
  } else {
    return false;
  }
  return true;
}

// The same for free: takes the block if the head list is full and the spare one can take its place.
SPANMALLOC_ALWAYS_INLINE bool put_at_hand(HotCache* cache, void* pointer) {
  auto* own = static_cast<ThreadCache*>(cache);
  auto* object = static_cast<FreeNode*>(pointer);
  const SizeClass size_class = own->class_of(pointer);
  if (size_class == kNoSizeClass || object->has_mark_of(own->key().mark) ||
      own->head(size_class)->room() != 0 || own->seal_check() != heap.seal_check() ||
      !own->exchange_for_empty_spare(size_class, heap.sentinels())) {
    return false;
  }
  if constexpr (kParanoid) fill_freed(pointer);
  object->link_above(own->head(size_class), own->key());
  step_for_fork();
  own->set_head(size_class, object);
  return true;
}

// `cache` was the calling thread's when its head list was found empty. It is not asked for again:
// a thread whose cache was borrowed may get it back between two looks, with objects in the list.
Object allocate_small_slow(HotCache* cache, SizeClass size_class) {
  if (cache != &empty_thread_cache) {
    Object object;
    if (take_at_hand(cache, size_class, &object)) return object;
    return allocate_beyond_list(*static_cast<ThreadCache*>(cache), size_class);
  }
  if (heap.attach_thread() == nullptr) return allocate_without_cache(size_class);
  // A cache that an ended thread left comes with what it holds.
  return allocate_of_class(size_class);
}

// As the hot path, for a class that the caller chose; also tells what is in the memory.
Object allocate_of_class(SizeClass size_class) {
  HotCache* cache = current_cache();
  if (FreeNode* object = pop(cache, size_class)) return {object, MemoryContent::kUnknown};
  return allocate_small_slow(cache, size_class);
}

void deallocate_without_cache(FreeNode* object, SizeClass size_class) {
  // A list of one, on a sentinel that lives as long as the call.
  FreeNode sentinel{};
  sentinel.make_sentinel(heap.key(), 1, SealCheck::kAtFree);
  object->link_above(&sentinel, heap.key());
  heap.central(size_class).drain({object, 1}, heap.key());
}

}  // namespace

// A program can carry a seal into a live block by copying freed memory that it never wrote to.
bool is_free_somewhere(uintptr_t address, SizeClass size_class) {
  const ThreadCache* own = own_thread_cache();
  if (own != nullptr && own->holds(size_class, address, heap.class_map())) return true;
  if (heap.central(size_class).is_free(address, heap.key())) return true;
  bool held = false;
  heap.registry().for_each([&](const ThreadCache& cache) {
    held = cache.holds(size_class, address, heap.class_map());
    return !held;
  });
  return held;
}

void push_small(FreeNode* object, SizeClass size_class) {
  ThreadCache* cache = heap.attach_thread();
  if (cache == nullptr) return deallocate_without_cache(object, size_class);
  const CacheUse use(*cache);
  adopt_seal_check(*cache);
  const bool handed_over =
      cache->head(size_class)->room() == 0 &&
      cache->make_room(size_class, heap.central(size_class), heap.sentinels(), heap.list_rules());
  object->link_above(cache->head(size_class), cache->key());
  step_for_fork();
  cache->set_head(size_class, object);
  if (handed_over) {
    heap.scavenger().note_depot_grown();
    cache->note_handover(heap.centrals(), heap.sentinels());
  }
}

void fill_freed(void* pointer) {
  constexpr int kFreedByte = 0xdb;
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const Span* span = heap.page_map().find(address);
  const size_t bytes = kSizeClasses[span->size_class()].object_bytes;
  if (!span->is_object_start(address)) report_interior_pointer("free", address, bytes);
  memset(pointer, kFreedByte, bytes);
}

namespace {

// Where blocks are sampled and no level of hardening is on, calls between two samples go on as on
// the hot path, with the cache that is withheld from it, and are counted.

// False when the next block is to be sampled, and when the cache has none at hand.
SPANMALLOC_ALWAYS_INLINE bool take_between_samples(SizeClass size_class, Object* object) {
  ThreadCache* cache = withheld_thread_cache;
  if (cache == nullptr || heap.hardening().has_ends()) return false;
  uint32_t& until_sample = cache->hardened().until_sample;
  if (until_sample <= 1) return false;
  object->address = pop(cache, size_class);
  if (object->address == nullptr && !take_at_hand(cache, size_class, object)) return false;
  --until_sample;
  return true;
}

// Where free leaves to: the block may be a sampled one.
struct ExitsBetweenSamples {
  static void slow(void* pointer) { deallocate_hardened(pointer); }
  static void sealed(void* pointer) { deallocate_sealed(pointer); }
};

// The rest of the function in its name, once the head list is empty or there is no class.

SPANMALLOC_NOINLINE void* allocate_beyond_claim(size_t bytes) {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) return allocate_hardened(bytes);
  if constexpr (kParanoid) check_now_and_then();
  if (bytes > kMaxSmallBytes) return or_no_memory(allocate_large(bytes, kPageBytes));
  // A request of no bytes comes here with a list that need not be empty.
  return or_no_memory(allocate_of_class(size_class_of(bytes)).address);
}

SPANMALLOC_NOINLINE void* allocate_without_hot_cache(size_t bytes) {
  Object object;
  if (take_between_samples(size_class_of(bytes), &object)) return object.address;
  return allocate_beyond_claim(bytes);
}

SPANMALLOC_NOINLINE void* allocate_zeroed_beyond_list(size_t bytes) {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    const SizeClass size_class = bytes > kMaxSmallBytes ? kNoSizeClass : size_class_of(bytes);
    Object object;
    if (!take_between_samples(size_class, &object)) return allocate_zeroed_hardened(bytes);
    return zeroed(object, size_class);
  }
  if constexpr (kParanoid) check_now_and_then();
  if (bytes > kMaxSmallBytes) return or_no_memory(allocate_large_zeroed(bytes));
  const SizeClass size_class = size_class_of(bytes);
  const Object object = allocate_of_class(size_class);
  return or_no_memory(object.address == nullptr ? nullptr : zeroed(object, size_class));
}

SPANMALLOC_NOINLINE void* allocate_aligned_beyond_list(size_t bytes, size_t alignment) {
  const SizeClass size_class = size_class_of_aligned(bytes, alignment);
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    Object object;
    return take_between_samples(size_class, &object) ? object.address
                                                     : allocate_aligned_hardened(bytes, alignment);
  }
  if constexpr (kParanoid) check_now_and_then();
  if (size_class != kNoSizeClass) return or_no_memory(allocate_of_class(size_class).address);
  return or_no_memory(allocate_large(bytes, alignment));
}

}  // namespace

void* allocate_medium_or_large(size_t bytes) {
  if (SPANMALLOC_UNLIKELY(bytes > kMaxSmallBytes)) return allocate_beyond_claim(bytes);
  FreeNode* object = pop(current_cache(), size_class_from_table(bytes));
  if (SPANMALLOC_UNLIKELY(object == nullptr)) return allocate_slow(bytes);
  return object;
}

// No address of a local leaves these functions, so that each ends in a jump to the next: the first
// frame that the report of a sampled block shows is the program's.
void* allocate_slow(size_t bytes) {
  HotCache* cache = current_cache();
  // Under hardening and sampling the current cache is the empty one.
  if (SPANMALLOC_UNLIKELY(cache == &empty_thread_cache)) return allocate_without_hot_cache(bytes);
  Object object;
  if (take_at_hand(cache, size_class_of(bytes), &object)) return object.address;
  return allocate_beyond_claim(bytes);
}

void* allocate_zeroed(size_t bytes) {
  if (SPANMALLOC_UNLIKELY(bytes > kMaxSmallBytes)) return allocate_zeroed_beyond_list(bytes);
  const SizeClass size_class = size_class_of(bytes);
  FreeNode* object = pop(current_cache(), size_class);
  if (SPANMALLOC_UNLIKELY(object == nullptr)) return allocate_zeroed_beyond_list(bytes);
  // To the end of what malloc_usable_size() tells, as in glibc: there are programs that use it.
  return memset(static_cast<void*>(object), 0, kSizeClasses[size_class].object_bytes);
}

void* allocate_aligned(size_t bytes, size_t alignment) {
  if (alignment <= kMinAlignment) return allocate(bytes);
  // The list of no class is empty.
  FreeNode* object = pop(current_cache(), size_class_of_aligned(bytes, alignment));
  if (SPANMALLOC_UNLIKELY(object == nullptr)) return allocate_aligned_beyond_list(bytes, alignment);
  return object;
}

void deallocate_slow(void* pointer) {
  HotCache* cache = current_cache();
  if (SPANMALLOC_LIKELY(cache != &empty_thread_cache && put_at_hand(cache, pointer))) return;
  if (pointer == nullptr) return;
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    ThreadCache* withheld = withheld_thread_cache;
    if (withheld == nullptr || heap.hardening().has_ends()) return deallocate_hardened(pointer);
    return deallocate_to<ExitsBetweenSamples>(withheld, pointer);
  }
  if constexpr (kParanoid) check_now_and_then();
  deallocate_without_end(pointer);
}

void deallocate_without_end(void* pointer) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const SizeClass size_class = heap.class_map()[address];
  platform::ErrnoGuard errno_guard;
  if (size_class == kNoSizeClass) return deallocate_large(pointer);
  auto* object = static_cast<FreeNode*>(pointer);
  if (object->has_mark_of(heap.key().mark)) return deallocate_sealed(pointer);
  if constexpr (kParanoid) fill_freed(pointer);
  push_small(object, size_class);
}

void deallocate_sealed(void* pointer) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const SizeClass size_class = heap.class_map()[address];
  platform::ErrnoGuard errno_guard;
  if (is_free_somewhere(address, size_class)) {
    report_double_free(address, kSizeClasses[size_class].object_bytes);
  }
  if constexpr (kParanoid) fill_freed(pointer);
  push_small(static_cast<FreeNode*>(pointer), size_class);
}

size_t usable_bytes(const void* pointer, const char* call) {
  // A program that counts what it holds asks about each block twice.
  const HotCache* cache = current_cache();
  const SizeClass size_class = cache->class_of(pointer);
  if (SPANMALLOC_LIKELY(size_class != kNoSizeClass &&
                        is_object_start(reinterpret_cast<uintptr_t>(pointer), size_class) &&
                        !static_cast<const FreeNode*>(pointer)->has_mark_of(cache->key().mark))) {
    return kSizeClasses[size_class].object_bytes;
  }
  if (pointer == nullptr) return 0;
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) return usable_bytes_hardened(pointer, call);
  return usable_bytes_without_end(pointer, call);
}

size_t usable_bytes_without_end(const void* pointer, const char* call) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const SizeClass size_class = heap.class_map()[address];
  if (size_class == kNoSizeClass) return large_span_of(pointer, call)->bytes().value;
  const size_t bytes = kSizeClasses[size_class].object_bytes;
  if (!is_object_start(address, size_class)) report_interior_pointer(call, address, bytes);
  const auto* object = static_cast<const FreeNode*>(pointer);
  if (object->has_mark_of(heap.key().mark) && is_free_somewhere(address, size_class)) {
    report_use_of_free_block(call, address, bytes);
  }
  return bytes;
}

}  // namespace spanmalloc
