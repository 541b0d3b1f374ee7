// What the heap's tests share. They use the one heap of the process, through its own functions.
#ifndef SPANMALLOC_TESTS_UNIT_HEAP_HEAP_FIXTURE_H_
#define SPANMALLOC_TESTS_UNIT_HEAP_HEAP_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "heap/allocate.h"
#include "heap/heap.h"
#include "platform/system.h"

namespace spanmalloc::testing {

inline constexpr size_t kKiB = size_t{1} << 10;
inline constexpr size_t kMiB = size_t{1} << 20;

class HeapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // A fast clock, so that the scavenger's thread is at work during the tests.
    if (!heap.is_open()) (void)heap.options().set(Option::kEpochMilliseconds, 10);
    ASSERT_TRUE(heap.open());
    (void)heap.release_everything();
    in_use_before_ = heap.page_heap().in_use_bytes();
  }
  void TearDown() override {
    heap.check_invariants();
    // The scavenger's thread may have a cache or a magazine in its hands.
    for (int round = 0; round < 100; ++round) {
      (void)heap.release_everything();
      if (heap.page_heap().in_use_bytes() <= in_use_before_) break;
      platform::sleep_ns(10'000'000);
    }
    heap.check_invariants();
    EXPECT_LE(heap.page_heap().in_use_bytes(), in_use_before_) << "the test leaks";
  }

 private:
  size_t in_use_before_ = 0;
};

inline void fill(void* memory, size_t bytes, uint64_t seed) {
  auto* to = static_cast<unsigned char*>(memory);
  for (size_t offset = 0; offset < bytes; offset += 61) {
    to[offset] = static_cast<unsigned char>(seed + offset);
  }
  if (bytes > 0) to[bytes - 1] = static_cast<unsigned char>(seed);
}

// Whether the first `bytes` of memory that was filled with at least that many are as they were.
inline bool is_filled(const void* memory, size_t bytes, uint64_t seed) {
  const auto* from = static_cast<const unsigned char*>(memory);
  for (size_t offset = 0; offset + 1 < bytes; offset += 61) {
    if (from[offset] != static_cast<unsigned char>(seed + offset)) return false;
  }
  return true;
}

inline bool is_zero(const void* memory, size_t bytes) {
  const auto* from = static_cast<const unsigned char*>(memory);
  return bytes == 0 || (from[0] == 0 && memcmp(from, from + 1, bytes - 1) == 0);
}

inline bool is_aligned_to(const void* pointer, size_t alignment) {
  return reinterpret_cast<uintptr_t>(pointer) % alignment == 0;
}

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_UNIT_HEAP_HEAP_FIXTURE_H_
