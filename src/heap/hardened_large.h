// Large blocks under hardening. What the program asked for is kept in the span's record; canary
// bytes stand behind the block; the memory of a freed block goes back to the system at once.
//
// On level 3 a block ends where its span's guard pages begin, as nearly as its alignment allows,
// and a freed block stays inaccessible in a queue before its addresses are used again.
#ifndef SPANMALLOC_HEAP_HARDENED_LARGE_H_
#define SPANMALLOC_HEAP_HARDENED_LARGE_H_

#include <cstddef>

namespace spanmalloc {

// Zeroed memory; nullptr when it is refused. REQUIRES: alignment is a power of two.
void* allocate_large_hardened(size_t bytes, size_t alignment);

// Ends the life of a large block; ends the process when `pointer` is none of a live one, or what
// stands behind it was overwritten.
void deallocate_large_hardened(void* pointer);

// What the program asked for; ends the process when `pointer` is no live large block.
size_t large_bytes_hardened(const void* pointer, const char* call);

// Changes the size without copying, in place or by moving pages. nullptr when that cannot be; the
// block is then where it was, as long as before. REQUIRES: a live large block; bytes is a large
// block's.
void* reallocate_large_hardened(void* pointer, size_t bytes);

// Notes that the program has its first `bytes` bytes alone. REQUIRES: a live large block, no
// shorter.
void shorten_large_hardened(void* pointer, size_t bytes);

// Ends all freed blocks that wait; true when there was one.
bool empty_large_queue();

// Ends the process if a block that waits is not a freed one.
void check_large_queue();

// Bytes of the spans of freed blocks that wait, and how many they are.
size_t large_queue_bytes();
size_t large_queue_count();

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_HARDENED_LARGE_H_
