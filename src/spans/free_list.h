// Lists of free objects that live in the objects themselves.
//
//   word 0  link  the next node, or the list's end in a sentinel; encoded under the process key
//   word 1  seal  in the low half the process's mark, in the high half the room
//
// A list ends in a sentinel that is no object: its link leads to no node and its room is the number
// of objects that fit above it. Every node has one less room than the node below, so the top node
// alone tells how many more objects the list takes, and neither push nor pop keeps a counter:
//
//   top -> [link|mark:1] -> [link|mark:2] -> [link|mark:3] -> sentinel [end|mark:4]   one more fits
//
// A block that the program owns has no seal: malloc overwrites word 1. So a mark in a block that
// comes to free says, all but surely, that the block is free already. Mark and key are random and
// say nothing about each other: a link that a stray write changed leads nowhere, all but surely.
// Who reads two freed blocks of known addresses knows the key: no defence against such an attack.
#ifndef SPANMALLOC_SPANS_FREE_LIST_H_
#define SPANMALLOC_SPANS_FREE_LIST_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc {

// The process's secrets for links and seals.
struct ListKey {
  // Never negative, so that an end is one under every key.
  uintptr_t link = 0;
  // Never 0, which is what malloc leaves in a block.
  uint32_t mark = 0;

  static constexpr ListKey from_random(uint64_t random) {
    // The mark is taken from a product that mixes all bits (the finalizer of splitmix64).
    uint64_t mixed = (random ^ (random >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return {static_cast<uintptr_t>(random >> 1), static_cast<uint32_t>(mixed >> 32) | 1};
  }
};

struct FreeNode {
  // What word 1 loses with each object on top.
  static constexpr uint64_t kOneRoom = uint64_t{1} << 32;
  // Addresses of a process are positive numbers; a decoded link that is negative ends the list.
  static constexpr uintptr_t kEnd = ~(~uintptr_t{0} >> 1);

  uintptr_t link;
  uint64_t seal;

  // The node below, or one for which is_end() holds.
  FreeNode* next(ListKey key) const { return reinterpret_cast<FreeNode*>(link ^ key.link); }
  static bool is_end(const FreeNode* next) { return reinterpret_cast<intptr_t>(next) < 0; }

  size_t room() const { return static_cast<size_t>(seal >> 32); }
  // Computes the seal of the node to come on top of this one; false when there is no room for it.
  [[nodiscard]] bool seal_above(uint64_t* above) const {
    *above = seal - kOneRoom;
    // Rooms are small numbers, so without room the difference is a negative number.
    return static_cast<int64_t>(*above) >= 0;
  }
  // Makes this the node on top of `below`. REQUIRES: `above` is the seal that goes there.
  void link_above(FreeNode* below, uint64_t above, ListKey key) {
    link = reinterpret_cast<uintptr_t>(below) ^ key.link;
    seal = above;
  }
  // Makes this the node on top of `below`. REQUIRES: below->room() > 0.
  void link_above(FreeNode* below, ListKey key) { link_above(below, below->seal - kOneRoom, key); }
  // Makes this node the end of a list of `room` objects.
  void make_sentinel(ListKey key, size_t room) {
    link = key.link ^ kEnd;
    seal = (uint64_t{room} << 32) | key.mark;
  }
  // Whether the block looks as if it lay in a free list: its word 1 has the mark of `other`.
  bool has_mark_of(uint64_t other) const {
    return static_cast<uint32_t>(seal) == static_cast<uint32_t>(other);
  }
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
