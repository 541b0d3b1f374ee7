#include "scavenger/scavenger.h"

#include <algorithm>

#include "base/check.h"
#include "base/mutex.h"
#include "base/text_writer.h"
#include "platform/call_filter.h"
#include "platform/futex.h"
#include "platform/system.h"

namespace spanmalloc {

namespace {

// Released between two looks at the clock.
constexpr size_t kStepBytes = size_t{4} << 20;

// A program that took no memory for so many epochs is quiet: all that it does not use is given
// back, and at a multiple of the usual pace, for that is done once.
constexpr size_t kQuietEpochs = PeakWindow::kEpochs;
constexpr uint64_t kQuietPace = 5;

// Under pressure the scavenger may use so many times its share of processor time, and keeps this
// part of what is in use.
constexpr uint64_t kPressedHaste = 10;
constexpr uint64_t kPressedRetainPercent = 1;

// A tick of the thread releases free pages for so many epochs at most, so that pressure which
// begins meanwhile is seen, and what else is to be done gets its turn.
constexpr uint64_t kReleaseEpochs = 4;

// Pressure is looked at when at least this much is free.
constexpr size_t kPressureLookBytes = size_t{1} << 20;

}  // namespace

uint64_t SystemScavengerClock::monotonic_ns() {
  return platform::coarse_monotonic_ns();
}
uint64_t SystemScavengerClock::thread_cpu_ns() {
  return platform::thread_cpu_ns();
}
void SystemScavengerClock::sleep_ns(uint64_t nanoseconds, std::atomic<uint32_t>& word) {
  platform::futex_wait(word, 0, nanoseconds);
}

EpochResult Scavenger::run_epoch(size_t at_most, EpochCause cause) {
  EpochResult result;
  // Acquire and release: the next tick, on whatever thread, sees this one's peaks.
  if (ticking_.exchange(true, std::memory_order_acquire)) return result;
  const bool was_pressed = watch_.is_pressed();
  // A filter that came after the thread may end the process for what reading files takes. One may
  // come while this goes on, so each part asks anew.
  const auto may_read_files = [cause] {
    return cause == EpochCause::kTimer && !platform::has_late_filter();
  };
  if (may_read_files()) update_watch();
  start_epoch(cause);
  const ScavengePacer pacer = this->pacer();
  if (cause != EpochCause::kChange) result.drained_bytes = drain();
  if (may_read_files()) result.drained_bytes += empty_sleeping_caches();
  if (limit_keeper_.should_reduce()) (void)limit_keeper_.reduce(key_);
  result.released_bytes = release_surplus(pacer, at_most, cause);
  // Of a program that rests all went that can; of another, what is free goes when it rests.
  const bool is_settled = is_quiet() && at_most == SIZE_MAX;
  settled_free_bytes_.store(is_settled ? page_heap_.free_retained_bytes() : 0,
                            std::memory_order_relaxed);
  if (cause != EpochCause::kChange) result.hole_bytes = release_holes(pacer, at_most, cause);
  if (may_read_files()) {
    // At the usual pace always: what it moves is no burden.
    const ScavengePacer usual{0, options_[Option::kScavengerCpuPercent],
                              watch_.processor_percent()};
    result.huge_bytes = huge_pages_.run_epoch(options_, usual, tick_rest()).value;
  }
  if (options_[Option::kTrace] != 0) trace(result);
  if (cause == EpochCause::kTimer || cause == EpochCause::kChange) call_back(cause, was_pressed);
  ticking_.store(false, std::memory_order_release);
  // In use, free and released add up to what is mapped, page by page.
  if constexpr (kDebugChecks) page_heap_.check_invariants();
  return result;
}

void Scavenger::update_watch() {
  const bool look = page_heap_.free_retained_bytes() >= kPressureLookBytes ||
                    callback_.load(std::memory_order_relaxed) != nullptr || watch_.is_pressed();
  watch_.update(options_,
                look ? MemoryWatch::PressureLook::kTake : MemoryWatch::PressureLook::kSkip,
                clock_.monotonic_ns(), page_heap_.consumed_bytes(), page_heap_.limit());
}

void Scavenger::start_epoch(EpochCause cause) {
  const PageHeap::Use use = page_heap_.take_use();
  {
    // Pages come into use and become free under this lock: before this section, and then they are
    // measured by it, or after it, and then who changed them sees both stores. Without it, one may
    // be compared with what was before, or meet the 1 of before, and nobody ticks for it.
    MutexLock lock(page_heap_.mutex());
    hastened_.store(0, std::memory_order_relaxed);
    in_use_at_epoch_.store(page_heap_.in_use_bytes(), std::memory_order_relaxed);
  }
  // What lies idle grows no older by a change elsewhere.
  if (cause != EpochCause::kChange || policy() == ReleasePolicy::kPeak) page_heap_.start_epoch();
  limit_keeper_.start_epoch();
  was_active_early_ |= use.allocations > 0;
  if (cause == EpochCause::kChange) return peaks_.note(use.peak_bytes);
  peaks_.end_epoch(use.peak_bytes);
  growth_payment_.end_epoch();
  const bool is_active = centrals_.start_epoch() == CentralLists::Claims::kSome;
  quiet_epochs_ = is_active || was_active_early_ ? 0 : quiet_epochs_ + 1;
  was_active_early_ = false;
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

// On the background thread alone, which may read the kernel's files. A round at most, in the time
// of an epoch at most.
size_t Scavenger::empty_sleeping_caches() {
  const uint64_t percent = options_[Option::kScavengerCpuPercent] * kQuietPace;
  const ScavengePacer pacer{0, percent, watch_.processor_percent()};
  const uint64_t end_ns = clock_.monotonic_ns() + epoch_ns();
  size_t emptied = 0;
  bool more = true;
  while (more && clock_.monotonic_ns() < end_ns) {
    const uint64_t started = clock_.thread_cpu_ns();
    emptied += sleeping_caches_.empty_next(&more);
    if (more && !tick_rest().sleep(pacer.sleep_after(clock_.thread_cpu_ns() - started))) break;
    if (platform::has_late_filter()) break;
  }
  note_unseen_ends();
  return emptied;
}

size_t Scavenger::drain_for_growth() {
  if (!growth_payment_.depots_are_full()) return 0;
  return registry_.empty_warm(centrals_, sentinels_, 1) + growth_payment_.drain_depots(key_);
}

// By the other policy no memory goes before its time, and none of itself without the scavenger.
void Scavenger::pay_for_growth() {
  const bool may_release = can_run() && policy() == ReleasePolicy::kPeak;
  growth_payment_.pay(key_,
                      may_release ? GrowthPayment::Holes::kReleased : GrowthPayment::Holes::kKept);
}

ReleasePolicy Scavenger::policy() const {
  return static_cast<ReleasePolicy>(options_[Option::kPolicy]);
}

bool Scavenger::is_quiet() const {
  return quiet_epochs_ >= kQuietEpochs && policy() == ReleasePolicy::kPeak;
}

ScavengePacer Scavenger::pacer() const {
  const uint64_t retain = options_[Option::kRetainPercent];
  const uint64_t percent = options_[Option::kScavengerCpuPercent];
  const uint64_t processors = watch_.processor_percent();
  if (watch_.is_pressed()) {
    return {std::min(retain, kPressedRetainPercent), percent * kPressedHaste, processors};
  }
  if (is_quiet()) return {0, percent * kQuietPace, processors};
  return {retain, percent, processors};
}

size_t Scavenger::recent_peak() const {
  const size_t in_use = page_heap_.in_use_bytes();
  const bool is_forgotten = is_quiet() || watch_.is_pressed();
  const size_t peak = is_forgotten ? in_use : std::max(peaks_.highest(), in_use);
  const size_t holes = page_heap_.hole_bytes();
  return peak > holes ? peak - holes : 0;
}

size_t Scavenger::surplus(const ScavengePacer& pacer) const {
  // What age may be taken is for the search to find.
  if (policy() == ReleasePolicy::kIdleAge) return page_heap_.free_retained_bytes();
  return pacer.surplus(recent_peak(), page_heap_.backed_bytes());
}

ScavengeMode Scavenger::release_mode() const {
  if (watch_.is_pressed()) return ScavengeMode::kForced;
  return policy() == ReleasePolicy::kPeak ? ScavengeMode::kBackground : ScavengeMode::kIdleAge;
}

size_t Scavenger::release_surplus(const ScavengePacer& pacer, size_t at_most, EpochCause cause) {
  const bool by_age = policy() == ReleasePolicy::kIdleAge;
  page_heap_.set_idle_age(static_cast<uint32_t>(options_[Option::kIdleAgeEpochs]));
  page_heap_.set_retention_goal(Bytes{by_age ? SIZE_MAX : pacer.goal(recent_peak())});
  const bool is_paced = at_most == SIZE_MAX && cause != EpochCause::kCall;
  const uint64_t end_ns = clock_.monotonic_ns() + kReleaseEpochs * epoch_ns();
  size_t released = 0;
  while (released < at_most) {
    const size_t step = std::min({surplus(pacer), at_most - released, kStepBytes});
    if (step == 0) break;
    const uint64_t started = clock_.thread_cpu_ns();
    const size_t bytes = page_heap_.scavenge(Bytes{step}, release_mode()).value;
    if (bytes == 0) break;
    released += bytes;
    if (!is_paced) continue;
    if (!tick_rest().sleep(pacer.sleep_after(clock_.thread_cpu_ns() - started))) break;
    if (clock_.monotonic_ns() >= end_ns) break;
  }
  return released;
}

// One round over the heap at most, in the time of an epoch at most; the next call goes on from
// there. In the program's own thread a single step, and a round when it asks for it.
size_t Scavenger::release_holes(const ScavengePacer& pacer, size_t at_most, EpochCause cause) {
  const uint64_t end_ns = clock_.monotonic_ns() + epoch_ns();
  const auto caller = cause == EpochCause::kNoThread ? HoleReleaser::Caller::kMalloc
                                                     : HoleReleaser::Caller::kReleaser;
  size_t released = 0;
  do {
    const uint64_t started = clock_.thread_cpu_ns();
    const auto progress = holes_.release_some(hole_cursor_, HoleReleaser::Rest::kIdle, caller);
    if (progress.was_busy) break;
    released += progress.released.value;
    hole_cursor_ = progress.next == kNoPage ? PageNumber{} : progress.next;
    if (progress.next == kNoPage) break;
    if (cause == EpochCause::kCall) continue;
    if (at_most != SIZE_MAX) break;
    if (!tick_rest().sleep(pacer.sleep_after(clock_.thread_cpu_ns() - started))) break;
  } while (clock_.monotonic_ns() < end_ns);
  return released;
}

void Scavenger::call_back(EpochCause cause, bool was_pressed) {
  const PressureCallback callback = callback_.load(std::memory_order_acquire);
  const size_t excess = page_heap_.excess_bytes();
  if (cause == EpochCause::kTimer) limit_was_told_ = false;
  // Once an epoch; if it is passed again meanwhile, the next one tells.
  const bool limit_passed =
      !limit_was_told_ && (limit_passed_.exchange(false, std::memory_order_relaxed) || excess > 0);
  if (callback == nullptr) return;
  void* context = callback_context_.load(std::memory_order_acquire);
  if (callback_.load(std::memory_order_relaxed) != callback) return;
  if (limit_passed) {
    limit_was_told_ = true;
    callback(PressureReason::kLimit, excess, context);
  }
  if (watch_.is_pressed() && !was_pressed) callback(PressureReason::kSystem, excess, context);
}

size_t Scavenger::release_all() {
  size_t released = holes_.release_until([] { return false; }, HoleReleaser::Rest::kNone,
                                         HoleReleaser::Caller::kReleaser);
  // What is free now bounds the work, whatever other threads free meanwhile.
  size_t left = page_heap_.free_retained_bytes();
  while (left > 0) {
    const size_t bytes = page_heap_.scavenge(Bytes{left}, ScavengeMode::kForced).value;
    if (bytes == 0) break;
    released += bytes;
    left -= std::min(left, bytes);
  }
  return released;
}

void Scavenger::check_invariants() {
  if (ticking_.exchange(true, std::memory_order_acquire)) return;
  peaks_.check_invariants(quiet_epochs_);
  huge_pages_.check_invariants();
  growth_payment_.check_invariants();
  SPANMALLOC_CHECK(hole_cursor_ != kNoPage, "the search for holes does not begin anew");
  SPANMALLOC_CHECK(threads_started_before_ <= registry_.acquired_count(),
                   "more threads were seen to start than did");
  ticking_.store(false, std::memory_order_release);
}

void Scavenger::trace(const EpochResult& result) const {
  BufferedText<320> line;
  line.text("spanmalloc: scavenger: ");
  line.number(page_heap_.in_use_bytes() >> 10).text(" KiB in use, ");
  line.number(page_heap_.free_retained_bytes() >> 10).text(" KiB idle, ");
  line.number(page_heap_.released_bytes() >> 10).text(" KiB released, ");
  line.number(page_heap_.consumed_bytes() >> 10).text(" KiB consumed, ");
  line.number(result.drained_bytes >> 10).text(" KiB drained, ");
  line.number(result.hole_bytes >> 10).text(" KiB in spans and ");
  line.number(result.released_bytes >> 10).text(" KiB given back now, ");
  line.number(result.huge_bytes >> 10).text(" KiB in huge pages now, ");
  if (page_heap_.limit().is_set()) {
    line.text("limit ").number(page_heap_.limit().bytes() >> 10).text(" KiB");
  } else {
    line.text("no limit");
  }
  line.text(watch_.is_pressed() ? ", under pressure\n" : "\n");
  platform::write_error(line.begin(), line.length());
}

}  // namespace spanmalloc
