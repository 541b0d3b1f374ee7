#include "central/depot.h"

#include <iterator>

#include "base/check.h"

namespace spanmalloc {

bool Depot::put(Magazine magazine, MetadataArena& arena) {
  if (top_ == nullptr || top_->count == std::size(top_->magazines)) {
    Block* block = spare_;
    if (block != nullptr) {
      spare_ = block->below;
    } else {
      block = static_cast<Block*>(arena.allocate(sizeof(Block), alignof(Block)));
      if (block == nullptr) return false;
    }
    block->below = top_;
    block->count = 0;
    top_ = block;
  }
  top_->magazines[top_->count++] = magazine;
  ++magazine_count_;
  object_count_ += magazine.count;
  return true;
}

Magazine Depot::take() {
  if (top_ == nullptr) return {};
  const Magazine magazine = top_->magazines[--top_->count];
  if (top_->count == 0) {
    Block* emptied = top_;
    top_ = emptied->below;
    emptied->below = spare_;
    spare_ = emptied;
  }
  --magazine_count_;
  object_count_ -= magazine.count;
  if (magazine_count_ < fewest_) fewest_ = magazine_count_;
  return magazine;
}

Magazine Depot::take_idle() {
  const size_t idle = fewest_;
  if (idle == 0) return {};
  const Magazine magazine = take();
  fewest_ = idle - 1;
  return magazine;
}

void Depot::check_invariants() const {
  size_t magazines = 0;
  size_t objects = 0;
  for (const Block* block = top_; block != nullptr; block = block->below) {
    SPANMALLOC_CHECK(block->count > 0, "empty block in a depot");
    SPANMALLOC_CHECK(block == top_ || block->count == std::size(block->magazines),
                     "a lower block of a depot is not full");
    for (size_t index = 0; index < block->count; ++index) {
      ++magazines;
      objects += block->magazines[index].count;
    }
  }
  SPANMALLOC_CHECK(magazines == magazine_count_, "depot with a wrong magazine count");
  SPANMALLOC_CHECK(objects == object_count_, "depot with a wrong object count");
  SPANMALLOC_CHECK(fewest_ <= magazine_count_, "depot with a wrong low-water mark");
}

}  // namespace spanmalloc
