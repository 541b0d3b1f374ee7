#include "pages/os_page_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "base/bits.h"
#include "base/metadata_arena.h"
#include "pages/page_heap.h"
#include "platform/compiler.h"
#include "support/used_up_mappings.h"

namespace spanmalloc {
namespace {

constexpr PageCount kChunk{kPagesPerChunk};
constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kGiB = size_t{1} << 30;

constinit OsPageSource static_source;

unsigned char* pointer(const OsPageSource& source, PageNumber page) {
  return reinterpret_cast<unsigned char*>(source.window().address(page));
}

TEST(OsPageSource, IsUsableFromStaticStorage) {
  ASSERT_TRUE(static_source.open());
  const AddressWindow window = static_source.window();
  EXPECT_EQ(window.base, 0u);
  EXPECT_GE(window.size.bytes().value, 64 * kGiB);
  EXPECT_TRUE(is_power_of_two(window.size.value));
  ASSERT_TRUE(static_source.open());
  EXPECT_EQ(static_source.window().base, window.base);
}

TEST(OsPageSource, MemoryIsZeroChunkAlignedAndInTheWindow) {
  OsPageSource source;
  ASSERT_TRUE(source.open());
  for (const size_t pages : {1u, 512u, 513u, 2000u}) {
    const PageRange range = source.grow({pages});
    ASSERT_GE(range.count.value, pages);
    EXPECT_EQ(range.count.value % kPagesPerChunk, 0u);
    EXPECT_EQ(range.first.index_in_chunk(), 0u);
    EXPECT_TRUE(source.window().contains(source.window().address(range.first)));
    unsigned char* bytes = pointer(source, range.first);
    EXPECT_EQ(bytes[0], 0);
    bytes[0] = 1;
    EXPECT_EQ(bytes[range.count.bytes().value - 1], 0);
    bytes[range.count.bytes().value - 1] = 1;
  }
}

TEST(OsPageSource, RangesContinueEachOther) {
  if constexpr (!platform::kAddressHintsAllowed) GTEST_SKIP() << "no hints under this sanitizer";
  OsPageSource source;
  ASSERT_TRUE(source.open());
  if (source.window().size.bytes().value > 4096 * kGiB) {
    GTEST_SKIP() << "a sanitizer's shadow lies where the heap would";
  }
  PageRange last = source.grow({1});
  EXPECT_TRUE(source.continues_at(last.end(), kChunk));
  EXPECT_FALSE(source.continues_at(last.first, kChunk));
  for (int i = 0; i < 40; ++i) {  // over the borders of arenas
    const PageRange next = source.grow({1});
    EXPECT_EQ(next.first, last.end());
    last = next;
  }
}

TEST(OsPageSource, TwoSourcesDoNotDisturbEachOther) {
  OsPageSource a;
  OsPageSource b;
  ASSERT_TRUE(a.open());
  ASSERT_TRUE(b.open());
  std::set<uintptr_t> addresses;
  for (int i = 0; i < 30; ++i) {
    for (OsPageSource* source : {&a, &b}) {
      const PageRange range = source->grow({1});
      ASSERT_EQ(range.count, kChunk);
      EXPECT_TRUE(addresses.insert(source->window().address(range.first)).second);
    }
  }
}

TEST(OsPageSource, RefusesWhatTheWindowCannotHold) {
  OsPageSource source;
  ASSERT_TRUE(source.open(kGiB));
  EXPECT_EQ(source.grow({0}).count.value, 0u);
  EXPECT_EQ(source.grow(source.window().size + PageCount{1}).count.value, 0u);
  EXPECT_EQ(source.grow({SIZE_MAX}).count.value, 0u);
  EXPECT_EQ(source.grow({1}).count, kChunk);
}

TEST(OsPageSource, ReleasedMemoryReadsAsZero) {
  OsPageSource source;
  ASSERT_TRUE(source.open());
  const PageRange range = source.grow(kChunk);
  memset(pointer(source, range.first), 7, kChunkBytes);
  const PageRange part{range.first + PageCount{8}, {16}};
  ASSERT_EQ(source.release(part), platform::ReleaseResult::kReleasedReadsZero);
  EXPECT_EQ(pointer(source, part.first)[-1], 7);
  EXPECT_EQ(pointer(source, part.first)[0], 0);
  EXPECT_EQ(pointer(source, part.end())[-1], 0);
  EXPECT_EQ(pointer(source, part.end())[0], 7);
  source.advise_huge_pages(range, platform::HugePages::kAsk);
  source.advise_huge_pages(range, platform::HugePages::kRefuse);
}

TEST(OsPageSource, WorksUnderThePageHeap) {
  OsPageSource source;
  ASSERT_TRUE(source.open());
  MetadataArena arena;
  PageHeap heap(source, arena);
  ASSERT_TRUE(heap.open(source.window()));
  const size_t count = 32 * kMiB / kPageBytes;
  const PageAllocation a = heap.allocate({count}, {1024}, Growth::kAllowed);
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(source.window().address(a.pages.first) % (8 * kMiB), 0u);
  memset(pointer(source, a.pages.first), 1, 32 * kMiB);
  const size_t full = platform::resident_bytes();
  heap.free(a.pages);
  EXPECT_GE(heap.scavenge({SIZE_MAX}, ScavengeMode::kForced).value, 32 * kMiB);
  if (platform::resident_bytes() != 0) {
    EXPECT_LT(platform::resident_bytes(), full - 24 * kMiB);
  }
  const PageAllocation again = heap.allocate({count}, {1}, Growth::kForbidden);
  EXPECT_TRUE(again.is_zero());
  EXPECT_EQ(pointer(source, again.pages.first)[12345], 0);
  heap.check_invariants();
}

// Runs `body` in a child, so that what it maps and limits ends with it; returns what it returned.
template <typename Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// What the process has mapped, read without memory, which a limit may refuse.
size_t address_space_bytes() {
  char text[128] = {};
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 ? strtoull(text, nullptr, 10) * platform::page_bytes() : 0;
}

bool has_a_sanitizers_shadow() {
  return address_space_bytes() > 1024 * kGiB;
}

// Lets the process have no more private writable memory than it has, until told otherwise.
void set_data_limit(rlim_t bytes) {
  const rlimit limit{bytes, RLIM_INFINITY};
  EXPECT_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
}

TEST(OsPageSource, UsesUpTheWindow) {
  if constexpr (!platform::kAddressHintsAllowed) GTEST_SKIP() << "no hints under this sanitizer";
  const int result = in_child([] {
    OsPageSource source;
    if (!source.open(32 * kGiB)) return 1;
    // The sanitizers' shadow memory may leave no place in so low a window.
    if (source.window().size.bytes().value != 32 * kGiB) return 0;
    size_t mapped = 0;
    PageRange range;
    while ((range = source.grow(pages_for(256 * kMiB))).count.value != 0) {
      if (!source.window().contains(source.window().address(range.end()) - 1)) return 2;
      mapped += range.count.bytes().value;
    }
    return mapped >= 16 * kGiB && mapped <= 32 * kGiB ? 0 : 3;
  });
  EXPECT_EQ(result, 0);
}

// Where the process has used up its mappings, the heap and its records grow all the same, within
// the mappings that they have.
TEST(OsPageSource, GrowsWithoutAMappingMore) {
  if constexpr (!platform::kAddressHintsAllowed) GTEST_SKIP() << "no hints under this sanitizer";
  // In a process of its own: what other tests have left mapped may stand where this heap grows.
  constexpr const char* kAlone = "SPANMALLOC_TEST_ALONE";
  if (getenv(kAlone) == nullptr) {
    const int result = in_child([] {
      setenv(kAlone, "1", 1);
      execl("/proc/self/exe", "unit.pages", "--gtest_filter=OsPageSource.GrowsWithoutAMappingMore",
            static_cast<char*>(nullptr));
      return 9;
    });
    EXPECT_EQ(result, 0);
    return;
  }
  const int result = in_child([] {
    OsPageSource source;
    MetadataArena arena;
    PageHeap heap(source, arena);
    if (!source.open() || !heap.open(source.window())) return 1;
    if (!heap.allocate({16}, {1}, Growth::kAllowed).ok()) return 2;
    // A sanitizer's shadow may leave no place behind the heap.
    if (source.window().size.bytes().value > 4096 * kGiB) return 0;
    if (!testing::use_up_mappings()) return 0;
    const size_t mapped_before = arena.mapped_bytes();
    // Beyond 1 and 4 GiB other pieces of the arrays over the window are written.
    for (size_t mapped = 0; mapped < 6 * kGiB; mapped += 64 * kMiB) {
      const PageAllocation a = heap.allocate(pages_for(64 * kMiB), {1}, Growth::kAllowed);
      if (!a.ok()) return 3;
      pointer(source, a.pages.first)[0] = 1;
      pointer(source, a.pages.end())[-1] = 1;
    }
    // So large a request is tried beforehand, which takes a mapping.
    if (!heap.allocate(pages_for(kGiB), {1}, Growth::kAllowed).ok()) return 6;
    heap.check_invariants();
    // Room for the records came out of the heap's growth and is memory.
    if (arena.mapped_bytes() < mapped_before + 64 * kMiB) return 4;
    for (size_t used = 0; used < 64 * kMiB; used += kMiB) {
      void* record = arena.allocate(kMiB, 64);
      if (record == nullptr) return 5;
      memset(record, 1, kMiB);
    }
    return 0;
  });
  EXPECT_EQ(result, 0);
}

// Whether the next arena can lie behind the current one.
enum class Behind { kFree, kTaken };

// Refuses requests beyond the current arena, of which all but a chunk is left; says at which step
// the source did something else than it should.
int refuse_beyond_the_arena(Behind behind) {
  OsPageSource source;
  if (!source.open() || source.grow(kChunk).count != kChunk) return 1;
  PageRange last = source.grow(kChunk);
  if (last.count != kChunk) return 2;
  const PageCount rest = pages_for(kArenaBytes) - kChunk;
  if (behind == Behind::kTaken) {
    void* const end = pointer(source, last.end() + rest);
    if (mmap(end, kMiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
        end) {
      return 3;
    }
  }
  const size_t mapped = address_space_bytes();
  set_data_limit(kMiB);
  for (const size_t mib : {200u, 300u, 400u}) {
    if (source.grow(pages_for(mib * kMiB)).count.value != 0) return 4;
    if (address_space_bytes() != mapped) return 5;
  }
  set_data_limit(RLIM_INFINITY);
  // What was left of the arena is there.
  if (!source.continues_at(last.end(), rest)) return 6;
  for (size_t taken = 0; taken < rest.value; taken += kChunk.value) {
    const PageRange next = source.grow(kChunk);
    if (next.first != last.end()) return 7;
    last = next;
  }
  return address_space_bytes() == mapped ? 0 : 8;
}

TEST(OsPageSource, WhatIsRefusedLeavesNoAddressesBehind) {
  if (!platform::kAddressHintsAllowed || has_a_sanitizers_shadow()) {
    GTEST_SKIP() << "a sanitizer lets no such limit be set";
  }
  for (const Behind behind : {Behind::kFree, Behind::kTaken}) {
    EXPECT_EQ(in_child([behind] { return refuse_beyond_the_arena(behind); }), 0);
  }
}

// Whether the source finds out what the limit refuses, without a trace.
int foresee_under(decltype(RLIMIT_AS) resource) {
  OsPageSource source;
  if (!source.open() || source.grow(kChunk).count != kChunk) return 1;
  const size_t mapped = address_space_bytes();
  if (!source.can_grow(pages_for(4 * kGiB)) || address_space_bytes() != mapped) return 2;
  // Of the whole, data is a part.
  const rlimit limit{mapped + kGiB, RLIM_INFINITY};
  if (setrlimit(resource, &limit) != 0) return 3;
  if (source.can_grow(pages_for(4 * kGiB)) || address_space_bytes() != mapped) return 4;
  if (!source.can_grow(pages_for(kGiB / 2)) || address_space_bytes() != mapped) return 5;
  return source.grow(pages_for(kGiB / 2)).count == pages_for(kGiB / 2) ? 0 : 6;
}

TEST(OsPageSource, ForeseesWhatALimitRefuses) {
  if (has_a_sanitizers_shadow()) GTEST_SKIP() << "a sanitizer lets no such limit be set";
  EXPECT_EQ(in_child([] { return foresee_under(RLIMIT_AS); }), 0);
  EXPECT_EQ(in_child([] { return foresee_under(RLIMIT_DATA); }), 0);
}

TEST(OsPageSource, ForesightBacksNothingWhereMemoryIsLocked) {
  if (has_a_sanitizers_shadow()) GTEST_SKIP() << "a sanitizer's shadow cannot be locked";
  const int result = in_child([] {
    OsPageSource source;
    if (!source.open() || mlockall(MCL_FUTURE) != 0) return 0;
    rusage before{};
    rusage after{};
    getrusage(RUSAGE_SELF, &before);
    (void)source.can_grow(pages_for(256 * kMiB));
    getrusage(RUSAGE_SELF, &after);
    return after.ru_maxrss - before.ru_maxrss < 64 * 1024 ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
}

TEST(OsPageSource, ReservesWhatTheCurrentArenaLacks) {
  if (!platform::kAddressHintsAllowed || has_a_sanitizers_shadow()) {
    GTEST_SKIP() << "a sanitizer's shadow lies where the heap would";
  }
  OsPageSource source;
  ASSERT_TRUE(source.open());
  ASSERT_EQ(source.grow(kChunk).count, kChunk);
  const PageRange last = source.grow(kChunk);
  const size_t mapped = address_space_bytes();
  const PageRange large = source.grow(pages_for(4 * kArenaBytes));
  EXPECT_EQ(large.count, pages_for(4 * kArenaBytes));
  // Other tests may have left mappings there.
  if (large.first != last.end()) GTEST_SKIP() << "the heap found no place behind its arena";
  EXPECT_EQ(address_space_bytes() - mapped, 3 * kArenaBytes + kChunkBytes);
}

// Ends the process that opens a file from here on. False when the system has no such filters.
bool forbid_files() {
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_openat},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog program{4, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// A filter may come between one look at what is resident and the next.
TEST(OsPageSource, LooksAtNoFileUnderALateFilter) {
  const int result = in_child([] {
    OsPageSource source;
    if (!source.open()) return 1;
    const PageRange range = source.grow(kChunk);
    if (range.count.value == 0) return 2;
    memset(pointer(source, range.first), 1, kMiB);
    const PageRange touched{range.first, pages_for(kMiB)};
    // Where no look is possible before either, nothing can be told.
    if (source.own_resident_bytes(touched).value == 0) return 0;
    if (source.own_resident_bytes(touched).value != kMiB) return 3;
    if (!forbid_files()) return 0;
    return source.own_resident_bytes(touched).value == 0 ? 0 : 4;
  });
  EXPECT_EQ(result, 0);
}

// Under a small limit on address space the heap works, refuses at the limit, and works again after
// memory was freed.
TEST(OsPageSource, LivesWithASmallAddressSpace) {
  if (has_a_sanitizers_shadow()) GTEST_SKIP() << "a sanitizer's shadow needs the address space";
  const size_t mapped = address_space_bytes();
  const int result = in_child([mapped] {
    const rlimit limit{mapped + 80 * kMiB, mapped + 80 * kMiB};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return 1;
    OsPageSource source;
    MetadataArena arena;
    PageHeap heap(source, arena);
    if (!source.open()) return 2;
    if (!heap.open(source.window())) return 3;
    PageRange blocks[64];
    size_t count = 0;
    while (count < 64) {
      const PageAllocation a = heap.allocate({256}, {1}, Growth::kAllowed);
      if (!a.ok()) break;
      blocks[count++] = a.pages;
    }
    if (count < 10 || count == 64) return 4;
    for (size_t i = 0; i < count; ++i) heap.free(blocks[i]);
    for (size_t i = 0; i < count; ++i) {
      if (!heap.allocate({256}, {1}, Growth::kAllowed).ok()) return 5;
    }
    heap.check_invariants();
    return 0;
  });
  EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace spanmalloc
