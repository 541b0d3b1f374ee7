#include "platform/virtual_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "platform/compiler.h"

namespace spanmalloc::platform {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kImpossibleBytes = size_t{1} << 60;
constexpr char kName[] = "spanmalloc test";
constexpr int kMark = 12345;  // a value of errno that no call sets

unsigned char* memory(uintptr_t address) {
  return reinterpret_cast<unsigned char*>(address);
}

bool is_zero(uintptr_t address, size_t bytes) {
  for (size_t offset = 0; offset < bytes; ++offset) {
    if (memory(address)[offset] != 0) return false;
  }
  return true;
}

// Pages of the range that are in memory.
size_t resident_pages(uintptr_t address, size_t bytes) {
  std::vector<unsigned char> pages(bytes / page_bytes());
  if (mincore(memory(address), bytes, pages.data()) != 0) return SIZE_MAX;
  size_t count = 0;
  for (const unsigned char page : pages) count += page & 1;
  return count;
}

class VirtualMemory : public ::testing::Test {
 protected:
  void SetUp() override { errno = kMark; }
  void TearDown() override { EXPECT_EQ(errno, kMark) << "a function changed errno"; }
};

using VirtualMemoryDeathTest = VirtualMemory;

TEST_F(VirtualMemory, PageBytesIsAPowerOfTwoOfAtLeast4KiB) {
  EXPECT_TRUE(std::has_single_bit(page_bytes()));
  EXPECT_GE(page_bytes(), 4096u);
  EXPECT_EQ(page_bytes(), page_bytes());
}

TEST_F(VirtualMemoryDeathTest, ReservedMemoryFaultsUntilPrepared) {
  const uintptr_t address = reserve(kMiB, 0);
  ASSERT_NE(address, 0u);
  const int saved = errno;
  EXPECT_DEATH(*static_cast<volatile unsigned char*>(memory(address)) = 1, "");
  errno = saved;
  ASSERT_TRUE(prepare(address, kMiB));
  EXPECT_TRUE(is_zero(address, kMiB));
  memset(memory(address), 1, kMiB);
  EXPECT_TRUE(unmap(address, kMiB));
}

TEST_F(VirtualMemory, PartsOfAReservationBecomePreparedAlone) {
  const uintptr_t address = reserve(4 * kMiB, 0);
  ASSERT_TRUE(prepare(address + kMiB, kMiB));
  memset(memory(address + kMiB), 1, kMiB);
  EXPECT_TRUE(unmap(address, 4 * kMiB));
}

TEST_F(VirtualMemory, AMappingIsExtendedInItsPlaceOrNotAtAll) {
  if (!kAddressHintsAllowed) GTEST_SKIP() << "no chosen addresses under this sanitizer";
  const uintptr_t address = reserve_prepared(3 * kMiB, 0);
  ASSERT_NE(address, 0u);
  memset(memory(address), 1, kMiB);
  ASSERT_TRUE(make_inaccessible(address + 2 * kMiB, kMiB));
  ASSERT_TRUE(unmap(address + kMiB, kMiB));
  EXPECT_FALSE(extend_prepared(address + kMiB, 2 * kMiB)) << "something lies there";
  EXPECT_TRUE(extend_prepared(address + kMiB, kMiB));
  EXPECT_TRUE(is_zero(address + kMiB, kMiB));
  memset(memory(address + kMiB), 2, kMiB);
  EXPECT_EQ(memory(address)[kMiB - 1], 1);
  EXPECT_FALSE(extend_prepared(address + 2 * kMiB, kMiB)) << "something lies there";
  EXPECT_TRUE(unmap(address, 3 * kMiB));
}

TEST_F(VirtualMemory, ZeroReadableMemoryReadsAsZeroEverywhereAndIsWrittenInPieces) {
  constexpr size_t kBytes = size_t{1} << 32;
  const uintptr_t address = reserve_zero_readable(kBytes);
  ASSERT_NE(address, 0u);
  for (size_t offset = 0; offset < kBytes; offset += kBytes / 64) {
    EXPECT_EQ(memory(address)[offset], 0);
  }
  ASSERT_TRUE(prepare(address + kMiB, kMiB));
  memory(address)[kMiB] = 1;
  EXPECT_EQ(memory(address)[kMiB - 1], 0);
  EXPECT_TRUE(unmap(address, kBytes));
}

TEST_F(VirtualMemoryDeathTest, ZeroReadableMemoryIsNotWritable) {
  const uintptr_t address = reserve_zero_readable(kMiB);
  ASSERT_NE(address, 0u);
  const int saved = errno;
  EXPECT_DEATH(*static_cast<volatile unsigned char*>(memory(address)) = 1, "");
  errno = saved;
  EXPECT_TRUE(unmap(address, kMiB));
}

TEST_F(VirtualMemory, MappedMemoryReadsAsZeroAndTakesNoMemoryBeforeItIsTouched) {
  const uintptr_t address = map(kMiB, 0);
  ASSERT_NE(address, 0u);
  EXPECT_EQ(resident_pages(address, kMiB), 0u);
  memory(address)[0] = 1;
  EXPECT_GE(resident_pages(address, kMiB), 1u);
  EXPECT_TRUE(is_zero(address + 1, kMiB - 1));
  EXPECT_TRUE(unmap(address, kMiB));
}

TEST_F(VirtualMemory, AHintAtAFreePlaceIsTaken) {
  if (!kAddressHintsAllowed) GTEST_SKIP() << "no address hints under this sanitizer";
  const uintptr_t address = map(2 * kMiB, 0);
  ASSERT_TRUE(unmap(address, 2 * kMiB));
  const uintptr_t again = map(kMiB, address + kMiB);
  EXPECT_EQ(again, address + kMiB);
  EXPECT_TRUE(unmap(again, kMiB));
}

TEST_F(VirtualMemory, AHintAtATakenPlaceIsNotTakenFromItsOwner) {
  const uintptr_t first = map(kMiB, 0);
  memory(first)[0] = 7;
  const uintptr_t second = kAddressHintsAllowed ? map(kMiB, first) : map(kMiB, 0);
  EXPECT_NE(second, first);
  EXPECT_EQ(memory(first)[0], 7);
  EXPECT_TRUE(unmap(first, kMiB));
  EXPECT_TRUE(unmap(second, kMiB));
}

TEST_F(VirtualMemory, ReleasedMemoryIsGivenBackReadsAsZeroAndStaysUsable) {
  const uintptr_t address = map(kMiB, 0);
  memset(memory(address), 0xff, kMiB);
  const size_t half = kMiB / 2;
  ASSERT_EQ(release(address, half), ReleaseResult::kReleasedReadsZero);
  EXPECT_EQ(resident_pages(address, half), 0u);
  EXPECT_EQ(resident_pages(address + half, half), half / page_bytes());
  EXPECT_EQ(memory(address)[half], 0xff);
  EXPECT_TRUE(is_zero(address, half));
  memset(memory(address), 0xee, half);
  EXPECT_EQ(memory(address)[half - 1], 0xee);
  EXPECT_TRUE(unmap(address, kMiB));
}

TEST_F(VirtualMemory, LockedMemoryIsNotReleased) {
  const uintptr_t address = map(page_bytes(), 0);
  memory(address)[0] = 5;
  // The raw call: the sanitizers make the library's do nothing.
  if (syscall(SYS_mlock, address, page_bytes()) != 0) {
    errno = kMark;
    GTEST_SKIP() << "memory cannot be locked here";
  }
  EXPECT_EQ(release(address, page_bytes()), ReleaseResult::kRefused);
  EXPECT_EQ(memory(address)[0], 5);
  EXPECT_TRUE(unmap(address, page_bytes()));
}

TEST_F(VirtualMemory, UnmappedMemoryIsGone) {
  const uintptr_t address = map(kMiB, 0);
  memory(address)[0] = 1;
  ASSERT_TRUE(unmap(address, kMiB));
  EXPECT_EQ(msync(memory(address), kMiB, MS_ASYNC), -1);
  errno = kMark;
}

// The kernel would round lengths up, and take what lies behind.
TEST_F(VirtualMemory, PartsOfKernelPagesAreNeitherReleasedNorMoved) {
  const size_t page = page_bytes();
  const uintptr_t address = map(8 * page, 0);
  ASSERT_NE(address, 0u);
  memset(memory(address), 7, 8 * page);
  EXPECT_EQ(release(address, page + page / 2), ReleaseResult::kRefused);
  EXPECT_EQ(release(address + page / 2, page), ReleaseResult::kRefused);
  EXPECT_EQ(move_pages(address, address + 4 * page, page + page / 2, kName), MoveResult::kRefused);
  EXPECT_EQ(move_pages(address, address + 4 * page + page / 2, page, kName), MoveResult::kRefused);
  for (size_t offset = 0; offset < 8 * page; ++offset) ASSERT_EQ(memory(address)[offset], 7);
  ASSERT_TRUE(unmap(address, 8 * page));
}

TEST_F(VirtualMemory, RefusedRequestsSaySoAndChangeNothing) {
  EXPECT_EQ(reserve(kImpossibleBytes, 0), 0u);
  EXPECT_EQ(reserve_zero_readable(kImpossibleBytes), 0u);
  EXPECT_EQ(map(kImpossibleBytes, 0), 0u);
  const uintptr_t hole = map(kMiB, 0);
  ASSERT_TRUE(unmap(hole, kMiB));
  EXPECT_FALSE(prepare(hole, kMiB));
  EXPECT_EQ(release(hole, kMiB), ReleaseResult::kRefused);
  EXPECT_FALSE(unmap(hole + 1, kMiB));
}

TEST_F(VirtualMemory, PopulatedMemoryIsBackedAndReadsAsZero) {
  const size_t before = resident_bytes();
  const uintptr_t address = map(4 * kMiB, 0);
  // Perhaps a huge page comes with it.
  memory(address)[5] = 7;
  const size_t touched = resident_bytes();
  populate(address, 4 * kMiB);
  // Kernels before 5.14 do not know the call.
  if (resident_bytes() != touched) {
    EXPECT_GE(resident_bytes() - before, 3 * kMiB);
  }
  EXPECT_EQ(memory(address)[5], 7);
  EXPECT_EQ(memory(address)[4 * kMiB - 1], 0);
  EXPECT_TRUE(unmap(address, 4 * kMiB));
}

TEST_F(VirtualMemory, WishesAreHarmless) {
  const uintptr_t address = map(4 * kMiB, 0);
  memset(memory(address), 3, kMiB);
  advise_huge_pages(address, 4 * kMiB, HugePages::kAsk);
  advise_huge_pages(address, 4 * kMiB, HugePages::kRefuse);
  name_range(address, 4 * kMiB, "spanmalloc test");
  EXPECT_EQ(memory(address)[kMiB - 1], 3);
  EXPECT_TRUE(unmap(address, 4 * kMiB));
  advise_huge_pages(address, kMiB, HugePages::kAsk);
  name_range(address, kMiB, "nothing is here");
  populate(address, kMiB);
}

TEST_F(VirtualMemory, AddressSpaceLimitIsThatOfTheProcess) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &limit), 0);
  const size_t expected = limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : limit.rlim_cur;
  EXPECT_EQ(address_space_limit(), expected);
}

TEST_F(VirtualMemory, PhysicalAndResidentMemoryArePlausible) {
  EXPECT_GT(physical_memory(), 64 * kMiB);
  const size_t before = resident_bytes();
  EXPECT_GT(before, 0u);
  EXPECT_LT(before, physical_memory());
  const uintptr_t address = map(32 * kMiB, 0);
  memset(memory(address), 1, 32 * kMiB);
  EXPECT_GE(resident_bytes(), before + 24 * kMiB);
  EXPECT_TRUE(unmap(address, 32 * kMiB));
}

}  // namespace
}  // namespace spanmalloc::platform
