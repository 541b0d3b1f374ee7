#ifndef SPANMALLOC_BASE_RISE_MARK_H_
#define SPANMALLOC_BASE_RISE_MARK_H_

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace spanmalloc {

// Tells when a number of bytes has risen by a step above the least of it that was seen since it
// last did. Values below the floor count as the floor. Any thread may ask: of several at once all
// may be told of one rise.
class RiseMark {
 public:
  constexpr explicit RiseMark(size_t floor) : floor_(floor), least_(floor) {}

  // Sees `value`; true when it lies more than `step` above the mark, which stays where it is.
  bool has_risen(size_t value, size_t step) {
    const size_t least = least_.load(std::memory_order_relaxed);
    if (value < least && least > floor_) move_to(value);
    return value > least + step;
  }

  // The next rise begins at `value`.
  void move_to(size_t value) { least_.store(std::max(value, floor_), std::memory_order_relaxed); }

 private:
  const size_t floor_;
  std::atomic<size_t> least_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_RISE_MARK_H_
