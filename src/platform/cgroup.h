// What the container of the process allows it and how short of memory it is. All of it is a hint:
// what is missing, forbidden or garbled reads as no limit and no pressure.
//
// A control group is a folder of files below a mount point, its limits hold for all groups below.
// Version 2 has one tree for everything, version 1 one for each controller; a system may have both.
// No descriptor is kept: programs close descriptors that are not theirs and use the numbers again.
#ifndef SPANMALLOC_PLATFORM_CGROUP_H_
#define SPANMALLOC_PLATFORM_CGROUP_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc::platform {

inline constexpr uint64_t kNoLimit = UINT64_MAX;

// The folder of a group and how much of its path is the mount point, where the search for limits
// ends. Longer paths are not found.
struct CgroupPlace {
  static constexpr size_t kBytes = 512;

  char path[kBytes] = {};
  size_t length = 0;  // 0: there is none
  size_t mount_length = 0;

  bool found() const { return length > 0; }
};

struct CgroupPlaces {
  CgroupPlace unified;    // version 2
  CgroupPlace memory;     // version 1
  CgroupPlace processor;  // version 1
};

// Finds the groups of this process. `root` is put before every path: "" but in tests.
// A few small reads of /proc; no memory is allocated.
void locate_cgroups(const char* root, CgroupPlaces* places);

// The smallest memory limit of the groups in bytes, or kNoLimit.
uint64_t cgroup_memory_limit(const CgroupPlaces& places);

// The smallest share of processor time of the groups in percent of one processor, or kNoLimit.
uint64_t cgroup_processor_percent(const CgroupPlaces& places);

// Counters that only rise; what cannot be read stays 0.
struct MemoryPressure {
  uint64_t stalled_us = 0;    // time in which some task waited for memory
  uint64_t limit_events = 0;  // times that the group met its limit
};

// The waiting time of the process's group, else of the whole system. Only where neither is told,
// events at the limit: a group that reads and writes files is at its limit most of the time, and is
// short of nothing.
MemoryPressure read_memory_pressure(const char* root, const CgroupPlaces& places);

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_CGROUP_H_
