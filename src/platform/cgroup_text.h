// The texts of the kernel's files on control groups and pressure, as functions of text alone.
#ifndef SPANMALLOC_PLATFORM_CGROUP_TEXT_H_
#define SPANMALLOC_PLATFORM_CGROUP_TEXT_H_

#include <cstddef>
#include <cstdint>

#include "platform/cgroup.h"

namespace spanmalloc::platform {

// A piece of a text, without an end mark.
struct TextPiece {
  const char* begin = nullptr;
  size_t length = 0;

  bool equals(const char* other) const;
};

// A line of /proc/self/cgroup: the group's path if the line is of this controller of version 1, or
// of version 2 when `controller` is nullptr. begin is nullptr otherwise.
TextPiece cgroup_path_in(TextPiece line, const char* controller);

// A line of /proc/self/mountinfo, which mounts `root` of the tree at `point`.
struct CgroupMount {
  TextPiece root;
  TextPiece point;
};
// False unless the line mounts the tree of this controller (nullptr: version 2).
bool cgroup_mount_in(TextPiece line, const char* controller, CgroupMount* mount);

// Whether the group with this path lies in the mounted tree.
bool is_mounted(const CgroupMount& mount, TextPiece path);

// Puts prefix, mount point and the group's path below the mounted root together. A group outside of
// that root, as seen from inside a container, is taken for the root. False when it is too long.
bool make_cgroup_place(const char* prefix, const CgroupMount& mount, TextPiece path,
                       CgroupPlace* place);

// The number in a file of one number; kNoLimit for "max", for what the kernel writes for none, and
// for anything else.
uint64_t limit_in(TextPiece text);

// cpu.max of version 2: "quota period" or "max period"; percent of one processor, at least 1.
uint64_t cpu_max_in(TextPiece text);
// The same from the two numbers of version 1.
uint64_t quota_percent(uint64_t quota_us, uint64_t period_us);

// memory.pressure: the microseconds of "some ... total=N"; 0 when there are none.
uint64_t stalled_us_in(TextPiece text);

// memory.events: the sum of the events that say that the group met its limit.
uint64_t limit_events_in(TextPiece text);

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_CGROUP_TEXT_H_
