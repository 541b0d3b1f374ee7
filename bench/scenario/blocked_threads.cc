// blocked_threads [threads] [KiB per burst] [bursts] [idle milliseconds]
//
// A pool of threads after the rush: each has filled and freed memory a few times, keeps a tenth,
// and waits for work, one half for a condition, the other half in a read. What their caches hold
// nobody will use until the next rush, and none of the threads calls the allocator meanwhile.
// Prints marks, the last is the floor of resident memory; the threads' stacks count to it.
#include <pthread.h>

#include <condition_variable>
#include <memory>
#include <mutex>

#include "watched.h"

namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kKeptPercent = 10;

struct Pool {
  size_t burst_bytes, bursts;
  std::mutex mutex;
  std::condition_variable changed;
  size_t waiting = 0;
  bool end = false;
  int pipe_ends[2];
};

struct Worker {
  Pool* pool;
  size_t index;
  watched::Blocks blocks;
  pthread_t thread{};

  Worker(Pool* its_pool, size_t its_index)
      : pool(its_pool), index(its_index), blocks(its_pool->burst_bytes / 16) {}
};

void wait_for_work(Pool& pool, size_t index) {
  std::unique_lock<std::mutex> lock(pool.mutex);
  ++pool.waiting;
  pool.changed.notify_all();
  if (index % 2 == 0) {
    pool.changed.wait(lock, [&] { return pool.end; });
  } else {
    lock.unlock();
    char byte;
    if (read(pool.pipe_ends[0], &byte, 1) != 0) std::exit(1);
  }
}

void* work(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  Pool& pool = *worker.pool;
  scenario::Random random(worker.index + 1);
  for (size_t burst = 0; burst < pool.bursts; ++burst) {
    while (worker.blocks.bytes() < pool.burst_bytes) {
      worker.blocks.add(random.below(10) == 0 ? random.between(1024, 16384)
                                              : random.between(16, 1024));
    }
    worker.blocks.free_unless(
        [&](const watched::Block&) { return random.below(100) < kKeptPercent; });
  }
  wait_for_work(pool, worker.index);
  return nullptr;
}

void start(Worker& worker, char* stack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, kStackBytes);
  if (pthread_create(&worker.thread, &attributes, work, &worker) != 0) std::exit(1);
  pthread_attr_destroy(&attributes);
}

}  // namespace

int main(int count, char** arguments) {
  const size_t threads = scenario::argument(count, arguments, 1, 64);
  Pool pool;
  pool.burst_bytes = scenario::argument(count, arguments, 2, 3072) << 10;
  pool.bursts = scenario::argument(count, arguments, 3, 4);
  const size_t idle_milliseconds = scenario::argument(count, arguments, 4, 12000);
  if (pipe(pool.pipe_ends) != 0) return 1;
  watched::Memory stacks(threads * kStackBytes);
  std::vector<std::unique_ptr<Worker>> workers;
  watched::mark("begin");
  for (size_t index = 0; index < threads; ++index) {
    workers.push_back(std::make_unique<Worker>(&pool, index));
    start(*workers.back(), stacks.start() + index * kStackBytes);
  }
  {
    std::unique_lock<std::mutex> lock(pool.mutex);
    pool.changed.wait(lock, [&] { return pool.waiting == threads; });
  }
  watched::Blocks all(threads * (pool.burst_bytes / 16));
  watched::mark("idle");
  watched::sleep_milliseconds(idle_milliseconds);
  watched::mark("idle_end");
  size_t tables = stacks.resident_bytes();
  for (const auto& worker : workers) {
    tables += worker->blocks.table_bytes();
    for (const watched::Block& block : worker->blocks) all.list(block);
  }
  watched::mark_floor(all, tables);
  {
    const std::lock_guard<std::mutex> lock(pool.mutex);
    pool.end = true;
    pool.changed.notify_all();
  }
  close(pool.pipe_ends[1]);
  for (const auto& worker : workers) pthread_join(worker->thread, nullptr);
  return 0;
}
