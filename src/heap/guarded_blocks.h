// Blocks that lie alone between inaccessible pages: one of many, chosen by sampling, so that a
// program in production finds its misuse sooner or later, with the stacks of the allocation and the
// free, at a cost that nobody notices.
//
//   region  [guard][slot][guard][slot][guard] ... [guard]
//
// A block lies at either end of its slot, at random: behind it or in front of it begins a guard. A
// freed block's slot is inaccessible, and is used again after all other free slots.
#ifndef SPANMALLOC_HEAP_GUARDED_BLOCKS_H_
#define SPANMALLOC_HEAP_GUARDED_BLOCKS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/metadata_arena.h"
#include "base/mutex.h"
#include "spans/block_end.h"

namespace spanmalloc {

class GuardedBlocks {
 public:
  static constexpr size_t kSlots = 512;
  static constexpr size_t kMaxBlockBytes = size_t{8} << 10;

  GuardedBlocks() = delete;
  constexpr explicit GuardedBlocks(MetadataArena& arena) : arena_(arena) {}

  // Reserves the region. False when memory is refused: nothing is sampled then.
  // REQUIRES: called once, before other threads know of this.
  [[nodiscard]] bool open(BlockEnds ends);

  // Whether the address lies in the region; false for all where it is not open.
  bool contains(uintptr_t address) const {
    return address - base_.load(std::memory_order_relaxed) < region_bytes_;
  }

  // A zeroed block; nullptr when no slot is free, or for a size or alignment that slots do not
  // have. `frame` is that of the function whose callers are kept as the stack.
  void* allocate(size_t bytes, size_t alignment, uint64_t random, const void* frame)
      SPANMALLOC_EXCLUDES(mutex_);

  // These end the process with a report when `pointer` is no live block. REQUIRES: contains().
  void deallocate(void* pointer, const void* frame) SPANMALLOC_EXCLUDES(mutex_);
  size_t block_bytes(const void* pointer, const char* call) const;

  // Makes the live block shorter where it is. REQUIRES: contains(); `bytes` is not more than it
  // has.
  void shorten(void* pointer, size_t bytes);

  // End the process with a report: the program gave `given` as the size, or as the alignment, of
  // the live block.
  [[noreturn]] void report_size(const void* pointer, size_t given, const char* call) const;
  [[noreturn]] void report_alignment(const void* pointer, size_t given, const char* call) const;

  // Says on standard error what the address is, if it lies in the region. For a signal handler.
  bool describe_access(uintptr_t address, uintptr_t code) const;

  size_t live_count() const { return live_.load(std::memory_order_relaxed); }
  // Bytes of the slots of live blocks.
  size_t live_bytes() const { return live_count() * slot_bytes_; }
  void check_invariants() SPANMALLOC_EXCLUDES(mutex_);
  Mutex& mutex() { return mutex_; }

 private:
  static constexpr size_t kStackDepth = 16;
  static constexpr size_t kMaxCanaryBytes = 64;

  enum class State : uint8_t { kNeverUsed, kLive, kFreed };

  struct Event {
    uint32_t thread = 0;
    uint32_t depth = 0;
    uintptr_t stack[kStackDepth] = {};

    void record(const void* frame);
  };

  // Written by whoever took the slot, the state last.
  struct Slot {
    std::atomic<State> state{State::kNeverUsed};
    uintptr_t address = 0;
    size_t bytes = 0;
    Event allocated;
    Event freed;
  };

  uintptr_t slot_start(size_t index) const {
    return base_.load(std::memory_order_relaxed) + guard_bytes_ +
           index * (slot_bytes_ + guard_bytes_);
  }
  uintptr_t slot_end(size_t index) const { return slot_start(index) + slot_bytes_; }
  // The slot that an address lies in, or the last one before it.
  size_t slot_index(uintptr_t address) const;
  // The slot whose block lies nearest to the address.
  const Slot& nearest_slot(uintptr_t address) const;
  size_t canary_count(size_t index) const;

  // Makes the region inaccessible, by marks of pages if slots can be opened and closed so: that
  // splits no mapping and keeps no other thread of the process waiting. False when refused.
  [[nodiscard]] bool close_region(uintptr_t base);
  // Makes a slot accessible and zero. False when refused.
  [[nodiscard]] bool open_slot(size_t index) const;
  // Gives a slot's memory back and makes it inaccessible, unless the system refuses.
  void close_slot(size_t index) const;

  bool take_slot(size_t* index) SPANMALLOC_EXCLUDES(mutex_);
  void put_slot(size_t index) SPANMALLOC_EXCLUDES(mutex_);

  // The live slot whose block starts at `pointer`; ends the process when there is none.
  size_t checked_slot(const void* pointer, const char* call) const;
  static void describe_history(const Slot& slot);
  [[noreturn]] static void end_with_history(const Slot& slot);

  MetadataArena& arena_;
  BlockEnds ends_;
  std::atomic<uintptr_t> base_{0};
  size_t region_bytes_ = 0;
  size_t slot_bytes_ = 0;
  size_t guard_bytes_ = 0;
  bool guards_are_marks_ = false;
  Slot* slots_ = nullptr;
  std::atomic<size_t> live_{0};

  mutable Mutex mutex_{LockRank::kGuarded};
  // A ring of the free slots' numbers, those that have been free for longest first.
  std::array<uint16_t, kSlots> free_ SPANMALLOC_GUARDED_BY(mutex_){};
  size_t first_free_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  size_t free_count_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_GUARDED_BLOCKS_H_
