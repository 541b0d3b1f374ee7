#include "pages/chunk_table.h"

#include <algorithm>

namespace spanmalloc {

bool ChunkTable::reserve(size_t chunks, MetadataArena& arena) {
  if (!far_.is_reserved_for(chunks) && !far_.reserve(chunks, arena)) return false;
  if (near_ == nullptr) {
    near_ = static_cast<ChunkBits*>(arena.allocate(kNear * sizeof(ChunkBits), alignof(ChunkBits)));
  }
  return near_ != nullptr;
}

bool ChunkTable::make_writable(size_t begin, size_t end) {
  if (near_count_ == 0) {
    near_begin_ = begin;
    near_count_ = kNear;
  }
  // What is not near, below it and above it.
  const size_t near_end = near_begin_ + near_count_;
  return (begin >= near_begin_ || far_.make_writable(begin, std::min(end, near_begin_))) &&
         (end <= near_end || far_.make_writable(std::max(begin, near_end), end));
}

}  // namespace spanmalloc
