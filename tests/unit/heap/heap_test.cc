#include "heap/heap.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "platform/virtual_memory.h"
#include "unit/heap/heap_fixture.h"

// The longest history: a suppression applies only where the stack of the other side is known.
extern "C" const char* __tsan_default_options() {
  return "history_size=7";
}
// Looks of one thread at another's cache are races by design: what they see may be stale.
extern "C" const char* __tsan_default_suppressions() {
  return "race:spanmalloc::ThreadCache::holds\n"
         "race:spanmalloc::ThreadCache::object_count\n";
}

namespace spanmalloc {
namespace {

using testing::fill;
using testing::is_filled;
using testing::is_zero;
using testing::kKiB;
using testing::kMiB;

class HeapAsAWhole : public testing::HeapTest {};
using HeapAsAWholeDeathTest = HeapAsAWhole;

struct Block {
  void* address = nullptr;
  size_t bytes = 0;
  uint64_t seed = 0;
};

// One thread's sequence of operations on blocks whose content it knows.
class Actor {
 public:
  Actor(uint64_t seed, unsigned largest_shift) : random_(seed), largest_shift_(largest_shift) {}

  Block make() {
    const size_t bytes = random_() % (size_t{1} << (4 + random_() % (largest_shift_ - 3)));
    Block block{nullptr, bytes, random_()};
    switch (random_() % 4) {
      case 0:
        block.address = allocate_zeroed(bytes);
        EXPECT_TRUE(is_zero(block.address, bytes));
        break;
      case 1: {
        const size_t alignment = size_t{1} << random_() % 14;
        block.address = allocate_aligned(bytes, alignment);
        EXPECT_TRUE(testing::is_aligned_to(block.address, alignment));
        break;
      }
      default:
        block.address = allocate(bytes);
    }
    EXPECT_NE(block.address, nullptr);
    fill(block.address, bytes, block.seed);
    return block;
  }
  void resize(Block& block) {
    const size_t bytes = 1 + random_() % (size_t{1} << (4 + random_() % (largest_shift_ - 3)));
    block.address = reallocate(block.address, bytes);
    EXPECT_TRUE(is_filled(block.address, std::min(bytes, block.bytes), block.seed));
    block.bytes = bytes;
    fill(block.address, bytes, block.seed);
  }
  void end(const Block& block) {
    EXPECT_TRUE(is_filled(block.address, block.bytes, block.seed));
    deallocate(block.address);
  }
  uint64_t random() { return random_(); }

 private:
  std::mt19937_64 random_;
  const unsigned largest_shift_;
};

TEST_F(HeapAsAWhole, AgreesWithAShadowModelInOneThread) {
  for (const unsigned largest_shift : {8u, 13u, 18u, 21u}) {
    Actor actor(largest_shift, largest_shift);
    std::vector<Block> blocks;
    for (int round = 0; round < 8000; ++round) {
      const size_t action = actor.random() % 8;
      if (action < 4 && blocks.size() < 200) {
        blocks.push_back(actor.make());
      } else if (!blocks.empty()) {
        std::swap(blocks[actor.random() % blocks.size()], blocks.back());
        if (action < 6) {
          actor.end(blocks.back());
          blocks.pop_back();
        } else {
          actor.resize(blocks.back());
        }
      }
      if (round % 500 == 0) heap.check_invariants();
      if (round % 2000 == 0) (void)heap.release_everything();
    }
    for (const Block& block : blocks) actor.end(block);
  }
}

// Threads that leave blocks for each other in common places.
void exchange_blocks(unsigned thread_count, int rounds, unsigned largest_shift) {
  constexpr size_t kPlaces = 64;
  static std::mutex mutexes[kPlaces];
  std::vector<Block> places(kPlaces);
  std::vector<std::thread> threads;
  for (unsigned index = 0; index < thread_count; ++index) {
    threads.emplace_back([&, index] {
      Actor actor(index + 1, largest_shift);
      std::vector<Block> mine;
      for (int round = 0; round < rounds; ++round) {
        Block block = actor.make();
        const size_t place = actor.random() % kPlaces;
        {
          const std::lock_guard<std::mutex> lock(mutexes[place]);
          std::swap(places[place], block);
        }
        if (block.address == nullptr) continue;
        if (actor.random() % 4 == 0) actor.resize(block);
        mine.push_back(block);
        if (mine.size() > 50 || actor.random() % 2 == 0) {
          actor.end(mine.back());
          mine.pop_back();
        }
        if (actor.random() % 4096 == 0) heap.reclaim_everything();
      }
      for (const Block& left : mine) actor.end(left);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Actor actor(0, largest_shift);
  for (const Block& block : places) {
    if (block.address != nullptr) actor.end(block);
  }
}

TEST_F(HeapAsAWhole, ThreadsExchangeSmallBlocks) {
  exchange_blocks(8, 5000, 10);
}

TEST_F(HeapAsAWhole, ThreadsExchangeBlocksOfAllSizesBesideTheScavenger) {
  // Enough to start the scavenger's thread.
  void* ballast = allocate(48 * kMiB);
  exchange_blocks(8, 1500, 19);
  deallocate(ballast);
}

// Does one thing over and over, on a thread of its own, as long as this stands.
class Repeatedly {
 public:
  explicit Repeatedly(void (*work)())
      : thread_([this, work] {
          while (!stop_) work();
        }) {}
  ~Repeatedly() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(HeapAsAWhole, ThreadsReleaseEverythingWhileOthersWork) {
  const Repeatedly release([] { (void)heap.release_everything(); });
  exchange_blocks(4, 2000, 14);
}

TEST_F(HeapAsAWhole, OptionsAreSetWhileOtherThreadsWork) {
  const Repeatedly apply([] { heap.apply_options(); });
  exchange_blocks(2, 1000, 15);
}

TEST_F(HeapAsAWhole, ChecksPassWhileOtherThreadsWork) {
  // Enough to start the scavenger's thread.
  void* ballast = allocate(48 * kMiB);
  {
    const Repeatedly check([] { heap.check_invariants(); });
    exchange_blocks(4, 1500, 18);
  }
  deallocate(ballast);
}

TEST_F(HeapAsAWholeDeathTest, APageThatLeadsElsewhereIsSeenByAChecker) {
  void* block = allocate(64);
  const uintptr_t address = reinterpret_cast<uintptr_t>(block);
  ASSERT_TRUE(heap.page_map().find(address)->is_listed());
  heap.check_invariants();
  EXPECT_DEATH(
      {
        heap.page_map().set_large(PageNumber{address >> kPageShift}, nullptr);
        heap.check_invariants();
      },
      "a page of a span leads elsewhere");
  deallocate(block);
}

// A seal in a live block makes free look through the caches of all threads.
TEST_F(HeapAsAWhole, ThreadsFreeBlocksWithCopiedSealsWhileOthersWork) {
  std::atomic<bool> stop{false};
  std::thread worker([&] {
    Actor actor(1, 8);
    while (!stop) {
      std::vector<Block> blocks;
      for (int count = 0; count < 500; ++count) blocks.push_back(actor.make());
      for (const Block& block : blocks) actor.end(block);
    }
  });
  for (int round = 0; round < 2000; ++round) {
    auto* freed = static_cast<FreeNode*>(allocate(64));
    auto* other = static_cast<FreeNode*>(allocate(64));
    deallocate(freed);
    *other = *freed;
    deallocate(other);
  }
  stop = true;
  worker.join();
}

TEST_F(HeapAsAWhole, AnEndedThreadLeavesNothingBehind) {
  std::vector<void*> left(1000);
  const size_t caches_before = heap.registry().cache_count();
  for (int life = 0; life < 20; ++life) {
    std::thread([&] {
      for (void*& block : left) block = allocate(200);
    }).join();
    for (void* block : left) deallocate(block);
  }
  EXPECT_LE(heap.registry().cache_count(), std::max<size_t>(caches_before, 12));
}

struct LateUser {
  ~LateUser() {
    void* block = allocate(100);
    EXPECT_NE(block, nullptr);
    memset(block, 1, 100);
    deallocate(block);
    deallocate(early);
    block = allocate(100 * kKiB);
    EXPECT_NE(block, nullptr);
    deallocate(block);
  }
  void* early = nullptr;
};

void* late_key_block = nullptr;

TEST_F(HeapAsAWhole, DestructorsOfAnEndingThreadMayStillAllocateAndFree) {
  pthread_key_t key;
  // Runs again and again in the rounds of thread-specific data, after the cache is gone too.
  ASSERT_EQ(pthread_key_create(&key,
                               [](void* argument) {
                                 LateUser user;
                                 user.early = late_key_block;
                                 late_key_block = nullptr;
                                 auto* rounds = static_cast<int*>(argument);
                                 if (--*rounds > 0) {
                                   pthread_setspecific(
                                       *static_cast<pthread_key_t*>(static_cast<void*>(rounds + 1)),
                                       rounds);
                                 }
                               }),
            0);
  struct {
    int rounds = 3;
    pthread_key_t own_key;
  } state;
  state.own_key = key;
  std::thread([&] {
    late_key_block = allocate(300);
    pthread_setspecific(key, &state);
  }).join();
  EXPECT_EQ(state.rounds, 0);
  pthread_key_delete(key);
}

TEST_F(HeapAsAWhole, ReleaseEverythingGivesFreeMemoryBack) {
  std::vector<void*> blocks;
  for (int count = 0; count < 20000; ++count) {
    blocks.push_back(allocate(1000));
    memset(blocks.back(), 1, 1000);
  }
  const size_t resident = platform::resident_bytes();
  for (void* block : blocks) deallocate(block);
  (void)heap.release_everything();
  EXPECT_LE(platform::resident_bytes() + 12 * kMiB, resident);
  EXPECT_LE(heap.page_heap().free_retained_bytes(), kMiB);
  EXPECT_LE(heap.release_everything(), kMiB) << "there is little left to do";
}

TEST_F(HeapAsAWhole, DepotsAreReclaimedBeforeTheHeapGrows) {
  bool reclaimed = false;
  // The scavenger's thread may drain them first.
  for (int attempt = 0; attempt < 50 && !reclaimed; ++attempt) {
    std::vector<void*> blocks;
    for (int count = 0; count < 40000; ++count) blocks.push_back(allocate(100));
    for (void* block : blocks) deallocate(block);
    reclaimed = heap.reclaim_before_growth();
  }
  EXPECT_TRUE(reclaimed);
  // A part each time, and the lists of this thread, which have rested since.
  size_t calls = 0;
  while (heap.reclaim_before_growth()) ASSERT_LT(++calls, 100u);
  EXPECT_LE(heap.centrals().depot_bytes(), std::max(kMiB, heap.page_heap().in_use_bytes() / 8));
}

// Bytes in use when depots hold 20 MiB and 16 MiB of another size come beside them, where free
// pages suffice.
size_t in_use_beside_depots() {
  deallocate(allocate(64 * kMiB));
  std::vector<void*> blocks;
  for (size_t bytes = 100; bytes <= 1000; bytes += 100) {
    for (size_t sum = 0; sum < 2 * kMiB; sum += bytes) blocks.push_back(allocate(bytes));
  }
  for (void* block : blocks) deallocate(block);
  for (size_t sum = 0; sum < 16 * kMiB; sum += 3 * kKiB) (void)allocate(3 * kKiB);
  return heap.page_heap().in_use_bytes();
}

// The most in use while 1000 buffers grow to 6 KiB, again and again, and leave all classes behind.
size_t most_in_use_of_rounds() {
  std::vector<void*> buffers(1000);
  size_t most = 0;
  for (int round = 0; round < 4; ++round) {
    for (size_t bytes = 64; bytes <= 6 * kKiB; bytes += 64) {
      for (void*& buffer : buffers) {
        deallocate(buffer);
        buffer = allocate(bytes);
      }
      most = std::max(most, heap.page_heap().in_use_bytes());
    }
    for (void*& buffer : buffers) deallocate(std::exchange(buffer, nullptr));
  }
  return most;
}

// In a process of its own: what a heap needed before counts for some epochs.
void expect_at_most(size_t most, size_t (*bytes_in_use)()) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto use = [=] {
    const size_t bytes = bytes_in_use();
    fprintf(stderr, "%zu KiB in use\n", bytes / kKiB);
    _exit(bytes <= most ? 0 : 1);
  };
  EXPECT_EXIT(use(), ::testing::ExitedWithCode(0), "in use");
}

TEST_F(HeapAsAWholeDeathTest, DepotsAreReclaimedAsSpansGrowWhereFreePagesAreLeft) {
  expect_at_most(25 * kMiB, &in_use_beside_depots);
}

TEST_F(HeapAsAWholeDeathTest, RoundsThroughAllSizesDoNotAddUp) {
  expect_at_most(12 * kMiB, &most_in_use_of_rounds);
}

TEST_F(HeapAsAWhole, MemoryFreedInOneSizeServesEveryOther) {
  size_t mapped = 0;
  for (int round = 0; round < 3; ++round) {
    for (const size_t bytes : {size_t{32}, 3 * kKiB, 20 * kKiB, 200 * kKiB}) {
      std::vector<void*> blocks;
      for (size_t sum = 0; sum < 20 * kMiB; sum += bytes) blocks.push_back(allocate(bytes));
      for (void* block : blocks) deallocate(block);
    }
    const PageHeapStats stats = heap.page_heap().stats();
    if (round > 0) {
      EXPECT_LE(stats.mapped.bytes().value, mapped + 8 * kMiB) << "the heap grows for ever";
    }
    mapped = stats.mapped.bytes().value;
  }
}

TEST_F(HeapAsAWhole, AThreadThatOnlyFreesKeepsNoLargeBlocksThatRest) {
  constexpr size_t kLarge = 64 * kKiB;
  std::vector<void*> blocks(100000);
  for (void*& block : blocks) block = allocate(64);
  void* large = allocate(kLarge);
  std::thread([&] {
    deallocate(large);
    const ThreadCache* cache = own_thread_cache();
    EXPECT_GE(cache->object_count(size_class_of(kLarge)), 1u);
    for (void* block : blocks) deallocate(block);
    EXPECT_EQ(cache->object_count(size_class_of(kLarge)), 0u);
  }).join();
}

// Budget of lists while so many threads more have a cache each.
size_t list_budget_beside(size_t threads) {
  std::atomic<size_t> attached{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (size_t index = 0; index < threads; ++index) {
    workers.emplace_back([&] {
      deallocate(allocate(64));
      attached.fetch_add(1);
      while (!stop) std::this_thread::yield();
    });
  }
  while (attached < threads) std::this_thread::yield();
  const size_t budget = heap.list_rules().budget;
  stop = true;
  for (std::thread& worker : workers) worker.join();
  return budget;
}

TEST_F(HeapAsAWhole, InASmallHeapManyThreadsShareWhatTheirListsMayHold) {
  deallocate(allocate(64));
  ASSERT_LT(heap.page_heap().in_use_bytes(), 8 * kMiB) << "a share of a small heap is less";
  EXPECT_EQ(list_budget_beside(0), kMiB);
  EXPECT_EQ(list_budget_beside(2), kMiB);
  const size_t of_eight = list_budget_beside(7);
  EXPECT_LE(of_eight, kMiB / 2);
  EXPECT_GT(of_eight, kMiB / 4);
  EXPECT_EQ(list_budget_beside(16), kMiB / 4);
}

TEST_F(HeapAsAWhole, ACopyMadeByForkIsWholeWhileOtherThreadsWork) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (unsigned index = 0; index < 3; ++index) {
    workers.emplace_back([&, index] {
      Actor actor(index, 12);
      while (!stop) actor.end(actor.make());
    });
  }
  for (int round = 0; round < 10; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (size_t bytes = 1; bytes < 200 * kKiB; bytes = bytes * 3 / 2 + 1) {
        void* block = allocate(bytes);
        if (block == nullptr) _exit(1);
        memset(block, 1, bytes);
        deallocate(block);
      }
      heap.check_invariants();
      (void)heap.release_everything();
      heap.check_invariants();
      _exit(0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
}

}  // namespace
}  // namespace spanmalloc
