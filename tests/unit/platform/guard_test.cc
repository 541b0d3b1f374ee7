// Guards, as marks of pages where the kernel knows them and as mappings where it does not, and what
// is done about both in a process that has used up its mappings. What belongs to the process as a
// whole is tried in processes of their own, which begin anew.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "platform/compiler.h"
#include "platform/virtual_memory.h"
#include "support/older_kernel.h"
#include "support/used_up_mappings.h"

namespace spanmalloc::platform {
namespace {

constexpr size_t kPages = 16;

volatile unsigned char* memory(uintptr_t address) {
  return reinterpret_cast<volatile unsigned char*>(address);
}

uintptr_t filled_pages() {
  const uintptr_t range = reserve_prepared(kPages * page_bytes(), 0);
  if (range != 0) memset(reinterpret_cast<void*>(range), 7, kPages * page_bytes());
  return range;
}

// The kernel's answer to a call that writes there.
bool is_accessible(uintptr_t address) {
  return syscall(SYS_clock_gettime, CLOCK_MONOTONIC, address) == 0;
}

// Ends the process with the number of the first thing that is not as it should be.
void expect_guards_to_work() {
  const size_t page = page_bytes();
  const uintptr_t range = filled_pages();
  if (range == 0) _exit(1);
  if (!install_guard(range + 2 * page, 3 * page)) _exit(2);
  if (memory(range)[2 * page - 1] != 7 || memory(range)[5 * page] != 7) _exit(3);
  for (size_t index = 2; index < 5; ++index) {
    if (is_accessible(range + index * page)) _exit(4);
  }
  const pid_t child = fork();
  if (child == 0) _exit(is_accessible(range + 3 * page) ? 1 : 0);
  int status = -1;
  if (waitpid(child, &status, 0) != child || status != 0) _exit(5);
  if (!remove_guard(range + 2 * page, page)) _exit(6);
  if (memory(range)[2 * page] != 0 || is_accessible(range + 3 * page)) _exit(7);
  if (!remove_guard(range + 3 * page, 2 * page)) _exit(8);
  if (memory(range)[4 * page] != 0 || !is_accessible(range + 4 * page)) _exit(9);
}

class GuardDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(GuardDeathTest, FaultsUntilItIsRemovedAndReadsAsZeroThen) {
  const auto work = [] {
    expect_guards_to_work();
    _exit(0);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

TEST_F(GuardDeathTest, IsAMappingWhereTheKernelKnowsNoMarks) {
  const auto work = [] {
    if (!testing::forbid_guard_marks()) _exit(0);
    expect_guards_to_work();
    // What is opened again might be refused as data.
    const rlimit limits{size_t{1} << 30, size_t{1} << 30};
    const uintptr_t range = filled_pages();
    if (setrlimit(RLIMIT_DATA, &limits) != 0) _exit(10);
    if (install_guard(range, page_bytes())) _exit(11);
    if (!is_accessible(range)) _exit(12);
    _exit(0);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

TEST_F(GuardDeathTest, MarksNeedNoMapping) {
  if (!kAddressHintsAllowed) GTEST_SKIP() << "the sanitizer needs mappings itself";
  const auto work = [] {
    const size_t page = page_bytes();
    const uintptr_t range = filled_pages();
    if (!testing::use_up_mappings()) _exit(0);
    // A kernel without marks refuses, and nothing has changed.
    if (!install_guard(range + page, page)) _exit(is_accessible(range + page) ? 0 : 1);
    if (is_accessible(range + page)) _exit(2);
    if (!remove_guard(range + page, page) || !is_accessible(range + page)) _exit(3);
    _exit(0);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

// The kernel neither marks locked pages nor takes them back.
TEST_F(GuardDeathTest, LockedMemoryReadsAsZeroAfterAGuardOfMappings) {
  const auto work = [] {
    const size_t page = page_bytes();
    const uintptr_t range = filled_pages();
    if (!testing::forbid_guard_marks()) _exit(1);
    if (mlock(reinterpret_cast<void*>(range), kPages * page) != 0) _exit(0);
    if (!install_guard(range + page, 2 * page)) _exit(2);
    if (is_accessible(range + page)) _exit(3);
    if (!remove_guard(range + page, 2 * page)) _exit(4);
    if (memory(range)[page] != 0 || memory(range)[3 * page - 1] != 0) _exit(5);
    if (memory(range)[3 * page] != 7) _exit(6);
    _exit(is_accessible(range + 2 * page) ? 0 : 7);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

TEST_F(GuardDeathTest, LockedMemoryReadsAsZeroAfterAGuardOfAnyKind) {
  const auto work = [] {
    const size_t page = page_bytes();
    const uintptr_t range = filled_pages();
    if (mlock(reinterpret_cast<void*>(range), kPages * page) != 0) _exit(0);
    const bool is_guard = install_guard(range + page, page);
    if (is_guard == is_accessible(range + page)) _exit(1);
    if (munlock(reinterpret_cast<void*>(range), kPages * page) != 0) _exit(2);
    if (is_guard && !remove_guard(range + page, page)) _exit(3);
    if (is_guard && memory(range)[page] != 0) _exit(4);
    _exit(is_accessible(range + page) ? 0 : 5);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

TEST_F(GuardDeathTest, SpareMappingsAreThereWhenAllOthersAreUsedUp) {
  if (!kAddressHintsAllowed) GTEST_SKIP() << "the sanitizer needs mappings itself";
  const auto work = [] {
    if (!testing::forbid_guard_marks()) _exit(0);
    if (give_up_spare_mappings()) _exit(1);
    _exit(0);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "") << "given up before there were some";
  const auto use_up = [] {
    if (!testing::forbid_guard_marks()) _exit(0);
    const size_t page = page_bytes();
    const uintptr_t range = filled_pages();
    const uintptr_t reserved = reserve(kPages * page, 0);
    if (!install_guard(range, 8 * page)) _exit(1);
    if (!testing::use_up_mappings()) _exit(0);
    if (prepare(reserved + page, page)) _exit(2);
    // In the middle of a guard, which makes two mappings more.
    if (!remove_guard(range + page, page) || !is_accessible(range + page)) _exit(3);
    if (!prepare(reserved + page, page)) _exit(4);
    if (give_up_spare_mappings()) _exit(5);
    // From here on no guard takes a mapping.
    if (install_guard(range + 10 * page, page)) _exit(6);
    if (!is_accessible(range + 10 * page)) _exit(7);
    _exit(0);
  };
  EXPECT_EXIT(use_up(), ::testing::ExitedWithCode(0), "");
}

// A range that ends in a guard must not become longer by memory that nobody may touch.
TEST_F(GuardDeathTest, AnExtendedMappingIsAccessibleBehindAGuard) {
  const auto work = [] {
    if (!testing::forbid_guard_marks()) _exit(0);
    const size_t page = page_bytes();
    const uintptr_t range = reserve_prepared(2 * kPages * page, 0);
    if (!unmap(range + kPages * page, kPages * page)) _exit(1);
    if (!install_guard(range + (kPages - 1) * page, page)) _exit(2);
    if (!extend_prepared(range + kPages * page, page)) _exit(0);
    if (!is_accessible(range + kPages * page)) _exit(3);
    if (is_accessible(range + kPages * page - page)) _exit(4);
    _exit(0);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

// Whether the kernel gives memory back at all is found out at the first release.
TEST_F(GuardDeathTest, TheFirstReleaseNeedsNoMapping) {
  if (!kAddressHintsAllowed) GTEST_SKIP() << "the sanitizer needs mappings itself";
  const auto work = [] {
    const uintptr_t range = filled_pages();
    if (!testing::use_up_mappings()) _exit(0);
    // The last mapping that there is beside those that can be split.
    (void)reserve(page_bytes(), 0);
    (void)reserve_prepared(page_bytes(), 0);
    if (release(range, 2 * page_bytes()) != ReleaseResult::kReleasedReadsZero) _exit(1);
    if (memory(range)[0] != 0 || memory(range)[page_bytes()] != 0) _exit(2);
    if (memory(range)[2 * page_bytes()] != 7) _exit(3);
    _exit(0);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace spanmalloc::platform
