#ifndef SPANMALLOC_CACHE_CACHE_OWNER_H_
#define SPANMALLOC_CACHE_CACHE_OWNER_H_

#include <atomic>
#include <cstdint>

namespace spanmalloc {

class HotCache;

// The calling thread's pointer to the cache that its hot path uses.
using CacheSlot = std::atomic<HotCache*>;

// Which thread a cache belongs to, so that the cache of a thread that sleeps can be borrowed: it is
// taken out of the thread's slot, worked on, and put back, and the thread goes without a cache if
// it wakes up meanwhile.
//
//   none --attach--> attached <--give_back-- borrowed
//    ^                | |  ---try_borrow-->
//    +-----detach-----+
//
// The slot lies in the thread's memory, so a thread detaches before it ends, and waits for whoever
// has borrowed. A thread that ends unseen is found out by forget_if_ended(). All zero at
// first.
class CacheOwner {
 public:
  CacheOwner() = default;

  // By the owner, after its slot got the cache.
  void attach(CacheSlot* slot, int thread_id);
  // By the owner, before its slot goes. Waits while the cache is borrowed. Does nothing when it is
  // not attached.
  void detach();
  // In the child of a fork, for the owner that came along (attached anew) or did not.
  void forget() { state_.store(kNone, std::memory_order_relaxed); }

  // By another thread: takes the cache out of the owner's slot. False when it has no owner, when
  // the owner is another process's, or when another thread has borrowed it.
  [[nodiscard]] bool try_borrow(HotCache* cache, HotCache* in_its_place);
  // By who has borrowed it. A slot with anything but `in_its_place` is another thread's by now, and
  // one whose thread has ended is not touched; the cache is then one to be forgotten.
  void give_back(HotCache* cache, HotCache* in_its_place);

  // By another thread: detaches in the place of an owner that has ended without doing so. False
  // when there is no such owner.
  // REQUIRES: the owners are threads of the calling process, which has the identity they know.
  [[nodiscard]] bool forget_if_ended();

  // Whether forget_if_ended() is worth asking: the answer may be stale.
  bool may_have_ended() const;

  // Of the calling thread's slot, also while others attach theirs.
  bool is_of(const CacheSlot* slot) const {
    return state_.load(std::memory_order_acquire) != kNone &&
           slot_.load(std::memory_order_relaxed) == slot;
  }
  bool is_borrowed() const { return state_.load(std::memory_order_acquire) == kBorrowed; }
  // May be stale.
  int thread_id() const { return thread_id_.load(std::memory_order_relaxed); }
  uintptr_t anchor() const {
    return reinterpret_cast<uintptr_t>(slot_.load(std::memory_order_relaxed));
  }

 private:
  enum State : uint32_t { kNone, kAttached, kBorrowed };

  std::atomic<uint32_t> state_;
  std::atomic<int> thread_id_;
  std::atomic<CacheSlot*> slot_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_CACHE_OWNER_H_
