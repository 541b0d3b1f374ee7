// The main program of all micro benchmarks. The flags are Google Benchmark's; without one of them
// each benchmark runs for a time that is short, so that all programs together take a minute or two.
#include <cstring>
#include <string>
#include <vector>

#include "micro.h"

int main(int count, char** arguments) {
  micro::register_benchmarks(count, arguments);

  std::string min_time = "--benchmark_min_time=0.3";
  std::vector<char*> all(arguments, arguments + count);
  // In front, so that a flag of the caller comes later and wins.
  all.insert(all.begin() + 1, min_time.data());
  int all_count = static_cast<int>(all.size());
  all.push_back(nullptr);
  benchmark::Initialize(&all_count, all.data());
  if (benchmark::ReportUnrecognizedArguments(all_count, all.data())) return 2;
  if (benchmark::RunSpecifiedBenchmarks() == 0) return 3;
  benchmark::Shutdown();
  return 0;
}
