// Under hardening and sampling a block's size is the one of the last call, however it was met: by
// room for growth, in place, or in a block that was left because nothing shorter was to be had.
#include <malloc.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

using FreeSized = void (*)(void*, size_t);
using SetLimit = int (*)(size_t bytes, int kind);

template <typename Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

constexpr int kHardLimit = 1;
// Enough that some are sampled where one of ten is.
constexpr size_t kRounds = 300;

struct Resize {
  size_t from;
  size_t to;
};

// Takes blocks until none is left, each linked to the one before.
void** take_all(size_t size) {
  void** last = nullptr;
  while (void** block = static_cast<void**>(malloc(size))) {
    *block = last;
    last = block;
  }
  return last;
}

void free_all(void** last) {
  while (last != nullptr) {
    void** before = static_cast<void**>(*last);
    free(last);
    last = before;
  }
}

void shrink_without_memory(const Resize& resize, size_t count) {
  const auto free_sized = find<FreeSized>("free_sized");
  const auto set_limit = find<SetLimit>("spanmalloc_set_memory_limit");
  void* blocks[kRounds];
  for (size_t i = 0; i < count; ++i) {
    blocks[i] = malloc(resize.from);
    REQUIRE(blocks[i] != nullptr);
    contract::fill(blocks[i], resize.from, i);
  }
  EXPECT_EQ(set_limit(1, kHardLimit), 0);
  void** others = take_all(resize.to);
  for (size_t i = 0; i < count; ++i) {
    void* shorter = realloc(blocks[i], resize.to);
    REQUIRE(shorter != nullptr);
    EXPECT(contract::is_filled(shorter, resize.to, resize.from, i));
    EXPECT(malloc_usable_size(shorter) >= resize.to);
    free_sized(shorter, resize.to);
  }
  EXPECT_EQ(set_limit(0, kHardLimit), 0);
  free_all(others);
}

}  // namespace

CASE(blocks_that_grew_have_their_new_size) {
  if (contract::not_promised_by_libc()) return;
  const auto free_sized = find<FreeSized>("free_sized");
  REQUIRE(free_sized != nullptr);
  for (const Resize& resize : {Resize{10, 49}, Resize{100, 1000}, Resize{1000, 7000}}) {
    for (size_t i = 0; i < kRounds; ++i) {
      void* block = malloc(resize.from);
      REQUIRE(block != nullptr);
      block = realloc(block, resize.to);
      REQUIRE(block != nullptr);
      free_sized(block, resize.to);
    }
  }
}

CASE(blocks_that_stay_for_want_of_memory_have_their_new_size) {
  if (contract::not_promised_by_libc()) return;
  shrink_without_memory({1000, 100}, kRounds);
  shrink_without_memory({8000, 100}, kRounds);
  shrink_without_memory({kMiB, 200000}, 10);
  shrink_without_memory({kMiB, 100}, 10);
}

// What is cut off of a block that stays is not there when it grows again.
CASE(what_was_cut_off_is_gone) {
  const char* options = getenv("SPANMALLOC_OPTIONS");
  if (options == nullptr || strstr(options, "hardening=") == nullptr) return;
  const auto set_limit = find<SetLimit>("spanmalloc_set_memory_limit");
  REQUIRE(set_limit != nullptr);
  unsigned char* block = static_cast<unsigned char*>(malloc(kMiB));
  REQUIRE(block != nullptr);
  memset(block, 1, kMiB);
  EXPECT_EQ(set_limit(1, kHardLimit), 0);
  void** others = take_all(100);
  block = static_cast<unsigned char*>(realloc(block, 100));
  EXPECT_EQ(set_limit(0, kHardLimit), 0);
  block = static_cast<unsigned char*>(realloc(block, kMiB));
  REQUIRE(block != nullptr);
  EXPECT(block[99] == 1 && contract::is_zero(block + 100, kMiB - 100));
  free(block);
  free_all(others);
}

// What it grows to is less than where it stands, and more than the program has of it.
CASE(blocks_that_stayed_long_grow_a_little) {
  const auto set_limit = find<SetLimit>("spanmalloc_set_memory_limit");
  if (set_limit == nullptr) return;
  constexpr size_t kBlocks = 10;
  constexpr size_t kShort = 200000;
  constexpr size_t kGrown = 300000;
  void* blocks[kBlocks];
  for (size_t i = 0; i < kBlocks; ++i) {
    blocks[i] = malloc(kMiB);
    REQUIRE(blocks[i] != nullptr);
    contract::fill(blocks[i], kMiB, i);
  }
  EXPECT_EQ(set_limit(1, kHardLimit), 0);
  void** others = take_all(kShort);
  for (void*& block : blocks) block = realloc(block, kShort);
  EXPECT_EQ(set_limit(0, kHardLimit), 0);
  free_all(others);
  for (void*& block : blocks) {
    block = realloc(block, kGrown);
    REQUIRE(block != nullptr);
    memset(static_cast<char*>(block) + kShort, 1, kGrown - kShort);
  }
  for (size_t i = 0; i < kBlocks; ++i) {
    EXPECT(contract::is_filled(blocks[i], kShort, kMiB, i));
    free(blocks[i]);
  }
}

RUN_CASES()
