#include "faults/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <initializer_list>
#include <new>

#include "contract/expect.h"

namespace faults {

namespace {

constexpr int kMark = 12345;  // a value of errno that no call sets

struct Block {
  unsigned char* address;
  size_t size;
  size_t seed;
  size_t alignment;
  Way way;
};

Block blocks[kMaxBlocks];
size_t count = 0;
Failure allowed = Failure::kAllowed;

// Calls visit(offset) for the places of a block that are written and looked at: the first words,
// one in each page or, of a huge block, in each MiB, and the last word.
template <typename Visit>
void for_each_place(size_t size, Visit visit) {
  const size_t words = size / 8;
  for (size_t word = 0; word < words && word < 8; ++word) visit(word * 8);
  const size_t step = size > 8 * kMiB ? kMiB : 4 * kKiB;
  for (size_t at = step; at + 8 <= size; at += step) visit(at);
  if (words > 8) visit((words - 1) * 8);
}

uint64_t value_at(size_t seed, size_t offset) {
  return (seed + offset + 1) * 0x9e3779b97f4a7c15u;
}

void fill(Block& block) {
  for_each_place(block.size, [&](size_t at) {
    const uint64_t value = value_at(block.seed, at);
    memcpy(block.address + at, &value, 8);
  });
}

// The content up to `size`, which is the block's or smaller.
void check_content(const Block& block, size_t size) {
  for_each_place(block.size, [&](size_t at) {
    uint64_t value;
    if (at + 8 > size) return;
    memcpy(&value, block.address + at, 8);
    EXPECT_EQ(value, value_at(block.seed, at));
  });
}

void check_zero(const Block& block) {
  const size_t step = block.size > 8 * kMiB ? 64 * kKiB : 8;
  bool is_zero = true;
  for (size_t at = 0; at + 8 <= block.size; at += step) {
    uint64_t value;
    memcpy(&value, block.address + at, 8);
    is_zero &= value == 0;
  }
  EXPECT(is_zero);
}

void* call_new(Way way, size_t size, size_t alignment) {
  try {
    if (way == Way::kNewAligned) return ::operator new (size, std::align_val_t{alignment});
    return ::operator new(size);
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;  // as the others fail
    return nullptr;
  }
}

void* call(Way way, size_t size, size_t alignment) {
  switch (way) {
    case Way::kMalloc:
      return malloc(size);
    case Way::kCalloc:
      return calloc(1, size);
    case Way::kAligned:
      return aligned_alloc(alignment, size);
    case Way::kPosixAligned: {
      void* result = &result;
      const int error = posix_memalign(&result, alignment, size);
      if (error == 0) return result;
      EXPECT(result == &result);
      EXPECT_EQ(errno, kMark);
      errno = error;
      return nullptr;
    }
    case Way::kNew:
    case Way::kNewAligned:
      return call_new(way, size, alignment);
    case Way::kNewNothrow:
      // It calls the throwing form, as the standard wants; errno is not part of its contract.
      void* result = ::operator new(size, std::nothrow);
      if (result == nullptr) errno = ENOMEM;
      return result;
  }
  return nullptr;
}

void check_failure() {
  EXPECT_EQ(errno, ENOMEM);
  EXPECT(allowed == Failure::kAllowed);
}

void end(const Block& block) {
  errno = kMark;
  switch (block.way) {
    case Way::kNew:
    case Way::kNewNothrow:
      ::operator delete(block.address);
      break;
    case Way::kNewAligned:
      ::operator delete (block.address, std::align_val_t{block.alignment});
      break;
    default:
      free(block.address);
  }
  EXPECT_EQ(errno, kMark);
}

}  // namespace

void set_failure(Failure failure) {
  allowed = failure;
}

bool take(Way way, size_t size, size_t alignment) {
  EXPECT(count < kMaxBlocks);
  if (count == kMaxBlocks) return false;
  errno = kMark;
  auto* address = static_cast<unsigned char*>(call(way, size, alignment));
  if (address == nullptr) {
    check_failure();
    return false;
  }
  EXPECT_EQ(errno, kMark);
  const bool aligned = way == Way::kAligned || way == Way::kPosixAligned || way == Way::kNewAligned;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(address) % (aligned ? alignment : 16), 0u);
  Block& block = blocks[count];
  block = {address, size, count * 1000003, alignment, way};
  if (way == Way::kCalloc) check_zero(block);
  fill(block);
  ++count;
  return true;
}

void take_many(Way way, size_t size, size_t wanted) {
  for (size_t i = 0; i < wanted; ++i) take(way, size);
}

bool resize(size_t index, size_t size) {
  if (index >= count || blocks[index].address == nullptr) return false;
  Block& block = blocks[index];
  errno = kMark;
  auto* address = static_cast<unsigned char*>(realloc(block.address, size));
  if (address == nullptr) {
    check_failure();
    EXPECT(size > block.size);  // to shrink never fails
    check_content(block, block.size);
    return false;
  }
  EXPECT_EQ(errno, kMark);
  block.address = address;
  check_content(block, size < block.size ? size : block.size);
  block.size = size;
  fill(block);
  return true;
}

void drop(size_t index) {
  if (index >= count || blocks[index].address == nullptr) return;
  check_content(blocks[index], blocks[index].size);
  end(blocks[index]);
  blocks[index].address = nullptr;
}

void drop_all() {
  drop_every(1);
  count = 0;
}

void drop_every(size_t step) {
  for (size_t i = 0; i < count; i += step) drop(i);
}

void make_dirty(size_t size) {
  void* block = malloc(size);
  if (block == nullptr) return;
  memset(block, 0xa5, size);
  free(contract::opaque(block));
}

size_t block_count() {
  return count;
}

void check_contents() {
  for (size_t i = 0; i < count; ++i) {
    if (blocks[i].address != nullptr) check_content(blocks[i], blocks[i].size);
  }
}

void use_heap_a_little() {
  for (const size_t size : {size_t{24}, size_t{700}, 20 * kKiB, 300 * kKiB, 3 * kMiB}) {
    errno = kMark;
    void* block = malloc(size);
    if (block == nullptr) {
      check_failure();
      continue;
    }
    EXPECT_EQ(errno, kMark);
    memset(block, 1, size);
    free(contract::opaque(block));
    EXPECT_EQ(errno, kMark);
  }
}

}  // namespace faults
