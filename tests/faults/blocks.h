// The blocks that an operation holds, and the checks of every call that makes or ends one: a
// failure is NULL and ENOMEM (or std::bad_alloc), a success leaves errno alone, and contents stay.
#ifndef SPANMALLOC_TESTS_FAULTS_BLOCKS_H_
#define SPANMALLOC_TESTS_FAULTS_BLOCKS_H_

#include <stddef.h>
#include <stdint.h>

namespace faults {

inline constexpr size_t kKiB = size_t{1} << 10;
inline constexpr size_t kMiB = size_t{1} << 20;

enum class Way : uint8_t {
  kMalloc,
  kCalloc,
  kAligned,  // aligned_alloc
  kPosixAligned,
  kNew,
  kNewNothrow,
  kNewAligned,
};

// Whether a call may fail. Not even once after the faults have stopped.
enum class Failure : uint8_t { kAllowed, kForbidden };
void set_failure(Failure failure);

// At most kMaxBlocks blocks; used by one thread at a time.
inline constexpr size_t kMaxBlocks = 16384;

// Allocates, checks and fills a block. False when the call failed.
bool take(Way way, size_t size, size_t alignment = 64);
void take_many(Way way, size_t size, size_t count);

// Reallocates the block with this index; after a failure it must be as it was.
bool resize(size_t index, size_t size);

// Checks the content of a block and frees it. Indices stay as they are.
void drop(size_t index);
void drop_all();
// Frees every `step`th block.
void drop_every(size_t step);

// Fills a range of freed memory with bytes that are not zero.
void make_dirty(size_t size);

size_t block_count();
void check_contents();

// malloc, write and free of some sizes in another thread's way: no table.
void use_heap_a_little();

}  // namespace faults

#endif  // SPANMALLOC_TESTS_FAULTS_BLOCKS_H_
