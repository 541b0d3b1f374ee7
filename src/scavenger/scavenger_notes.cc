// What malloc and free tell the scavenger, and what they do where none of its threads runs.
#include <algorithm>

#include "base/event_counts.h"
#include "platform/futex.h"
#include "scavenger/scavenger.h"

namespace spanmalloc {

namespace {

// Free memory beyond this part of what is in use, and Scavenger::kWakeBytes, is worth a tick.
constexpr size_t kWakeShareOfHeap = 8;
// The thread ticks early when so much more or less than at the last epoch is in use, and this part
// of the heap.
constexpr size_t kChangeBytes = size_t{4} << 20;
constexpr size_t kChangeShareOfHeap = 8;
// Released at most by a tick that runs in the program's own thread: well under a millisecond.
constexpr size_t kTickBytes = size_t{2} << 20;

// Given back at most by one free after the thread has ended.
constexpr size_t kGiveBackBytes = size_t{64} << 20;
// A program that takes again what such frees gave back pays for it at each of them. From so much on
// the thread does it, which knows what was needed a moment ago.
constexpr size_t kRestartBytes = size_t{32} << 20;

// Where no thread runs, frees give back what is free beyond the limit from so much on.
constexpr size_t kLimitStepBytes = size_t{1} << 20;

// A depot that grows is looked at in one call of so many.
constexpr uint32_t kCallsPerLook = 16;

}  // namespace

size_t Scavenger::worthwhile_bytes() const {
  return kWakeBytes + page_heap_.in_use_bytes() / kWakeShareOfHeap;
}

bool Scavenger::has_much_to_release() const {
  const size_t worthwhile = worthwhile_bytes();
  const size_t free_pages = page_heap_.free_retained_bytes();
  // Depots hold a part of what is in use; their sum is made when it may be enough.
  if (free_pages + page_heap_.in_use_bytes() <= worthwhile) return false;
  return free_pages > worthwhile || free_pages + centrals_.depot_bytes() > worthwhile;
}

bool Scavenger::changed_much() const {
  const size_t before = in_use_at_epoch_.load(std::memory_order_relaxed);
  const size_t now = page_heap_.in_use_bytes();
  const size_t change = now > before ? now - before : before - now;
  return change > kChangeBytes + before / kChangeShareOfHeap;
}

void Scavenger::hasten() {
  if (hastened_.load(std::memory_order_relaxed) != 0) return;
  count_shared_write();
  if (hastened_.exchange(1, std::memory_order_relaxed) == 0) {
    platform::futex_wake_one(hastened_);
  }
}

void Scavenger::wake() {
  uint32_t expected = kParked;
  count_shared_write();
  if (state_.compare_exchange_strong(expected, kRunning, std::memory_order_relaxed)) {
    platform::futex_wake_one(state_);
  }
}

void Scavenger::note_growth() {
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if (!can_run()) return;
  if (state == kNoThread && page_heap_.in_use_bytes() >= kStartBytes) return start_thread();
  if (state == kRefused) {
    if (clock_.monotonic_ns() < ask_again_ns_.load(std::memory_order_relaxed)) {
      return tick_without_thread();
    }
    forget_refusal();
    return start_thread();
  }
  // A heap that grows may come to be worth huge pages.
  if (state == kParked && changed_much()) return wake();
  note_pages_freed();
}

void Scavenger::note_depot_grown() {
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if (state == kRunning) return;
  // Magazines may come every few hundred nanoseconds: the sums are made at a few of the calls.
  count_shared_write();
  if (depot_calls_.fetch_add(1, std::memory_order_relaxed) % kCallsPerLook != 0) return;
  // Few free pages may come of it, and many holes.
  if (state == kParked) return wake();
  if (state == kNoThread && frees_give_back() && can_run()) {
    keep_limit();
    return give_back_freed();
  }
  note_pages_freed();
}

HugeFrees::Memory Scavenger::decide_huge_free(size_t bytes) {
  const HugeFrees::HeapBytes in_heap = {page_heap_.in_use_bytes(), page_heap_.backed_bytes()};
  const HugeFrees::Memory memory =
      huge_frees_.decide(bytes, in_heap, clock_.monotonic_ns(), PeakWindow::kEpochs * epoch_ns());
  return has_thread() ? memory : HugeFrees::Memory::kGoesBack;
}

void Scavenger::note_pages_freed() {
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if (state != kRunning) keep_limit();
  if (!can_run()) return;
  if (state == kRunning) {
    if (changed_much()) hasten();
    return;
  }
  if (!has_much_to_release()) return;
  if (state == kParked) return wake();
  if (state == kNoThread && frees_give_back()) return give_back_freed();
  tick_without_thread();
}

// A thread that runs does it in its next tick; where none does, no call but frees may follow. They
// do it in pieces, for each call of the system has its price. What the system refused before is
// left alone, or each free would ask for it again.
void Scavenger::keep_limit() {
  if (page_heap_.excess_bytes() == 0) return;
  // A part of the heap each time: the live blocks may be beyond the limit, and then depots would be
  // drained for each magazine.
  if (centrals_.depot_bytes() > worthwhile_bytes()) (void)limit_keeper_.drain(key_);
  const size_t idle = std::min(page_heap_.excess_bytes(), page_heap_.free_retained_bytes());
  if (idle < kLimitStepBytes) return;
  (void)page_heap_.scavenge(Bytes{idle}, ScavengeMode::kForced, PageHeap::Refused::kLeftAlone);
}

// A child that has just been forked may be about to call exec or to end: it pays for nothing but a
// memory limit.
bool Scavenger::is_new_child() const {
  const uint64_t forked_at = forked_at_ns_.load(std::memory_order_relaxed);
  return forked_at != 0 && !epoch_is_over(forked_at, clock_.monotonic_ns());
}

// By the other policy no memory goes before its time: frees tick, so that it gets older.
bool Scavenger::frees_give_back() const {
  return has_ended_.load(std::memory_order_relaxed) && policy() == ReleasePolicy::kPeak;
}

// No malloc may follow, so nobody else would do it.
void Scavenger::give_back_freed() {
  if (is_new_child()) return;
  count_shared_write();
  if (ticking_.exchange(true, std::memory_order_acquire)) return;
  if (centrals_.depot_bytes() > kWakeBytes) (void)limit_keeper_.drain(key_);
  Bytes given_back{};
  if (has_much_to_release()) {
    given_back = page_heap_.scavenge(Bytes{kGiveBackBytes}, ScavengeMode::kForced);
  }
  const auto progress =
      holes_.release_some(hole_cursor_, HoleReleaser::Rest::kNone, HoleReleaser::Caller::kMalloc);
  hole_cursor_ = progress.next == kNoPage ? PageNumber{} : progress.next;
  given_back += progress.released;
  // A thread is worth it for more than that.
  if (given_back.value >= kWakeBytes) freed_without_thread_.store(true, std::memory_order_relaxed);
  given_back_by_frees_.fetch_add(given_back.value, std::memory_order_relaxed);
  ticking_.store(false, std::memory_order_release);
}

// What was released is taken again without growth. A child of a fork, or a program at rest, that
// changes little and has little free goes on without a thread. Of a new child what is free does not
// count.
void Scavenger::restart() {
  // The wish is not cleared here: a thread that is about to end may just have made it.
  if (!can_run() || state_.load(std::memory_order_relaxed) != kNoThread) return;
  const bool is_asked_for = callback_.load(std::memory_order_relaxed) != nullptr;
  const bool is_large = page_heap_.backed_bytes() >= kStartBytes;
  const bool has_idle = page_heap_.free_retained_bytes() > worthwhile_bytes() && !is_new_child();
  const bool has_work =
      freed_without_thread_.load(std::memory_order_relaxed) || changed_much() || has_idle;
  const bool is_paid_for = given_back_by_frees_.load(std::memory_order_relaxed) >= kRestartBytes;
  if (is_asked_for || (is_large && has_work) || is_paid_for) start_thread();
}

void Scavenger::note_limit_passed() {
  limit_passed_.store(true, std::memory_order_relaxed);
  if (callback_.load(std::memory_order_relaxed) == nullptr || !can_run()) return;
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if (state == kNoThread) return start_thread();
  if (state == kParked) return wake();
  hasten();
}

bool Scavenger::set_pressure_callback(PressureCallback callback, void* context) {
  // No function is ever called with the context of another: who finds the same one before and after
  // the context has both of one call. Release, and acquire there: in this order.
  callback_.store(nullptr, std::memory_order_release);
  callback_context_.store(context, std::memory_order_release);
  callback_.store(callback, std::memory_order_release);
  if (callback == nullptr) return true;
  if (!can_run()) return false;
  if (state_.load(std::memory_order_relaxed) == kParked) wake();
  forget_refusal();
  start_thread();
  return has_thread();
}

void Scavenger::tick_without_thread() {
  // Acquire: the clock is read after who ticked last has read it.
  uint64_t last = last_tick_ns_.load(std::memory_order_acquire);
  const uint64_t now = clock_.monotonic_ns();
  if ((last != 0 && !epoch_is_over(last, now)) ||
      !last_tick_ns_.compare_exchange_strong(last, now, std::memory_order_release,
                                             std::memory_order_relaxed)) {
    return;
  }
  run_epoch(kTickBytes, EpochCause::kNoThread);
}

}  // namespace spanmalloc
