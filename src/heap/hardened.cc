#include "heap/hardened.h"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/bits.h"
#include "heap/allocate.h"
#include "heap/hardened_large.h"
#include "heap/large.h"
#include "heap/small.h"
#include "platform/errno_guard.h"
#include "platform/system.h"
#include "spans/misuse.h"

namespace spanmalloc {

namespace {

// What freed objects are filled with on level 2: as an address it is one that no process has.
constexpr uint64_t kFillWord = 0xdfdfdfdfdfdfdfdf;
constexpr int kFillByte = 0xdf;

// Objects smaller than this have no room for an end beside the link and the seal.
constexpr size_t kLeastObjectBytes = sizeof(FreeNode) + kMinAlignment;

// Whether the calls still come here: the options may be known only now, and ask for nothing.
bool is_still_on() {
  if (!heap.hardening().is_decided()) {
    (void)heap.open();
    heap.read_options();
  }
  return heap.hardening().is_on();
}

// The generator xorshift64 (Marsaglia 2003), one in each thread.
uint64_t next_random(ThreadCache& cache) {
  uint64_t& state = cache.hardened().random;
  if (state == 0) state = platform::process_random() | 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1du >> 16;
}

bool is_guarded(const void* pointer) {
  return heap.guarded_blocks().contains(reinterpret_cast<uintptr_t>(pointer));
}

// Objects on their way from a free list to the program, and back.

// As pop() of the hot path, with a look at where the link leads.
Object pop_checked(ThreadCache& cache, SizeClass size_class) {
  FreeNode* object = cache.head(size_class);
  FreeNode* next = object->next(cache.key());
  if (FreeNode::is_end(next)) return allocate_beyond_list(cache, size_class);
  if (heap.class_map()[reinterpret_cast<uintptr_t>(next)] != size_class &&
      !heap.sentinels().contains(next)) {
    report_changed_in_list(reinterpret_cast<uintptr_t>(object),
                           kSizeClasses[size_class].object_bytes);
  }
  cache.set_head(size_class, next);
  step_for_fork();
  object->remove_seal();
  return {object, MemoryContent::kUnknown};
}

// After each change of a list: with guards, other threads must not look into its blocks.
void note_lists(ThreadCache& cache, SizeClass size_class) {
  if (heap.hardening().has_guards()) cache.note_lists(size_class);
}

void push_object(FreeNode* object, SizeClass size_class) {
  push_small(object, size_class);
  if (ThreadCache* cache = own_thread_cache(); cache != nullptr) note_lists(*cache, size_class);
}

Object take_object(SizeClass size_class) {
  ThreadCache* cache = heap.attach_thread();
  if (cache == nullptr) return allocate_without_cache(size_class);
  Object object = pop_checked(*cache, size_class);
  note_lists(*cache, size_class);
  if (heap.hardening().delays() && object.address != nullptr && cache->has_claim(size_class)) {
    const Span* span = heap.page_map().find(reinterpret_cast<uintptr_t>(object.address));
    object.address =
        cache->exchange_with_claim(object.address, object.content, *span, next_random(*cache));
  }
  return object;
}

// Whether the words are as they were filled, or all zero: a whole page of the kernel may have been
// given back to the system meanwhile.
bool is_filled_or_released(const uint64_t* from, const uint64_t* to) {
  const uint64_t wanted = *from == 0 ? 0 : kFillWord;
  for (const uint64_t* word = from; word < to; ++word) {
    if (*word != wanted) return false;
  }
  return true;
}

// Ends the process when a freed object was written to. Its end says that it was filled; the first
// `skipped` bytes are those of a list.
void check_filled(uintptr_t object, size_t object_bytes, size_t skipped) {
  const size_t page = platform::page_bytes();
  const uintptr_t end = object + object_bytes - BlockEnds::kWordBytes;
  for (uintptr_t from = object + skipped; from < end;) {
    const uintptr_t page_end = align_down(from, page) + page;
    const uintptr_t to = page_end < end ? page_end : end;
    // The page of the end word was not given back, or the word would not be there.
    const auto* first = reinterpret_cast<const uint64_t*>(from);
    const bool is_last = to == end && page_end != end;
    if ((is_last && *first != kFillWord) ||
        !is_filled_or_released(first, reinterpret_cast<const uint64_t*>(to))) {
      report_write_after_free(object, object_bytes);
    }
    from = to;
  }
}

// Makes the object zero but for its end word.
void clear(const Object& object, size_t object_bytes, MemoryContent wanted) {
  if (object.content == MemoryContent::kZero) return;
  const uintptr_t address = reinterpret_cast<uintptr_t>(object.address);
  const BlockEnd end = heap.block_ends().read(address, object_bytes);
  if (end.state == BlockEnd::State::kFreed) {
    if (end.fill == FreedFill::kPattern) {
      check_filled(address, object_bytes, sizeof(FreeNode));
    } else if (wanted == MemoryContent::kUnknown) {
      // It was made zero when it was freed, before it was linked into a list.
      memset(object.address, 0, sizeof(FreeNode));
      return;
    }
  }
  memset(object.address, 0, object_bytes - BlockEnds::kWordBytes);
}

void* allocate_with_end(SizeClass size_class, size_t bytes, MemoryContent wanted) {
  const Object object = take_object(size_class);
  if (object.address == nullptr) return nullptr;
  const size_t object_bytes = kSizeClasses[size_class].object_bytes;
  clear(object, object_bytes, wanted);
  heap.block_ends().write_live(reinterpret_cast<uintptr_t>(object.address), object_bytes, bytes);
  return object.address;
}

struct SmallBlock {
  uintptr_t address;
  SizeClass size_class;
  size_t object_bytes;
  size_t bytes;
};

// The live block at `address`; ends the process when there is none, or its end is broken.
SmallBlock checked_block(uintptr_t address, SizeClass size_class, const char* call) {
  const size_t object_bytes = kSizeClasses[size_class].object_bytes;
  const Span* span = heap.page_map().find(address);
  if (span == nullptr || !span->is_object_start(address)) {
    report_interior_pointer(call, address, object_bytes);
  }
  const BlockEnd end = heap.block_ends().read(address, object_bytes);
  if (end.state == BlockEnd::State::kLive) return {address, size_class, object_bytes, end.bytes};
  if (end.state == BlockEnd::State::kBroken && !is_free_somewhere(address, size_class)) {
    report_overflow_in_class(call, address, object_bytes);
  }
  report_use_of_free_block(call, address, object_bytes);
}

void release_from_quarantine(Quarantine::Block block) {
  check_filled(block.address, kSizeClasses[block.size_class].object_bytes, 0);
  push_object(reinterpret_cast<FreeNode*>(block.address), block.size_class);
}

void retire(const SmallBlock& block) {
  auto* object = reinterpret_cast<FreeNode*>(block.address);
  const bool delays = heap.hardening().delays();
  memset(object, delays ? kFillByte : 0, block.object_bytes - BlockEnds::kWordBytes);
  heap.block_ends().write_freed(block.address, block.object_bytes,
                                delays ? FreedFill::kPattern : FreedFill::kZero);
  ThreadCache* cache = delays ? heap.attach_thread() : nullptr;
  Quarantine* quarantine = cache != nullptr ? cache->hardened().quarantine : nullptr;
  if (quarantine == nullptr) return push_object(object, block.size_class);
  const CacheUse use(*cache);
  // Room is made first, so that the block itself does not leave at once.
  while (!quarantine->has_room_for(block.size_class)) {
    release_from_quarantine(quarantine->take(next_random(*cache)));
  }
  const Quarantine::Block evicted =
      quarantine->exchange({block.address, block.size_class}, next_random(*cache));
  if (!evicted.is_none()) release_from_quarantine(evicted);
}

void deallocate_with_end(void* pointer) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const SizeClass size_class = heap.class_map()[address];
  if (size_class == kNoSizeClass) return deallocate_large_hardened(pointer);
  retire(checked_block(address, size_class, "free"));
}

// Notes of a live block that stays where it is that its first `bytes` bytes are all of it now.
void shorten_in_place(void* pointer, size_t bytes) {
  if (is_guarded(pointer)) return heap.guarded_blocks().shorten(pointer, bytes);
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const SizeClass size_class = heap.class_map()[address];
  if (size_class == kNoSizeClass) return shorten_large_hardened(pointer, bytes);
  heap.block_ends().write_live(address, kSizeClasses[size_class].object_bytes, bytes);
}

constexpr size_t kMaxSmallBytesWithEnd = kMaxSmallBytes - BlockEnds::kWordBytes;

// The block with its new size, if that can be without copying; else nullptr.
void* resize_with_end(void* pointer, size_t bytes) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const SizeClass size_class = heap.class_map()[address];
  if (size_class == kNoSizeClass) {
    return bytes > kMaxSmallBytesWithEnd ? reallocate_large_hardened(pointer, bytes) : nullptr;
  }
  const SmallBlock block = checked_block(address, size_class, "realloc");
  if (bytes > block.object_bytes - BlockEnds::kWordBytes || bytes <= block.object_bytes / 2) {
    return nullptr;
  }
  if (bytes > block.bytes)
    memset(static_cast<char*>(pointer) + block.bytes, 0, bytes - block.bytes);
  heap.block_ends().write_live(address, block.object_bytes, bytes);
  return pointer;
}

void* allocate_without_end(size_t bytes, size_t alignment, MemoryContent wanted) {
  const SizeClass size_class = bytes > kMaxSmallBytes ? kNoSizeClass
                               : alignment <= kMinAlignment
                                   ? size_class_of(bytes)
                                   : size_class_of_aligned(bytes, alignment);
  if (size_class == kNoSizeClass) {
    return wanted == MemoryContent::kZero ? allocate_large_zeroed(bytes)
                                          : allocate_large(bytes, alignment);
  }
  const Object object = take_object(size_class);
  if (object.address != nullptr && wanted == MemoryContent::kZero)
    return zeroed(object, size_class);
  return object.address;
}

// Whether the next block is one of those that are sampled. The distances are random, N on average,
// so that no rhythm of the program escapes.
bool is_sampled(uint64_t* random) {
  const uint32_t interval = heap.hardening().sample_interval();
  if (interval == 0) return false;
  ThreadCache* cache = heap.attach_thread();
  if (cache == nullptr) return false;
  uint32_t& left = cache->hardened().until_sample;
  if (left == 0)
    left = static_cast<uint32_t>(1 + next_random(*cache) % (2 * uint64_t{interval} - 1));
  if (--left > 0) return false;
  *random = next_random(*cache);
  return true;
}

// nullptr when the block is none of those, or is not to be had.
void* allocate_if_sampled(size_t bytes, size_t alignment, const void* frame) {
  uint64_t random = 0;
  if (!is_sampled(&random)) return nullptr;
  return heap.guarded_blocks().allocate(bytes, alignment, random, frame);
}

void* allocate_any(size_t bytes, size_t alignment, MemoryContent wanted, const void* frame) {
  void* sampled = allocate_if_sampled(bytes, alignment, frame);
  if (sampled != nullptr) return sampled;
  if (!heap.hardening().has_ends()) return allocate_without_end(bytes, alignment, wanted);
  if (bytes <= kMaxSmallBytesWithEnd) {
    const size_t with_end = bytes + BlockEnds::kWordBytes;
    const size_t least = with_end < kLeastObjectBytes ? kLeastObjectBytes : with_end;
    const SizeClass size_class =
        alignment <= kMinAlignment ? size_class_of(least) : size_class_of_aligned(least, alignment);
    if (size_class != kNoSizeClass) return allocate_with_end(size_class, bytes, wanted);
  }
  return allocate_large_hardened(bytes, alignment);
}

}  // namespace

void* allocate_hardened(size_t bytes) {
  if (!is_still_on()) return allocate(bytes);
  return or_no_memory(
      allocate_any(bytes, kMinAlignment, MemoryContent::kUnknown, __builtin_frame_address(0)));
}

void* allocate_zeroed_hardened(size_t bytes) {
  if (!is_still_on()) return allocate_zeroed(bytes);
  return or_no_memory(
      allocate_any(bytes, kMinAlignment, MemoryContent::kZero, __builtin_frame_address(0)));
}

void* allocate_aligned_hardened(size_t bytes, size_t alignment) {
  if (!is_still_on()) return allocate_aligned(bytes, alignment);
  return or_no_memory(
      allocate_any(bytes, alignment, MemoryContent::kUnknown, __builtin_frame_address(0)));
}

void* allocate_sampled_or_longer(size_t bytes, size_t longer) {
  void* sampled = allocate_if_sampled(bytes, kMinAlignment, __builtin_frame_address(0));
  if (sampled != nullptr) return sampled;
  return allocate_without_end(longer, kMinAlignment, MemoryContent::kUnknown);
}

void deallocate_hardened(void* pointer) {
  if (pointer == nullptr) return;
  if (!is_still_on()) return deallocate(pointer);
  platform::ErrnoGuard errno_guard;
  if (is_guarded(pointer)) {
    return heap.guarded_blocks().deallocate(pointer, __builtin_frame_address(0));
  }
  if (!heap.hardening().has_ends()) return deallocate_without_end(pointer);
  deallocate_with_end(pointer);
}

void* reallocate_hardened(void* pointer, size_t bytes) {
  if (!is_still_on()) return reallocate(pointer, bytes);
  if (bytes == 0) {
    deallocate(pointer);
    return nullptr;
  }
  if (!is_guarded(pointer)) {
    if (!heap.hardening().has_ends()) return reallocate_without_end(pointer, bytes);
    if (void* resized = resize_with_end(pointer, bytes); resized != nullptr) return resized;
  }
  SPANMALLOC_KEEP_FRAME();
  const size_t old_bytes = usable_bytes_hardened(pointer, "realloc");
  void* fresh;
  {
    platform::ErrnoGuard errno_guard;
    fresh = allocate_hardened(bytes);
  }
  if (fresh == nullptr) {
    if (bytes > old_bytes) {
      errno = ENOMEM;
      return nullptr;
    }
    // Shrinking never fails: the block is large enough as it is.
    shorten_in_place(pointer, bytes);
    return pointer;
  }
  memcpy(fresh, pointer, bytes < old_bytes ? bytes : old_bytes);
  deallocate(pointer);
  return fresh;
}

size_t usable_bytes_hardened(const void* pointer, const char* call) {
  if (!is_still_on()) return usable_bytes(pointer, call);
  if (is_guarded(pointer)) return heap.guarded_blocks().block_bytes(pointer, call);
  if (!heap.hardening().has_ends()) return usable_bytes_without_end(pointer, call);
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const SizeClass size_class = heap.class_map()[address];
  if (size_class == kNoSizeClass) return large_bytes_hardened(pointer, call);
  return checked_block(address, size_class, call).bytes;
}

void check_size_hardened(const void* pointer, size_t bytes, size_t alignment, const char* call) {
  if (pointer == nullptr || !is_still_on()) return;
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const bool is_misaligned = is_power_of_two(alignment) && !is_aligned(address, alignment);
  if (is_guarded(pointer)) {
    const GuardedBlocks& guarded = heap.guarded_blocks();
    if (guarded.block_bytes(pointer, "free") != bytes) guarded.report_size(pointer, bytes, call);
    if (is_misaligned) guarded.report_alignment(pointer, alignment, call);
    return;
  }
  if (!heap.hardening().has_ends()) return;
  const SizeClass size_class = heap.class_map()[address];
  const Span* span = heap.page_map().find(address);
  if (span == nullptr) return;
  size_t block_bytes = bytes;
  if (size_class == kNoSizeClass) {
    const bool is_live = span->state() == SpanState::kLarge && span->object_address() == address &&
                         span->requested_bytes() != Span::kFreed;
    if (is_live) block_bytes = span->requested_bytes();
  } else if (span->is_object_start(address)) {
    const BlockEnd end = heap.block_ends().read(address, kSizeClasses[size_class].object_bytes);
    if (end.state == BlockEnd::State::kLive) block_bytes = end.bytes;
  }
  if (block_bytes != bytes) report_size_mismatch(call, address, block_bytes, bytes);
  if (is_misaligned) report_alignment_mismatch(call, address, block_bytes, alignment);
}

void prepare_hardened(ThreadCache& cache) {
  note_lists(cache, kNoSizeClass);
  if (!heap.hardening().delays() || cache.hardened().quarantine != nullptr) return;
  // The arena's memory is zero, which is an empty quarantine.
  cache.hardened().quarantine =
      static_cast<Quarantine*>(heap.arena().allocate(sizeof(Quarantine), alignof(Quarantine)));
}

void empty_quarantine(ThreadCache& cache) {
  Quarantine* quarantine = cache.hardened().quarantine;
  if (quarantine == nullptr) return;
  for (size_t place = 0; quarantine->bytes() > 0; ++place) {
    release_from_quarantine(quarantine->take(place));
  }
}

}  // namespace spanmalloc
