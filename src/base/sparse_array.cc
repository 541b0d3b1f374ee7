#include "base/sparse_array.h"

#include "base/bits.h"
#include "base/check.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

bool SparseBytes::reserve(size_t bytes) {
  const size_t smallest = bytes / kMaxPieces + 1;
  piece_bytes_ = kMinPieceBytes;
  while (piece_bytes_ < smallest) piece_bytes_ *= 2;
  bytes_ = align_up(bytes, kMinPieceBytes);
  base_ = platform::reserve_zero_readable(bytes_);
  return base_ != 0;
}

bool SparseBytes::make_writable(size_t begin, size_t end) {
  SPANMALLOC_CHECK(begin <= end && end <= bytes_, "metadata beyond the end of its array");
  for (size_t piece = begin / piece_bytes_; piece * piece_bytes_ < end; ++piece) {
    const uint64_t bit = uint64_t{1} << (piece % 64);
    if ((writable_pieces_[piece / 64] & bit) != 0) continue;
    const size_t offset = piece * piece_bytes_;
    const size_t length = offset + piece_bytes_ <= bytes_ ? piece_bytes_ : bytes_ - offset;
    if (!platform::prepare(base_ + offset, length)) return false;
    writable_pieces_[piece / 64] |= bit;
  }
  return true;
}

}  // namespace spanmalloc
