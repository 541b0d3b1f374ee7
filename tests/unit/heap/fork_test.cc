// Forks that come where only a signal handler can fork: the tests stand still there and fork.
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "heap/fork.h"
#include "platform/thread.h"
#include "unit/heap/heap_fixture.h"

namespace spanmalloc {
namespace {

class ForkTest : public testing::HeapTest {
 protected:
  void SetUp() override {
    HeapTest::SetUp();
    deallocate(allocate(100));
    sem_init(&has_cache_, 0, 0);
    sem_init(&may_end_, 0, 0);
    other_ = std::thread([this] {
      deallocate(allocate(100));
      sem_post(&has_cache_);
      while (sem_wait(&may_end_) != 0) {
      }
    });
    while (sem_wait(&has_cache_) != 0) {
    }
  }
  void TearDown() override {
    sem_post(&may_end_);
    other_.join();
    HeapTest::TearDown();
  }

  // In a child: whether no thread has a cache but this one.
  static bool is_alone() {
    (void)heap.registry().first();
    bool alone = true;
    heap.registry().for_each([&](const ThreadCache& cache) {
      alone &= cache.holder == 0 || cache.holder == platform::thread_number();
      return true;
    });
    heap.check_invariants();
    return alone;
  }

  // Forks, lets the child do what the interrupted thread does next, and says whether all went well.
  template <typename GoOn>
  static bool child_is_alone_after(GoOn go_on) {
    const pid_t child = fork();
    if (child == 0) {
      go_on();
      _exit(is_alone() ? 0 : 1);
    }
    go_on();
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0;
  }

 private:
  sem_t has_cache_;
  sem_t may_end_;
  std::thread other_;
};

TEST_F(ForkTest, AChildHasNoThreadsOfItsParent) {
  EXPECT_TRUE(child_is_alone_after([] {}));
}

TEST_F(ForkTest, BetweenPreparationAndEndOfAnother) {
  prepare_fork();
  EXPECT_TRUE(child_is_alone_after([] { after_fork_in_parent(); }));
}

// As after a part of the locks was taken, or let go.
TEST_F(ForkTest, WhileLocksAreHeldForAnother) {
  Mutex& registry = heap.registry().mutex();
  Mutex& pages = heap.page_heap().mutex();
  ASSERT_TRUE(registry.try_hold_for_fork());
  ASSERT_TRUE(pages.try_hold_for_fork());
  EXPECT_TRUE(child_is_alone_after([&] {
    pages.release_after_fork();
    registry.release_after_fork();
  }));
}

TEST_F(ForkTest, InTheSectionOfTheRegistry) {
  Mutex& registry = heap.registry().mutex();
  registry.lock();
  EXPECT_TRUE(child_is_alone_after([&] { registry.unlock(); }));
}

TEST_F(ForkTest, WaitsForWhoRegistersAHandler) {
  bool is_registered = false;
  sem_t begun;
  sem_init(&begun, 0, 0);
  std::thread another([&] {
    const HandlerRegistration registration;
    const HandlerRegistration within;
    sem_post(&begun);
    for (int i = 0; i < 100; ++i) deallocate(allocate(testing::kMiB));
    is_registered = true;
  });
  while (sem_wait(&begun) != 0) {
  }
  prepare_fork();
  EXPECT_TRUE(is_registered);
  after_fork_in_parent();
  another.join();
}

// As one does that waits for the fork itself.
TEST_F(ForkTest, DoesNotWaitForEverForWhoRegistersAHandler) {
  sem_t begun;
  sem_t forked;
  sem_init(&begun, 0, 0);
  sem_init(&forked, 0, 0);
  std::thread another([&] {
    const HandlerRegistration registration;
    sem_post(&begun);
    while (sem_wait(&forked) != 0) {
    }
  });
  while (sem_wait(&begun) != 0) {
  }
  EXPECT_TRUE(child_is_alone_after([&] {
    sem_post(&forked);
    const HandlerRegistration registration;
  }));
  another.join();
}

TEST_F(ForkTest, AThreadThatGetsItsCacheInTheChildIsCountedOnce) {
  bool is_counted_once = false;
  std::thread([&] {
    const pid_t child = fork();
    if (child == 0) {
      deallocate(allocate(100));
      _exit(own_thread_cache() != nullptr && heap.scavenger().live_threads() == 1 ? 0 : 1);
    }
    int status = -1;
    is_counted_once = waitpid(child, &status, 0) == child && status == 0;
  }).join();
  EXPECT_TRUE(is_counted_once);
}

// Destructors run in rounds: the first that finds the cache given back forks.
TEST_F(ForkTest, AThreadThatGaveItsCacheBackIsNotCountedInTheChild) {
  static pthread_key_t key;
  static bool is_not_counted;
  is_not_counted = false;
  ASSERT_EQ(pthread_key_create(&key,
                               [](void* value) {
                                 if (own_thread_cache() != nullptr) {
                                   (void)pthread_setspecific(key, value);
                                   return;
                                 }
                                 const pid_t child = fork();
                                 if (child == 0) {
                                   // As when the child's first thread gets a cache.
                                   heap.scavenger().note_thread_start();
                                   _exit(heap.scavenger().live_threads() == 1 ? 0 : 1);
                                 }
                                 int status = -1;
                                 is_not_counted =
                                     waitpid(child, &status, 0) == child && status == 0;
                               }),
            0);
  std::thread([] {
    deallocate(allocate(100));
    (void)pthread_setspecific(key, &key);
  }).join();
  EXPECT_TRUE(is_not_counted);
  (void)pthread_key_delete(key);
}

TEST_F(ForkTest, AThreadIsCountedOutWhenItIsFoundToHaveEnded) {
  // The scavenger's thread may find it first.
  const size_t before = heap.scavenger().live_threads();
  std::thread([] {
    deallocate(allocate(100));
    // As if the system had not told of the end.
    (void)platform::arm_thread_exit(nullptr);
  }).join();
  for (int round = 0; round < 1000 && heap.scavenger().live_threads() != before; ++round) {
    (void)heap.registry().take_back_all_ended();
    std::thread([] { deallocate(allocate(100)); }).join();
    platform::sleep_ns(1'000'000);
  }
  EXPECT_EQ(heap.scavenger().live_threads(), before);
}

}  // namespace
}  // namespace spanmalloc
