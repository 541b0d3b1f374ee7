// The number of mappings of a process is limited: the heap uses few, and survives when others
// use all of them.
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;

size_t count_mappings() {
  static char text[64 * kKiB];
  const int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  size_t lines = 0;
  for (;;) {
    const ssize_t length = read(file, text, sizeof text);
    if (length <= 0) break;
    for (ssize_t i = 0; i < length; ++i) lines += text[i] == '\n' ? 1 : 0;
  }
  close(file);
  return lines;
}

// One mapping in which every other page differs: each page costs an entry of the limit.
class Exhaustion {
 public:
  Exhaustion() {
    start_ = static_cast<char*>(
        mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (start_ == MAP_FAILED) return;
    for (size_t at = 0; at < kBytes; at += 8192) {
      if (mprotect(start_ + at, 4096, PROT_READ) != 0) {
        reached_ = true;
        return;
      }
    }
  }
  ~Exhaustion() { munmap(start_, kBytes); }

  bool is_reached() const { return reached_; }

 private:
  static constexpr size_t kBytes = size_t{1} << 30;

  char* start_;
  bool reached_ = false;
};

// Mappings of its own, of which some can be given back one by one.
class SpareMappings {
 public:
  SpareMappings() {
    start_ = static_cast<char*>(
        mmap(nullptr, kCount * 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < kCount; ++i) mprotect(start_ + i * 8192, 4096, PROT_READ);
  }
  void give_back(size_t count) {
    for (size_t i = 0; i < count; ++i) munmap(start_ + i * 8192, 4096);
  }

  static constexpr size_t kCount = 24;

 private:
  char* start_;
};

// A block with another block behind it, so that it must move to grow.
char* block_without_room(size_t bytes) {
  char* block = static_cast<char*>(malloc(bytes));
  for (int tries = 0; tries < 100; ++tries) {
    char* behind = static_cast<char*>(malloc(bytes));
    if (behind == block + bytes) return block;
    block = behind;
  }
  return block;
}

// The program has wishes of its own for parts of a block, each of which splits a mapping.
void grow_where_few_mappings_are_left(size_t left, size_t wishes) {
  constexpr size_t kBytes = 4 * kMiB;
  SpareMappings spare;
  void* room = malloc(6 * kBytes);
  char* block = block_without_room(kBytes);
  REQUIRE(room != nullptr && block != nullptr);
  contract::fill(block, kBytes, 7);
  free(room);
  const size_t step = kBytes / wishes;
  for (size_t i = 0; i < wishes; ++i) {
    madvise(block + i * step + step / 2, step / 4, MADV_DONTDUMP);
  }
  const Exhaustion exhaustion;
  if (!exhaustion.is_reached()) return;
  spare.give_back(left);
  char* grown = static_cast<char*>(realloc(block, 2 * kBytes));
  EXPECT(contract::is_filled(grown != nullptr ? grown : block, kBytes, 7));
}

}  // namespace

CASE(a_block_in_several_mappings_keeps_its_content_when_few_are_left) {
  for (const size_t wishes : {size_t{1}, size_t{8}}) {
    for (size_t left = 0; left <= 16; left += wishes == 1 ? 1 : 2) {
      EXPECT_EQ(contract::run_in_child(60, [&] { grow_where_few_mappings_are_left(left, wishes); }),
                0);
    }
  }
}

// What is moved without copying lies in a mapping of its own until it is freed, and grows into the
// next: two mappings for each of 600.
CASE(a_block_that_moves_again_and_again_uses_few_mappings) {
  static void* blocks[600];
  static void* between[600];
  constexpr size_t kSmall = 136 * kKiB;
  const size_t before = count_mappings();
  for (size_t i = 0; i < 600; ++i) {
    blocks[i] = malloc(kSmall);
    between[i] = malloc(kSmall);
  }
  for (void*& one : blocks) {
    one = realloc(one, 2 * kSmall);
    REQUIRE(one != nullptr);
  }
  for (size_t i = 0; i < 600; ++i) {
    free(blocks[i]);
    free(between[i]);
  }
  size_t bytes = 48 * kMiB;
  char* block = static_cast<char*>(malloc(bytes));
  REQUIRE(block != nullptr);
  for (size_t at = 0; at < bytes; at += 64 * kKiB) block[at] = 3;
  static void* behind[40][400];
  for (auto& of_round : behind) {
    for (void*& one : of_round) {
      one = malloc(kMiB);
      if (one == block + bytes) break;
    }
    block = static_cast<char*>(realloc(block, bytes + kMiB));
    REQUIRE(block != nullptr);
    bytes += kMiB;
  }
  for (size_t at = 0; at < 48 * kMiB; at += 64 * kKiB) EXPECT_EQ(block[at], 3);
  contract::say("%zu mappings", count_mappings());
  EXPECT(count_mappings() < before + 1500);
  free(block);
  for (auto& of_round : behind) {
    for (void* one : of_round) free(one);
  }
}

CASE(blocks_that_moved_once_leave_few_mappings) {
  if (contract::not_promised_by_libc()) return;
  constexpr size_t kGrown = 3000;
  static void* blocks[2 * kGrown];
  const size_t before = count_mappings();
  for (size_t i = 0; i < kGrown; ++i) {
    blocks[2 * i] = malloc(140000);
    blocks[2 * i + 1] = malloc(140000);
    REQUIRE(blocks[2 * i] != nullptr && blocks[2 * i + 1] != nullptr);
    memset(blocks[2 * i], 1, 140000);
  }
  for (size_t i = 0; i < kGrown; ++i) {
    blocks[2 * i] = realloc(blocks[2 * i], 280000);
    REQUIRE(blocks[2 * i] != nullptr);
  }
  EXPECT(count_mappings() < before + 300);
  for (void* block : blocks) free(block);
}

CASE(a_million_blocks_use_few_mappings) {
  static void* block[1000000];
  const size_t before = count_mappings();
  for (size_t i = 0; i < 1000000; ++i) {
    block[i] = malloc(16 + i % 400);
    REQUIRE(block[i] != nullptr);
  }
  EXPECT(count_mappings() < before + 300);
  for (size_t i = 0; i < 1000000; ++i) {
    if (i % 5000 != 0) free(block[i]);
  }
  malloc_trim(0);
  EXPECT(count_mappings() < before + 1000);
  for (size_t i = 0; i < 1000000; i += 5000) free(block[i]);
}

CASE(many_large_blocks_use_few_mappings) {
  static void* block[4000];
  const size_t before = count_mappings();
  for (void*& one : block) {
    one = malloc(300 * kKiB);
    REQUIRE(one != nullptr);
  }
  for (size_t i = 0; i < 4000; i += 2) free(block[i]);
  const size_t during = count_mappings();
  for (size_t i = 1; i < 4000; i += 2) free(block[i]);
  contract::say("mappings before %zu, during %zu", before, during);
  EXPECT(contract::malloc_is_from_libc() || during < before + 1000);
}

CASE(exhausted_mappings_give_null_or_memory) {
  constexpr size_t kBlocks = 200;
  static void* early[kBlocks];
  for (size_t i = 0; i < kBlocks; ++i) {
    early[i] = malloc(i * i * 40);
    REQUIRE(early[i] != nullptr);
    contract::fill(early[i], i * i * 40, i);
  }
  void* huge = malloc(100 * kMiB);
  REQUIRE(huge != nullptr);
  memset(huge, 1, 100 * kMiB);
  {
    const Exhaustion exhaustion;
    if (!exhaustion.is_reached()) {
      contract::say("note: this system has no such limit");
    }
    for (size_t size = 1; size < 200 * kMiB; size = size * 2 + 1) {
      errno = 0;
      void* block = malloc(size);
      EXPECT(block != nullptr || errno == ENOMEM);
      errno = 4711;
      free(block);
      EXPECT_EQ(errno, 4711);
      errno = 0;
      block = memalign(64 * kKiB, size);
      EXPECT(block != nullptr || errno == ENOMEM);
      free(block);
    }
    // The middle of a mapping cannot be given back now; the calls work all the same.
    void* smaller = realloc(huge, 60 * kMiB);
    if (smaller != nullptr) huge = smaller;
    void* larger = realloc(huge, 150 * kMiB);
    if (larger != nullptr) huge = larger;
    EXPECT(static_cast<char*>(huge)[50 * kMiB] == 1);
    for (size_t i = 0; i < kBlocks; i += 2) {
      EXPECT(contract::is_filled(early[i], i * i * 40, i));
      errno = 4711;
      free(early[i]);
      EXPECT_EQ(errno, 4711);
    }
    malloc_trim(0);
  }
  free(huge);
  for (size_t i = 1; i < kBlocks; i += 2) {
    EXPECT(contract::is_filled(early[i], i * i * 40, i));
    free(early[i]);
  }
  for (size_t size = 1; size < 500 * kMiB; size = size * 2 + 1) {
    char* block = static_cast<char*>(malloc(size));
    REQUIRE(block != nullptr);
    block[0] = block[size - 1] = 1;
    free(block);
  }
}

// As the C library's break, the heap grows within the mappings that it has.
CASE(used_up_mappings_leave_small_blocks) {
  constexpr size_t kBlocks = 200000;
  static unsigned char* block[kBlocks];
  static void* early[3000];
  for (void*& one : early) one = malloc(500);
  const Exhaustion exhaustion;
  if (!exhaustion.is_reached()) {
    contract::say("note: this system has no such limit");
    return;
  }
  for (int round = 0; round < 2; ++round) {
    size_t refused = 0;
    for (size_t i = 0; i < kBlocks; ++i) {
      const size_t size = 16 + i * 7919 % 985;
      block[i] = static_cast<unsigned char*>(malloc(size));
      if (block[i] == nullptr) {
        ++refused;
        continue;
      }
      block[i][0] = block[i][size - 1] = static_cast<unsigned char>(i);
    }
    EXPECT_EQ(refused, 0u);
    for (size_t i = 0; i < kBlocks; ++i) {
      const size_t size = 16 + i * 7919 % 985;
      EXPECT(block[i] == nullptr || block[i][size - 1] == static_cast<unsigned char>(i));
      free(block[i]);
    }
    malloc_trim(0);
  }
  for (void* one : early) free(one);
}

RUN_CASES()
