// A program that brings its own malloc, with all functions that glibc asks for. What is not among
// these must reach the program's functions, as the blocks that it is given are theirs.
#include <malloc.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

// A pool from which nothing goes back; the size of a block stands before it.
alignas(4096) char pool[32 << 20];
size_t used = 0;
int frees = 0;
int reallocs = 0;

bool is_of_pool(const void* block) {
  return block >= pool && block < pool + sizeof pool;
}

size_t& size_of(void* block) {
  return static_cast<size_t*>(block)[-1];
}

void* take(size_t alignment, size_t size) {
  const size_t mask = (alignment < 16 ? 16 : alignment) - 1;
  const size_t start = (used + 16 + mask) & ~mask;
  if (size > sizeof pool - start) return nullptr;
  used = start + size;
  size_of(pool + start) = size;
  return pool + start;
}

template <typename Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

extern "C" {

void* malloc(size_t size) {
  return take(16, size);
}
void free(void* block) {
  if (block == nullptr) return;
  ++frees;
  if (!is_of_pool(block)) abort();
}
void* calloc(size_t count, size_t size) {
  return take(16, count * size);
}
void* realloc(void* block, size_t size) {
  ++reallocs;
  void* moved = take(16, size);
  if (block == nullptr || moved == nullptr) return moved;
  memcpy(moved, block, size_of(block) < size ? size_of(block) : size);
  return moved;
}
void* aligned_alloc(size_t alignment, size_t size) {
  return take(alignment, size);
}
void* memalign(size_t alignment, size_t size) {
  return take(alignment, size);
}
int posix_memalign(void** result, size_t alignment, size_t size) {
  *result = take(alignment, size);
  return *result == nullptr ? ENOMEM : 0;
}
void* valloc(size_t size) {
  return take(4096, size);
}
void* pvalloc(size_t size) {
  return take(4096, size);
}
size_t malloc_usable_size(void* block) {
  return block == nullptr ? 0 : size_of(block);
}

}  // extern "C"

CASE(reallocarray_reaches_realloc) {
  int* numbers = static_cast<int*>(contract::opaque(malloc(10 * sizeof(int))));
  numbers[3] = 42;
  reallocs = 0;
  numbers = static_cast<int*>(reallocarray(numbers, 1000, sizeof(int)));
  REQUIRE(numbers != nullptr);
  EXPECT(is_of_pool(numbers));
  EXPECT_EQ(numbers[3], 42);
  EXPECT_EQ(reallocs, 1);
  EXPECT(is_of_pool(reallocarray(nullptr, 3, 5)));
}

CASE(reallocarray_refuses_what_overflows) {
  void* block = malloc(10);
  reallocs = 0;
  errno = 0;
  EXPECT(reallocarray(contract::opaque(block), contract::opaque(SIZE_MAX / 2), 3) == nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(reallocs, 0);
  free(block);
}

// Also where hardening looks at sizes: those of the program's blocks are its own.
CASE(other_ways_to_free_reach_free) {
  if (auto* const free_sized = find<void(void*, size_t)>("free_sized"); free_sized != nullptr) {
    frees = 0;
    free_sized(malloc(100), 100);
    EXPECT_EQ(frees, 1);
  }
  if (auto* const free_aligned_sized = find<void(void*, size_t, size_t)>("free_aligned_sized");
      free_aligned_sized != nullptr) {
    frees = 0;
    free_aligned_sized(aligned_alloc(64, 128), 64, 128);
    EXPECT_EQ(frees, 1);
  }
  if (auto* const cfree = find<void(void*)>("cfree"); cfree != nullptr) {
    frees = 0;
    cfree(malloc(100));
    EXPECT_EQ(frees, 1);
  }
}

RUN_CASES()
