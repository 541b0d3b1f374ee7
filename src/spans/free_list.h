// Lists of free objects that live in the objects themselves.
//
//   word 0  link  the next node, or the list's end in a sentinel; encoded under the process key
//   word 1  seal  in the low half the process's mark, in the high half room and SealCheck
//
// A list ends in a sentinel that is no object: its link leads to no node and its room is the number
// of objects that fit above it. Every node has one less room than the node below, so the top node
// alone tells how many more objects the list takes, and neither push nor pop keeps a counter:
//
//   top -> [link|mark:1] -> [link|mark:2] -> [link|mark:3] -> sentinel [end|mark:4]   one more fits
//
// A block that the program owns has neither mark nor link: malloc overwrites halves of both words.
// So a mark in a block that comes to free says, all but surely, that the block is free already.
// Encoded links are negative numbers, and what programs write mostly is not: a block that was
// written to in a list, or lies in lists twice and was taken once, looks like an end that is no
// sentinel. Mark and key are random and say nothing about each other: what is left, a link changed
// to another negative number, leads nowhere, all but surely. Who reads two freed blocks of known
// addresses knows the key: no defence against such an attack. An object keeps its mark in its span,
// which looks for it when it hands the object out (MemoryContent::kSealed).
//
// To look for the mark, free must read the block, and waits for memory when the block has not been
// used for long. The sentinel of a list tells whether free does (SealCheck).
#ifndef SPANMALLOC_SPANS_FREE_LIST_H_
#define SPANMALLOC_SPANS_FREE_LIST_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bits.h"

namespace spanmalloc {

// The process's secrets for links and seals.
struct ListKey {
  // Negative, so that a link is, and what is not the link of a list is the end of one.
  uintptr_t link = 0;
  // Never 0, which is what malloc leaves in a block.
  uint32_t mark = 0;

  static constexpr ListKey from_random(uint64_t random) {
    return {static_cast<uintptr_t>(random) | ~(~uintptr_t{0} >> 1),
            static_cast<uint32_t>(mix_bits(random) >> 32) | 1};
  }
};

// When a block that is freed twice is noticed.
enum class SealCheck : uint8_t {
  kAtFree,   // by the call, which reads the block
  kDeferred  // when the block is taken from a list again or comes back to its span
};

struct FreeNode {
  // What word 1 loses with each object on top.
  static constexpr uint64_t kOneRoom = uint64_t{1} << 32;
  // Addresses of a process are positive numbers; a decoded link that is negative ends the list.
  static constexpr uintptr_t kEnd = ~(~uintptr_t{0} >> 1);
  static constexpr size_t kMaxRoom = 0xffff;
  // The top bits of seals in lists with deferred checks. The first makes seal_above() negative, as
  // a list without room is. To take one room from none borrows from them: 0b101 becomes 0b100, and
  // the 0 of other lists 0b111, so that a full list of either kind does not look like one with
  // room.
  static constexpr int kFlagShift = 61;
  static constexpr uint64_t kDeferredFlags = 0b101;

  uintptr_t link;
  uint64_t seal;

  // The node below, or one for which is_end() holds.
  FreeNode* next(ListKey key) const { return reinterpret_cast<FreeNode*>(link ^ key.link); }
  static bool is_end(const FreeNode* next) { return reinterpret_cast<intptr_t>(next) < 0; }

  size_t room() const { return static_cast<size_t>(seal >> 32) & kMaxRoom; }
  SealCheck seal_check() const {
    return static_cast<int64_t>(seal) < 0 ? SealCheck::kDeferred : SealCheck::kAtFree;
  }
  // Computes the seal of the node to come on top of this one. True when there is room for it in a
  // list whose blocks are checked at free; else is_deferred() tells of the result what is the case.
  [[nodiscard]] bool seal_above(uint64_t* above) const {
    *above = seal - kOneRoom;
    // Rooms are small numbers, so without room the difference is a negative number.
    return static_cast<int64_t>(*above) >= 0;
  }
  // Whether the result of seal_above() is that of a list with room and deferred checks.
  static bool is_deferred(uint64_t above) { return above >> kFlagShift == kDeferredFlags; }
  // Makes this the node on top of `below`. REQUIRES: `above` is the seal that goes there.
  void link_above(FreeNode* below, uint64_t above, ListKey key) {
    link = reinterpret_cast<uintptr_t>(below) ^ key.link;
    seal = above;
  }
  // Makes this the node on top of `below`. REQUIRES: below->room() > 0.
  void link_above(FreeNode* below, ListKey key) { link_above(below, below->seal - kOneRoom, key); }
  // Makes this node the end of a list of `room` objects, at most kMaxRoom.
  void make_sentinel(ListKey key, size_t room, SealCheck check) {
    const uint64_t flags = check == SealCheck::kDeferred ? kDeferredFlags : 0;
    link = key.link ^ kEnd;
    seal = flags << kFlagShift | uint64_t{room} << 32 | key.mark;
  }
  // Whether the block looks as if it lay in a free list: its word 1 has the mark of `other`.
  bool has_mark_of(uint64_t other) const {
    return static_cast<uint32_t>(seal) == static_cast<uint32_t>(other);
  }
  // Makes the block one that the program owns: without mark, and with a link that leads nowhere.
  void remove_seal() {
    // One store over the high half of the link and the low half of the seal.
    memset(reinterpret_cast<char*>(this) + sizeof(link) / 2, 0,
           sizeof(link) / 2 + sizeof(ListKey::mark));
  }
};

static_assert(sizeof(FreeNode) == 16, "a node fits into the smallest object");

// A whole list in the hands of one owner.
struct Magazine {
  FreeNode* top = nullptr;
  size_t count = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_FREE_LIST_H_
