// realloc_growth [MiB of the large buffer, 0 for none] [rounds] [small buffers]
//
// Buffers that grow: many small ones step by step as strings and vectors in C do, with other
// blocks allocated between, and one large one by half each time up to hundreds of MiB, as an
// archive reader or a JSON parser grows it. Growing in place and moving pages instead of bytes
// decide time and peak memory.
#include "scenario.h"

namespace {

char* grown(char* buffer, size_t size) {
  buffer = static_cast<char*>(std::realloc(buffer, size));
  if (buffer == nullptr) std::exit(1);
  buffer[size - 1] = 1;
  return buffer;
}

void grow_many_small(scenario::Random& random, size_t count) {
  std::vector<char*> buffers(count);
  std::vector<size_t> sizes(count);
  for (size_t step = 0; step < 200 * count; ++step) {
    const size_t index = random.below(count);
    sizes[index] += 1 + random.below(64);
    buffers[index] = grown(buffers[index], sizes[index]);
  }
  for (char* buffer : buffers) std::free(buffer);
}

void grow_one_large(size_t limit) {
  char* buffer = nullptr;
  size_t written = 0;
  for (size_t size = 64 << 10; size < limit; size += size / 2) {
    buffer = grown(buffer, size);
    std::memset(buffer + written, 1, size - written);
    written = size;
  }
  std::free(buffer);
}

}  // namespace

int main(int count, char** arguments) {
  const size_t limit = scenario::argument(count, arguments, 1, 256) << 20;
  const size_t rounds = scenario::argument(count, arguments, 2, 10);
  const size_t small_buffers = scenario::argument(count, arguments, 3, 1000);
  scenario::Random random(1);
  for (size_t round = 0; round < rounds; ++round) {
    grow_many_small(random, small_buffers);
    grow_one_large(limit);
  }
  return 0;
}
