// What a user can set without building: SPANMALLOC_OPTIONS="name=value:name=value", from one table.
#ifndef SPANMALLOC_BASE_OPTIONS_H_
#define SPANMALLOC_BASE_OPTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace spanmalloc {

enum class Option : uint8_t {
  kScavenger,
  kRetainPercent,
  kEpochMilliseconds,
  kScavengerCpuPercent,
  kHugePages,
  kTrace,
  kStatsAtExit,
  kMemoryLimit,
  kMemoryLimitHard,
  kCgroup,
  kPressure,
  kPolicy,
  kIdleAgeEpochs,
  kHardening,
  kSampleGuard,
  kRelease,
  kCount,
};

// The values of Option::kHugePages: none is asked for; memory that is dense and rests is moved into
// them in the background; all new memory is asked for as huge pages.
enum class HugePagePolicy : uint8_t { kOff, kDensity, kNewMemory };

// The values of Option::kPolicy.
enum class ReleasePolicy : uint8_t { kPeak, kIdleAge };

// What the text of a value may be besides decimal digits. kBytes: digits with K, M or G behind.
enum class OptionUnit : uint8_t { kNumber, kBytes };

struct OptionRow {
  Option option;
  const char* name;
  uint64_t initial;
  uint64_t least;
  uint64_t most;
  const char* help;
  OptionUnit unit = OptionUnit::kNumber;
  // Names of the values from 0 on, separated by '|'; nullptr when they have none.
  const char* names = nullptr;
};

inline constexpr std::array<OptionRow, static_cast<size_t>(Option::kCount)> kOptionTable{{
    {Option::kScavenger, "scavenger", 1, 0, 1,
     "1: a background thread gives unused memory back; 0: only calls do"},
    {Option::kRetainPercent, "retain_percent", 10, 0, 1000,
     "free memory to keep, in percent of the recent peak in use"},
    {Option::kEpochMilliseconds, "epoch_ms", 1000, 10, 3600000,
     "length of one tick of the scavenger's clock, in milliseconds"},
    {Option::kScavengerCpuPercent, "scavenger_cpu_percent", 1, 1, 100,
     "most processor time that the scavenger uses, in percent of what the process may use"},
    {Option::kHugePages, "huge_pages", 1, 0, 2,
     "0 or off: ask for none; 1 or dense: where memory stays in use; 2 or new: for all new memory",
     OptionUnit::kNumber, "off|dense|new"},
    {Option::kTrace, "trace", 0, 0, 1,
     "1 or scavenger: one line on standard error for each scavenger cycle", OptionUnit::kNumber,
     "off|scavenger"},
    {Option::kStatsAtExit, "stats", 0, 0, 1, "1: print statistics when the program ends"},
    {Option::kMemoryLimit, "memory_limit", 0, 0, uint64_t{1} << 47,
     "bytes (K, M, G) that the heap should not hold more than; 0: no limit", OptionUnit::kBytes},
    {Option::kMemoryLimitHard, "memory_limit_hard", 0, 0, 1,
     "1: requests beyond memory_limit fail; 0: they only make memory go back sooner"},
    {Option::kCgroup, "cgroup", 1, 0, 1,
     "1: without memory_limit, 95 % of the container's limit is a soft one; 0: it is ignored"},
    {Option::kPressure, "pressure", 1, 0, 1,
     "1: memory goes back sooner while the system or the container is short of it"},
    {Option::kPolicy, "policy", 0, 0, 1,
     "0 or peak: keep what recent peaks needed; 1 or idle_age: keep what was used lately",
     OptionUnit::kNumber, "peak|idle_age"},
    {Option::kIdleAgeEpochs, "idle_age", 10, 1, 1000000,
     "for policy=idle_age: epochs without use after which free memory goes back"},
    {Option::kHardening, "hardening", 0, 0, 3,
     "1: check the ends and sizes of blocks; 2: also delay reuse; 3: also guard pages; at start "
     "only"},
    {Option::kSampleGuard, "sample_guard", 0, 0, 1000000000,
     "one of so many blocks up to 8 KiB lies between guard pages; 0: none; at start only"},
    {Option::kRelease, "release", 0, 0, 1,
     "0 or at_once: memory given back is gone at once; 1 or lazily: when the system is short of "
     "it; at start only",
     OptionUnit::kNumber, "at_once|lazily"},
}};

// Whether the option is read when the heap is opened and cannot be changed afterwards.
constexpr bool is_fixed_at_start(Option option) {
  return option == Option::kHardening || option == Option::kSampleGuard ||
         option == Option::kRelease;
}

class Options {
 public:
  constexpr Options() {
    for (const OptionRow& row : kOptionTable)
      values_[static_cast<size_t>(row.option)] = row.initial;
  }

  // Options may be set while other threads read them; each stands for itself, so no order is
  // needed.
  uint64_t operator[](Option option) const {
    return __atomic_load_n(&values_[static_cast<size_t>(option)], __ATOMIC_RELAXED);
  }

  // Sets one option; false when `value` is out of its range.
  [[nodiscard]] bool set(Option option, uint64_t value);

  // The row with this name, `length` characters long; nullptr when there is none.
  static const OptionRow* find(const char* name, size_t length);

  // Reads "name=value:name=value". What is unknown or out of range is reported on standard error
  // and skipped; the word "help" prints the table.
  void parse(const char* text);

 private:
  void parse_one(const char* text, size_t length);

  std::array<uint64_t, kOptionTable.size()> values_{};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_OPTIONS_H_
