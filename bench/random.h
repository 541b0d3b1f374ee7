// The random source of all bench programs.
#ifndef SPANMALLOC_BENCH_RANDOM_H_
#define SPANMALLOC_BENCH_RANDOM_H_

#include <cstddef>
#include <cstdint>

namespace bench {

// xorshift64*: cheap beside malloc, the same sequence on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 0x2545f4914f6cdd1du) >> 16;
  }
  // Nearly uniform in [0, bound), without a division. REQUIRES: bound <= 2^32.
  size_t below(size_t bound) { return ((next() >> 16) * bound) >> 32; }
  // Nearly uniform in [low, high]. REQUIRES: high - low < 2^32.
  size_t between(size_t low, size_t high) { return low + below(high - low + 1); }

 private:
  uint64_t state_;
};

}  // namespace bench

#endif  // SPANMALLOC_BENCH_RANDOM_H_
