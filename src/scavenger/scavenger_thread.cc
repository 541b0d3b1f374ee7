// The life of the scavenger's thread: its start, its epochs, its rest and its end.
#include <algorithm>

#include "base/event_counts.h"
#include "base/mutex.h"
#include "platform/call_filter.h"
#include "platform/futex.h"
#include "platform/sleeping_thread.h"
#include "platform/thread.h"
#include "scavenger/scavenger.h"

namespace spanmalloc {

namespace {

// Whether the calling thread was started by start_thread(). It stays so until the thread is gone,
// also when the next one runs already: such a thread has a cache where a pressure callback
// allocates.
constinit thread_local bool runs_scavenger SPANMALLOC_INITIAL_EXEC_TLS = false;

// The thread ends when the heap is below this and nothing is to be done.
constexpr size_t kEndBytes = size_t{8} << 20;
// Early ticks come no more often than so many times an epoch.
constexpr uint64_t kTicksPerEpoch = 10;
// Epochs without work before the thread parks: the peaks of the past are forgotten by then, and
// what was free is released.
constexpr size_t kIdleEpochsBeforePark = PeakWindow::kEpochs + 2;
// Epochs that it stays parked before it ends, with a small heap.
constexpr uint64_t kParkedEpochs = 10;

constexpr uint64_t kNsPerMs = 1'000'000;
// How often the thread asks the system whether it is the last: all signals are blocked in it, so a
// process of which it alone is left could not even be ended by one. The program's threads are
// counted as well, but of some the end is not told.
constexpr uint64_t kLastLookNs = 10'000 * kNsPerMs;
// How long to wait for the end of the thread, and how long between two looks.
constexpr uint64_t kSendAwayNs = 1000 * kNsPerMs;
constexpr uint64_t kFirstGoneLookNs = kNsPerMs / 20;
constexpr uint64_t kLastGoneLookNs = 5 * kNsPerMs;

// A thread that could not be had is asked for again after this time: others may have ended, and a
// late filter is one of the thread that asked.
constexpr uint64_t kAskAgainNs = 10'000 * kNsPerMs;

}  // namespace

bool Scavenger::has_unsettled() const {
  // A small heap keeps no thread for it.
  if (page_heap_.backed_bytes() < kStartBytes) return false;
  const size_t settled_free = settled_free_bytes_.load(std::memory_order_relaxed);
  const size_t in_use_before = in_use_at_epoch_.load(std::memory_order_relaxed);
  return page_heap_.free_retained_bytes() > settled_free + kWakeBytes ||
         page_heap_.in_use_bytes() > in_use_before + kWakeBytes;
}

uint64_t Scavenger::epoch_ns() const {
  return options_[Option::kEpochMilliseconds] * kNsPerMs;
}

bool Scavenger::is_background_thread() {
  return runs_scavenger;
}

void Scavenger::note_thread_end() {
  if (is_background_thread()) return;
  count_shared_write();
  // Sequentially consistent, as in start_thread(): either the state is seen here, or there that
  // nobody is left.
  if (live_threads_.fetch_sub(1, std::memory_order_seq_cst) > 1) return;
  sent_away_.fetch_add(1, std::memory_order_relaxed);
  wait_until_thread_is_gone();
  let_thread_return();
}

void Scavenger::send_thread_away() {
  // What the child of a vfork counts, its parent has counted, and for good if the child is ended.
  if (platform::may_be_vfork_child()) return;
  sent_away_.fetch_add(1, std::memory_order_relaxed);
  if (is_background_thread()) return;
  // Some may have ended unseen. A handler may have interrupted whoever looks after them.
  if (live_threads() > 1 && !platform::has_late_filter() &&
      !registry_.mutex().held_by_this_thread()) {
    (void)registry_.take_back_all_ended();
    note_unseen_ends();
  }
  if (live_threads() > 1) return;
  wait_until_thread_is_gone();
}

// The state says that the thread has ended a little before the system and the C library do.
void Scavenger::wait_until_thread_is_gone() {
  // That of another process, as the child of a vfork or of a raw system call finds it noted here,
  // is in nobody's way.
  if (platform::may_be_vfork_child()) return;
  // Nobody else sleeps on this word, so no wake meant for the thread is lost to it.
  std::atomic<uint32_t> nobody{0};
  uint64_t pause = kFirstGoneLookNs;
  for (uint64_t waited = 0; waited < kSendAwayNs; waited += pause) {
    if (state_.load(std::memory_order_seq_cst) < kRunning) {
      const int id = thread_id_.load(std::memory_order_relaxed);
      if (id == 0 || platform::has_late_filter()) return;
      if (platform::life_of_thread(id) != platform::ThreadLife::kLiving) {
        // The system may give its number to another thread.
        return thread_id_.store(0, std::memory_order_relaxed);
      }
    } else {
      platform::futex_wake_one(sent_away_);
      platform::futex_wake_one(hastened_);
      platform::futex_wake_one(state_);
    }
    platform::futex_wait(nobody, 0, pause);
    pause = std::min(2 * pause, kLastGoneLookNs);
  }
}

void Scavenger::let_thread_return() {
  if (platform::may_be_vfork_child()) return;
  // None are under way in the child of a handler that interrupted the call and forked.
  uint32_t calls = sent_away_.load(std::memory_order_relaxed);
  while (calls > 0 &&
         !sent_away_.compare_exchange_weak(calls, calls - 1, std::memory_order_relaxed)) {
  }
}

void Scavenger::start_thread() {
  // What the child of a vfork notes, its parent would read.
  if (tick_rest().is_over() || platform::may_be_vfork_child()) return;
  uint32_t expected = kNoThread;
  // Acquire: the thread before, which stored that it ended, has read what it was started with.
  if (!state_.compare_exchange_strong(expected, kRunning, std::memory_order_seq_cst,
                                      std::memory_order_relaxed)) {
    return;
  }
  // A destructor may allocate after the last thread gave its cache back.
  if (live_threads_.load(std::memory_order_seq_cst) == 0) {
    return state_.store(kNoThread, std::memory_order_release);
  }
  thread_id_.store(0, std::memory_order_relaxed);
  wants_restart_.store(false, std::memory_order_relaxed);
  has_ended_.store(false, std::memory_order_relaxed);
  freed_without_thread_.store(false, std::memory_order_relaxed);
  given_back_by_frees_.store(0, std::memory_order_relaxed);
  if (!platform::has_late_filter() &&
      platform::start_background_thread(&Scavenger::thread_body, this)) {
    return;
  }
  ask_again_ns_.store(clock_.monotonic_ns() + kAskAgainNs, std::memory_order_relaxed);
  state_.store(kRefused, std::memory_order_relaxed);
}

void Scavenger::forget_refusal() {
  uint32_t expected = kRefused;
  (void)state_.compare_exchange_strong(expected, kNoThread, std::memory_order_relaxed);
}

void Scavenger::thread_body(void* self) {
  static_cast<Scavenger*>(self)->run();
}

size_t Scavenger::epochs_before_park() const {
  // Pressure may come while the program is idle.
  if (callback_.load(std::memory_order_relaxed) != nullptr) return SIZE_MAX;
  const auto policy = static_cast<ReleasePolicy>(options_[Option::kPolicy]);
  if (policy == ReleasePolicy::kPeak) return kIdleEpochsBeforePark;
  return std::max<size_t>(kIdleEpochsBeforePark, options_[Option::kIdleAgeEpochs] + 2);
}

void Scavenger::run() {
  runs_scavenger = true;
  thread_id_.store(platform::kernel_thread_id(), std::memory_order_relaxed);
  next_last_look_ns_ = clock_.monotonic_ns() + kLastLookNs;
  size_t idle_epochs = 0;
  while (true) {
    const uint64_t started = clock_.monotonic_ns();
    const EpochResult result = run_epoch(SIZE_MAX, EpochCause::kTimer);
    // A pressure callback has forked, and returned in the child.
    if (!is_background_thread()) return;
    idle_epochs = result.did_something() ? 0 : idle_epochs + 1;
    if (idle_epochs < epochs_before_park()) {
      if (!sleep_until_next_epoch(started, &idle_epochs)) return;
    } else {
      if (!park()) return;
      idle_epochs = 0;
    }
  }
}

bool Scavenger::is_last_thread() {
  const uint64_t now = clock_.monotonic_ns();
  if (now < next_last_look_ns_ || platform::has_late_filter()) return false;
  next_last_look_ns_ = now + kLastLookNs;
  return platform::is_only_thread();
}

// Whether the epoch that began then has passed: its length may have been changed meanwhile, and who
// was restored from an image on another machine finds the clock at another time.
bool Scavenger::epoch_is_over(uint64_t started_ns, uint64_t now_ns) const {
  return now_ns < started_ns || now_ns - started_ns >= epoch_ns();
}

// Epochs begin at a fixed rate as long as their work leaves time.
bool Scavenger::sleep_until_next_epoch(uint64_t started_ns, size_t* idle_epochs) {
  uint64_t now = clock_.monotonic_ns();
  uint64_t earliest = now + epoch_ns() / kTicksPerEpoch;
  while (true) {
    if (is_to_end()) return end_thread(kRunning);
    if (epoch_is_over(started_ns, now)) return true;
    // A change during the last tick has set the word, and is not slept over.
    const uint64_t left_ns = started_ns + epoch_ns() - now;
    platform::futex_wait(hastened_, 0, std::min(left_ns, kLastLookNs));
    if (is_to_end()) return end_thread(kRunning);
    now = clock_.monotonic_ns();
    if (hastened_.load(std::memory_order_relaxed) == 0 || epoch_is_over(started_ns, now)) continue;
    if (now < earliest) {
      // Of a long epoch this is long too. The word stays set, so the wait above returns at once.
      if (!tick_rest().sleep(std::min(earliest - now, kLastLookNs))) return end_thread(kRunning);
      now = clock_.monotonic_ns();
      if (now < earliest) continue;
      if (is_to_end()) return end_thread(kRunning);
    }
    if (run_epoch(SIZE_MAX, EpochCause::kChange).did_something()) *idle_epochs = 0;
    if (!is_background_thread()) return false;
    now = clock_.monotonic_ns();
    earliest = now + epoch_ns() / kTicksPerEpoch;
  }
}

// Ends the thread unless a free has woken it in the same moment.
bool Scavenger::end_thread(uint32_t from) {
  // The peaks are of a time that is over when the next thread starts.
  page_heap_.set_retention_goal(Bytes{SIZE_MAX});
  has_ended_.store(true, std::memory_order_relaxed);
  wants_restart_.store(true, std::memory_order_relaxed);
  return !state_.compare_exchange_strong(from, kNoThread, std::memory_order_seq_cst);
}

bool Scavenger::park() {
  if (page_heap_.backed_bytes() < kEndBytes) return end_thread(kRunning);
  state_.store(kParked, std::memory_order_relaxed);
  const uint64_t end = clock_.monotonic_ns() + kParkedEpochs * epoch_ns();
  // Looked at once more after parking, for a free that came in between may have seen a running
  // thread. Pages are freed under this lock: before this section, and then they are seen below, or
  // after it, and then the free sees the thread parked.
  { MutexLock lock(page_heap_.mutex()); }
  while (!has_much_to_release() && state_.load(std::memory_order_relaxed) == kParked) {
    // So may who set a callback.
    if (callback_.load(std::memory_order_relaxed) != nullptr) break;
    const uint64_t now = clock_.monotonic_ns();
    // Of a large heap much may still become idle by frees alone, and a free cannot start a thread.
    if (now >= end && page_heap_.backed_bytes() < kStartBytes) return end_thread(kParked);
    if (is_to_end()) return end_thread(kParked);
    const uint64_t wait_ns = now < end ? end - now : kParkedEpochs * epoch_ns();
    platform::futex_wait(state_, kParked, std::min(wait_ns, kLastLookNs));
    if (is_to_end()) return end_thread(kParked);
    if (has_unsettled()) break;
    // Nobody tells of threads that end unseen.
    if (!platform::has_late_filter() && registry_.take_back_all_ended()) break;
  }
  state_.store(kRunning, std::memory_order_relaxed);
  return true;
}

void Scavenger::forget_thread(size_t threads) {
  // A thread that was about to reduce the heap to its limit is gone as well.
  limit_keeper_.start_epoch();
  growth_payment_.forget_thread();
  ticking_.store(false, std::memory_order_relaxed);
  // So may be a tick that had taken note of what was allocated.
  quiet_epochs_ = 0;
  was_active_early_ = true;
  thread_id_.store(0, std::memory_order_relaxed);
  sent_away_.store(0, std::memory_order_relaxed);
  hastened_.store(0, std::memory_order_relaxed);
  given_back_by_frees_.store(0, std::memory_order_relaxed);
  // What frees of the parent gave back is no work of the child's.
  freed_without_thread_.store(false, std::memory_order_relaxed);
  // A child may only free. Of a heap that never had a thread, it keeps what its parent would keep;
  // so does one that can start none, since nobody would take over from its frees.
  const bool had_thread = has_ended_.load(std::memory_order_relaxed) || has_thread() ||
                          page_heap_.backed_bytes() >= kStartBytes;
  has_ended_.store(had_thread && !platform::may_be_vfork_child(), std::memory_order_relaxed);
  forked_at_ns_.store(clock_.monotonic_ns(), std::memory_order_relaxed);
  live_threads_.store(threads, std::memory_order_relaxed);
  // A pressure callback may fork: its thread is then the only one of the child.
  runs_scavenger = false;
  state_.store(kNoThread, std::memory_order_relaxed);
  wants_restart_.store(true, std::memory_order_relaxed);
}

}  // namespace spanmalloc
