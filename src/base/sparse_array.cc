#include "base/sparse_array.h"

#include "base/bits.h"
#include "base/check.h"
#include "platform/huge_pages.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

namespace {

// Writes to each of the kernel's pages and changes nothing. A page that is read before it is first
// written costs two faults.
void touch(uintptr_t begin, uintptr_t end) {
  constexpr size_t kSmallestPageBytes = 4096;
  for (uintptr_t at = begin; at < end;
       at = align_down(at, kSmallestPageBytes) + kSmallestPageBytes) {
    // Other threads may read or write the word, and an exchange of zero for zero is a write still.
    uint64_t zero = 0;
    auto* word = reinterpret_cast<uint64_t*>(align_down(at, sizeof(uint64_t)));
    __atomic_compare_exchange_n(word, &zero, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  }
}

}  // namespace

bool SparseBytes::reserve(size_t bytes, MetadataArena& arena) {
  if (bytes <= kMaxBytesInArena) {
    piece_bytes_ = 0;
    bytes_ = align_up(bytes, sizeof(uint64_t));
    base_ = reinterpret_cast<uintptr_t>(arena.allocate_sparse(bytes_));
    return base_ != 0;
  }
  const size_t smallest = bytes / kMaxPieces + 1;
  piece_bytes_ = kMinPieceBytes;
  while (piece_bytes_ < smallest) piece_bytes_ *= 2;
  bytes_ = align_up(bytes, kMinPieceBytes);
  base_ = platform::reserve_zero_readable(bytes_);
  if (base_ == 0) return false;
  if (piece_bytes_ >= platform::kHugePageBytes) refuse_huge_pages();
  return true;
}

// Where the kernel gives huge pages unasked, the first byte that is written would cost one.
void SparseBytes::refuse_huge_pages() const {
  platform::advise_huge_pages(base_, bytes_, platform::HugePages::kRefuse);
}

// A part of a mapping that changes is a mapping more, of which the process may have used up the
// number; as a whole the array is made of fewer.
bool SparseBytes::make_all_writable() {
  if (!platform::prepare(base_, bytes_)) return false;
  refuse_huge_pages();
  for (uint64_t& pieces : writable_pieces_) pieces = ~uint64_t{0};
  return true;
}

bool SparseBytes::make_writable(size_t begin, size_t end) {
  SPANMALLOC_CHECK(begin <= end && end <= bytes_, "metadata beyond the end of its array");
  if (piece_bytes_ == 0) {
    touch(base_ + begin, base_ + end);
    return true;
  }
  for (size_t piece = begin / piece_bytes_; piece * piece_bytes_ < end; ++piece) {
    const uint64_t bit = uint64_t{1} << (piece % 64);
    if ((writable_pieces_[piece / 64] & bit) != 0) continue;
    const size_t offset = piece * piece_bytes_;
    const size_t length = offset + piece_bytes_ <= bytes_ ? piece_bytes_ : bytes_ - offset;
    if (!platform::prepare(base_ + offset, length)) return make_all_writable();
    writable_pieces_[piece / 64] |= bit;
  }
  return true;
}

}  // namespace spanmalloc
