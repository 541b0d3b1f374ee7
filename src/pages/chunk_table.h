// The bits of all chunks of the window, by number.
#ifndef SPANMALLOC_PAGES_CHUNK_TABLE_H_
#define SPANMALLOC_PAGES_CHUNK_TABLE_H_

#include <cstddef>

#include "base/metadata_arena.h"
#include "base/sparse_array.h"
#include "pages/chunk_bits.h"

namespace spanmalloc {

// The chunks that the heap begins with lie among the first records of the allocator, so that a
// small heap needs no memory for a part of the large array. Protected by the page heap's lock.
class ChunkTable {
 public:
  static constexpr size_t kNear = 8;

  constexpr ChunkTable() = default;

  // False when address space is refused; where less was reserved before, that is given up.
  // REQUIRES: nothing was made writable before.
  [[nodiscard]] bool reserve(size_t chunks, MetadataArena& arena);

  // Makes the bits of the chunks [begin, end) writable. False when memory is refused.
  [[nodiscard]] bool make_writable(size_t begin, size_t end);

  ChunkBits& operator[](size_t chunk) {
    return is_near(chunk) ? near_[chunk - near_begin_] : far_[chunk];
  }
  const ChunkBits& operator[](size_t chunk) const {
    return is_near(chunk) ? near_[chunk - near_begin_] : far_[chunk];
  }

 private:
  bool is_near(size_t chunk) const { return chunk - near_begin_ < near_count_; }

  ChunkBits* near_ = nullptr;
  // None before the first chunks are made writable.
  size_t near_begin_ = 0;
  size_t near_count_ = 0;
  SparseArray<ChunkBits> far_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_CHUNK_TABLE_H_
