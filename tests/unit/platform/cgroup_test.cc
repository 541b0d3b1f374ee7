#include "platform/cgroup.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "support/fake_root.h"

namespace spanmalloc::platform {
namespace {

using testing::FakeRoot;

uint64_t memory_limit(const FakeRoot& root) {
  CgroupPlaces places;
  locate_cgroups(root.path(), &places);
  return cgroup_memory_limit(places);
}

uint64_t processor_percent(const FakeRoot& root) {
  CgroupPlaces places;
  locate_cgroups(root.path(), &places);
  return cgroup_processor_percent(places);
}

MemoryPressure pressure(const FakeRoot& root) {
  CgroupPlaces places;
  locate_cgroups(root.path(), &places);
  return read_memory_pressure(root.path(), places);
}

TEST(Cgroup, NothingThereIsNoLimit) {
  const FakeRoot root;
  EXPECT_EQ(memory_limit(root), kNoLimit);
  EXPECT_EQ(processor_percent(root), kNoLimit);
  EXPECT_EQ(pressure(root).stalled_us, 0u);
  root.mount_unified("/a/b");
  EXPECT_EQ(memory_limit(root), kNoLimit);
  EXPECT_EQ(processor_percent(root), kNoLimit);
}

TEST(Cgroup, TheSmallestLimitOnTheWayUpCounts) {
  const FakeRoot root;
  root.mount_unified("/a/bc/d");
  root.write("/cg/a/bc/d/memory.max", "max\n");
  EXPECT_EQ(memory_limit(root), kNoLimit);
  root.write("/cg/memory.max", "9000\n");
  EXPECT_EQ(memory_limit(root), 9000u);
  root.write("/cg/a/memory.max", "3000\n");
  EXPECT_EQ(memory_limit(root), 3000u);
  root.write("/cg/a/bc/memory.max", "5000\n");
  EXPECT_EQ(memory_limit(root), 3000u);
  root.write("/cg/a/bc/d/memory.high", "2000\n");
  EXPECT_EQ(memory_limit(root), 2000u);
  root.write("/cg/a/bc/e/memory.max", "1\n");
  root.write("/memory.max", "2\n");
  EXPECT_EQ(memory_limit(root), 2000u) << "neither beside the path nor above the mount";
}

TEST(Cgroup, LimitsAreReadAnew) {
  const FakeRoot root;
  root.mount_unified("/a");
  CgroupPlaces places;
  locate_cgroups(root.path(), &places);
  root.write("/cg/a/memory.max", "7000\n");
  EXPECT_EQ(cgroup_memory_limit(places), 7000u);
  root.write("/cg/a/memory.max", "5000\n");
  EXPECT_EQ(cgroup_memory_limit(places), 5000u);
  root.remove("/cg/a");
  EXPECT_EQ(cgroup_memory_limit(places), kNoLimit);
}

TEST(Cgroup, Version1HasATreeForEachController) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "9:name=systemd:/s\n4:memory:/m/n\n1:cpu,cpuacct:/c\n");
  root.write("/proc/self/mountinfo",
             "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
             "35 31 0:32 / /cg/memory rw shared:3 - cgroup cgroup rw,memory\n");
  root.write("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("/cg/memory/m/memory.limit_in_bytes", "4096000\n");
  root.write("/cg/memory/m/n/memory.limit_in_bytes", "8192000\n");
  root.write("/cg/cpu/c/cpu.cfs_quota_us", "-1\n");
  root.write("/cg/cpu/c/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(memory_limit(root), 4096000u);
  EXPECT_EQ(processor_percent(root), kNoLimit);
  root.write("/cg/cpu/c/cpu.cfs_quota_us", "150000\n");
  EXPECT_EQ(processor_percent(root), 150u);
  root.write("/cg/memory/m/n/memory.failcnt", "12\n");
  EXPECT_EQ(pressure(root).limit_events, 12u);
}

TEST(Cgroup, BothVersionsAtOnce) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "4:memory:/m\n0::/u\n");
  root.write("/proc/self/mountinfo",
             "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
             "38 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n");
  root.write("/cg/memory/m/memory.limit_in_bytes", "5000\n");
  EXPECT_EQ(memory_limit(root), 5000u);
  root.write("/cg/unified/u/memory.max", "4000\n");
  EXPECT_EQ(memory_limit(root), 4000u);
}

TEST(Cgroup, InsideAContainerTheMountIsTheGroup) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "0::/docker/12\n");
  root.write("/proc/self/mountinfo", "22 1 0:20 /docker/12 /cg ro - cgroup2 cgroup2 rw\n");
  root.write("/cg/memory.max", "6000\n");
  root.write("/cg/cpu.max", "50000 100000\n");
  EXPECT_EQ(memory_limit(root), 6000u);
  EXPECT_EQ(processor_percent(root), 50u);
}

TEST(Cgroup, AMountThatHasTheGroupCountsBeforeOthers) {
  const FakeRoot root;
  // From inside a name space, with the tree of the host mounted as well.
  const std::string of_host = "21 1 0:20 /../.. /host ro - cgroup2 cgroup2 rw\n";
  const std::string own = "22 1 0:20 / /cg ro - cgroup2 cgroup2 rw\n";
  const std::string beside = "23 1 0:20 /a/b /other ro - cgroup2 cgroup2 rw\n";
  root.write("/cg/a/memory.max", "6000\n");
  root.write("/host/memory.max", "7\n");
  root.write("/other/memory.max", "8\n");
  root.write("/proc/self/cgroup", "0::/a\n");
  for (const std::string& mounts : {of_host + own, own + of_host, beside + own + of_host}) {
    root.write("/proc/self/mountinfo", mounts);
    EXPECT_EQ(memory_limit(root), 6000u) << mounts;
  }
  root.write("/proc/self/mountinfo", beside + of_host);
  EXPECT_EQ(memory_limit(root), 8u) << "the first where none has it";
}

TEST(Cgroup, LongLinesAndManyMountsAreReadThrough) {
  const FakeRoot root;
  root.mount_unified("/a");
  std::string mounts;
  for (int line = 0; line < 300; ++line) {
    mounts += "9 1 0:9 / /overlay/" + std::to_string(line) + " rw - overlay overlay rw,lowerdir=" +
              std::string(static_cast<size_t>(line * 37 % 9000), 'x') + "\n";
  }
  root.write("/proc/self/mountinfo", mounts + "22 1 0:20 / /cg rw - cgroup2 cgroup2 rw\n" + mounts);
  root.write("/cg/a/memory.max", "5000\n");
  EXPECT_EQ(memory_limit(root), 5000u);
}

TEST(Cgroup, PressureIsTheGroupsOrElseTheSystems) {
  const FakeRoot root;
  root.mount_unified("/a");
  root.write("/cg/a/memory.events", "low 0\nhigh 2\nmax 3\noom 0\noom_kill 0\n");
  EXPECT_EQ(pressure(root).limit_events, 5u);
  EXPECT_EQ(pressure(root).stalled_us, 0u);
  root.write("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=70\n");
  EXPECT_EQ(pressure(root).stalled_us, 70u);
  EXPECT_EQ(pressure(root).limit_events, 0u);
  root.write("/cg/a/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=30\n");
  EXPECT_EQ(pressure(root).stalled_us, 30u);
  EXPECT_EQ(pressure(root).limit_events, 0u) << "who uses files is at the limit all the time";
}

TEST(Cgroup, TheRealFilesOfThisMachineAreReadQuietly) {
  errno = 0;
  CgroupPlaces places;
  locate_cgroups("", &places);
  EXPECT_GT(cgroup_memory_limit(places), 0u);
  EXPECT_GT(cgroup_processor_percent(places), 0u);
  (void)read_memory_pressure("", places);
  EXPECT_EQ(errno, 0);
}

}  // namespace
}  // namespace spanmalloc::platform
