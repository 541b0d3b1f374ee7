// fragmented [MiB live at the peak] [phases] [percent kept] [idle milliseconds]
//
// A program with a past: it fills memory up to the peak, frees all but a random tenth, goes on with
// other sizes, and at last only sleeps. What it still holds is scattered over all that it ever had.
// A server at night, an editor whose project was closed. With one phase and 0 percent kept
// everything is free while it sleeps. Prints marks, the last is the floor of resident memory.
#include "watched.h"

namespace {

struct Sizes {
  size_t low, high;
};
constexpr Sizes kPhases[] = {{16, 256}, {64, 512}, {32, 400}, {16, 768}, {16, 256}};

}  // namespace

int main(int count, char** arguments) {
  const size_t peak = scenario::argument(count, arguments, 1, 400) << 20;
  const size_t phases = scenario::argument(count, arguments, 2, 5);
  const size_t kept_percent = scenario::argument(count, arguments, 3, 10);
  const size_t idle_milliseconds = scenario::argument(count, arguments, 4, 12000);
  scenario::Random random(1);
  watched::Blocks blocks(peak / 64 + 1000);
  watched::mark("begin");
  for (size_t phase = 0; phase < phases; ++phase) {
    const Sizes sizes = kPhases[phase % std::size(kPhases)];
    blocks.fill(random, peak, sizes.low, sizes.high);
    watched::mark("filled", phase);
    blocks.free_unless([&](const watched::Block&) { return random.below(100) < kept_percent; });
    watched::mark("freed", phase);
  }
  watched::mark("idle");
  watched::sleep_milliseconds(idle_milliseconds);
  watched::mark("idle_end");
  watched::mark_floor(blocks, blocks.table_bytes());
  return 0;
}
