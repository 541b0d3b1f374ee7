// How much misuse the process pays to have found: SPANMALLOC_OPTIONS=hardening=0..3,
// sample_guard=N. Decided once, since a block is freed by the rules by which it was made.
#ifndef SPANMALLOC_HEAP_HARDENING_H_
#define SPANMALLOC_HEAP_HARDENING_H_

#include <atomic>
#include <cstdint>

namespace spanmalloc {

enum class HardeningLevel : uint8_t {
  kNone,
  // Blocks have ends (spans/block_end.h), sizes given to delete are checked, freed memory is zero.
  kEnds,
  // Freed blocks wait in a quarantine under a pattern, places are chosen at random.
  kDelay,
  // Spans and large blocks lie between inaccessible pages, freed large blocks are inaccessible.
  kGuards,
};

class Hardening {
 public:
  constexpr Hardening() = default;

  // Whether malloc and free go to heap/hardened.h. So they do under any level, when blocks are
  // sampled, and as long as nobody knows: blocks that are made before the environment is there get
  // ends, which are right under every level.
  bool is_on() const { return is_on_.load(std::memory_order_relaxed); }
  bool is_decided() const { return is_decided_.load(std::memory_order_relaxed); }

  HardeningLevel level() const { return level_.load(std::memory_order_relaxed); }
  bool has_ends() const { return level() >= HardeningLevel::kEnds; }
  bool delays() const { return level() >= HardeningLevel::kDelay; }
  bool has_guards() const { return level() >= HardeningLevel::kGuards; }

  // Of so many blocks, on average, one lies between guard pages; 0: none does.
  uint32_t sample_interval() const { return sample_interval_.load(std::memory_order_relaxed); }

  // REQUIRES: called once.
  void decide(HardeningLevel level, uint32_t sample_interval) {
    level_.store(level, std::memory_order_relaxed);
    sample_interval_.store(sample_interval, std::memory_order_relaxed);
    is_decided_.store(true, std::memory_order_relaxed);
    is_on_.store(level != HardeningLevel::kNone || sample_interval != 0, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> is_on_{true};
  std::atomic<bool> is_decided_{false};
  std::atomic<HardeningLevel> level_{HardeningLevel::kEnds};
  std::atomic<uint32_t> sample_interval_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_HARDENING_H_
