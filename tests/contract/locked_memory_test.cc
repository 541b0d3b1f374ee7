// Programs that lock their memory (mlockall): the kernel refuses to take locked pages back, and to
// mark them as guards.
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr size_t kBlocks = 2000;

struct Block {
  void* bytes;
  size_t size;
};

void exchange_blocks(uint64_t seed) {
  static Block blocks[kBlocks];
  contract::Random random(seed);
  for (int step = 0; step < 20000; ++step) {
    Block& block = blocks[random.below(kBlocks)];
    if (block.bytes != nullptr) {
      EXPECT(contract::is_filled(block.bytes, block.size, seed));
      free(block.bytes);
      block = {};
      continue;
    }
    const size_t size = 1 + random.below(random.below(4) == 0 ? 200000 : 500);
    const bool zeroed = random.below(2) == 0;
    void* bytes = zeroed ? calloc(1, size) : malloc(size);
    REQUIRE(bytes != nullptr);
    EXPECT(!zeroed || contract::is_zero(bytes, size));
    contract::fill(bytes, size, seed);
    block = {bytes, size};
  }
  for (Block& block : blocks) {
    EXPECT(block.bytes == nullptr || contract::is_filled(block.bytes, block.size, seed));
    free(block.bytes);
    block = {};
  }
  malloc_trim(0);
}

// False where the process may not lock as much.
bool lock_memory() {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0) return true;
  contract::say("note: mlockall is refused, errno %d", errno);
  return false;
}

}  // namespace

CASE(memory_locked_and_unlocked_in_the_midst) {
  exchange_blocks(1);
  if (!lock_memory()) return;
  exchange_blocks(2);
  REQUIRE(munlockall() == 0);
  exchange_blocks(3);
}

CASE(memory_locked_before_a_child_allocates) {
  EXPECT_EQ(contract::run_in_child(60,
                                   [] {
                                     if (lock_memory()) exchange_blocks(4);
                                   }),
            0);
}

// A large block that moves leaves its place to others: it must be locked as it was.
CASE(memory_stays_locked_after_large_reallocs) {
  if (!lock_memory()) return;
  constexpr size_t kBytes = size_t{1} << 20;
  constexpr size_t kPages = kBytes / 4096;
  void* held[8];
  for (void*& block : held) {
    block = realloc(malloc(kBytes), 8 * kBytes);
    REQUIRE(block != nullptr);
    void* next = malloc(kBytes);
    REQUIRE(next != nullptr);
    unsigned char is_resident[kPages + 1];
    const uintptr_t first = reinterpret_cast<uintptr_t>(next) & ~uintptr_t{4095};
    REQUIRE(mincore(reinterpret_cast<void*>(first), kBytes, is_resident) == 0);
    for (size_t page = 0; page < kPages; ++page) EXPECT((is_resident[page] & 1) != 0);
    free(next);
  }
  for (void* block : held) free(block);
  munlockall();
}

// A child does not inherit the locks.
CASE(children_of_a_process_with_locked_memory) {
  if (!lock_memory()) return;
  exchange_blocks(5);
  EXPECT_EQ(contract::run_in_child(60, [] { exchange_blocks(6); }), 0);
  munlockall();
}

RUN_CASES()
