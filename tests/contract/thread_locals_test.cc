// Programs with many thread-local variables, for which the C library takes a part of every stack:
// here nearly as much as the allocator's own thread needs for itself.
#include <stdlib.h>
#include <string.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

thread_local char variables[253500];

constexpr size_t kBlocks = 200000;
constexpr size_t kSize = 400;

void* blocks[kBlocks];

}  // namespace

CASE(idle_memory_goes_back) {
  *contract::opaque(&variables[0]) = 1;
  const size_t before = contract::resident_bytes();
  for (void*& block : blocks) {
    block = malloc(kSize);
    memset(block, 1, kSize);
  }
  // Holes, pages and depots: whatever the thread does, it has room for.
  for (size_t index = 0; index < kBlocks; ++index) {
    if (index % 100 != 0) free(blocks[index]);
  }
  if (contract::not_promised_by_libc()) return;
  constexpr size_t kRest = 16 * kMiB;
  EXPECT(contract::wait_until_resident(before + kRest, 40) <= before + kRest);
}

int main(int argc, char** argv) {
  return contract::run_cases(argc, argv);
}
