#ifndef SPANMALLOC_BASE_METADATA_ARENA_H_
#define SPANMALLOC_BASE_METADATA_ARENA_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"

namespace spanmalloc {

// The allocator's own memory: bump allocation from mappings of its own, never from pages of the
// heap; where the system gives no mapping more, from the place that the heap grows in. What was
// handed out is never given back, so that a stale reader of a record always reads mapped
// memory. All memory starts as zero. Go's persistentalloc.
class MetadataArena {
 public:
  constexpr MetadataArena() = default;

  // `bytes` bytes of zeros, aligned to `alignment`; nullptr when the system refuses memory.
  // REQUIRES: alignment is a power of two, at most 4096.
  void* allocate(size_t bytes, size_t alignment) SPANMALLOC_EXCLUDES(mutex_);

  // `bytes` bytes of zeros, aligned to a cache line, of which few will ever be touched: they count
  // neither as used nor as mapped. nullptr when the system refuses memory.
  void* allocate_sparse(size_t bytes) SPANMALLOC_EXCLUDES(mutex_);

  // Maps ahead until at least `bytes` bytes in all are mapped. What the heap may come to need for
  // its memory is mapped before that memory, so that a process at the limit of its address space
  // can still use every free page in any way. Whatever lacks, it takes a few calls of the system
  // and touches a page of each mapping. False when the system refuses.
  [[nodiscard]] bool ensure_mapped(size_t bytes) SPANMALLOC_EXCLUDES(mutex_);

  // Undoes it as far as the memory is not in use: at least `bytes` bytes stay mapped.
  void unmap_spare(size_t bytes) SPANMALLOC_EXCLUDES(mutex_);

  // Makes memory from elsewhere usable for records, where the system maps no more for
  // ensure_mapped(). REQUIRES: Prepared, reads as zero, starts on a page, and is kept for good.
  void add_memory(uintptr_t address, size_t bytes) SPANMALLOC_EXCLUDES(mutex_);

  // Bytes mapped from the system for records so far, whole blocks counted.
  size_t mapped_bytes() const { return mapped_bytes_.load(std::memory_order_relaxed); }
  // Bytes handed out so far.
  size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

  // Verifies that what is handed out and what is left are no more than was mapped, and that no two
  // spare blocks overlap. Takes time in proportion to the square of their number.
  void check_invariants() SPANMALLOC_EXCLUDES(mutex_);

  Mutex& mutex() { return mutex_; }

 private:
  // A block that was mapped ahead; the header lies at its start.
  struct SpareBlock {
    SpareBlock* next;
    size_t bytes;
    bool is_from_elsewhere;
  };

  // All of it zero; begins at 0 when refused.
  struct Block {
    uintptr_t begin = 0;
    size_t bytes = 0;
  };

  // Whether the block is named in lists of mappings at once.
  enum class Naming : uint8_t { kNow, kWithTheNext };

  Block map_block(size_t bytes, Naming naming = Naming::kNow) SPANMALLOC_REQUIRES(mutex_);
  void name_block(Block block) SPANMALLOC_REQUIRES(mutex_);
  void keep_spare(SpareBlock* block) SPANMALLOC_REQUIRES(mutex_);
  Block take_spare(size_t needed) SPANMALLOC_REQUIRES(mutex_);
  void begin_block(Block block) SPANMALLOC_REQUIRES(mutex_);
  bool open_block(size_t needed) SPANMALLOC_REQUIRES(mutex_);

  Mutex mutex_{LockRank::kMetadata};
  uintptr_t next_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  uintptr_t end_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  // In use, and to be named.
  Block unnamed_ SPANMALLOC_GUARDED_BY(mutex_);
  SpareBlock* spare_ SPANMALLOC_GUARDED_BY(mutex_) = nullptr;
  std::atomic<size_t> mapped_bytes_{0};
  std::atomic<size_t> used_bytes_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_METADATA_ARENA_H_
