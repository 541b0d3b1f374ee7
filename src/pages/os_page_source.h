#ifndef SPANMALLOC_PAGES_OS_PAGE_SOURCE_H_
#define SPANMALLOC_PAGES_OS_PAGE_SOURCE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pages/page_source.h"

namespace spanmalloc {

// Memory of the operating system. Address space is reserved in arenas (Reserved), of which whole
// chunks become Prepared as the heap grows; nothing is ever unmapped that was handed out. An arena
// is placed by an address hint right behind the last one, so that the heap is one mapping. The
// first arena is one chunk, Prepared at once: for a small process that is one system call and one
// mapping. Where the process has used up its number of mappings, an arena becomes Prepared as a
// whole, and the last one is made longer.
//
// can_grow(), grow(), grow_for_records() and continues_at() are protected by the page heap's lock,
// open() and close() by the caller; the others use only what stays as it is from open() on, and are
// thread-safe.
class OsPageSource final : public PageSource {
 public:
  // Of its mappings, for who looks at those of a process.
  static constexpr char kName[] = "spanmalloc heap";

  constexpr OsPageSource() = default;
  OsPageSource(const OsPageSource&) = delete;
  OsPageSource& operator=(const OsPageSource&) = delete;

  // Chooses the window and prepares the first chunk in it. The window begins at address 0, so that
  // one comparison tells whether an address can be in it, and the heap lies low in the address
  // space, so that the window is small. `window_bytes` is a power of two and a multiple of the
  // chunk, or 0 for a choice by the machine's memory and the process's limit; the window becomes
  // larger if the kernel places memory beyond it.
  // False when address space is refused; may be tried again. Does nothing once open.
  [[nodiscard]] bool open(size_t window_bytes = 0);

  // The smallest window that open() chooses: the heap then lies above 4 GiB, out of the way of
  // programs at fixed addresses and their break, and arrays over the window cost 3 MiB of address
  // space.
  static constexpr size_t kSmallestWindow = size_t{16} << 30;

  // Undoes open(). REQUIRES: nothing has been handed out.
  void close();

  // REQUIRES: open() succeeded.
  AddressWindow window() const { return window_; }

  // Whether release() gives memory back at once or lazily, see platform::release_lazily().
  enum class ReleaseWay : uint8_t { kAtOnce, kLazily };
  void set_release_way(ReleaseWay way) { release_way_.store(way, std::memory_order_relaxed); }

  bool can_grow(PageCount at_least) override;
  PageRange grow(PageCount at_least) override;
  platform::MemoryPiece grow_for_records(Bytes at_least) override;
  bool continues_at(PageNumber end, PageCount count) const override;
  platform::ReleaseResult release(PageRange pages) override;
  size_t release_pieces(const platform::MemoryPiece* pieces, size_t count) override;
  void populate(PageRange pages) override;
  void advise_huge_pages(PageRange pages, platform::HugePages wish) override;
  void advise_again(PageRange pages) override;
  platform::HugePageMode huge_page_mode() override;
  Bytes own_resident_bytes(PageRange pages) override;
  platform::CollapseResult collapse(PageRange pages) override;

 private:
  // Addresses not handed out yet, chunk aligned.
  struct Arena {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    uintptr_t prepared_end = 0;  // Prepared up to here, Reserved behind
    size_t bytes() const { return end - begin; }
  };
  // Rests of arenas that were too small for a request; used for later ones.
  static constexpr size_t kMaxRests = 8;

  bool map_first_chunk();
  // What became of a request for a new arena.
  enum class Added : uint8_t { kAll, kNoAddresses, kNotPrepared };
  Added add_arena(size_t needed);
  void name_heap(Arena arena);
  Arena reserve_arena(size_t needed);
  using Reserve = uintptr_t (*)(size_t bytes, uintptr_t hint);
  static Reserve way_to_try();
  Arena reserve_in_window(size_t behind, size_t elsewhere,
                          Reserve reserve = &platform::reserve) const;
  Arena reserve_at(uintptr_t hint, size_t bytes, Reserve reserve = &platform::reserve) const;
  bool is_in_window(Arena arena) const;
  Arena* prepared_arena(size_t bytes);
  bool extend_current(size_t bytes);
  bool prepare(Arena& arena, size_t bytes);
  bool prepare_part_or_all(Arena& arena, size_t bytes);
  Arena* rest_with(size_t bytes);
  void keep_rest(Arena rest);

  std::atomic<ReleaseWay> release_way_{ReleaseWay::kAtOnce};
  AddressWindow window_;
  size_t arena_bytes_ = 0;
  // What is left of the arena from which the heap grows.
  Arena current_;
  // The first chunk, which is Prepared from the start.
  Arena first_;
  bool first_is_named_ = false;
  Arena rests_[kMaxRests];
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_OS_PAGE_SOURCE_H_
