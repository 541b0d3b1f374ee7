// The scavenge index against a table of chunks without packed words and without cursors.
#include "pages/scavenge_index.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "fuzz/input.h"
#include "fuzz/undo_mappings.h"

namespace spanmalloc::testing {
namespace {

constexpr ScavengeMode kModes[] = {ScavengeMode::kBackground, ScavengeMode::kForced};
constexpr ScavengeUnit kUnits[] = {ScavengeUnit::kHugePage, ScavengeUnit::kAnyPages};

struct Chunk {
  std::vector<size_t> peaks{0};  // the most pages in use, by epoch
  size_t in_use = 0;
  size_t highest_freed = 0;  // since the chunk was last declared empty
  bool has[2] = {};          // by unit: pages may be there
  bool is_due[2][2] = {};    // by mode and unit: searches still have to look

  bool is_sparse() const {
    const size_t now = peaks.size() - 1;
    const size_t before = now > 0 ? peaks[now - 1] : 0;
    return peaks[now] < ChunkActivity::kDensePages && before < ChunkActivity::kDensePages;
  }
};

class ShadowIndex {
 public:
  explicit ShadowIndex(Input& input)
      : input_(input), first_(input.below(5000)), chunks_(1 + input.below(40)) {
    const size_t end = first_ + chunks_.size();
    SPANMALLOC_CHECK(index_.reserve(end, arena_) && index_.make_writable(first_, end), "no memory");
    index_.add_chunks(first_, end);
  }

  void step() {
    const size_t at = input_.below(chunks_.size());
    switch (input_.below(8)) {
      case 0:
      case 1:
        return use(at);
      case 2:
      case 3:
        return free(at);
      case 4:
        return start_epoch();
      case 5:
        index_.rewind_forced();
        for (const ScavengeUnit unit : kUnits)
          make_due(ScavengeMode::kForced, unit, chunks_.size());
        return;
      default:
        return find(kModes[input_.below(2)], kUnits[input_.below(2)]);
    }
  }

 private:
  static size_t as_index(auto value) { return static_cast<size_t>(value); }
  ChunkNumber number(size_t at) const { return {first_ + at}; }

  void make_due(ScavengeMode mode, ScavengeUnit unit, size_t end) {
    for (size_t at = 0; at < end; ++at) chunks_[at].is_due[as_index(mode)][as_index(unit)] = true;
  }

  void use(size_t at) {
    Chunk& chunk = chunks_[at];
    const size_t room = kPagesPerChunk - chunk.in_use;
    if (room == 0) return;
    const size_t count = input_.below(3) == 0 ? room : 1 + input_.below(room);
    index_.allocated(number(at), count);
    chunk.in_use += count;
    chunk.peaks.back() = std::max(chunk.peaks.back(), chunk.in_use);
    if (chunk.in_use == kPagesPerChunk) chunk.has[0] = chunk.has[1] = false;
    compare(at);
  }

  void free(size_t at) {
    Chunk& chunk = chunks_[at];
    if (chunk.in_use == 0) return;
    const size_t count = 1 + input_.below(chunk.in_use);
    const size_t first = input_.below(kPagesPerChunk - count + 1);
    chunk.in_use -= count;
    if (input_.below(4) == 0) {
      index_.freed_released(number(at), count);
      return compare(at);
    }
    index_.freed(number(at), first, count);
    if (!chunk.has[as_index(ScavengeUnit::kAnyPages)]) chunk.highest_freed = 0;
    chunk.highest_freed = std::max(chunk.highest_freed, first + count - 1);
    for (const ScavengeUnit unit : kUnits) {
      const bool huge = unit == ScavengeUnit::kHugePage;
      if (huge && chunk.in_use > kPagesPerChunk - kPagesPerHugePage) continue;
      chunk.has[as_index(unit)] = true;
      make_due(ScavengeMode::kForced, unit, at + 1);
    }
    freed_end_ = std::max(freed_end_, at + 1);
    compare(at);
  }

  void start_epoch() {
    index_.start_epoch();
    for (Chunk& chunk : chunks_) chunk.peaks.push_back(chunk.in_use);
    const size_t end = std::max(freed_end_, last_freed_end_);
    for (const ScavengeUnit unit : kUnits) make_due(ScavengeMode::kBackground, unit, end);
    last_freed_end_ = freed_end_;
    freed_end_ = 0;
  }

  void find(ScavengeMode mode, ScavengeUnit unit) {
    size_t at = chunks_.size();
    for (; at > 0; --at) {
      Chunk& chunk = chunks_[at - 1];
      bool& is_due = chunk.is_due[as_index(mode)][as_index(unit)];
      const bool is_allowed = mode == ScavengeMode::kForced || chunk.is_sparse();
      if (is_due && chunk.has[as_index(unit)] && is_allowed) break;
      is_due = false;
    }
    const ScavengeIndex::Found found = index_.find(mode, unit);
    SPANMALLOC_CHECK(found.ok == (at > 0), "a search that fails or finds wrongly");
    if (!found.ok) return;
    --at;
    SPANMALLOC_CHECK(found.chunk == number(at), "a search that finds another chunk");
    // A free huge page may lie above the page whose free made half of the chunk unused.
    const bool is_exact = mode == ScavengeMode::kForced && unit == ScavengeUnit::kAnyPages;
    SPANMALLOC_CHECK(!is_exact || found.page >= chunks_[at].highest_freed,
                     "a forced search that begins below a free page");
    if (input_.below(3) != 0) {
      index_.set_empty(found.chunk, unit);
      chunks_[at].has[as_index(unit)] = false;
    }
  }

  // Peaks are brought up to the epoch when the chunk is next written.
  void compare(size_t at) {
    const ChunkActivity activity = index_.activity(number(at));
    const Chunk& chunk = chunks_[at];
    SPANMALLOC_CHECK(activity.in_use == chunk.in_use, "pages in use differ");
    SPANMALLOC_CHECK(activity.peak == chunk.peaks.back(), "the peak differs");
    SPANMALLOC_CHECK(activity.is_sparse(index_.generation()) == chunk.is_sparse(),
                     "the density rule differs");
  }

  Input& input_;
  const size_t first_;
  std::vector<Chunk> chunks_;
  MetadataArena arena_;
  ScavengeIndex index_;
  size_t freed_end_ = 0;  // one above the highest chunk freed in this epoch, and in the last
  size_t last_freed_end_ = 0;
};

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  const UndoMappings undo;
  Input input(data, size);
  ShadowIndex index(input);
  while (!input.empty()) index.step();
  return 0;
}
