#ifndef SPANMALLOC_SCAVENGER_SCAVENGER_H_
#define SPANMALLOC_SCAVENGER_SCAVENGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/event_counts.h"
#include "base/options.h"
#include "cache/sleeping_caches.h"
#include "cache/thread_cache_registry.h"
#include "central/central_lists.h"
#include "central/hole_releaser.h"
#include "pages/page_heap.h"
#include "platform/compiler.h"
#include "scavenger/growth_payment.h"
#include "scavenger/huge_frees.h"
#include "scavenger/huge_page_keeper.h"
#include "scavenger/limit_keeper.h"
#include "scavenger/memory_watch.h"
#include "scavenger/scavenge_pacer.h"
#include "scavenger/scavenger_clock.h"
#include "scavenger/tick_rest.h"

namespace spanmalloc {

// What makes the clock tick.
//   kTimer   the time of an epoch has passed on the background thread
//   kChange  much was allocated or freed since the last epoch: what is free is released sooner, but
//            idleness is a matter of time, so nothing is drained and no peak is forgotten
//   kCall    the program asks for a tick, in its own thread, of any length
//   kNoThread  malloc or free ticks where no thread may run, and releases a little
enum class EpochCause : uint8_t { kTimer, kChange, kCall, kNoThread };

// What one tick of the clock did.
struct EpochResult {
  size_t drained_bytes = 0;   // from idle depots and caches into spans
  size_t released_bytes = 0;  // to the system, free pages
  size_t hole_bytes = 0;      // to the system, between the objects of spans
  size_t huge_bytes = 0;      // moved into huge pages

  bool did_something() const {
    return drained_bytes > 0 || released_bytes > 0 || hole_bytes > 0 || huge_bytes > 0;
  }
};

// Why the program is asked to give memory back.
enum class PressureReason : uint8_t { kLimit = 1, kSystem = 2 };

// Called on the background thread, without a lock.
using PressureCallback = void (*)(PressureReason reason, size_t excess_bytes, void* context);

// Gives memory back to the system that the program has not needed for a while.
//
// A background thread ticks once an epoch: it drains what lay idle in depots and in the caches of
// threads that ended or sleep, so that empty spans become free pages, then releases free pages
// beyond the goal, in pieces, slowly enough to stay within its share of processor time (see
// ScavengePacer). When the program took no memory from spans or pages for some epochs, all free
// pages go. Under pressure, and beyond the memory limit, it keeps less and works faster.
//
// The thread starts when the heap first passes a size, on the malloc side only, for the C library
// frees memory under locks that starting a thread needs. With nothing to do for some epochs it
// parks; a word that frees look at wakes it when much is free, and every few epochs it looks itself
// for less. It ends when the heap is small by then, before the last thread of the program that has
// a cache, or when it is sent away. A free that comes later gives back what it makes free, or ticks
// where memory goes by its age, and a malloc that finds a large heap changed, or that such frees
// have given back much, starts the thread again. Where no thread may be started, growth, frees
// of pages and depots that grow tick in its place. A memory limit is kept without it, also where
// the option keeps the scavenger from all other work.
class Scavenger {
 public:
  constexpr Scavenger(PageHeap& page_heap, CentralLists& centrals, HoleReleaser& holes,
                      ThreadCacheRegistry& registry, SentinelTable& sentinels,
                      const Options& options, ScavengerClock& clock, KernelFiles files)
      : page_heap_(page_heap),
        centrals_(centrals),
        holes_(holes),
        registry_(registry),
        sentinels_(sentinels),
        options_(options),
        clock_(clock),
        sleeping_caches_(registry, centrals, sentinels),
        limit_keeper_(page_heap, centrals, holes, registry, sentinels),
        growth_payment_(page_heap, centrals, holes, clock),
        huge_pages_(page_heap),
        watch_(files) {}

  // The heap may have grown. Called from malloc, without a lock.
  void note_growth();

  // Memory was allocated, without growth perhaps. Called from malloc's slow paths without a lock.
  // Gives back holes of spans where the heap has grown and has many.
  void note_allocation() {
    if (SPANMALLOC_UNLIKELY(wants_restart_.load(std::memory_order_relaxed))) restart();
    if (SPANMALLOC_UNLIKELY(growth_payment_.is_due())) pay_for_growth();
  }
  // The heap has passed its limit, and what could be given back at once did not suffice.
  void note_limit_passed();

  // Pages may have become free, or a depot has grown. Called from malloc and free, without a lock.
  void note_pages_freed();
  void note_depot_grown();

  // What becomes of `bytes` bytes of one block, HugeFrees::kLeastBytes at least, that are about to
  // be freed. Nothing is kept without a thread that gives it back later.
  HugeFrees::Memory decide_huge_free(size_t bytes);

  // Threads that have a cache. The last one waits, a second at most, until the scavenger's own
  // thread is gone: what the C library does on the last thread of a process, exit handlers among
  // it, is for a thread of the program.
  void note_thread_start() {
    if (is_background_thread()) return;
    live_threads_.fetch_add(1, std::memory_order_relaxed);
    count_shared_write();
  }
  void note_thread_end();
  // Counts out threads of which the registry has found that they ended unseen.
  void note_unseen_ends() {
    const size_t ends = registry_.take_unseen_ends();
    if (ends > 0) live_threads_.fetch_sub(ends, std::memory_order_seq_cst);
  }
  // At least 1.
  size_t live_threads() const {
    const size_t threads = live_threads_.load(std::memory_order_relaxed);
    return threads > 0 ? threads : 1;
  }

  // One tick: drains what is idle, then releases at most `at_most` bytes of what is beyond the
  // goal; on the background thread sleeping in between as the pace demands. Does nothing while
  // another thread is at it.
  EpochResult run_epoch(size_t at_most, EpochCause cause = EpochCause::kTimer);

  // The function that is told of passed limits and of pressure; nullptr for none. It keeps the
  // thread alive, and starts it. False when there can be no thread, and so no call.
  bool set_pressure_callback(PressureCallback callback, void* context);

  LimitKeeper& limit_keeper() { return limit_keeper_; }

  // For malloc, before the heap grows: where depots hold much, drains a part of what lies there and
  // in waiting caches, and more as the heap grows. Returns the bytes. Called without a lock.
  size_t drain_for_growth();

  // For malloc, as spans of small blocks grow: drains a part of what lies in depots where they hold
  // much, as often as its share of the time allows it. Returns the bytes. Called without a lock.
  size_t drain_surplus() { return growth_payment_.drain_surplus(key_); }

  // Gives back all free pages and holes of spans at once, without pacing; returns the bytes.
  size_t release_all();

  // Verifies what belongs to ticks; nothing while another thread ticks, whose own it is then. A
  // tick that comes meanwhile is passed over, as beside another tick.
  void check_invariants();

  // In the child of a fork the thread is gone; the next growth starts a new one. `threads`: those
  // of the child that have a cache.
  void forget_thread(size_t threads);

  // The key of the lists that are drained. REQUIRES: called before any thread can start.
  void set_key(ListKey key) { key_ = key; }

  // For calls that the kernel refuses to a process with several threads. Ends the background thread
  // and waits until it is gone, a second at most; no other starts until let_thread_return(). Calls
  // may be nested. Does nothing where the program has threads of its own.
  void send_thread_away();
  void let_thread_return();

  // Acquire: who sees that the thread has ended sees all it did.
  bool has_thread() const { return state_.load(std::memory_order_acquire) >= kRunning; }

 private:
  // The thread starts when the heap passes this. Below, there is little to give back, and a program
  // with one thread keeps what the C library does faster for such programs.
  static constexpr size_t kStartBytes = size_t{32} << 20;
  // A parked thread is woken by this much free memory beyond a part of what is in use.
  static constexpr size_t kWakeBytes = size_t{1} << 20;

  // kRefused: the system gave no thread, and may give one later. A parked thread sleeps on this
  // word.
  enum State : uint32_t { kNoThread, kRefused, kRunning, kParked };

  void pay_for_growth();
  static void thread_body(void* self);
  void run();
  void start_thread();
  void forget_refusal();
  void restart();
  // Each tells whether the thread should go on.
  [[nodiscard]] bool sleep_until_next_epoch(uint64_t started_ns, size_t* idle_epochs);
  [[nodiscard]] bool park();
  [[nodiscard]] bool end_thread(uint32_t from);
  bool is_last_thread();
  TickRest tick_rest() { return {clock_, sent_away_, live_threads_}; }
  bool is_to_end() { return !can_run() || tick_rest().is_over() || is_last_thread(); }
  void wait_until_thread_is_gone();
  // Whether the calling thread is one that start_thread() has started.
  static bool is_background_thread();
  size_t epochs_before_park() const;
  uint64_t epoch_ns() const;
  bool epoch_is_over(uint64_t started_ns, uint64_t now_ns) const;
  void hasten();
  void wake();
  bool changed_much() const;
  void tick_without_thread();
  // Gives back what is free beyond the memory limit, but for a little.
  void keep_limit();
  bool frees_give_back() const;
  void give_back_freed();
  // Whether the process is the child of a fork and has not lived for an epoch.
  bool is_new_child() const;
  // Bytes of free memory that are worth a tick of their own.
  size_t worthwhile_bytes() const;
  bool has_much_to_release() const;
  // Whether ticks might give back what the last one kept, or what came since. A parked thread looks
  // now and then, for what was too little to wake it.
  bool has_unsettled() const;
  bool can_run() const { return options_[Option::kScavenger] != 0; }

  void update_watch();
  void start_epoch(EpochCause cause);
  // Whether the program has taken no memory for some epochs.
  bool is_quiet() const;
  ReleasePolicy policy() const;
  ScavengePacer pacer() const;
  size_t drain();
  size_t empty_sleeping_caches();
  size_t surplus(const ScavengePacer& pacer) const;
  ScavengeMode release_mode() const;
  size_t release_surplus(const ScavengePacer& pacer, size_t at_most, EpochCause cause);
  size_t release_holes(const ScavengePacer& pacer, size_t at_most, EpochCause cause);
  // What the program uses of the memory that is backed, at its recent peak.
  size_t recent_peak() const;
  void call_back(EpochCause cause, bool was_pressed);
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
  // The thread that runs, or ran last, by the system's number; 0 as long as it has not begun.
  std::atomic<int> thread_id_{0};
  // Callers that wait until the thread is gone. It rests on this word in the midst of a tick.
  std::atomic<uint32_t> sent_away_{0};
  // Set while a tick is under way: there is one at a time, and nobody waits for it.
  std::atomic<bool> ticking_{false};
  SleepingCaches sleeping_caches_;
  LimitKeeper limit_keeper_;
  GrowthPayment growth_payment_;
  HugeFrees huge_frees_;

  // Set when the thread has ended for want of work, or when a fork lost it, or a large heap, to a
  // child that may start one: frees give back what they make free.
  std::atomic<bool> has_ended_{false};
  // Set by such a free that gave much back, and the bytes that all of them gave back.
  std::atomic<bool> freed_without_thread_{false};
  std::atomic<size_t> given_back_by_frees_{0};
  // Set when the thread has ended or was lost to a fork: mallocs look whether it is needed again.
  std::atomic<bool> wants_restart_{false};
  // When the process was forked; 0: it is no child.
  std::atomic<uint64_t> forked_at_ns_{0};
  // 1 to make the thread tick before its time. It sleeps on this word between ticks.
  std::atomic<uint32_t> hastened_{0};
  std::atomic<bool> limit_passed_{false};
  // Bytes in use when the last epoch began.
  std::atomic<size_t> in_use_at_epoch_{0};
  // Free bytes that the last tick left retained and would leave so however long the program rests.
  std::atomic<size_t> settled_free_bytes_{0};
  // The context is stored first, and read last.
  std::atomic<PressureCallback> callback_{nullptr};
  std::atomic<void*> callback_context_{nullptr};

  // The following belong to the tick under way.
  HugePageKeeper huge_pages_;
  MemoryWatch watch_;
  PeakWindow peaks_;
  // Epochs in a row in which the program took no memory from spans or pages.
  size_t quiet_epochs_ = 0;
  // Whether it took some in an early tick of this epoch.
  bool was_active_early_ = false;
  // Whether the program was told in this epoch that it passed its limit.
  bool limit_was_told_ = false;
  // Where the next look for holes begins.
  PageNumber hole_cursor_{};
  size_t threads_started_before_ = 0;
  // When the last tick without a thread was; 0: there was none.
  std::atomic<uint64_t> last_tick_ns_{0};
  // When the thread asks the system whether it is the last.
  uint64_t next_last_look_ns_ = 0;
  // When a thread that was refused is asked for again.
  std::atomic<uint64_t> ask_again_ns_{0};
  std::atomic<uint32_t> depot_calls_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_SCAVENGER_H_
