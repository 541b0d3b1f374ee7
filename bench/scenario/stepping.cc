// stepping [MiB at least] [MiB at most] [steps] [milliseconds per step] [trim]
//
// The live set goes up and down in steps between two bounds, each time in blocks of other sizes;
// the oldest are freed, but one in five hundred lives on to the end. A program in a container of
// fixed size, a worker with jobs of different kinds. With "trim" it calls malloc_trim after every
// way down. The marks are the MiB of each step.
#include <malloc.h>

#include "watched.h"

namespace {

struct Sizes {
  size_t low, high;
};
constexpr Sizes kSizes[] = {{16, 256},     {512, 4096}, {64, 1024},
                            {2048, 32768}, {24, 96},    {16, 2048}};
// Shares of the way from the lower to the upper bound.
constexpr size_t kPercent[] = {0, 100, 40, 100, 0, 75, 20, 100, 55, 90};
constexpr size_t kLongLived = 500;

// By the contents, so that a block is it for ever.
bool is_long_lived(const watched::Block& block) {
  uint32_t number;
  std::memcpy(&number, block.start(), sizeof(number));
  return number % kLongLived == 0;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t low = scenario::argument(count, arguments, 1, 25) << 20;
  const size_t high = scenario::argument(count, arguments, 2, 179) << 20;
  const size_t steps = scenario::argument(count, arguments, 3, 20);
  const size_t milliseconds = scenario::argument(count, arguments, 4, 300);
  const bool trims = count > 5 && std::strcmp(arguments[5], "trim") == 0;
  scenario::Random random(1);
  watched::Blocks blocks(high / 16);
  for (size_t step = 0; step < steps; ++step) {
    const size_t target = low + (high - low) * kPercent[step % std::size(kPercent)] / 100;
    const Sizes sizes = kSizes[step % std::size(kSizes)];
    // Half of what stays is of this step's sizes at least.
    blocks.free_unless([&](const watched::Block& block) {
      return blocks.bytes() <= target / 2 || is_long_lived(block);
    });
    if (trims) malloc_trim(0);
    while (blocks.bytes() < target) {
      blocks.add(random.between(sizes.low, sizes.high));
      const uint32_t number = static_cast<uint32_t>(random.next());
      std::memcpy((blocks.end() - 1)->start(), &number, sizeof(number));
    }
    watched::mark("step", target >> 20);
    watched::sleep_milliseconds(milliseconds);
  }
  watched::mark("end");
  return 0;
}
