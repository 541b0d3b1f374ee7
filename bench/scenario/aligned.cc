// aligned [live blocks] [replacements]
//
// aligned_alloc at random replacement: vectors for SIMD and structures padded to a cache line (two
// thirds, 32 and 64 bytes), others to 512 bytes, and I/O buffers at pages of 4 KiB. Sizes are one
// to 32 times the alignment, at most 8 KiB. An allocator that cuts an aligned block from a larger
// one pays in memory and time; one whose size classes are aligned by nature does not. Misaligned
// blocks are told on standard error and do not end the program: mimalloc 2.0.9 gives some.
#include "scenario.h"

namespace {

char* aligned_block(size_t alignment, size_t size) {
  char* block = static_cast<char*>(std::aligned_alloc(alignment, size));
  if (block == nullptr) {
    std::fputs("out of memory\n", stderr);
    std::exit(1);
  }
  block[0] = static_cast<char>(alignment >> 4);
  block[size - 1] = static_cast<char>(size >> 8);
  return block;
}

}  // namespace

int main(int count, char** arguments) {
  constexpr size_t kLargest = 8192;
  constexpr size_t kAlignments[] = {32, 64, 64, 32, 64, 64, 64, 32, 128, 256, 512, 4096};
  const size_t live = scenario::argument(count, arguments, 1, 10000);
  const size_t replacements = scenario::argument(count, arguments, 2, 10000000);
  scenario::Random random(1);
  std::vector<char*> blocks(live);
  size_t misaligned = 0;
  for (size_t step = 0; step < replacements; ++step) {
    char*& block = blocks[random.below(live)];
    std::free(block);
    const size_t alignment = kAlignments[random.below(std::size(kAlignments))];
    const size_t size = alignment * (1 + random.below(32));
    block = aligned_block(alignment, size < kLargest ? size : kLargest);
    misaligned += reinterpret_cast<uintptr_t>(block) % alignment != 0;
  }
  for (char* block : blocks) std::free(block);
  if (misaligned != 0) std::fprintf(stderr, "%zu blocks are not aligned\n", misaligned);
  return 0;
}
