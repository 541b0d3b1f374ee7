// first_touch [MB]
//
// Memory that the process did not have before, in blocks of 200 bytes, each written as a whole:
// programs that load something and end. What counts is the kernel's work for each page, and whether
// the allocator has it done for many pages at a time.
#include "scenario.h"

int main(int count, char** arguments) {
  constexpr size_t kBlockBytes = 200;
  size_t left = scenario::argument(count, arguments, 1, 200) * 1000 * 1000;
  for (; left >= kBlockBytes; left -= kBlockBytes) {
    char* block = scenario::filled_block(kBlockBytes);
    for (size_t at = 0; at < kBlockBytes; at += sizeof(uint64_t)) {
      *reinterpret_cast<volatile uint64_t*>(block + at) = left;
    }
  }
  return 0;
}
