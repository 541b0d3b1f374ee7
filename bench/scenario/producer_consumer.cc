// producer_consumer [pairs of threads] [blocks per pair] [size of a block, 0 for 16 to 511 bytes]
//
// One thread of each pair only allocates, the other only frees: loggers, message queues, readers
// that hand records to workers. The allocator must carry freed memory back to the producer; one
// that leaves it with the consumer grows without bound, one that locks per block is slow. Small
// blocks travel in batches of 256, larger ones in batches of a quarter MiB but at least 32.
#include "channel.h"
#include "scenario.h"

namespace {

using scenario::Batch;
using scenario::Channel;

void produce(Channel& channel, size_t blocks, size_t size, uint64_t seed) {
  scenario::Random random(seed);
  const size_t fitting = (256 << 10) / (size + 1);
  const size_t per_batch = fitting < 32 ? 32 : fitting < Batch::kMost ? fitting : Batch::kMost;
  while (blocks > 0) {
    Batch& batch = channel.begin_send();
    for (; batch.count < per_batch && blocks > 0; --blocks) {
      batch.blocks[batch.count++] =
          scenario::filled_block(size != 0 ? size : 16 + random.below(496));
    }
    channel.end_send();
  }
  channel.close();
}

uint64_t consume(Channel& channel) {
  uint64_t sum = 0;
  while (Batch* batch = channel.begin_receive()) {
    for (size_t index = 0; index < batch->count; ++index) {
      sum += scenario::check_bytes(static_cast<char*>(batch->blocks[index]), 1);
      std::free(batch->blocks[index]);
    }
    channel.end_receive();
  }
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t pairs = scenario::argument(count, arguments, 1, 2);
  const size_t blocks = scenario::argument(count, arguments, 2, 8000000);
  const size_t size = scenario::argument(count, arguments, 3, 0);
  std::vector<Channel> channels(pairs);
  std::vector<uint64_t> sums(pairs);
  scenario::run_threads(pairs * 2, [&](size_t index) {
    const size_t pair = index / 2;
    if (index % 2 == 0) {
      produce(channels[pair], blocks, size, pair + 1);
    } else {
      sums[pair] = consume(channels[pair]);
    }
  });
  for (uint64_t sum : sums) std::printf("%llu\n", static_cast<unsigned long long>(sum));
  return 0;
}
