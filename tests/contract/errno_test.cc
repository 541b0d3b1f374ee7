// errno: unchanged by every call that succeeds and by every free.
#include <malloc.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

constexpr size_t kSizes[] = {0,     1,     16,       100,      1024,      5000,      32768,
                             32769, 70000, 1u << 20, 5u << 20, 80u << 20, 200u << 20};
constexpr int kMark = 4711;

}  // namespace

#define EXPECT_ERRNO_KEPT(statement) \
  do {                               \
    errno = kMark;                   \
    statement;                       \
    EXPECT_EQ(errno, kMark);         \
  } while (false)

CASE(success_keeps_errno) {
  for (const size_t size : kSizes) {
    void* block = nullptr;
    EXPECT_ERRNO_KEPT(block = malloc(size));
    EXPECT_ERRNO_KEPT(block = realloc(block, size * 2 + 1));
    EXPECT_ERRNO_KEPT(block = realloc(block, size / 2 + 1));
    EXPECT_ERRNO_KEPT(malloc_usable_size(block));
    EXPECT_ERRNO_KEPT(free(block));
    EXPECT_ERRNO_KEPT(block = calloc(size, 1));
    EXPECT_ERRNO_KEPT(block = reallocarray(block, size + 1, 2));
    EXPECT_ERRNO_KEPT(free(block));
    EXPECT_ERRNO_KEPT(block = aligned_alloc(4096, (size + 4095) / 4096 * 4096));
    EXPECT_ERRNO_KEPT(free(block));
    EXPECT_ERRNO_KEPT(block = memalign(256, size));
    EXPECT_ERRNO_KEPT(free(block));
    EXPECT_ERRNO_KEPT(block = valloc(size));
    EXPECT_ERRNO_KEPT(free(block));
    EXPECT_ERRNO_KEPT(block = pvalloc(size));
    EXPECT_ERRNO_KEPT(free(block));
    EXPECT_ERRNO_KEPT(EXPECT_EQ(posix_memalign(&block, 64, size), 0));
    EXPECT_ERRNO_KEPT(free(block));
  }
  EXPECT_ERRNO_KEPT(free(nullptr));
}

CASE(many_frees_keep_errno) {
  static void* block[20000];
  for (size_t i = 0; i < 20000; ++i) {
    EXPECT_ERRNO_KEPT(block[i] = malloc(i % 6000));
    REQUIRE(block[i] != nullptr);
    memset(block[i], 1, i % 6000);
  }
  for (void* one : block) EXPECT_ERRNO_KEPT(free(one));
}

// A caller reads errno after it has freed what it had got before the failure.
CASE(free_keeps_errno_after_a_failed_call) {
  errno = 0;
  void* block = malloc(contract::opaque(size_t{PTRDIFF_MAX}));
  EXPECT(block == nullptr);
  EXPECT_EQ(errno, ENOMEM);
  void* large = malloc(100 * kMiB);
  EXPECT_EQ(errno, ENOMEM);
  free(large);
  EXPECT_EQ(errno, ENOMEM);
}

CASE(extras_keep_errno) {
  EXPECT_ERRNO_KEPT(mallinfo2());
  EXPECT_ERRNO_KEPT(malloc_trim(0));
}

RUN_CASES()
