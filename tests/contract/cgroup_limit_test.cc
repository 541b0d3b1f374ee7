// In a container of 96 MiB a program survives that needs 60 MiB at a time, in changing sizes. Makes
// a control group of its own, which only root may; elsewhere it is skipped.
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

constexpr size_t kLimit = 96 * kMiB;
constexpr size_t kLive = 60 * kMiB;

struct Hierarchy {
  const char* folder;
  const char* limit_file;
};
constexpr Hierarchy kHierarchies[] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                                      {"/sys/fs/cgroup", "memory.max"}};

char group[128];

bool write_to(const char* name, const char* text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", group, name);
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t length = static_cast<ssize_t>(strlen(text));
  const bool written = write(file, text, static_cast<size_t>(length)) == length;
  close(file);
  return written;
}

// Makes a group with the limit; false where that is not allowed.
bool make_group() {
  char limit[32];
  snprintf(limit, sizeof limit, "%zu", kLimit);
  for (const Hierarchy& hierarchy : kHierarchies) {
    snprintf(group, sizeof group, "%s/spanmalloc-test-%d", hierarchy.folder,
             static_cast<int>(getpid()));
    if (mkdir(group, 0700) != 0) continue;
    if (write_to(hierarchy.limit_file, limit)) return true;
    rmdir(group);
  }
  return false;
}

// Runs this program in the group. Returns as contract::wait_for.
int run_in_group(const char* options) {
  setenv("SPANMALLOC_OPTIONS", options, 1);
  const pid_t child = fork();
  if (child == 0) {
    if (!write_to("cgroup.procs", "0")) _exit(contract::kSkipped);
    execl("/proc/self/exe", "self", "child", static_cast<char*>(nullptr));
    _exit(127);
  }
  unsetenv("SPANMALLOC_OPTIONS");
  return child < 0 ? -errno : contract::wait_for(child, 60);
}

struct Block {
  void* address;
  size_t bytes;
};
constexpr size_t kMaxBlocks = 200000;
Block blocks[kMaxBlocks];

// Five times other sizes, a tenth of the old ones stays.
int child() {
  contract::Random random(1);
  size_t count = 0;
  size_t live = 0;
  size_t bytes = 700;
  for (int round = 0; round < 6; ++round) {
    size_t kept = 0;
    for (size_t index = 0; index < count; ++index) {
      if (random.below(10) == 0) {
        blocks[kept++] = blocks[index];
      } else {
        live -= blocks[index].bytes;
        free(blocks[index].address);
      }
    }
    for (count = kept; live < kLive && count < kMaxBlocks; ++count) {
      const size_t wanted = bytes + random.below(bytes / 4);
      blocks[count] = {malloc(wanted), wanted};
      if (blocks[count].address == nullptr) return 1;
      memset(blocks[count].address, 1, wanted);
      live += wanted;
    }
    // The sizes of the next program phase come a little later.
    contract::sleep_milliseconds(100);
    bytes *= 3;
  }
  return 7;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "child") == 0) return child();
  if (contract::malloc_is_from_libc() || !make_group()) return contract::kSkipped;
  const int status = run_in_group("");
  // The group is busy until the kernel has done away with the process.
  for (int round = 0; round < 100 && rmdir(group) != 0; ++round) contract::sleep_milliseconds(10);
  if (status == contract::kSkipped) return contract::kSkipped;
  EXPECT_EQ(status, 7);
  return contract::has_failed() ? 1 : 0;
}
