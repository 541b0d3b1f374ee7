// That the debug library sets its traps: freed blocks hold no content, memory that was given back
// is inaccessible, wrong pointers are told at the call.
#include <malloc.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

constexpr unsigned char kFreedByte = 0xdb;

char read_byte(const char* address) {
  return *const_cast<const volatile char*>(contract::opaque(address));
}

}  // namespace

CASE(freed_blocks_are_filled) {
  // The first bytes are those of the list's node.
  constexpr size_t kNodeBytes = 16;
  for (const size_t size : {32u, 64u, 1000u, 4096u, 20000u}) {
    char* block = static_cast<char*>(malloc(size));
    REQUIRE(block != nullptr);
    memset(block, 7, size);
    const char* freed = contract::opaque(block);
    free(block);
    for (size_t at = kNodeBytes; at < size; ++at) {
      REQUIRE(static_cast<unsigned char>(read_byte(freed + at)) == kFreedByte);
    }
  }
}

CASE(memory_that_was_given_back_is_inaccessible) {
  const int status = contract::run_in_child(20, [] {
    char* block = static_cast<char*>(malloc(8 * kMiB));
    REQUIRE(block != nullptr);
    memset(block, 7, 8 * kMiB);
    const char* freed = contract::opaque(block);
    free(block);
    malloc_trim(0);
    _exit(read_byte(freed + 4 * kMiB) == 7 ? 3 : 4);
  });
  EXPECT_EQ(status, -SIGSEGV);
}

CASE(memory_that_is_had_again_is_accessible_and_zero) {
  for (int round = 0; round < 4; ++round) {
    char* block = static_cast<char*>(calloc(8, kMiB));
    REQUIRE(block != nullptr);
    EXPECT(contract::is_zero(block, 8 * kMiB));
    memset(block, 7, 8 * kMiB);
    free(block);
    malloc_trim(0);
  }
}

CASE(a_pointer_into_a_block_is_told_at_the_call) {
  const int status = contract::run_in_child(20, [] {
    char* block = static_cast<char*>(malloc(64));
    free(contract::opaque(block + 16));
    _exit(3);
  });
  EXPECT_EQ(status, -SIGABRT);
}

RUN_CASES()
