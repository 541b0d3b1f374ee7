#include "platform/cgroup_text.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

namespace spanmalloc::platform {
namespace {

TextPiece piece(const std::string& text) {
  return {text.data(), text.size()};
}
std::string string_of(TextPiece text) {
  return text.begin == nullptr ? "(none)" : std::string(text.begin, text.length);
}

std::string path_in(const std::string& line, const char* controller) {
  return string_of(cgroup_path_in(piece(line), controller));
}

// Mount root and mount point of a line, "(none)" when it does not match.
std::string mount_in(const std::string& line, const char* controller) {
  CgroupMount mount;
  if (!cgroup_mount_in(piece(line), controller, &mount)) return "(none)";
  return string_of(mount.root) + " on " + string_of(mount.point);
}

std::string place_of(const std::string& root, const std::string& point, const std::string& path,
                     const char* prefix = "") {
  CgroupPlace place;
  if (!make_cgroup_place(prefix, {piece(root), piece(point)}, piece(path), &place)) return "(none)";
  EXPECT_EQ(strlen(place.path), place.length);
  EXPECT_EQ(place.mount_length, strlen(prefix) + point.size());
  return place.path;
}

TEST(CgroupText, PathOfAController) {
  EXPECT_EQ(path_in("0::/user.slice/session-1.scope", nullptr), "/user.slice/session-1.scope");
  EXPECT_EQ(path_in("0::/", nullptr), "/");
  EXPECT_EQ(path_in("4:memory:/docker/0123", "memory"), "/docker/0123");
  EXPECT_EQ(path_in("3:cpu,cpuacct:/a:b/c", "cpu"), "/a:b/c");
  EXPECT_EQ(path_in("3:cpu,cpuacct:/x", "cpuacct"), "/x");
  for (const char* line : {"4:memory:/x", "1:name=systemd:/", "0:memory:/x", "10::/x", "", "0",
                           "0:", "0::", "0::x", "::", ":::::"}) {
    EXPECT_EQ(path_in(line, nullptr), "(none)") << line;
  }
  for (const char* line : {"0::/x", "2:cpuset:/", "3:cpuacct:/", "4:cpu:relative", "4:cpu"}) {
    EXPECT_EQ(path_in(line, "cpu"), "(none)") << line;
  }
}

TEST(CgroupText, MountOfAController) {
  EXPECT_EQ(
      mount_in("31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
               nullptr),
      "/ on /sys/fs/cgroup");
  EXPECT_EQ(mount_in("35 31 0:32 /docker/12 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
                     "memory"),
            "/docker/12 on /sys/fs/cgroup/memory");
  EXPECT_EQ(mount_in("3 1 0:3 / /sys/fs/cgroup/cpu rw a:1 b:2 - cgroup none rw,cpu,cpuacct", "cpu"),
            "/ on /sys/fs/cgroup/cpu");
  for (const char* line :
       {"31 23 0:28 / /sys rw - sysfs sysfs rw", "35 31 0:32 / /m rw - cgroup cgroup rw,cpuset",
        "35 31 0:32 / /m rw - cgroup2 cgroup rw,memory",
        "35 31 0:32 / /m rw cgroup cgroup rw,memory", "35 31 0:32", "", " ",
        "- cgroup cgroup memory", "1 2 3 x y rw - cgroup cgroup rw,memory"}) {
    EXPECT_EQ(mount_in(line, "memory"), "(none)") << line;
  }
  EXPECT_EQ(mount_in("35 31 0:32 / /m rw - cgroup cgroup rw,memory", nullptr), "(none)");
}

TEST(CgroupText, PlaceOfAGroup) {
  EXPECT_EQ(place_of("/", "/sys/fs/cgroup", "/a/b"), "/sys/fs/cgroup/a/b");
  EXPECT_EQ(place_of("/", "/sys/fs/cgroup", "/"), "/sys/fs/cgroup");
  EXPECT_EQ(place_of("/", "/cg", "/a", "/tmp/root"), "/tmp/root/cg/a");
  // A container that sees the host's path and has its own group mounted.
  EXPECT_EQ(place_of("/docker/12", "/cg", "/docker/12"), "/cg");
  EXPECT_EQ(place_of("/docker/12", "/cg", "/docker/12/inner"), "/cg/inner");
  EXPECT_EQ(place_of("/docker/12", "/cg", "/docker/123"), "/cg") << "a neighbour, not inside";
  EXPECT_EQ(place_of("/docker/12", "/cg", "/"), "/cg");
  // Outside of the name space of groups.
  EXPECT_EQ(place_of("/", "/cg", "/../other"), "/cg");
}

TEST(CgroupText, TheMountedRootIsUnescapedBeforeItIsComparedWithThePath) {
  const std::string root = "/system.slice/a\\134x2db.service";
  EXPECT_EQ(place_of(root, "/m", "/system.slice/a\\x2db.service/in"), "/m/in");
  EXPECT_EQ(place_of(root, "/m", "/system.slice/a\\x2db.service"), "/m");
  EXPECT_EQ(place_of(root, "/m", "/system.slice/a\\x2db.service-2/in"), "/m");
  EXPECT_EQ(place_of(root, "/m", "/system.slice/a\\x2"), "/m");
  EXPECT_EQ(place_of(root, "/m", root + "/in"), "/m");
  EXPECT_EQ(place_of("/a\\040b", "/m", "/a b/c"), "/m/c");
}

TEST(CgroupText, PathsAreUnescapedAndBounded) {
  CgroupPlace place;
  const std::string point = "/with\\040blank\\134and\\9";
  ASSERT_TRUE(make_cgroup_place("", {piece("/"), piece(point)}, piece("/a"), &place));
  EXPECT_STREQ(place.path, "/with blank\\and\\9/a");
  const std::string longest(CgroupPlace::kBytes - 1, 'x');
  EXPECT_TRUE(make_cgroup_place("", {piece("/"), piece(longest)}, piece("/"), &place));
  EXPECT_FALSE(make_cgroup_place("", {piece("/"), piece(longest)}, piece("/a"), &place));
  EXPECT_FALSE(place.found());
  EXPECT_FALSE(make_cgroup_place("/", {piece("/"), piece(longest)}, piece("/"), &place));
  EXPECT_FALSE(place.found());
}

TEST(CgroupText, Limits) {
  EXPECT_EQ(limit_in(piece("104857600\n")), 104857600u);
  EXPECT_EQ(limit_in(piece("0\n")), 0u);
  EXPECT_EQ(limit_in(piece("7")), 7u);
  for (const char* text : {"max\n", "9223372036854771712\n", "-1\n", "", "\n", "12 34\n", "0x10\n",
                           "99999999999999999999999\n", "1e9\n"}) {
    EXPECT_EQ(limit_in(piece(text)), kNoLimit) << text;
  }
}

TEST(CgroupText, ProcessorShares) {
  EXPECT_EQ(cpu_max_in(piece("50000 100000\n")), 50u);
  EXPECT_EQ(cpu_max_in(piece("250000 100000\n")), 250u);
  EXPECT_EQ(cpu_max_in(piece("1 100000\n")), 1u) << "never nothing";
  for (const char* text : {"max 100000\n", "", "100000", "100000 0\n", "x y\n", "-1 100000\n"}) {
    EXPECT_EQ(cpu_max_in(piece(text)), kNoLimit) << text;
  }
  EXPECT_EQ(quota_percent(kNoLimit, 100000), kNoLimit);
  EXPECT_EQ(quota_percent(150000, 100000), 150u);
}

TEST(CgroupText, Pressure) {
  EXPECT_EQ(stalled_us_in(piece("some avg10=1.23 avg60=0.00 avg300=0.00 total=4711\n"
                                "full avg10=0.00 avg60=0.00 avg300=0.00 total=99\n")),
            4711u);
  EXPECT_EQ(stalled_us_in(piece("full total=99\nsome total=5")), 5u);
  for (const char* text : {"", "\n", "full total=99\n", "some\n", "some total=\n", "some total=x\n",
                           "some avg10=5\n", "something total=5\n"}) {
    EXPECT_EQ(stalled_us_in(piece(text)), 0u) << text;
  }
}

TEST(CgroupText, EventsAtTheLimit) {
  EXPECT_EQ(limit_events_in(piece("low 7\nhigh 1\nmax 20\noom 300\noom_kill 4000\n")), 321u);
  EXPECT_EQ(limit_events_in(piece("high 1\nmax")), 1u);
  EXPECT_EQ(limit_events_in(piece("")), 0u);
  EXPECT_EQ(limit_events_in(piece("max x\nhigh -2\noom 1 2\n")), 0u);
}

TEST(CgroupText, AnyBytesAreSurvived) {
  std::mt19937_64 random(5);
  const std::string alphabet = "0123456789:/,-= \n\\.abcgmpuortxysl2";
  for (int round = 0; round < 200000; ++round) {
    std::string text;
    for (size_t length = random() % 60; length > 0; --length) {
      text +=
          random() % 20 == 0 ? static_cast<char>(random()) : alphabet[random() % alphabet.size()];
    }
    CgroupMount mount;
    CgroupPlace place;
    const TextPiece path = cgroup_path_in(piece(text), random() % 2 == 0 ? nullptr : "cpu");
    if (cgroup_mount_in(piece(text), random() % 2 == 0 ? nullptr : "cpu", &mount)) {
      (void)make_cgroup_place("", mount, path, &place);
    }
    (void)make_cgroup_place("", {piece(text), piece(text)}, piece(text), &place);
    (void)cpu_max_in(piece(text));
    (void)stalled_us_in(piece(text));
    (void)limit_events_in(piece(text));
    ASSERT_LT(place.length, CgroupPlace::kBytes);
  }
}

}  // namespace
}  // namespace spanmalloc::platform
