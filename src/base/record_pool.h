#ifndef SPANMALLOC_BASE_RECORD_POOL_H_
#define SPANMALLOC_BASE_RECORD_POOL_H_

#include <atomic>
#include <cstddef>
#include <new>

#include "base/check.h"
#include "base/metadata_arena.h"

namespace spanmalloc {

// Records of one type from the metadata arena, reused but never given back. Go's fixalloc.
// Not locked: the owner's lock protects it. A recycled record keeps its bytes, so that a stale
// reader still finds a state in it; only the first word is overwritten while it is free.
class RecordPool {
 public:
  constexpr RecordPool(MetadataArena& arena, size_t record_bytes, size_t alignment)
      : arena_(arena), record_bytes_(record_bytes), alignment_(alignment) {}

  // A record, zero when it is used for the first time; nullptr when memory is refused.
  void* take() {
    if (free_ != nullptr) {
      FreeRecord* record = free_;
      free_ = record->next;
      set_in_use(in_use() + 1);
      return record;
    }
    void* record = arena_.allocate(record_bytes_, alignment_);
    if (record == nullptr) return nullptr;
    ++made_;
    set_in_use(in_use() + 1);
    return record;
  }

  // REQUIRES: take() gave the record.
  void give_back(void* record) {
    free_ = new (record) FreeRecord{free_};
    set_in_use(in_use() - 1);
  }

  // Records that were taken and not given back. May be read without the lock.
  size_t in_use() const { return in_use_.load(std::memory_order_relaxed); }

  // Verifies that every record is in use or free, once, and calls check(record) for each free one,
  // a const void*. REQUIRES: the owner's lock is held.
  template <typename Check>
  void check_invariants(Check check) const {
    SPANMALLOC_CHECK(in_use() <= made_, "more records are in use than were made");
    const size_t wanted = made_ - in_use();
    size_t free = 0;
    for (const FreeRecord* record = free_; record != nullptr; record = record->next) {
      SPANMALLOC_CHECK(++free <= wanted, "a record is free twice");
      check(static_cast<const void*>(record));
    }
    SPANMALLOC_CHECK(free == wanted, "a record is lost");
  }

 private:
  struct FreeRecord {
    FreeRecord* next;
  };

  void set_in_use(size_t count) { in_use_.store(count, std::memory_order_relaxed); }

  MetadataArena& arena_;
  const size_t record_bytes_;
  const size_t alignment_;
  FreeRecord* free_ = nullptr;
  size_t made_ = 0;
  std::atomic<size_t> in_use_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_RECORD_POOL_H_
