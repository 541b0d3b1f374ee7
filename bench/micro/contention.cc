// contention [operations of a run] [most threads]
//
// What threads cost one another in spanmalloc: locks taken, locks found taken, sleeps, and writes
// outside of locks to cache lines that other threads write too, per 1000 calls of malloc and free.
// Counts, not times: those of locks taken and of writes hardly depend on the machine, so they tell
// on few processors what many would meet. Each thread first fills its workload's state, which is
// not counted. Every run has a process of its own, so none finds a heap that another has grown.
// Links a core that is built to count; base/event_counts.h says what is counted.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <utility>

#include "../scenario/channel.h"
#include "../scenario/scenario.h"
#include "base/event_counts.h"
#include "heap/allocate.h"

namespace {

using namespace spanmalloc;
using scenario::Random;

static_assert(kCountEvents, "built without SPANMALLOC_COUNT_EVENTS");

char* new_block(size_t bytes) {
  char* block = static_cast<char*>(allocate(bytes));
  if (block == nullptr) {
    std::fputs("out of memory\n", stderr);
    std::exit(1);
  }
  block[0] = 1;
  return block;
}

// A thread of a workload: its constructor fills the state, run() makes at least `operations` calls
// and returns how many, the destructor frees all. `index` is the thread's, from 0.

// Bursts of kBlocks blocks of kLeast to kMost bytes, freed last one first.
template <size_t kBlocks, size_t kLeast, size_t kMost>
class Bursts {
 public:
  explicit Bursts(size_t index) : random_(index + 1), blocks_(kBlocks) { run(1); }

  size_t run(size_t operations) {
    size_t done = 0;
    for (; done < operations; done += 2 * kBlocks) {
      for (char*& block : blocks_) block = new_block(kLeast + random_.below(kMost - kLeast + 1));
      for (size_t left = kBlocks; left > 0; --left) deallocate(blocks_[left - 1]);
    }
    return done;
  }

 private:
  Random random_;
  std::vector<char*> blocks_;
};

// A random one of kLive blocks is freed and allocated anew, with a size from kLeast to kMost.
template <size_t kLive, size_t kLeast, size_t kMost>
class Replace {
 public:
  explicit Replace(size_t index) : random_(index + 1), blocks_(kLive) {
    for (char*& block : blocks_) block = new_block(size());
    run(4 * kLive);
  }
  ~Replace() {
    for (char* block : blocks_) deallocate(block);
  }

  size_t run(size_t operations) {
    for (size_t done = 0; done < operations; done += 2) {
      char*& place = blocks_[random_.below(kLive)];
      deallocate(std::exchange(place, nullptr));
      place = new_block(size());
    }
    return operations;
  }

 private:
  size_t size() { return kLeast + random_.below(kMost - kLeast + 1); }

  Random random_;
  std::vector<char*> blocks_;
};

// The requests of scenario/server_mix.h: 4 blocks that live as long as a request, 2 that replace
// some of the thread's own, 2 that replace some that all threads share.
class Server {
 public:
  explicit Server(size_t index) : random_(index + 1) {
    for (char*& block : own_) block = new_block(random_.server_size());
    run(20000);
  }
  ~Server() {
    for (char* block : own_) deallocate(block);
  }

  size_t run(size_t operations) {
    size_t done = 0;
    for (; done < operations; done += 2 * (kTemporaries + kKept + kShared)) {
      char* temporaries[kTemporaries];
      for (char*& temporary : temporaries) temporary = new_block(random_.server_size());
      for (size_t index = 0; index < kKept; ++index) {
        char*& place = own_[random_.below(std::size(own_))];
        deallocate(std::exchange(place, new_block(random_.server_size())));
      }
      for (size_t index = 0; index < kShared; ++index) {
        char* block = new_block(random_.server_size());
        deallocate(shared[random_.below(std::size(shared))].exchange(block));
      }
      for (char* temporary : temporaries) deallocate(temporary);
    }
    return done;
  }

 private:
  static constexpr size_t kTemporaries = 4;
  static constexpr size_t kKept = 2;
  static constexpr size_t kShared = 2;
  static inline std::atomic<char*> shared[1024];

  Random random_;
  char* own_[128];
};

// Every second thread only allocates blocks of 64 bytes, the one after it only frees them.
class ProducerConsumer {
 public:
  explicit ProducerConsumer(size_t index) : index_(index) {
    if (is_producer()) channels[index_ / 2] = std::make_unique<scenario::Channel>();
  }

  size_t run(size_t operations) {
    scenario::Channel& channel = *channels[index_ / 2];
    size_t done = 0;
    if (is_producer()) {
      while (done < operations) {
        scenario::Batch& batch = channel.begin_send();
        for (; batch.count < scenario::Batch::kMost; ++batch.count, ++done) {
          batch.blocks[batch.count] = new_block(64);
        }
        channel.end_send();
      }
      channel.close();
    } else {
      while (scenario::Batch* batch = channel.begin_receive()) {
        for (size_t index = 0; index < batch->count; ++index, ++done) {
          deallocate(batch->blocks[index]);
        }
        channel.end_receive();
      }
    }
    return done;
  }

 private:
  bool is_producer() const { return index_ % 2 == 0; }

  static inline std::unique_ptr<scenario::Channel> channels[32];
  const size_t index_;
};

struct Result {
  size_t operations = 0;
  EventTotals counted;
};

// Runs the workload on `threads` threads, `operations` in all. Counts from the moment when all have
// filled their state to the moment when the last has done its part.
template <typename Workload>
Result run(size_t threads, size_t operations) {
  EventTotals totals[2];
  size_t phase = 0;
  std::barrier all_threads(static_cast<std::ptrdiff_t>(threads),
                           [&]() noexcept { totals[phase++ % 2] = event_counts.totals(); });
  std::atomic<size_t> done{0};
  scenario::run_threads(threads, [&](size_t index) {
    Workload workload(index);
    all_threads.arrive_and_wait();
    done += workload.run(operations / threads);
    all_threads.arrive_and_wait();
  });
  return {done, totals[1].since(totals[0])};
}

void print_row(const char* name, size_t threads, const Result& result) {
  const auto per_1000 = [&](uint64_t count) {
    return static_cast<double>(count) * 1000 / static_cast<double>(result.operations);
  };
  const auto locks = [&](LockRank rank) {
    return per_1000(result.counted.of(rank, LockEvent::kTaken));
  };
  const auto found_taken = [&](LockRank rank) {
    const uint64_t taken = result.counted.of(rank, LockEvent::kTaken);
    const uint64_t waited = result.counted.of(rank, LockEvent::kFoundTaken);
    return taken == 0 ? 0.0 : static_cast<double>(waited) * 100 / static_cast<double>(taken);
  };
  std::printf("%-24s %7zu %10zu %9.3f %9.3f %9.3f %9.3f %9.3f %8.2f %8.2f %8.3f %9.3f\n", name,
              threads, result.operations, locks(LockRank::kCentral), locks(LockRank::kPageHeap),
              locks(LockRank::kPageMap), locks(LockRank::kRegistry), locks(LockRank::kMetadata),
              found_taken(LockRank::kCentral), found_taken(LockRank::kPageHeap),
              per_1000(result.counted.of(LockEvent::kSlept)),
              per_1000(result.counted.shared_writes));
}

// False when the process of a run failed.
template <typename Workload>
bool print_rows(const char* name, size_t operations, size_t most_threads, size_t fewest = 1) {
  for (const size_t threads : {1u, 2u, 4u, 8u, 16u, 64u}) {
    if (threads < fewest || threads > most_threads) continue;
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      print_row(name, threads, run<Workload>(threads, operations));
      std::fflush(stdout);
      _exit(0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return false;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t operations = scenario::argument(count, arguments, 1, 4000000);
  const size_t most = scenario::argument(count, arguments, 2, 64);
  std::printf("%-24s %7s %10s %49s %17s %8s %9s\n", "", "", "", "locks per 1000 operations",
              "% found taken", "sleeps", "shared");
  std::printf("%-24s %7s %10s %9s %9s %9s %9s %9s %8s %8s %8s %9s\n", "workload", "threads",
              "operations", "central", "page heap", "page map", "registry", "metadata", "central",
              "p. heap", "per 1000", "writes");
  const size_t fewer = operations / 4;
  const bool done =
      print_rows<Bursts<100, 16, 256>>("bursts of 100, 16-256", operations, most) &&
      print_rows<Bursts<10000, 16, 256>>("bursts of 10000, 16-256", operations, most) &&
      print_rows<Replace<10000, 16, 256>>("replace, 16-256", operations, most) &&
      print_rows<Server>("server mix", operations, most) &&
      print_rows<ProducerConsumer>("producer/consumer, 64", operations, most, 2) &&
      print_rows<Bursts<32, 64 << 10, 64 << 10>>("bursts of 32, 64 KiB", fewer, most) &&
      print_rows<Replace<32, 8 << 10, 128 << 10>>("replace, 8-128 KiB", fewer, most) &&
      print_rows<Replace<8, 128 << 10, 1 << 20>>("replace, 128 KiB-1 MiB", fewer, most);
  return done ? 0 : 1;
}
