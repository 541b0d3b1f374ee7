// tail_latency [live objects in all] [replacements in all]
//
// How long a single call takes, for those who answer requests within a deadline: two threads
// replace random objects of a large heap of mixed sizes, and half-way take over each other's
// objects, so that the frees of the second half begin as foreign ones. Every malloc and every free
// of the replacements is timed by itself, less what reading the clock twice takes. Prints
// nanoseconds: median, 99 %, 99.99 % and the longest, one `name value` a line.
#include <algorithm>
#include <barrier>
#include <bit>
#include <ctime>
#include <utility>

#include "scenario.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace {

constexpr size_t kThreads = 2;

uint64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// The processor's own counter where there is one, with all work before it done.
inline uint64_t ticks() {
#if defined(__x86_64__)
  _mm_lfence();
  const uint64_t now = __rdtsc();
  _mm_lfence();
  return now;
#else
  return nanoseconds();
#endif
}

// Counts of durations, 32 buckets to a doubling. Holds no memory of its own.
class Histogram {
 public:
  void record(uint64_t duration) {
    ++counts_[bucket_of(duration)];
    if (duration > longest_) longest_ = duration;
  }
  void add(const Histogram& other) {
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) counts_[bucket] += other.counts_[bucket];
    if (other.longest_ > longest_) longest_ = other.longest_;
  }
  uint64_t longest() const { return longest_; }

  // The duration that `share` of all do not exceed, to 3 %.
  uint64_t quantile(double share) const {
    uint64_t total = 0;
    for (uint64_t number : counts_) total += number;
    const double wanted = share * static_cast<double>(total);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      seen += counts_[bucket];
      if (seen > 0 && static_cast<double>(seen) >= wanted) {
        return std::min(largest_in(bucket), longest_);
      }
    }
    return 0;
  }

 private:
  static constexpr size_t kLinear = 64;  // durations below have a bucket each
  static constexpr size_t kBuckets = 32 * 58 + kLinear;

  static size_t bucket_of(uint64_t duration) {
    if (duration < kLinear) return duration;
    const size_t shift = static_cast<size_t>(std::bit_width(duration)) - 6;
    return 32 * shift + (duration >> shift);
  }
  static uint64_t largest_in(size_t bucket) {
    if (bucket < kLinear) return bucket;
    const size_t shift = bucket / 32 - 1;
    return ((bucket - 32 * shift + 1) << shift) - 1;
  }

  uint64_t counts_[kBuckets];
  uint64_t longest_;
};

struct alignas(128) Record {
  Histogram allocating;
  Histogram freeing;
};

Record records[kThreads];
uint64_t clock_overhead;  // ticks between two readings with nothing between

uint64_t measured_overhead() {
  uint64_t least = ~uint64_t{0};
  for (int round = 0; round < 10000; ++round) {
    const uint64_t start = ticks();
    least = std::min(least, ticks() - start);
  }
  return least;
}

uint64_t duration_since(uint64_t start) {
  const uint64_t duration = ticks() - start;
  return duration > clock_overhead ? duration - clock_overhead : 0;
}

size_t mixed_size(scenario::Random& random) {
  const size_t kind = random.below(10000);
  if (kind < 9000) return 16 + random.below(240);
  if (kind < 9900) return 256 + random.below(768);
  if (kind < 9999) return 1024 + random.below(7168);
  return 8192 + random.below(256 << 10);
}

void replace(std::vector<char*>& objects, size_t replacements, scenario::Random& random,
             Record& record) {
  for (size_t step = 0; step < replacements; ++step) {
    char*& object = objects[random.below(objects.size())];
    uint64_t start = ticks();
    std::free(object);
    record.freeing.record(duration_since(start));
    const size_t size = mixed_size(random);
    start = ticks();
    object = static_cast<char*>(std::malloc(size));
    record.allocating.record(duration_since(start));
    if (object == nullptr) std::exit(1);
    object[0] = object[size - 1] = 1;
  }
}

void print(const char* call, const Histogram& histogram, double nanoseconds_per_tick) {
  const std::pair<const char*, uint64_t> lines[] = {{"p50", histogram.quantile(0.5)},
                                                    {"p99", histogram.quantile(0.99)},
                                                    {"p99.99", histogram.quantile(0.9999)},
                                                    {"max", histogram.longest()}};
  for (const auto& [name, value] : lines) {
    std::printf("%s %s ns %.0f\n", call, name, static_cast<double>(value) * nanoseconds_per_tick);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const size_t live = scenario::argument(count, arguments, 1, 1000000) / kThreads;
  const size_t replacements = scenario::argument(count, arguments, 2, 4000000) / kThreads;
  if (live == 0) return 2;
  std::memset(static_cast<void*>(records), 0, sizeof(records));  // its pages are there from now on
  clock_overhead = measured_overhead();
  const uint64_t start_nanoseconds = nanoseconds();
  const uint64_t start_ticks = ticks();
  std::vector<char*> objects[kThreads];
  for (auto& array : objects) array.resize(live);
  std::barrier all_threads(kThreads);
  scenario::run_threads(kThreads, [&](size_t index) {
    scenario::Random random(index + 1);
    for (char*& object : objects[index]) object = scenario::filled_block(mixed_size(random));
    all_threads.arrive_and_wait();
    replace(objects[index], replacements / 2, random, records[index]);
    all_threads.arrive_and_wait();
    replace(objects[(index + 1) % kThreads], replacements / 2, random, records[index]);
  });
  const double elapsed = static_cast<double>(nanoseconds() - start_nanoseconds);
  const double nanoseconds_per_tick = elapsed / static_cast<double>(ticks() - start_ticks);
  for (auto& array : objects) {
    for (char* object : array) std::free(object);
  }
  for (size_t index = 1; index < kThreads; ++index) {
    records[0].allocating.add(records[index].allocating);
    records[0].freeing.add(records[index].freeing);
  }
  print("malloc", records[0].allocating, nanoseconds_per_tick);
  print("free", records[0].freeing, nanoseconds_per_tick);
  return 0;
}
