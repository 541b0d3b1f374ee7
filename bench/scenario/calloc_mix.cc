// calloc_mix [live blocks] [replacements]
//
// Zeroed blocks: tables, records and buffers of programs in C and of interpreters, most of them up
// to 256 bytes, some to 4 KiB, few to 64 KiB, one in thousand to 1 MiB. Blocks are written before
// they are freed. An allocator that knows which memory is fresh from the system need not clear it;
// for the rest, clearing must not cost more than the size asked for.
#include "scenario.h"

namespace {

struct Block {
  char* bytes;
  size_t size;
};

// Asks for zeroed memory, and ends the program when it sees other bytes.
Block zeroed_block(size_t size) {
  char* bytes = static_cast<char*>(std::calloc(1, size));
  if (bytes == nullptr || bytes[0] != 0 || bytes[size / 2] != 0 || bytes[size - 1] != 0) {
    std::fputs("no zeroed memory\n", stderr);
    std::exit(1);
  }
  bytes[0] = bytes[size / 2] = bytes[size - 1] = 1;
  return {bytes, size};
}

}  // namespace

int main(int count, char** arguments) {
  const size_t live = scenario::argument(count, arguments, 1, 2000);
  const size_t replacements = scenario::argument(count, arguments, 2, 10000000);
  scenario::Random random(1);
  std::vector<Block> blocks(live);
  uint64_t sum = 0;
  for (size_t step = 0; step < replacements; ++step) {
    Block& block = blocks[random.below(live)];
    if (block.bytes != nullptr) sum += scenario::check_bytes(block.bytes, block.size);
    std::free(block.bytes);
    const bool large = random.below(1000) == 0;
    block = zeroed_block(large ? 65536 + random.below(1 << 20) : random.server_size());
  }
  for (const Block& block : blocks) std::free(block.bytes);
  std::printf("%llu\n", static_cast<unsigned long long>(sum));
  return 0;
}
