// Memory goes back to the system after each phase of work, however often the allocator's own
// thread has ended in between. The clock of the allocator is set to run fast.
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;
using contract::resident_bytes;

constexpr size_t kSmallBlocks = 400000;
constexpr size_t kLargeBlocks = 400;
constexpr size_t kHugeBlocks = 3;
constexpr size_t kBound = 40 * kMiB;
constexpr double kSeconds = 20;

void* block[kSmallBlocks];

void allocate(size_t count, size_t size) {
  for (size_t i = 0; i < count; ++i) {
    block[i] = malloc(size);
    REQUIRE(block[i] != nullptr);
    memset(block[i], 1, size);
  }
}

void free_all(size_t count) {
  for (size_t i = 0; i < count; ++i) free(block[i]);
}

// The thread ends when there is nothing left for it to do, which is the hard case for what follows.
bool is_small_and_alone() {
  return resident_bytes() < kBound && contract::count_threads() == 1;
}

void work_in_phases(size_t count, size_t size) {
  for (int phase = 0; phase < 4 && !contract::has_failed(); ++phase) {
    allocate(count, size);
    EXPECT(resident_bytes() > 2 * kBound);
    free_all(count);
    EXPECT(contract::becomes_true(kSeconds, is_small_and_alone));
  }
}

// What is kept from turn to turn goes when there are no more.
void work_with_huge_blocks() {
  for (int phase = 0; phase < 4 && !contract::has_failed(); ++phase) {
    for (int turn = 0; turn < 8; ++turn) {
      allocate(kHugeBlocks, 50 * kMiB);
      EXPECT(resident_bytes() > 2 * kBound);
      free_all(kHugeBlocks);
    }
    EXPECT(contract::becomes_true(kSeconds, is_small_and_alone));
  }
}

}  // namespace

CASE(small_blocks_return_after_each_phase) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(contract::run_self("small:", 4 * kSeconds), 0);
}

CASE(large_blocks_return_after_each_phase) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(contract::run_self("large:", 4 * kSeconds), 0);
}

CASE(huge_blocks_return_after_each_phase) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(contract::run_self("huge:", 4 * kSeconds), 0);
}

int main(int argc, char** argv) {
  setenv("SPANMALLOC_OPTIONS", "epoch_ms=20", 1);
  if (argc > 1 && strcmp(argv[1], "small:") == 0) {
    contract::current_case = argv[1];
    work_in_phases(kSmallBlocks, 500);
    return contract::has_failed() ? 1 : 0;
  }
  if (argc > 1 && strcmp(argv[1], "large:") == 0) {
    contract::current_case = argv[1];
    work_in_phases(kLargeBlocks, 500000);
    return contract::has_failed() ? 1 : 0;
  }
  if (argc > 1 && strcmp(argv[1], "huge:") == 0) {
    contract::current_case = argv[1];
    work_with_huge_blocks();
    return contract::has_failed() ? 1 : 0;
  }
  return contract::run_cases(argc, argv);
}
