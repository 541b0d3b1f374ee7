#include "scavenger/scavenger.h"

#include <algorithm>

#include "base/event_counts.h"
#include "base/text_writer.h"
#include "platform/futex.h"
#include "platform/system.h"
#include "platform/thread.h"

namespace spanmalloc {

namespace {

// The thread starts when the heap passes this. Below, there is little to give back, and a program
// with one thread keeps what the C library does faster for such programs.
constexpr size_t kStartBytes = size_t{32} << 20;
// A program that took no memory for so many epochs is quiet: all that it does not use is given
// back, and at a multiple of the usual pace, for that is done once.
constexpr size_t kQuietEpochs = PeakWindow::kEpochs;
constexpr uint64_t kQuietPace = 5;
// It ends when the heap is below this and nothing is to be done.
constexpr size_t kEndBytes = kStartBytes / 4;
// A parked thread is woken by this much free memory beyond a tenth of what is in use.
constexpr size_t kWakeBytes = size_t{1} << 20;
// Epochs without work before the thread parks: the peaks of the past are forgotten by then.
constexpr size_t kIdleEpochsBeforePark = PeakWindow::kEpochs + 2;

// Released between two looks at the clock.
constexpr size_t kStepBytes = size_t{4} << 20;
// Released at most by a tick that runs in the program's own thread: well under a millisecond.
constexpr size_t kTickBytes = size_t{2} << 20;

constexpr uint32_t kCallsPerLook = 16;

constexpr uint64_t kNsPerMs = 1'000'000;
// How often a parked thread looks whether it is the last: all signals are blocked in it, so a
// process of which it alone is left could not even be ended by one.
constexpr uint64_t kParkedLookNs = 10'000 * kNsPerMs;
// A thread that ends is counted by the kernel until a little after its last destructor.
constexpr uint64_t kThreadEndWaitNs = 5 * kNsPerMs;
constexpr int kThreadEndRounds = 4;

}  // namespace

uint64_t SystemScavengerClock::monotonic_ns() {
  return platform::coarse_monotonic_ns();
}
uint64_t SystemScavengerClock::thread_cpu_ns() {
  return platform::thread_cpu_ns();
}
void SystemScavengerClock::sleep_ns(uint64_t nanoseconds) {
  platform::sleep_ns(nanoseconds);
}

bool Scavenger::has_much_to_release() const {
  const size_t much = kWakeBytes + page_heap_.in_use_bytes() / 8;
  const size_t free_pages = page_heap_.free_retained_bytes();
  // Depots hold a part of what is in use; their sum is made when it may be enough.
  if (free_pages + page_heap_.in_use_bytes() <= much) return false;
  return free_pages > much || free_pages + centrals_.depot_bytes() > much;
}

void Scavenger::note_growth() {
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if (state == kRunning || options_[Option::kScavenger] == 0) return;
  if (state == kNoThread && page_heap_.in_use_bytes() >= kStartBytes) return start_thread();
  if (state == kRefused) return tick_without_thread();
  note_pages_freed();
}

void Scavenger::note_depot_grown() {
  if (state_.load(std::memory_order_relaxed) == kRunning) return;
  // Magazines may come every few hundred nanoseconds: the sums are made at a few of the calls.
  count_shared_write();
  if (depot_calls_.fetch_add(1, std::memory_order_relaxed) % kCallsPerLook == 0) note_pages_freed();
}

void Scavenger::note_pages_freed() {
  uint32_t state = state_.load(std::memory_order_relaxed);
  if (state == kRunning || options_[Option::kScavenger] == 0) return;
  if (!has_much_to_release()) return;
  if (state != kParked) return tick_without_thread();
  count_shared_write();
  if (state_.compare_exchange_strong(state, kRunning, std::memory_order_relaxed)) {
    platform::futex_wake_one(state_);
  }
}

void Scavenger::note_thread_end() {
  count_shared_write();
  if (live_threads_.fetch_sub(1, std::memory_order_relaxed) > 1) return;
  if (!has_thread()) return;
  threads_ended_.store(true, std::memory_order_relaxed);
  platform::futex_wake_one(state_);
}

void Scavenger::start_thread() {
  uint32_t expected = kNoThread;
  if (!state_.compare_exchange_strong(expected, kRunning, std::memory_order_relaxed)) return;
  if (platform::system_calls_are_filtered() || platform::shares_memory_with_parent() ||
      !platform::start_background_thread(&Scavenger::thread_body, this)) {
    state_.store(kRefused, std::memory_order_relaxed);
  }
}

void Scavenger::thread_body(void* self) {
  static_cast<Scavenger*>(self)->run();
}

void Scavenger::run() {
  size_t idle_epochs = 0;
  while (true) {
    const uint64_t started = clock_.monotonic_ns();
    const EpochResult result = run_epoch(SIZE_MAX);
    idle_epochs = result.did_something() ? 0 : idle_epochs + 1;
    if (idle_epochs < kIdleEpochsBeforePark) {
      if (!sleep_until_next_epoch(started)) return;
    } else {
      if (!park()) return;
      idle_epochs = 0;
    }
  }
}

bool Scavenger::is_last_thread() {
  if (platform::is_only_thread()) return true;
  if (!threads_ended_.exchange(false, std::memory_order_relaxed)) return false;
  for (int round = 0; round < kThreadEndRounds; ++round) {
    platform::sleep_ns(kThreadEndWaitNs);
    if (platform::is_only_thread()) return true;
  }
  return false;
}

// Epochs begin at a fixed rate as long as their work leaves time.
bool Scavenger::sleep_until_next_epoch(uint64_t started_ns) {
  const uint64_t epoch_ns = options_[Option::kEpochMilliseconds] * kNsPerMs;
  const uint64_t spent_ns = clock_.monotonic_ns() - started_ns;
  if (spent_ns < epoch_ns) platform::futex_wait(state_, kRunning, epoch_ns - spent_ns);
  if (!is_last_thread()) return true;
  state_.store(kNoThread, std::memory_order_relaxed);
  return false;
}

bool Scavenger::park() {
  if (page_heap_.retained_bytes() < kEndBytes) {
    state_.store(kNoThread, std::memory_order_relaxed);
    return false;
  }
  state_.store(kParked, std::memory_order_seq_cst);
  // Looked at once more after parking: a free that came in between has seen a running thread.
  while (!has_much_to_release() && state_.load(std::memory_order_relaxed) == kParked) {
    platform::futex_wait(state_, kParked, kParkedLookNs);
    if (is_last_thread()) {
      state_.store(kNoThread, std::memory_order_relaxed);
      return false;
    }
  }
  state_.store(kRunning, std::memory_order_relaxed);
  return true;
}

void Scavenger::tick_without_thread() {
  const uint64_t now = clock_.monotonic_ns();
  uint64_t due = next_tick_ns_.load(std::memory_order_relaxed);
  const uint64_t next = now + options_[Option::kEpochMilliseconds] * kNsPerMs;
  if (now < due || !next_tick_ns_.compare_exchange_strong(due, next, std::memory_order_relaxed)) {
    return;
  }
  run_epoch(kTickBytes);
}

EpochResult Scavenger::run_epoch(size_t at_most) {
  EpochResult result;
  // Acquire and release: the next tick, on whatever thread, sees this one's peaks.
  if (ticking_.exchange(true, std::memory_order_acquire)) return result;
  start_epoch();
  const ScavengePacer pacer = this->pacer();
  result.drained_bytes = drain();
  result.released_bytes = release_surplus(pacer, at_most);
  result.hole_bytes = release_holes(pacer, at_most);
  if (options_[Option::kTrace] != 0) trace(result);
  ticking_.store(false, std::memory_order_release);
  return result;
}

size_t Scavenger::drain() {
  size_t drained = 0;
  centrals_.for_each(
      [&](const CentralList& central, SizeClass) { drained += central.drain_idle(key_); });
  const size_t threads_started = registry_.acquired_count();
  if (threads_started == threads_started_before_) {
    drained += registry_.empty_warm(centrals_, sentinels_);
  }
  threads_started_before_ = threads_started;
  return drained;
}

size_t Scavenger::release_surplus(const ScavengePacer& pacer, size_t at_most) {
  size_t released = 0;
  while (released < at_most) {
    const size_t surplus = pacer.surplus(recent_peak(), page_heap_.retained_bytes());
    const size_t step = std::min({surplus, at_most - released, kStepBytes});
    if (step == 0) break;
    const uint64_t started = clock_.thread_cpu_ns();
    const size_t bytes = page_heap_.scavenge(Bytes{step}, ScavengeMode::kBackground).value;
    if (bytes == 0) break;
    released += bytes;
    if (at_most == SIZE_MAX) clock_.sleep_ns(pacer.sleep_after(clock_.thread_cpu_ns() - started));
  }
  return released;
}

void Scavenger::start_epoch() {
  const PageHeap::Use use = page_heap_.take_use();
  peaks_.end_epoch(use.peak_bytes);
  page_heap_.start_epoch();
  const bool is_active =
      centrals_.start_epoch() == CentralLists::Claims::kSome || use.allocations > 0;
  quiet_epochs_ = is_active ? 0 : quiet_epochs_ + 1;
}

bool Scavenger::is_quiet() const {
  return quiet_epochs_ >= kQuietEpochs;
}

ScavengePacer Scavenger::pacer() const {
  const uint64_t percent = options_[Option::kScavengerCpuPercent];
  if (!is_quiet()) return {options_[Option::kRetainPercent], percent};
  return {0, std::min<uint64_t>(percent * kQuietPace, 100)};
}

size_t Scavenger::recent_peak() const {
  const size_t in_use = page_heap_.in_use_bytes();
  const size_t peak = is_quiet() ? in_use : std::max(peaks_.highest(), in_use);
  const size_t holes = page_heap_.hole_bytes();
  return peak > holes ? peak - holes : 0;
}

// One round over the heap at most, in the time of an epoch at most; the next call goes on from
// there. In the program's own thread a single step.
size_t Scavenger::release_holes(const ScavengePacer& pacer, size_t at_most) {
  const uint64_t epoch_ns = options_[Option::kEpochMilliseconds] * kNsPerMs;
  const uint64_t end_ns = clock_.monotonic_ns() + epoch_ns;
  size_t released = 0;
  do {
    const uint64_t started = clock_.thread_cpu_ns();
    const auto progress = holes_.release_some(hole_cursor_, HoleReleaser::Which::kResting);
    released += progress.released.value;
    hole_cursor_ = progress.next;
    if (progress.next == kNoPage) {
      hole_cursor_ = {};
      break;
    }
    if (at_most != SIZE_MAX) break;
    clock_.sleep_ns(pacer.sleep_after(clock_.thread_cpu_ns() - started));
  } while (clock_.monotonic_ns() < end_ns);
  return released;
}

size_t Scavenger::release_all() {
  size_t released = 0;
  for (PageNumber next{}; next != kNoPage;) {
    const auto progress = holes_.release_some(next, HoleReleaser::Which::kAll);
    released += progress.released.value;
    next = progress.next;
  }
  while (true) {
    const size_t bytes = page_heap_.scavenge(Bytes{SIZE_MAX}, ScavengeMode::kForced).value;
    if (bytes == 0) return released;
    released += bytes;
  }
}

void Scavenger::forget_thread() {
  ticking_.store(false, std::memory_order_relaxed);
  threads_ended_.store(false, std::memory_order_relaxed);
  live_threads_.store(1, std::memory_order_relaxed);
  state_.store(kNoThread, std::memory_order_relaxed);
}

void Scavenger::trace(const EpochResult& result) const {
  BufferedText<256> line;
  line.text("spanmalloc: scavenger: ");
  line.number(page_heap_.in_use_bytes() >> 10).text(" KiB in use, ");
  line.number(page_heap_.free_retained_bytes() >> 10).text(" KiB idle, ");
  line.number(page_heap_.released_bytes() >> 10).text(" KiB released, ");
  line.number(page_heap_.retained_bytes() >> 10).text(" KiB consumed, ");
  line.number(result.drained_bytes >> 10).text(" KiB drained, ");
  line.number(result.hole_bytes >> 10).text(" KiB in spans and ");
  line.number(result.released_bytes >> 10).text(" KiB given back now\n");
  platform::write_error(line.begin(), line.length());
}

}  // namespace spanmalloc
