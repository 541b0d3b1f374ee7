// A model of a heap beside the real one: every live block with its size and the seed of its
// contents. Each operation is carried out on both and checked. Knows malloc's public interface
// only.
#ifndef SPANMALLOC_TESTS_SUPPORT_SHADOW_HEAP_H_
#define SPANMALLOC_TESTS_SUPPORT_SHADOW_HEAP_H_

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <new>

#include "contract/expect.h"
#include "contract/process.h"

namespace shadow {

using contract::fill;
using contract::is_aligned;
using contract::is_filled;
using contract::is_zero;
using contract::Random;

struct Block {
  void* start = nullptr;
  size_t size = 0;
  size_t usable = 0;
  uint64_t seed = 0;
};

enum class Failures { kForbidden, kExpected };

// Choices of an even generator: small sizes often, large ones seldom, the edges of powers of two
// among them.
class RandomChoices {
 public:
  // Every byte of a block is written and read.
  static constexpr size_t kMostWritten = SIZE_MAX;

  // `largest_shift`: sizes are below 2^largest_shift.
  RandomChoices(uint64_t seed, size_t largest_shift)
      : random_(seed), largest_shift_(largest_shift) {}

  uint64_t next() { return random_.next(); }
  size_t below(size_t limit) { return random_.below(limit); }

  size_t size() {
    const size_t range = below(10);
    const size_t shift = range < 6 ? 10 : range < 9 ? 15 : largest_shift_;
    const size_t limit = size_t{1} << below((shift < largest_shift_ ? shift : largest_shift_) + 1);
    const size_t size = below(limit + 1);
    return below(8) == 0 ? limit - below(2) : size;
  }

 private:
  Random random_;
  size_t largest_shift_;
};

// The heap as one thread sees it. Overlaps with its own blocks show in the sorted places at once,
// overlaps with those of other threads in the contents, which differ with the seed.
//
// Choices: below(limit), a number in [0, limit); next(), any number; size(), a size to ask for;
// kMostWritten, how many bytes at the start of a block are written and read, beside its end.
template <typename Choices, size_t kSlots>
class ShadowHeap {
 public:
  ShadowHeap(const Choices& choices, Failures failures) : choices_(choices), failures_(failures) {}

  Choices& choices() { return choices_; }

  // One operation of the model, drawn from the generator. False if a check failed.
  bool step() {
    Block& block = slots_[choices_.below(kSlots)];
    if (block.start == nullptr) return allocate(block);
    switch (choices_.below(8)) {
      case 0:
      case 1:
        return reallocate(block);
      case 2:
        return check(block);
      default:
        return release(block);
    }
  }

  // A block leaves this heap for another thread's, or an empty one if there is none in the slot.
  Block give() {
    Block& slot = slots_[choices_.below(kSlots)];
    const Block given = slot;
    if (given.start != nullptr) forget(slot);
    return given;
  }

  // Takes a block that another thread gave. False if a check failed.
  bool take(const Block& given) {
    if (given.start == nullptr) return true;
    Block& slot = slots_[choices_.below(kSlots)];
    if (slot.start != nullptr && !release(slot)) return false;
    slot = given;
    return remember(slot) && check(slot);
  }

  // Frees everything, and checks it before.
  bool release_all() {
    for (Block& block : slots_) {
      if (block.start != nullptr && !release(block)) return false;
    }
    return true;
  }

  size_t failed_calls() const { return failed_calls_; }

 private:
  enum class Kind {
    kMalloc,
    kCalloc,
    kMemalign,
    kPosixMemalign,
    kAlignedAlloc,
    kReallocNull,
    kNew,
    kNewAligned
  };

  size_t draw_alignment() {
    const size_t shift = choices_.below(20) == 0 ? 21 : 13;
    return size_t{1} << choices_.below(shift);
  }

  bool allocate(Block& block) {
    const Kind kind = static_cast<Kind>(choices_.below(8));
    const size_t size = choices_.size();
    size_t alignment = 16;
    void* start = nullptr;
    errno = 0;
    switch (kind) {
      case Kind::kMalloc:
        start = malloc(size);
        break;
      case Kind::kCalloc:
        start = calloc(size / 4, 4);
        break;
      case Kind::kMemalign:
        alignment = draw_alignment();
        start = memalign(alignment, size);
        break;
      case Kind::kPosixMemalign:
        alignment = draw_alignment();
        if (alignment < sizeof(void*)) alignment = sizeof(void*);
        errno = posix_memalign(&start, alignment, size);
        break;
      case Kind::kAlignedAlloc:
        alignment = draw_alignment();
        start = aligned_alloc(alignment, size);
        break;
      case Kind::kReallocNull:
        start = realloc(contract::opaque(static_cast<void*>(nullptr)), size);
        break;
      case Kind::kNew:
        start = operator new(size, std::nothrow);
        break;
      case Kind::kNewAligned:
        alignment = draw_alignment();
        start = operator new (size, std::align_val_t{alignment}, std::nothrow);
        break;
    }
    if (start == nullptr) return accept_failure(size);
    if (!is_aligned(start, alignment) || !is_aligned(start, 16)) {
      return complain("alignment", start, size);
    }
    block.start = start;
    block.size = kind == Kind::kCalloc ? size / 4 * 4 : size;
    if (kind == Kind::kCalloc && !is_zeroed(start, block.size)) {
      return complain("calloc not zero", start, size);
    }
    return remember(block) && refill(block);
  }

  // All of a block, or of one that is not all written a word of each page.
  static bool is_zeroed(const void* start, size_t size) {
    const size_t read = written_of(size);
    if (!is_zero(start, read)) return false;
    for (size_t at = read; at + sizeof(uint64_t) <= size; at += 4096) {
      if (!is_zero(static_cast<const char*>(start) + at, sizeof(uint64_t))) return false;
    }
    return true;
  }

  bool reallocate(Block& block) {
    const size_t size = 1 + choices_.size();
    errno = 0;
    forget_place(block);
    void* start = realloc(contract::opaque(block.start), size);
    if (start == nullptr) return remember(block) && check(block) && accept_failure(size);
    const size_t kept = size < block.size ? size : block.size;
    if (!is_aligned(start, 16)) return complain("alignment of realloc", start, size);
    if (!is_written(start, kept, block)) {
      return complain("contents after realloc", start, size);
    }
    block.start = start;
    block.size = size;
    return remember(block) && refill(block);
  }

  // The whole usable size is the caller's: it is written as well.
  bool refill(Block& block) {
    if (choices_.below(4) == 0) block.size = block.usable;
    block.seed = choices_.next();
    const size_t written = written_of(block.size);
    fill(block.start, written, block.seed);
    if (written < block.size) fill(end_of(block.start, block.size), kEndBytes, block.seed);
    return true;
  }

  // Whether the first `kept` bytes at `start` are what refill() wrote to the block.
  static bool is_written(const void* start, size_t kept, const Block& block) {
    const size_t written = written_of(block.size);
    if (!is_filled(start, kept < written ? kept : written, written, block.seed)) return false;
    return kept < block.size || written == block.size ||
           is_filled(end_of(start, kept), kEndBytes, block.seed);
  }

  bool check(const Block& block) {
    if (malloc_usable_size(block.start) != block.usable) {
      return complain("usable size changed", block.start, block.size);
    }
    if (!is_written(block.start, block.size, block)) {
      return complain("contents", block.start, block.size);
    }
    return true;
  }

  bool release(Block& block) {
    if (!check(block)) return false;
    void* start = block.start;
    forget(block);
    errno = kErrnoMark;
    free(start);
    return errno == kErrnoMark || complain("errno after free", start, 0);
  }

  void forget(Block& block) {
    forget_place(block);
    block = Block{};
  }

  // Enters the block among the places of this heap. False if it overlaps another.
  bool remember(Block& block) {
    block.usable = malloc_usable_size(block.start);
    if (block.usable < block.size) return complain("usable size", block.start, block.size);
    const uintptr_t start = reinterpret_cast<uintptr_t>(block.start);
    const size_t at = find_place(start);
    if (at > 0 && places_[at - 1].end > start) return complain("overlap", block.start, block.size);
    const uintptr_t end = start + (block.usable > 0 ? block.usable : 1);
    if (at < place_count_ && places_[at].start < end) {
      return complain("overlap", block.start, block.size);
    }
    memmove(&places_[at + 1], &places_[at], (place_count_ - at) * sizeof(Place));
    places_[at] = Place{start, end};
    ++place_count_;
    return true;
  }

  void forget_place(const Block& block) {
    const size_t at = find_place(reinterpret_cast<uintptr_t>(block.start));
    --place_count_;
    memmove(&places_[at], &places_[at + 1], (place_count_ - at) * sizeof(Place));
  }

  // The index of the first place that does not start before `start`.
  size_t find_place(uintptr_t start) const {
    size_t low = 0;
    size_t high = place_count_;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (places_[middle].start < start) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  bool accept_failure(size_t size) {
    ++failed_calls_;
    if (errno != ENOMEM) return complain("errno of a failed call", nullptr, size);
    return failures_ == Failures::kExpected || complain("no memory", nullptr, size);
  }

  bool complain(const char* what, const void* start, size_t size) {
    contract::say("FAILED %s: block %p, size %zu, errno %d", what, start, size, errno);
    __atomic_add_fetch(&contract::failures, 1, __ATOMIC_RELAXED);
    return false;
  }

  struct Place {
    uintptr_t start;
    uintptr_t end;
  };

  static constexpr int kErrnoMark = 4711;
  static constexpr size_t kMost = Choices::kMostWritten;
  static constexpr size_t kEndBytes = 64;
  // Bytes from the start of a block that are written: all, or kMost and the end apart from them.
  static size_t written_of(size_t size) {
    return size < kEndBytes || size - kEndBytes <= kMost ? size : kMost;
  }
  static void* end_of(void* start, size_t size) {
    return static_cast<char*>(start) + size - kEndBytes;
  }
  static const void* end_of(const void* start, size_t size) {
    return static_cast<const char*>(start) + size - kEndBytes;
  }

  Choices choices_;
  Failures failures_;
  size_t failed_calls_ = 0;
  size_t place_count_ = 0;
  Block slots_[kSlots];
  Place places_[kSlots + 1];
};

// A heap outside malloc's memory, so that the model neither costs nor disturbs what it checks.
template <typename Heap, typename Choices>
Heap* map_shadow_heap(const Choices& choices, Failures failures) {
  void* memory =
      mmap(nullptr, sizeof(Heap), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return new (memory) Heap(choices, failures);
}

}  // namespace shadow

#endif  // SPANMALLOC_TESTS_SUPPORT_SHADOW_HEAP_H_
