// Lists of free objects that live in the objects themselves.
//
//   word 0  link  the next node, or nullptr in a sentinel; encoded under the process key
//   word 1  seal  48 bits of the process key, then 16 bits of room
//
// A list ends in a sentinel that is no object: its link is nullptr and its room is the number of
// objects that fit above it. Every node has one less room than the node below, so the top node
// alone tells how many more objects the list takes, and neither push nor pop keeps a counter:
//
//   top -> [link|key:1] -> [link|key:2] -> [link|key:3] -> sentinel [null|key:4]      one more fits
//
// A block that the program owns has no seal: malloc overwrites word 1. So a seal in a block that
// comes to free says, all but surely, that the block is free already. The key is random, so neither
// a link nor a seal can be forged by writing to a freed block without knowing it.
#ifndef SPANMALLOC_SPANS_FREE_LIST_H_
#define SPANMALLOC_SPANS_FREE_LIST_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc {

// The process's secret for links and seals. Its low 16 bits are 0, where seals keep their room.
struct ListKey {
  uintptr_t value = 0;

  static constexpr ListKey from_random(uint64_t random) {
    return {static_cast<uintptr_t>(random) & ~uintptr_t{0xffff}};
  }
};

struct FreeNode {
  uintptr_t link;
  uintptr_t seal;

  FreeNode* next(ListKey key) const { return reinterpret_cast<FreeNode*>(link ^ key.value); }
  size_t room() const { return static_cast<uint16_t>(seal); }

  // Puts this node on top of `top`. REQUIRES: top->room() > 0.
  void link_above(FreeNode* top, ListKey key) {
    seal = top->seal - 1;
    link = reinterpret_cast<uintptr_t>(top) ^ key.value;
  }
  // Makes this node the end of a list of `room` objects.
  void make_sentinel(ListKey key, size_t room) {
    link = key.value;
    seal = key.value | room;
  }
  // Whether the block looks as if it lay in a free list. `other` is a node of one.
  bool has_seal_of(const FreeNode* other) const { return (seal ^ other->seal) <= 0xffff; }
  // Makes the block one that the program owns.
  void remove_seal() { seal = 0; }
};

static_assert(sizeof(FreeNode) == 16, "a node fits into the smallest object");

// A whole list in the hands of one owner.
struct Magazine {
  FreeNode* top = nullptr;
  size_t count = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_FREE_LIST_H_
