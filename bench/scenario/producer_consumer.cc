// producer_consumer [pairs of threads] [blocks per pair]
//
// One thread of each pair only allocates, the other only frees: pipelines, loggers, message
// queues. The allocator must carry freed memory back to the producer; one that leaves it with the
// consumer grows without bound, one that locks per block is slow. Blocks travel in batches of 256.
#include <condition_variable>
#include <mutex>

#include "scenario.h"

namespace {

constexpr size_t kBatch = 256;
constexpr size_t kQueuedBatches = 16;

class Channel {
 public:
  void send(std::vector<char*> batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return batches_.size() < kQueuedBatches; });
    batches_.push_back(std::move(batch));
    changed_.notify_all();
  }
  std::vector<char*> receive() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !batches_.empty(); });
    std::vector<char*> batch = std::move(batches_.back());
    batches_.pop_back();
    changed_.notify_all();
    return batch;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<char*>> batches_;
};

}  // namespace

int main(int count, char** arguments) {
  const size_t pairs = scenario::argument(count, arguments, 1, 2);
  const size_t batches = scenario::argument(count, arguments, 2, 8000000) / kBatch;
  std::vector<Channel> channels(pairs);
  scenario::run_threads(pairs * 2, [&](size_t index) {
    Channel& channel = channels[index / 2];
    scenario::Random random(index + 1);
    for (size_t number = 0; number < batches; ++number) {
      if (index % 2 == 0) {
        std::vector<char*> batch;
        batch.reserve(kBatch);
        while (batch.size() < kBatch) {
          batch.push_back(scenario::filled_block(16 + random.below(496)));
        }
        channel.send(std::move(batch));
      } else {
        for (char* block : channel.receive()) std::free(block);
      }
    }
  });
  return 0;
}
