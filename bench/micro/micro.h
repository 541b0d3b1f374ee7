// What the Google Benchmark programs share: registration under a name, and the random source.
#ifndef SPANMALLOC_BENCH_MICRO_MICRO_H_
#define SPANMALLOC_BENCH_MICRO_MICRO_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "../random.h"

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

using bench::Random;

}  // namespace micro

#endif  // SPANMALLOC_BENCH_MICRO_MICRO_H_
