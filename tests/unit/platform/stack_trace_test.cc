#include "platform/stack_trace.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace spanmalloc::platform {
namespace {

constexpr size_t kStackBytes = size_t{1} << 20;
constexpr size_t kCapacity = 8;

// The memory of a thread's stack, so that frames made by hand are taken for its own.
class Stack {
 public:
  Stack()
      : memory_(mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0)) {}
  ~Stack() { munmap(memory_, kStackBytes); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  uintptr_t page(size_t index) const {
    return reinterpret_cast<uintptr_t>(memory_) +
           index * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  }
  void forbid(size_t index) const {
    mprotect(reinterpret_cast<void*>(page(index)), page(1) - page(0), PROT_NONE);
  }

  // Runs the function in a thread that has this stack.
  void run(void* (*body)(void*), void* argument) const {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    ASSERT_EQ(pthread_attr_setstack(&attributes, memory_, kStackBytes), 0);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, &attributes, body, argument), 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
  }

 private:
  void* memory_;
};

void write_record(uintptr_t at, uintptr_t next, uintptr_t address) {
  auto* words = reinterpret_cast<uintptr_t*>(at);
  words[0] = next;
  words[1] = address;
}

struct Walk {
  uintptr_t frame;
  uintptr_t addresses[kCapacity] = {};
  size_t count = 0;
  int error = 0;
};

void* capture(void* argument) {
  Walk* walk = static_cast<Walk*>(argument);
  errno = 17;
  walk->count =
      capture_stack(reinterpret_cast<const void*>(walk->frame), walk->addresses, kCapacity);
  walk->error = errno;
  return nullptr;
}

TEST(StackTrace, FollowsFramesAcrossPages) {
  const Stack stack;
  write_record(stack.page(1), stack.page(1) + 64, 10001);
  write_record(stack.page(1) + 64, stack.page(3) - 16, 10002);
  write_record(stack.page(3) - 16, stack.page(3), 10003);
  write_record(stack.page(3), 0, 10004);
  Walk walk{stack.page(1)};
  stack.run(&capture, &walk);
  ASSERT_EQ(walk.count, 4u);
  for (size_t index = 0; index < walk.count; ++index)
    EXPECT_EQ(walk.addresses[index], 10001 + index);
  EXPECT_EQ(walk.error, 17);
}

TEST(StackTrace, StopsBeforeWhatCannotBeRead) {
  const Stack stack;
  stack.forbid(2);
  for (const uintptr_t next : {stack.page(2), stack.page(2) + 128, stack.page(3) - 16}) {
    write_record(stack.page(1), next, 10001);
    Walk walk{stack.page(1)};
    stack.run(&capture, &walk);
    EXPECT_EQ(walk.count, 1u);
    EXPECT_EQ(walk.addresses[0], 10001u);
    EXPECT_EQ(walk.error, 17);
  }
}

TEST(StackTrace, StopsAtPointersThatAreNone) {
  const Stack stack;
  for (const uintptr_t next : {uintptr_t{0}, stack.page(0), stack.page(1), stack.page(1) + 65,
                               stack.page(200), UINTPTR_MAX - 15}) {
    write_record(stack.page(1), next, 10001);
    Walk walk{stack.page(1)};
    stack.run(&capture, &walk);
    EXPECT_EQ(walk.count, 1u);
  }
}

}  // namespace
}  // namespace spanmalloc::platform
