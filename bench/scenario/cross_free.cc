// cross_free [blocks per thread] [largest size]
//
// Two threads, both of which allocate, and free only what the other allocated: workers that give
// each other requests and answers. Where producer_consumer drains one side and fills the other,
// here both sides hold free memory of the other's and need some themselves, so an allocator that
// lets a thread keep what it frees has an easy time, and one that sends every block back to its
// owner pays for it twice.
#include "channel.h"
#include "scenario.h"

namespace {

using scenario::Batch;
using scenario::Channel;

uint64_t free_batch(Channel& channel, const Batch& batch) {
  uint64_t sum = 0;
  for (size_t index = 0; index < batch.count; ++index) {
    sum += scenario::check_bytes(static_cast<char*>(batch.blocks[index]), 1);
    std::free(batch.blocks[index]);
  }
  channel.end_receive();
  return sum;
}

// Fills `to` and frees what comes by `from`. Each side receives all there is after every batch
// that it sends, so not both can find their channel full.
uint64_t work(Channel& to, Channel& from, size_t blocks, size_t largest, uint64_t seed) {
  scenario::Random random(seed);
  uint64_t sum = 0;
  while (blocks > 0) {
    Batch& batch = to.begin_send();
    for (; batch.count < Batch::kMost && blocks > 0; --blocks) {
      batch.blocks[batch.count++] = scenario::filled_block(16 + random.below(largest - 15));
    }
    to.end_send();
    while (Batch* received = from.poll()) sum += free_batch(from, *received);
  }
  to.close();
  while (Batch* received = from.begin_receive()) sum += free_batch(from, *received);
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t blocks = scenario::argument(count, arguments, 1, 8000000);
  const size_t largest = scenario::argument(count, arguments, 2, 512);
  if (largest < 16) return 2;
  static Channel channels[2];
  uint64_t sums[2] = {};
  scenario::run_threads(2, [&](size_t index) {
    sums[index] = work(channels[index], channels[1 - index], blocks, largest, index + 1);
  });
  for (uint64_t sum : sums) std::printf("%llu\n", static_cast<unsigned long long>(sum));
  return 0;
}
