#ifndef SPANMALLOC_CENTRAL_DEPOT_H_
#define SPANMALLOC_CENTRAL_DEPOT_H_

#include <cstddef>

#include "base/metadata_arena.h"
#include "spans/free_list.h"

namespace spanmalloc {

// Magazines of one size class on their way between threads: a stack, since the magazine that came
// last is the warmest. They are full, but for those of threads that have ended. A magazine moves as
// one pointer; the depot touches no object.
// The owner's lock protects it. Bonwick and Adams, "Magazines and Vmem", 2001.
class Depot {
 public:
  constexpr Depot() = default;

  // Room comes from `arena`. False when metadata is refused.
  [[nodiscard]] bool put(Magazine magazine, MetadataArena& arena);
  // An empty magazine (top is nullptr) when the depot is empty.
  Magazine take();

  size_t magazine_count() const { return magazine_count_; }
  size_t object_count() const { return object_count_; }

  // Magazines that nobody has needed since the last call: the fewest that lay here at any moment.
  size_t idle_magazines() const { return fewest_; }
  void start_epoch() { fewest_ = magazine_count_; }
  // One of them; an empty magazine when there is none.
  Magazine take_idle();

  // Calls visit(magazine) for each magazine, the last one first, until it returns false.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Block* block = top_; block != nullptr; block = block->below) {
      for (size_t index = block->count; index > 0; --index) {
        if (!visit(block->magazines[index - 1])) return;
      }
    }
  }

  void check_invariants() const;

 private:
  struct Block {
    Block* below;
    size_t count;
    Magazine magazines[31];  // with the two words above: 512 bytes
  };

  // Every block has magazines; all but the top one are full.
  Block* top_ = nullptr;
  Block* spare_ = nullptr;  // emptied blocks, linked by `below`
  size_t magazine_count_ = 0;
  size_t object_count_ = 0;
  size_t fewest_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CENTRAL_DEPOT_H_
