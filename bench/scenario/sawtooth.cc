// sawtooth [MiB] [milliseconds per tooth, 0 for no pause] [teeth]
//
// Memory in use goes up and down again and again, evenly over each tooth: batches, frames, garbage
// collections of an interpreter. An allocator that gives memory back at the bottom takes it again
// at once, and pays twice for each page. The last mark is the processor time of all threads but the
// program's own, in nanoseconds.
#include "watched.h"

namespace {

constexpr size_t kStepsEachWay = 20;

}  // namespace

int main(int count, char** arguments) {
  const size_t top = scenario::argument(count, arguments, 1, 200) << 20;
  const size_t period = scenario::argument(count, arguments, 2, 0);
  const size_t teeth = scenario::argument(count, arguments, 3, 40);
  scenario::Random random(1);
  watched::Blocks blocks(top / 64 + 1000);
  const uint64_t begin = watched::nanoseconds(CLOCK_MONOTONIC);
  watched::mark("begin");
  for (size_t tooth = 0; tooth < teeth; ++tooth) {
    for (size_t step = 0; step < 2 * kStepsEachWay; ++step) {
      if (step < kStepsEachWay) {
        blocks.fill(random, top * (step + 1) / kStepsEachWay, 16, 2048);
      } else {
        const size_t wanted = top * (2 * kStepsEachWay - 1 - step) / kStepsEachWay;
        blocks.free_oldest(wanted);
      }
      const uint64_t steps_done = tooth * 2 * kStepsEachWay + step + 1;
      const uint64_t due = begin + steps_done * period * 1000000 / (2 * kStepsEachWay);
      const uint64_t time = watched::nanoseconds(CLOCK_MONOTONIC);
      if (time < due) watched::sleep_milliseconds((due - time) / 1000000);
    }
  }
  watched::mark("end");
  const uint64_t own = watched::nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  watched::mark("other_threads", watched::nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - own);
  return 0;
}
