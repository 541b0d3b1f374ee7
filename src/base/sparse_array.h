#ifndef SPANMALLOC_BASE_SPARSE_ARRAY_H_
#define SPANMALLOC_BASE_SPARSE_ARRAY_H_

#include <cstddef>
#include <cstdint>

#include "base/metadata_arena.h"

namespace spanmalloc {

// The untyped part of SparseArray: a range of bytes that reads as zero everywhere and becomes
// writable in pieces. Costs no memory where nothing was written; above a size, no commit charge
// either. Smaller arrays are writable at once, which saves system calls.
class SparseBytes {
 public:
  constexpr SparseBytes() = default;

  // Reserves address space for `bytes` bytes, in the arena if they are few. False when refused.
  // REQUIRES: nothing was made writable before. A smaller reservation is given up.
  [[nodiscard]] bool reserve(size_t bytes, MetadataArena& arena);

  // Makes the bytes [begin, end) writable, which are about to be written. False when the system
  // refuses memory; what was writable stays so. The owner's lock protects it.
  [[nodiscard]] bool make_writable(size_t begin, size_t end);

  uintptr_t base() const { return base_; }
  size_t bytes() const { return bytes_; }

 private:
  bool make_all_writable();
  void refuse_huge_pages() const;

  // Arrays up to this size cost a start more in calls of the kernel than in commit charge.
  static constexpr size_t kMaxBytesInArena = size_t{1} << 20;
  // Pieces are tracked by one bit each, so a large array has larger pieces.
  static constexpr size_t kMaxPieces = 512;
  static constexpr size_t kMinPieceBytes = size_t{64} << 10;

  uintptr_t base_ = 0;
  size_t bytes_ = 0;
  size_t piece_bytes_ = 0;  // 0: everything is writable
  uint64_t writable_pieces_[kMaxPieces / 64] = {};
};

// An array over the whole address window, of which only the parts that belong to mapped chunks are
// ever written. Reading any index below size() is allowed and gives zero where nothing was written.
template <typename T>
class SparseArray {
 public:
  constexpr SparseArray() = default;

  // Reserves address space for `size` elements, as SparseBytes::reserve().
  [[nodiscard]] bool reserve(size_t size, MetadataArena& arena) {
    size_ = size;
    return bytes_.reserve(size * sizeof(T), arena);
  }

  // Makes the elements [begin, end) writable, which are about to be written. False when the system
  // refuses memory.
  [[nodiscard]] bool make_writable(size_t begin, size_t end) {
    return bytes_.make_writable(begin * sizeof(T), end * sizeof(T));
  }

  T& operator[](size_t index) { return data()[index]; }
  const T& operator[](size_t index) const { return data()[index]; }
  T* data() const { return reinterpret_cast<T*>(bytes_.base()); }
  size_t size() const { return size_; }
  bool is_reserved() const { return bytes_.base() != 0; }
  // Whether so many elements are reserved: a try that was refused later may have come this far.
  bool is_reserved_for(size_t size) const { return is_reserved() && size_ >= size; }

 private:
  SparseBytes bytes_;
  size_t size_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_SPARSE_ARRAY_H_
