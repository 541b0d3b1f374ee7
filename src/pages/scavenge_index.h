// Which chunks are worth a look of the scavenger.
//
// One word per chunk says how many pages are in use now, how many were at most in this epoch and in
// the one before, and whether pages may be there that can be given back. Chunks that are or were
// nearly full until lately are left alone: their few free pages will be wanted again, and giving
// them back would break huge pages. Go's rule, but with the peak of an epoch where Go looks at the
// moment of its end, because in a C program frees come at any time.
//
// A search goes from high addresses to low ones, against the direction of allocation, and keeps a
// cursor above which there is nothing to find. There are four: two modes (the background honours
// the density rule and sees what was freed until the last epoch began; a forced search sees
// everything at once) times two units (whole free huge pages first, then anything). A search by
// idle age is a forced one that passes over chunks in which pages came into use or became free
// lately; the epoch of the last change stands in the chunk's word. Go's rule of 2012, by chunks.
#ifndef SPANMALLOC_PAGES_SCAVENGE_INDEX_H_
#define SPANMALLOC_PAGES_SCAVENGE_INDEX_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/sparse_array.h"
#include "base/units.h"

namespace spanmalloc {

enum class ScavengeMode { kBackground, kForced, kIdleAge };
enum class ScavengeUnit { kHugePage, kAnyPages };

// The unpacked word of a chunk.
struct ChunkActivity {
  // From 31/32 of its pages on a chunk is dense. Go's scavChunkHiOccFrac.
  static constexpr uint32_t kDensePages = kPagesPerChunk / 32 * 31;

  // There may be free, retained pages; and among them a huge page that is free as a whole.
  static constexpr uint32_t kMayHaveFree = 1;
  static constexpr uint32_t kMayHaveFreeHugePage = 2;

  uint32_t generation = 0;  // the epoch in which the word was last written
  uint32_t in_use = 0;      // pages now
  uint32_t peak = 0;        // most pages in use in that epoch
  uint32_t last_peak = 0;   // most pages in use in the epoch before it
  uint32_t flags = 0;

  // True when the word of a chunk says that pages of this unit may be there. Cheaper than the whole
  // rule; searches pass over most chunks by it.
  static bool may_have(uint64_t word, ScavengeUnit unit) {
    return (word >> kFlagsShift & flag_of(unit)) != 0;
  }
  static constexpr uint32_t flag_of(ScavengeUnit unit) {
    return unit == ScavengeUnit::kHugePage ? kMayHaveFreeHugePage : kMayHaveFree;
  }

  static ChunkActivity unpack(uint64_t word);
  uint64_t pack() const;

  // Brings the peaks up to the epoch `now`.
  void roll_to(uint32_t now);

  // True when the chunk neither is dense nor was in the epoch `now` or the one before.
  bool is_sparse(uint32_t now) const;

  // Epochs since the word was last written, up to the epoch `now`.
  uint32_t age(uint32_t now) const { return now - generation; }

  bool operator==(const ChunkActivity&) const = default;

 private:
  // 10 bits hold a count of 0 to 512 pages.
  static constexpr unsigned kCountBits = 10;
  static constexpr unsigned kFlagBits = 2;
  static constexpr unsigned kFlagsShift = 3 * kCountBits;
  static_assert(kFlagsShift + kFlagBits + 32 == 64);
};

// The page below which (inclusive) a search has still to look. It is lowered by searches, which
// hold no lock, and raised under the page heap's lock when pages above it become worth a look. So
// that a search that was under way cannot lower it past such a raise, it is stored together with a
// count of raises and only lowered from the very value that the search began with. (Go marks a
// raised cursor by its sign; the count in addition notices two raises to the same page.)
class ScavengeCursor {
 public:
  struct Position {
    uint64_t stored;
    bool cleared() const { return (stored & kPageMask) == 0; }
    PageNumber page() const { return {(stored & kPageMask) - 1}; }
  };

  // Acquire: a search that sees a raise also sees the word of the chunk it was made for.
  Position load() const { return {stored_.load(std::memory_order_acquire)}; }

  // Raises the cursor to `page` unless it is above. Page heap's lock held.
  void raise(PageNumber page);

  // Lowers it to `page`, or takes everything off the list, unless it moved since `seen` was loaded.
  void lower(Position seen, PageNumber page);
  void clear(Position seen);

 private:
  static constexpr unsigned kPageBits = 40;
  static constexpr uint64_t kOnePage = uint64_t{1} << kPageBits;
  static constexpr uint64_t kPageMask = kOnePage - 1;

  std::atomic<uint64_t> stored_{0};
};

class ScavengeIndex {
 public:
  struct Found {
    ChunkNumber chunk{};
    size_t page = 0;  // within the chunk: no page of kAnyPages to find above it
    bool ok = false;
  };

  constexpr ScavengeIndex() = default;

  // Reserves address space for the words of so many chunks. False when it is refused.
  [[nodiscard]] bool reserve(size_t chunks, MetadataArena& arena) {
    return words_.reserve(chunks, arena);
  }
  bool is_reserved_for(size_t chunks) const { return words_.is_reserved_for(chunks); }
  // Prepares the chunks [begin, end). False when memory is refused; may be repeated.
  [[nodiscard]] bool make_writable(size_t begin, size_t end) {
    return words_.make_writable(begin, end);
  }
  // Takes the chunks [begin, end) into searches.
  void add_chunks(size_t begin, size_t end);

  // Pages of a chunk came into use, became free and retained, or free and released.
  // Page heap's lock held.
  void allocated(ChunkNumber chunk, size_t count);
  void freed(ChunkNumber chunk, size_t first, size_t count);
  void freed_released(ChunkNumber chunk, size_t count);

  // There is nothing of this unit to take in the chunk. Page heap's lock held.
  void set_empty(ChunkNumber chunk, ScavengeUnit unit);

  // The highest chunk worth a look. No lock needed; the answer may be stale.
  Found find(ScavengeMode mode, ScavengeUnit unit);

  // Epochs without a change after which a search by idle age takes a chunk. Any thread.
  void set_idle_age(uint32_t epochs) { idle_age_.store(epochs, std::memory_order_relaxed); }

  // Lets forced searches start at the highest chunk again. Page heap's lock held.
  void rewind_forced();

  // Puts those of the chunks [begin, end) that have free pages on the list again.
  // REQUIRES: the chunks are writable. Page heap's lock held.
  void offer(size_t begin, size_t end);

  // One tick of the clock. Page heap's lock held.
  void start_epoch();

  uint32_t generation() const { return generation_.load(std::memory_order_relaxed); }
  ChunkActivity activity(ChunkNumber chunk) const {
    return ChunkActivity::unpack(words_[chunk.value].load(std::memory_order_relaxed));
  }

 private:
  ScavengeCursor& cursor(ScavengeMode mode, ScavengeUnit unit) {
    const size_t searches = mode == ScavengeMode::kBackground ? 0 : 1;
    return cursors_[searches][static_cast<size_t>(unit)];
  }
  void store(ChunkNumber chunk, const ChunkActivity& activity) {
    words_[chunk.value].store(activity.pack(), std::memory_order_relaxed);
  }
  ChunkActivity current(ChunkNumber chunk) const;
  bool is_for(ScavengeMode mode, const ChunkActivity& activity, uint32_t now) const;

  SparseArray<std::atomic<uint64_t>> words_;
  // The chunks that searches look at lie in [low_, high_).
  std::atomic<size_t> low_{SIZE_MAX};
  std::atomic<size_t> high_{0};
  std::atomic<uint32_t> generation_{0};
  std::atomic<uint32_t> idle_age_{0};
  ScavengeCursor cursors_[2][2];
  // One above the highest page freed in this epoch, and in the last one: a chunk that is hidden
  // for the peak of this epoch may be taken from the epoch after the next on.
  PageNumber freed_end_{0};
  PageNumber last_freed_end_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_SCAVENGE_INDEX_H_
