#ifndef SPANMALLOC_SCAVENGER_SCAVENGER_H_
#define SPANMALLOC_SCAVENGER_SCAVENGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/event_counts.h"
#include "base/options.h"
#include "cache/thread_cache_registry.h"
#include "central/central_lists.h"
#include "central/hole_releaser.h"
#include "pages/page_heap.h"
#include "scavenger/scavenge_pacer.h"

namespace spanmalloc {

// Where the scavenger's time comes from; tests bring their own.
class ScavengerClock {
 public:
  virtual uint64_t monotonic_ns() = 0;
  virtual uint64_t thread_cpu_ns() = 0;
  virtual void sleep_ns(uint64_t nanoseconds) = 0;

 protected:
  ~ScavengerClock() = default;
};

class SystemScavengerClock final : public ScavengerClock {
 public:
  uint64_t monotonic_ns() override;
  uint64_t thread_cpu_ns() override;
  void sleep_ns(uint64_t nanoseconds) override;
};

// What one tick of the clock did.
struct EpochResult {
  size_t drained_bytes = 0;   // from idle depots and waiting caches into spans
  size_t released_bytes = 0;  // to the system, free pages
  size_t hole_bytes = 0;      // to the system, between the objects of spans

  bool did_something() const { return drained_bytes > 0 || released_bytes > 0 || hole_bytes > 0; }
};

// Gives memory back to the system that the program has not needed for a while.
//
// A background thread ticks once an epoch: it drains what lay idle in depots and in the caches of
// ended threads, so that empty spans become free pages, then releases free pages beyond the goal,
// in pieces, slowly enough to stay within its share of a processor (see ScavengePacer).
//
// The thread starts when the heap first passes a size, on the malloc side only, for the C library
// frees memory under locks that starting a thread needs. With nothing to do for some epochs it
// parks; a word that frees look at wakes it. It ends when the heap is small again, or when it is
// the last thread. Where no thread may be started, growth and large frees tick in its place.
class Scavenger {
 public:
  constexpr Scavenger(PageHeap& page_heap, CentralLists& centrals, HoleReleaser& holes,
                      ThreadCacheRegistry& registry, SentinelTable& sentinels,
                      const Options& options, ScavengerClock& clock)
      : page_heap_(page_heap),
        centrals_(centrals),
        holes_(holes),
        registry_(registry),
        sentinels_(sentinels),
        options_(options),
        clock_(clock) {}

  // The heap may have grown. Called from malloc, without a lock.
  void note_growth();

  // Pages may have become free, or a depot has grown. Called from malloc and free, without a lock.
  void note_pages_freed();
  void note_depot_grown();

  // Threads that have a cache, so that the scavenger's own does not outlive them all.
  void note_thread_start() {
    live_threads_.fetch_add(1, std::memory_order_relaxed);
    count_shared_write();
  }
  void note_thread_end();
  // At least 1.
  size_t live_threads() const {
    const size_t threads = live_threads_.load(std::memory_order_relaxed);
    return threads > 0 ? threads : 1;
  }

  // One tick: drains what is idle, then releases at most `at_most` bytes of what is beyond the
  // goal, sleeping in between as the pace demands. Does nothing while another thread is at it.
  EpochResult run_epoch(size_t at_most);

  // Gives back all free pages and holes of spans at once, without pacing; returns the bytes.
  size_t release_all();

  // In the child of a fork the thread is gone; the next growth starts a new one.
  void forget_thread();

  // The key of the lists that are drained. REQUIRES: called before any thread can start.
  void set_key(ListKey key) { key_ = key; }

  bool has_thread() const { return state_.load(std::memory_order_relaxed) >= kRunning; }

 private:
  // kRefused: no thread can be had in this process. The thread sleeps on this word.
  enum State : uint32_t { kNoThread, kRefused, kRunning, kParked };

  static void thread_body(void* self);
  void run();
  void start_thread();
  // Each tells whether the thread should go on.
  [[nodiscard]] bool sleep_until_next_epoch(uint64_t started_ns);
  [[nodiscard]] bool park();
  bool is_last_thread();
  void tick_without_thread();
  bool has_much_to_release() const;
  void start_epoch();
  // Whether the program has taken no memory for some epochs.
  bool is_quiet() const;
  ScavengePacer pacer() const;
  size_t drain();
  size_t release_surplus(const ScavengePacer& pacer, size_t at_most);
  size_t release_holes(const ScavengePacer& pacer, size_t at_most);
  // What the program uses of the memory that is backed, at its recent peak.
  size_t recent_peak() const;
  void trace(const EpochResult& result) const;

  PageHeap& page_heap_;
  CentralLists& centrals_;
  HoleReleaser& holes_;
  ThreadCacheRegistry& registry_;
  SentinelTable& sentinels_;
  const Options& options_;
  ScavengerClock& clock_;
  ListKey key_{};
  std::atomic<uint32_t> state_{kNoThread};
  std::atomic<size_t> live_threads_{0};
  std::atomic<bool> threads_ended_{false};
  // Set while a tick is under way: there is one at a time, and nobody waits for it.
  std::atomic<bool> ticking_{false};
  // The following belong to the tick under way.
  PeakWindow peaks_;
  // Epochs in a row in which the program took no memory from spans or pages.
  size_t quiet_epochs_ = 0;
  // Where the next look for holes begins.
  PageNumber hole_cursor_{};
  size_t threads_started_before_ = 0;
  // When ticks without a thread are due.
  std::atomic<uint64_t> next_tick_ns_{0};
  std::atomic<uint32_t> depot_calls_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_SCAVENGER_H_
