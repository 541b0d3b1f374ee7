#include "cache/address_order.h"

#include <bit>

namespace spanmalloc {

namespace {

// Lists of fewer blocks take more time to look at than their order saves.
constexpr size_t kLeastBlocks = 32;
// Of so many blocks from the top, so few changes of direction: blocks that were freed in the order
// of their addresses, or nearly so, which a processor fetches ahead as well as sorted ones.
constexpr size_t kSample = 32;
constexpr size_t kTurnsInOrder = 2;
static_assert(kSample <= kLeastBlocks);

// Whether the node is still what free made of it. What a link of the program leads to is not read.
bool is_whole(const FreeNode* node, SizeClass size_class, ListKey key, ClassMapView class_map) {
  return class_map[reinterpret_cast<uintptr_t>(node)] == size_class && node->has_mark_of(key.mark);
}

// Whether nothing is to be done: the top runs in one direction, or the program has changed it.
bool starts_in_order(const FreeNode* node, SizeClass size_class, ListKey key,
                     ClassMapView class_map) {
  size_t turns = 0;
  bool upward = false;
  for (size_t left = kSample; left > 0; --left) {
    if (!is_whole(node, size_class, key, class_map)) return true;
    const FreeNode* next = node->next(key);
    const bool next_upward = next > node;
    if (left < kSample && next_upward != upward) ++turns;
    upward = next_upward;
    node = next;
  }
  return turns <= kTurnsInOrder;
}

}  // namespace

std::optional<FreeNode*> in_address_order(Magazine list, SizeClass size_class, ListKey key,
                                          ClassMapView class_map, const SentinelTable& sentinels) {
  if (list.count < kLeastBlocks || starts_in_order(list.top, size_class, key, class_map)) {
    return list.top;
  }
  BlockSet blocks;
  FreeNode* node = list.top;
  for (size_t left = list.count; left > 0; --left) {
    if (!is_whole(node, size_class, key, class_map)) return list.top;
    const BlockSet::Added added = blocks.add(reinterpret_cast<uintptr_t>(node));
    if (added == BlockSet::Added::kTooFarFromOthers) return std::nullopt;
    if (added == BlockSet::Added::kIsThereAlready) return list.top;
    node = node->next(key);
  }
  if (!sentinels.contains(node)) return list.top;
  return blocks.link_above(node, list.count, key);
}

BlockSet::Window* BlockSet::window_of(uintptr_t address) {
  const uintptr_t base = address & ~(kWindowBytes - 1);
  for (size_t index = 0; index < window_count_; ++index) {
    if (windows_[index].base == base) return &windows_[index];
  }
  if (window_count_ == kMaxWindows) return nullptr;
  Window* window = &windows_[window_count_++];
  window->base = base;
  window->bits.fill(0);
  return window;
}

BlockSet::Added BlockSet::add(uintptr_t address) {
  if (last_ == nullptr || address - last_->base >= kWindowBytes) {
    last_ = window_of(address);
    if (last_ == nullptr) return Added::kTooFarFromOthers;
  }
  const size_t place = (address - last_->base) / kMinAlignment;
  uint64_t& word = last_->bits[place / 64];
  const uint64_t bit = uint64_t{1} << place % 64;
  if ((word & bit) != 0) return Added::kIsThereAlready;
  word |= bit;
  return Added::kYes;
}

const BlockSet::Window& BlockSet::lowest_from(uintptr_t begin) const {
  const Window* lowest = nullptr;
  for (size_t index = 0; index < window_count_; ++index) {
    const Window& window = windows_[index];
    if (window.base >= begin && (lowest == nullptr || window.base < lowest->base)) {
      lowest = &window;
    }
  }
  return *lowest;
}

FreeNode* BlockSet::link_above(FreeNode* below, size_t count, ListKey key) const {
  // From the top down: the lowest bit of a word is had for less than the highest.
  FreeNode start;
  FreeNode* last = &start;
  uint64_t seal = below->seal - (count + 1) * FreeNode::kOneRoom;
  uintptr_t begin = 0;
  for (size_t left = window_count_; left > 0; --left) {
    const Window& window = lowest_from(begin);
    for (size_t word = 0; word < kWords; ++word) {
      for (uint64_t bits = window.bits[word]; bits != 0; bits &= bits - 1) {
        const size_t place = word * 64 + static_cast<size_t>(std::countr_zero(bits));
        auto* node = reinterpret_cast<FreeNode*>(window.base + place * kMinAlignment);
        last->link_above(node, seal, key);
        seal += FreeNode::kOneRoom;
        last = node;
      }
    }
    begin = window.base + kWindowBytes;
  }
  last->link_above(below, seal, key);
  return start.next(key);
}

}  // namespace spanmalloc
