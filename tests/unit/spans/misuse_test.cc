#include "spans/misuse.h"

#include <gtest/gtest.h>

namespace spanmalloc {
namespace {

constexpr uintptr_t kAddress = 0x7f0123456780;

// The whole sentence, then the end of the process by abort.
#define EXPECT_SENTENCE(statement, sentence) \
  EXPECT_EXIT(statement, ::testing::KilledBySignal(SIGABRT), "spanmalloc: " sentence "\n")

TEST(MisuseDeathTest, ForeignPointer) {
  EXPECT_SENTENCE(report_foreign_pointer("free", kAddress),
                  "free\\(0x7f0123456780\\): not a pointer from this allocator");
}

TEST(MisuseDeathTest, InteriorPointer) {
  EXPECT_SENTENCE(report_interior_pointer("realloc", kAddress, 64),
                  "realloc\\(0x7f0123456780\\): pointer into the middle of a 64-byte block");
}

TEST(MisuseDeathTest, DoubleFree) {
  EXPECT_SENTENCE(report_double_free(kAddress, 16),
                  "free\\(0x7f0123456780\\): double free of a 16-byte block");
}

TEST(MisuseDeathTest, UseOfAFreeBlock) {
  EXPECT_SENTENCE(report_use_of_free_block("malloc_usable_size", kAddress, 32768),
                  "malloc_usable_size\\(0x7f0123456780\\): block is free \\(32768 bytes\\)");
}

TEST(MisuseDeathTest, UseByFree) {
  EXPECT_SENTENCE(report_use_of_free_block("free", kAddress, 16),
                  "free\\(0x7f0123456780\\): double free of a 16-byte block");
}

TEST(Misuse, WhoHasMoreToSayGoesOn) {
  testing::internal::CaptureStderr();
  say_foreign_pointer("free", kAddress);
  say_interior_pointer("free", kAddress, 64);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "spanmalloc: free(0x7f0123456780): not a pointer from this allocator\n"
            "spanmalloc: free(0x7f0123456780): pointer into the middle of a 64-byte block\n");
}

TEST(MisuseDeathTest, WriteAfterFreeWithTheLargestNumbers) {
  EXPECT_SENTENCE(report_write_after_free(UINTPTR_MAX, SIZE_MAX),
                  "malloc\\(0xffffffffffffffff\\): a free 18446744073709551615-byte block was "
                  "written to after its free");
}

TEST(MisuseDeathTest, WhatOnlyHardeningFinds) {
  EXPECT_SENTENCE(report_changed_in_list(kAddress, 64),
                  "malloc\\(0x7f0123456780\\): a free 64-byte block was written to after its free, "
                  "or freed twice");
  EXPECT_SENTENCE(report_overflow("realloc", kAddress, 60),
                  "realloc\\(0x7f0123456780\\): memory behind a 60-byte block was overwritten");
  EXPECT_SENTENCE(
      report_overflow_in_class("realloc", kAddress, 64),
      "realloc\\(0x7f0123456780\\): memory behind a block of the 64-byte class was overwritten");
  EXPECT_SENTENCE(report_size_mismatch("free_sized", kAddress, 64, 40),
                  "free_sized\\(0x7f0123456780\\): size 40 given for a 64-byte block");
  EXPECT_SENTENCE(report_alignment_mismatch("operator delete", kAddress, 64, 4096),
                  "operator delete\\(0x7f0123456780\\): alignment 4096 given for a 64-byte block "
                  "that is not so aligned");
}

}  // namespace
}  // namespace spanmalloc
