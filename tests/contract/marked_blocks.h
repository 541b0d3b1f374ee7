// Blocks with a header of the program's: one of another source is noticed when it is deleted.
#ifndef SPANMALLOC_TESTS_CONTRACT_MARKED_BLOCKS_H_
#define SPANMALLOC_TESTS_CONTRACT_MARKED_BLOCKS_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <new>

#include "contract/expect.h"

namespace contract {

inline constexpr uint64_t kBlockMark = 0x6e6f742079657421;

// A block aligned to its header, which is a power of two of at least 16 bytes; std::bad_alloc where
// there is none.
inline void* make_marked_block(size_t size, size_t header_bytes) {
  char* header = static_cast<char*>(aligned_alloc(header_bytes, header_bytes + size));
  if (header == nullptr) throw std::bad_alloc();
  uint64_t* block = reinterpret_cast<uint64_t*>(header + header_bytes);
  block[-1] = kBlockMark;
  return block;
}

inline void end_marked_block(void* pointer, size_t header_bytes) {
  uint64_t* block = static_cast<uint64_t*>(pointer);
  EXPECT(block[-1] == kBlockMark);
  block[-1] = 0;
  free(static_cast<char*>(pointer) - header_bytes);
}

}  // namespace contract

#endif  // SPANMALLOC_TESTS_CONTRACT_MARKED_BLOCKS_H_
