// A bounded queue of batches of blocks from one thread to one other. Whoever has nothing to do
// sleeps, and is woken only when half the queue is ready for it: processor time is spent on blocks,
// not on waiting or on switching threads.
#ifndef SPANMALLOC_BENCH_SCENARIO_CHANNEL_H_
#define SPANMALLOC_BENCH_SCENARIO_CHANNEL_H_

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace scenario {

struct Batch {
  static constexpr size_t kMost = 256;
  size_t count = 0;
  void* blocks[kMost];
};

// One sender calls begin_send(), end_send() in turn and close() at last; one receiver calls
// begin_receive() or poll() and, after each batch got, end_receive().
class Channel {
 public:
  // An empty batch for the sender to fill. Waits while all are under way.
  Batch& begin_send() {
    std::unique_lock lock(mutex_);
    if (sent_ - received_ == kBatches) {
      changed_.wait(lock, [&] { return sent_ - received_ <= kBatches / 2; });
    }
    Batch& batch = batches_[sent_ % kBatches];
    batch.count = 0;
    return batch;
  }
  void end_send() {
    std::lock_guard lock(mutex_);
    if (++sent_ - received_ == kBatches / 2) changed_.notify_one();
  }
  // Nothing is sent any more.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_one();
  }
  // The oldest batch under way; waits for it. nullptr: all is received and the channel closed.
  Batch* begin_receive() {
    std::unique_lock lock(mutex_);
    if (sent_ == received_) {
      changed_.wait(lock, [&] { return sent_ - received_ >= kBatches / 2 || closed_; });
    }
    return sent_ == received_ ? nullptr : &batches_[received_ % kBatches];
  }
  // The oldest batch under way, nullptr when there is none now.
  Batch* poll() {
    std::lock_guard lock(mutex_);
    return sent_ == received_ ? nullptr : &batches_[received_ % kBatches];
  }
  void end_receive() {
    std::lock_guard lock(mutex_);
    ++received_;
    if (sent_ - received_ == kBatches / 2) changed_.notify_one();
  }

 private:
  static constexpr size_t kBatches = 16;

  // Never do both sides wait: one does while all batches are under way, the other while none is.
  std::mutex mutex_;
  std::condition_variable changed_;
  // Batches [received_, sent_) belong to the receiver, the others to the sender.
  size_t sent_ = 0;
  size_t received_ = 0;
  bool closed_ = false;
  Batch batches_[kBatches];
};

}  // namespace scenario

#endif  // SPANMALLOC_BENCH_SCENARIO_CHANNEL_H_
