#ifndef SPANMALLOC_CENTRAL_HOLE_RELEASER_H_
#define SPANMALLOC_CENTRAL_HOLE_RELEASER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "central/central_lists.h"
#include "pages/page_heap.h"
#include "platform/system.h"
#include "spans/page_map.h"

namespace spanmalloc {

// Gives back the holes of partly used spans: memory between used objects, in units of the kernel's
// page. It is what is left of a program's fragmentation once all free pages are released.
//
// Spans are visited in the order of their addresses, through the page map and without a lock; what
// is read there may be stale, and only a look under the lock of the span's class counts. Holes that
// rest are collected until a batch is full. Their objects are lent meanwhile, so that no thread is
// given one while its memory goes, and no lock is held during the system call.
//
// A hole rests when its span has not been claimed from for some epochs. Objects are claimed from
// the fullest spans first, so spans with large holes rest soon and stay at rest while the program
// does not grow. The freed objects of a hole are forgotten with their seals: a second free of one
// of them is told when the block reaches its span, not at the call.
class HoleReleaser {
 public:
  constexpr HoleReleaser(CentralLists& centrals, const PageMap& page_map, PageHeap& page_heap)
      : centrals_(centrals), page_map_(page_map), page_heap_(page_heap) {}

  // Which holes are given back: those of spans without a claim for so long, in ticks of the
  // scavenger's clock and steps of the heap's growth. Idle is shorter than the window of peaks for
  // whole pages, since the fullest spans are used first and these are not among them. Where the
  // heap grows, what was not claimed from for a whole step has had its chance.
  enum class Rest : uint16_t { kNone = 0, kBesideGrowth = 2, kIdle = 3 };
  // Who gives back: somebody whose work it is, or a malloc or free in passing. The latter in
  // smaller batches, and under a filter by no other system calls than that must allow for the sake
  // of malloc.
  enum class Caller : uint8_t { kReleaser, kMalloc };
  struct Progress {
    PageNumber next{};      // where to go on; kNoPage at the end of the heap
    Bytes released{};       // given back by this call
    bool was_busy = false;  // another thread is at it, and nothing was done
  };
  // Visits spans from `from` on, until a batch is given back or some chunks are done. Takes locks
  // of classes and of the page heap, one at a time.
  Progress release_some(PageNumber from, Rest rest, Caller caller);

  // Goes through the heap until is_enough() or its end; returns the bytes. Waits for other threads
  // that are at it, some milliseconds at most.
  template <typename IsEnough>
  size_t release_until(IsEnough is_enough, Rest rest, Caller caller) {
    size_t released = 0;
    int waits = kMaxWaits;
    for (PageNumber next{}; next != kNoPage && !is_enough();) {
      const Progress progress = release_some(next, rest, caller);
      next = progress.next;
      released += progress.released.value;
      if (!progress.was_busy) continue;
      if (--waits == 0) break;
      platform::sleep_ns(kWaitNs);
    }
    return released;
  }

  // In the child of a fork: the thread that was at it is gone. Its loans end at the next call.
  void forget_thread() { busy_.store(false, std::memory_order_relaxed); }

  // Spans that objects are lent of. For tests, and while no other thread is at work.
  size_t open_loans() const;

 private:
  static constexpr size_t kMaxLoans = 16;
  static constexpr size_t kMaxPieces = 128;
  // Of the 64 units of a span every other one may be free.
  static constexpr size_t kMaxRunsOfSpan = 32;
  // A piece costs 1 to 3 us, and a huge page that must be split for one 200.
  static constexpr size_t kMaxPiecesOfMalloc = 48;
  // Visited at most between two looks at the clock: about 20 us of work, and 5.
  static constexpr size_t kPagesPerVisit = 4 * kPagesPerChunk;
  static constexpr size_t kPagesPerVisitOfMalloc = kPagesPerChunk;
  static constexpr int kMaxWaits = 100;
  static constexpr uint64_t kWaitNs = 50'000;

  struct Batch {
    std::array<platform::MemoryPiece, kMaxPieces> pieces;
    // The loan that each piece belongs to.
    std::array<uint8_t, kMaxPieces> owners;
    size_t piece_count = 0;
    size_t loan_count = 0;

    bool is_full(size_t most_pieces) const {
      return loan_count == kMaxLoans || piece_count + kMaxRunsOfSpan > most_pieces;
    }
  };

  bool is_candidate(const Span* span, Rest rest) const;
  void collect(Batch& batch);
  using UnitsOfLoans = std::array<uint64_t, kMaxLoans>;
  UnitsOfLoans units_of(const Batch& batch, size_t done) const;
  Bytes release(const Batch& batch, Caller caller);
  size_t release_pieces(const Batch& batch, Caller caller);
  void end_left_over_loans();

  CentralLists& centrals_;
  const PageMap& page_map_;
  PageHeap& page_heap_;
  std::atomic<bool> busy_{false};
  // Written by the thread that is at it, each under the lock of its span's class.
  std::array<HoleLoan, kMaxLoans> loans_{};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CENTRAL_HOLE_RELEASER_H_
