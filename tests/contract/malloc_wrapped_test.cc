// A program that counts its calls: its malloc is glibc's by the name that glibc has kept for this.
#include <malloc.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

// The program asks for more than its caller, as one that writes a record of its own behind.
constexpr size_t kRecord = 16;

thread_local int calls = 0;

template <typename Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* __libc_valloc(size_t);
void* __libc_pvalloc(size_t);
void __libc_free(void*);

void* malloc(size_t size) {
  ++calls;
  return __libc_malloc(size + kRecord);
}
void* calloc(size_t count, size_t size) {
  ++calls;
  return __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) {
  ++calls;
  return __libc_realloc(block, size);
}
void* memalign(size_t alignment, size_t size) {
  ++calls;
  return __libc_memalign(alignment, size);
}
void* valloc(size_t size) {
  ++calls;
  return __libc_valloc(size);
}
void* pvalloc(size_t size) {
  ++calls;
  return __libc_pvalloc(size);
}
void free(void* block) {
  ++calls;
  __libc_free(block);
}

}  // extern "C"

#define EXPECT_ONE_PAIR(allocation)                  \
  do {                                               \
    calls = 0;                                       \
    void* pair_block = contract::opaque(allocation); \
    EXPECT(pair_block != nullptr);                   \
    free(pair_block);                                \
    EXPECT_EQ(calls, 2);                             \
  } while (false)

CASE(each_call_is_counted_once) {
  EXPECT_ONE_PAIR(malloc(100));
  EXPECT_ONE_PAIR(calloc(10, 10));
  EXPECT_ONE_PAIR(realloc(nullptr, 100));
  EXPECT_ONE_PAIR(reallocarray(nullptr, 10, 10));
  EXPECT_ONE_PAIR(memalign(256, 100));
  EXPECT_ONE_PAIR(valloc(100));
  EXPECT_ONE_PAIR(pvalloc(100));
}

CASE(blocks_keep_their_content) {
  char* block = static_cast<char*>(malloc(100));
  REQUIRE(block != nullptr);
  contract::fill(block, 100, 1);
  block = static_cast<char*>(realloc(block, 100000));
  REQUIRE(block != nullptr);
  EXPECT(contract::is_filled(block, 100, 1));
  free(block);
  block = static_cast<char*>(calloc(1000, 100));
  REQUIRE(block != nullptr);
  EXPECT(contract::is_zero(block, 100000));
  free(block);
}

CASE(what_is_refused_gives_null) {
  EXPECT(__libc_calloc(contract::opaque(SIZE_MAX / 2), 3) == nullptr);
  EXPECT(__libc_malloc(contract::opaque(size_t{PTRDIFF_MAX})) == nullptr);
  EXPECT(__libc_pvalloc(contract::opaque(SIZE_MAX)) == nullptr);
}

// A size that the program told is not the block's, and no misuse.
CASE(sizes_are_the_program_s) {
  auto* const free_sized = find<void(void*, size_t)>("free_sized");
  if (free_sized == nullptr) return;
  for (int i = 0; i < 1000; ++i) free_sized(malloc(100), 100);
}

RUN_CASES()
