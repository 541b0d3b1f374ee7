// What the Google Benchmark programs share: registration under a name, and a random source.
#ifndef SPANMALLOC_BENCH_MICRO_MICRO_H_
#define SPANMALLOC_BENCH_MICRO_MICRO_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace micro {

// Each program defines it: registers its benchmarks. The arguments are those of main().
void register_benchmarks(int count, char** arguments);

template <typename Body>
benchmark::internal::Benchmark* add(const std::string& name, Body body) {
  return benchmark::RegisterBenchmark(name.c_str(), std::move(body));
}

// For a benchmark whose iteration has `count` parts: the time of one part.
inline void report_time_each(benchmark::State& state, size_t count) {
  using benchmark::Counter;
  state.counters["each"] =
      Counter(static_cast<double>(count), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

// xorshift64*: cheap beside what is measured, the same sequence on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 0x2545f4914f6cdd1du) >> 16;
  }
  // Uniform in [0, bound).
  size_t below(size_t bound) { return static_cast<size_t>(next() % bound); }
  // Uniform in [low, high].
  size_t between(size_t low, size_t high) { return low + below(high - low + 1); }

 private:
  uint64_t state_;
};

}  // namespace micro

#endif  // SPANMALLOC_BENCH_MICRO_MICRO_H_
