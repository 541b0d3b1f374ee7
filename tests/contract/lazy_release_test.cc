// With release=lazily memory that was given back keeps its content for a while; nothing that must
// read as zero may show it.
#include <malloc.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;

constexpr size_t kSizes[] = {16, 48, 100, 1000, 5000, 20 * kKiB, 200 * kKiB, 3 * kMiB, 40 * kMiB};
constexpr size_t kBytesOfASize = 64 * kMiB;
constexpr size_t kMostBlocks = size_t{1} << 16;

unsigned char* blocks[kMostBlocks];

size_t count_of(size_t size) {
  const size_t count = kBytesOfASize / size;
  return count < kMostBlocks ? count : kMostBlocks;
}

bool is_zero(const unsigned char* bytes, size_t size) {
  for (size_t index = 0; index < size; ++index) {
    if (bytes[index] != 0) return false;
  }
  return true;
}

}  // namespace

CASE(zeroed_memory_is_zero_after_a_lazy_release) {
  for (int round = 0; round < 2; ++round) {
    for (const size_t size : kSizes) {
      const size_t count = count_of(size);
      for (size_t index = 0; index < count; ++index) {
        blocks[index] = static_cast<unsigned char*>(malloc(size));
        REQUIRE(blocks[index] != nullptr);
        memset(blocks[index], 0xa5, size);
      }
      for (size_t index = 0; index < count; ++index) free(blocks[index]);
      malloc_trim(0);
      for (size_t index = 0; index < count; ++index) {
        blocks[index] = static_cast<unsigned char*>(calloc(1, size));
        REQUIRE(blocks[index] != nullptr);
        EXPECT(is_zero(blocks[index], size));
      }
      for (size_t index = 0; index < count; ++index) free(blocks[index]);
    }
  }
}

CASE(kept_blocks_keep_their_content) {
  constexpr size_t kSize = 700;
  constexpr size_t kCount = 40000;
  for (size_t index = 0; index < kCount; ++index) {
    blocks[index] = static_cast<unsigned char*>(malloc(kSize));
    REQUIRE(blocks[index] != nullptr);
    memset(blocks[index], static_cast<int>(index % 251), kSize);
  }
  for (size_t index = 0; index < kCount; ++index) {
    if (index % 20 != 0) free(blocks[index]);
  }
  malloc_trim(0);
  for (size_t index = 0; index < kCount; index += 20) {
    for (size_t at = 0; at < kSize; ++at) EXPECT(blocks[index][at] == index % 251);
    free(blocks[index]);
  }
}

RUN_CASES()
