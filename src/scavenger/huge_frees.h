#ifndef SPANMALLOC_SCAVENGER_HUGE_FREES_H_
#define SPANMALLOC_SCAVENGER_HUGE_FREES_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace spanmalloc {

// Decides what becomes of the memory of a huge block that is freed, or of as much that a block
// gives up when it shrinks: arithmetic alone.
//
// It goes back to the system at once, for the next such block may never come. But a program that
// takes and frees huge blocks in turn would fault all of it in anew each time. So where memory in
// use has risen by as much as the block has, since huge blocks were freed not long ago, the block's
// memory stays in the page heap, for the scavenger to give back as that of smaller blocks. Not
// where the heap would hold much more than its highest use: what is larger each time cannot lie
// where the last one lay.
//
// Any thread may ask; of several at once, one may be told what holds for another.
class HugeFrees {
 public:
  // From this size on a block is huge: glibc's largest threshold for giving back at free, so a
  // program that lives with glibc's cost lives with this one.
  static constexpr size_t kLeastBytes = size_t{32} << 20;
  // What may be kept beyond the highest use, as a part of it.
  static constexpr size_t kBeyondDivisor = 8;

  enum class Memory : uint8_t { kGoesBack, kIsKept };

  // What the heap holds, with the block that is about to be freed: bytes in use, and bytes in use
  // or free that the system backs.
  struct HeapBytes {
    size_t in_use;
    size_t backed;
  };

  // `bytes` bytes of one block are about to be freed. `now_ns`: of a clock that never goes back;
  // `recent_ns` are not long on it.
  Memory decide(size_t bytes, HeapBytes heap, uint64_t now_ns, uint64_t recent_ns) {
    const uint64_t last_ns = last_ns_.exchange(now_ns, std::memory_order_relaxed);
    const bool is_recent = last_ns != 0 && now_ns - last_ns < recent_ns;
    const size_t left = heap.in_use - std::min(heap.in_use, bytes);
    const size_t lowest = is_recent ? lowest_.load(std::memory_order_relaxed) : heap.in_use;
    const size_t highest =
        std::max(is_recent ? highest_.load(std::memory_order_relaxed) : 0, heap.in_use);
    lowest_.store(std::min(lowest, left), std::memory_order_relaxed);
    highest_.store(highest, std::memory_order_relaxed);
    const bool was_needed_again = left >= lowest;
    const bool is_near_highest = heap.backed <= highest + highest / kBeyondDivisor;
    return was_needed_again && is_near_highest ? Memory::kIsKept : Memory::kGoesBack;
  }

 private:
  // When the last huge block was freed; 0: none was yet. Since there were none for long, the least
  // in use after such a free, and the most before one.
  std::atomic<uint64_t> last_ns_{0};
  std::atomic<size_t> lowest_{0};
  std::atomic<size_t> highest_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_HUGE_FREES_H_
