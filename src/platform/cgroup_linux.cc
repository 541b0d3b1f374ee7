#include <algorithm>
#include <cstring>

#include "platform/cgroup.h"
#include "platform/cgroup_text.h"
#include "platform/errno_guard.h"
#include "platform/raw_file_linux.h"

namespace spanmalloc::platform {

namespace {

constexpr size_t kBufferBytes = 4096;
// Room for a folder and the name of a file in it.
constexpr size_t kFilePathBytes = CgroupPlace::kBytes + 64;

// Calls visit(TextPiece) for each line of a file. Lines longer than the buffer are passed over.
template <typename Visit>
void for_each_line(const RawFile& file, Visit visit) {
  char buffer[kBufferBytes];
  size_t filled = 0;
  bool too_long = false;
  while (true) {
    const size_t count = file.read(buffer + filled, sizeof(buffer) - filled);
    if (count == 0) break;
    filled += count;
    size_t begin = 0;
    while (const void* found = memchr(buffer + begin, '\n', filled - begin)) {
      const size_t end = static_cast<size_t>(static_cast<const char*>(found) - buffer);
      if (!too_long) visit(TextPiece{buffer + begin, end - begin});
      too_long = false;
      begin = end + 1;
      if (begin == filled) break;
    }
    memmove(buffer, buffer + begin, filled - begin);
    filled -= begin;
    if (filled == sizeof(buffer)) {
      too_long = true;
      filled = 0;
    }
  }
}

// A path put together from pieces; too long ones read as missing files.
class FilePath {
 public:
  FilePath(TextPiece folder, const char* name) {
    const size_t name_length = strlen(name);
    if (folder.length + name_length >= sizeof(text_)) return;
    memcpy(text_, folder.begin, folder.length);
    memcpy(text_ + folder.length, name, name_length + 1);
  }
  FilePath(const char* root, const char* name) : FilePath(TextPiece{root, strlen(root)}, name) {}

  const char* text() const { return text_; }

 private:
  char text_[kFilePathBytes] = {};
};

// The first bytes of a small file.
class SmallFile {
 public:
  SmallFile(TextPiece folder, const char* name) {
    const FilePath path(folder, name);
    const RawFile file(path.text());
    length_ = file.read(text_, sizeof(text_));
  }
  TextPiece text() const { return {text_, length_}; }
  bool empty() const { return length_ == 0; }

 private:
  char text_[1024];
  size_t length_ = 0;
};

// Calls visit(folder) for the group and all above it, up to the mount point.
template <typename Visit>
void for_each_group(const CgroupPlace& place, Visit visit) {
  size_t length = place.length;
  while (length > 0 && length >= place.mount_length) {
    visit(TextPiece{place.path, length});
    if (length == place.mount_length) break;
    while (length > place.mount_length && place.path[length - 1] != '/') --length;
    if (length > place.mount_length) --length;
  }
}

void locate(const char* root, const char* controller, CgroupPlace* place) {
  char path[CgroupPlace::kBytes];
  size_t path_length = 0;
  const RawFile groups(FilePath(root, "/proc/thread-self/cgroup").text(),
                       FilePath(root, "/proc/self/cgroup").text());
  for_each_line(groups, [&](TextPiece line) {
    const TextPiece found = cgroup_path_in(line, controller);
    if (found.begin == nullptr || found.length > sizeof(path) || path_length > 0) return;
    memcpy(path, found.begin, found.length);
    path_length = found.length;
  });
  *place = {};
  if (path_length == 0) return;
  const RawFile mounts(FilePath(root, "/proc/thread-self/mountinfo").text(),
                       FilePath(root, "/proc/self/mountinfo").text());
  // A container may be shown other parts of the tree, its host's among them, before its own.
  bool found_group = false;
  for_each_line(mounts, [&](TextPiece line) {
    CgroupMount mount;
    if (found_group || !cgroup_mount_in(line, controller, &mount)) return;
    const bool has_group = is_mounted(mount, {path, path_length});
    CgroupPlace here;
    if ((place->found() && !has_group) ||
        !make_cgroup_place(root, mount, {path, path_length}, &here)) {
      return;
    }
    *place = here;
    found_group = has_group;
  });
}

uint64_t smallest_in(const CgroupPlace& place, const char* file) {
  uint64_t smallest = kNoLimit;
  for_each_group(place, [&](TextPiece folder) {
    smallest = std::min(smallest, limit_in(SmallFile(folder, file).text()));
  });
  return smallest;
}

}  // namespace

void locate_cgroups(const char* root, CgroupPlaces* places) {
  ErrnoGuard errno_guard;
  locate(root, nullptr, &places->unified);
  locate(root, "memory", &places->memory);
  locate(root, "cpu", &places->processor);
}

uint64_t cgroup_memory_limit(const CgroupPlaces& places) {
  ErrnoGuard errno_guard;
  // Above memory.high the kernel slows the group down, so that is a limit as well.
  return std::min({smallest_in(places.unified, "/memory.max"),
                   smallest_in(places.unified, "/memory.high"),
                   smallest_in(places.memory, "/memory.limit_in_bytes")});
}

uint64_t cgroup_processor_percent(const CgroupPlaces& places) {
  ErrnoGuard errno_guard;
  uint64_t smallest = kNoLimit;
  for_each_group(places.unified, [&](TextPiece folder) {
    smallest = std::min(smallest, cpu_max_in(SmallFile(folder, "/cpu.max").text()));
  });
  for_each_group(places.processor, [&](TextPiece folder) {
    const uint64_t quota = limit_in(SmallFile(folder, "/cpu.cfs_quota_us").text());
    const uint64_t period = limit_in(SmallFile(folder, "/cpu.cfs_period_us").text());
    smallest = std::min(smallest, quota_percent(quota, period));
  });
  return smallest;
}

MemoryPressure read_memory_pressure(const char* root, const CgroupPlaces& places) {
  ErrnoGuard errno_guard;
  MemoryPressure pressure;
  const TextPiece group{places.unified.path, places.unified.length};
  if (places.unified.found()) {
    const SmallFile of_group(group, "/memory.pressure");
    if (!of_group.empty()) {
      pressure.stalled_us = stalled_us_in(of_group.text());
      return pressure;
    }
  }
  const SmallFile of_system(TextPiece{root, strlen(root)}, "/proc/pressure/memory");
  if (!of_system.empty()) {
    pressure.stalled_us = stalled_us_in(of_system.text());
    return pressure;
  }
  if (places.unified.found()) {
    pressure.limit_events = limit_events_in(SmallFile(group, "/memory.events").text());
  }
  if (places.memory.found()) {
    const TextPiece folder{places.memory.path, places.memory.length};
    const uint64_t failures = limit_in(SmallFile(folder, "/memory.failcnt").text());
    if (failures != kNoLimit) pressure.limit_events += failures;
  }
  return pressure;
}

}  // namespace spanmalloc::platform
