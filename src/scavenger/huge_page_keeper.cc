#include "scavenger/huge_page_keeper.h"

namespace spanmalloc {

namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

}  // namespace

// Also tells the platform whether there may be huge pages to split.
platform::HugePageMode HugePageKeeper::start_epoch() {
  if (epoch_ % kEpochsPerModeLook == 0) mode_ = page_heap_.huge_page_mode();
  ++epoch_;
  return mode_;
}

Bytes HugePageKeeper::run_epoch(const Options& options, const ScavengePacer& pacer,
                                const TickRest& rest) {
  const bool may_have_any = start_epoch() != platform::HugePageMode::kNever;
  const auto wanted = static_cast<HugePagePolicy>(options[Option::kHugePages]);
  if (!may_have_any || wanted != HugePagePolicy::kDensity || !backoff_.may_ask() ||
      page_heap_.in_use_bytes() < HugePageSchedule::kMinHeapBytes) {
    return {};
  }
  ScavengerClock& clock = rest.clock();
  const uint64_t end_ns = clock.monotonic_ns() + options[Option::kEpochMilliseconds] * kNsPerMs;
  Bytes done{};
  do {
    const uint64_t started = clock.thread_cpu_ns();
    const PageHeap::DenseChunk found = page_heap_.next_dense_chunk(cursor_, epoch_);
    cursor_ = found.next;
    if (found.end == PageHeap::SearchEnd::kOver) break;
    if (found.pages.count.value > 0) done += ask_for(found.pages, rest);
    if (backoff_.is_pausing()) break;
    if (!rest.sleep(pacer.sleep_after(clock.thread_cpu_ns() - started))) break;
  } while (clock.monotonic_ns() < end_ns);
  return done;
}

Bytes HugePageKeeper::ask_for(PageRange chunk, const TickRest& rest) {
  Bytes done{};
  for (PageNumber first = chunk.first; first < chunk.end();
       first = first + PageCount{kPagesPerHugePage}) {
    // What is refused of a chunk is so for a reason that holds for all of it.
    if (!ask_for_unit({first, {kPagesPerHugePage}}, done)) break;
    if (rest.is_over()) break;
  }
  return done;
}

bool HugePageKeeper::ask_for_unit(PageRange unit, Bytes& done) {
  const Bytes own = page_heap_.own_resident_bytes(unit);
  if (own.value == 0 || own < page_heap_.expected_resident_bytes(unit)) return true;
  switch (page_heap_.collapse(unit)) {
    case platform::CollapseResult::kDone:
      backoff_.note_done();
      page_heap_.note_backed(unit);
      done += unit.count.bytes();
      return true;
    case platform::CollapseResult::kNotNow:
      backoff_.note_not_now();
      return false;
    case platform::CollapseResult::kRefused:
      backoff_.note_refused();
      return false;
  }
  return false;
}

}  // namespace spanmalloc
