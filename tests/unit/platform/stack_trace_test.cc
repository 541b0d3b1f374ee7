#include "platform/stack_trace.h"

#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdlib>

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

struct Wanted {
  uintptr_t address;
  const char* file;
  uintptr_t offset;
};

// As the loader knows it.
int find_in_module(dl_phdr_info* module, size_t, void* argument) {
  Wanted* wanted = static_cast<Wanted*>(argument);
  for (size_t index = 0; index < module->dlpi_phnum; ++index) {
    const ElfW(Phdr)& segment = module->dlpi_phdr[index];
    const uintptr_t start = module->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || wanted->address - start >= segment.p_memsz) continue;
    wanted->file = module->dlpi_name;
    wanted->offset = wanted->address - module->dlpi_addr;
    return 1;
  }
  return 0;
}

TEST(CodePlace, IsThatOfTheLoader) {
  char own[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", own, sizeof(own) - 1), 0);
  const auto any = [](auto* function) { return reinterpret_cast<uintptr_t>(function); };
  for (const uintptr_t address : {any(&capture), any(&find_code), any(&qsort), any(&pthread_create),
                                  any(static_cast<double (*)(double)>(&floor))}) {
    Wanted wanted{address, nullptr, 0};
    ASSERT_EQ(dl_iterate_phdr(&find_in_module, &wanted), 1);
    const bool is_own = wanted.file[0] == '\0';
    char path[PATH_MAX] = {};
    ASSERT_NE(realpath(is_own ? own : wanted.file, path), nullptr);
    errno = 17;
    const CodePlace place = find_code(address);
    EXPECT_EQ(errno, 17);
    EXPECT_STREQ(place.file, path);
    EXPECT_EQ(place.offset, wanted.offset);
  }
}

TEST(CodePlace, IsEmptyOutsideOfFiles) {
  const Stack stack;
  int local = 0;
  for (const uintptr_t address : {uintptr_t{0}, uintptr_t{1}, stack.page(1), UINTPTR_MAX,
                                  reinterpret_cast<uintptr_t>(&local)}) {
    EXPECT_STREQ(find_code(address).file, "");
  }
}

// A handler may be told of a fault while another thread, which it waits for, walks the modules.
TEST(CodePlace, IsFoundWhileTheLoaderIsBusy) {
  const auto walk = [](dl_phdr_info*, size_t, void* argument) {
    pthread_t thread;
    const auto find = [](void* found) -> void* {
      *static_cast<CodePlace*>(found) = find_code(reinterpret_cast<uintptr_t>(&find_code));
      return nullptr;
    };
    EXPECT_EQ(pthread_create(&thread, nullptr, find, argument), 0);
    pthread_join(thread, nullptr);
    return 1;
  };
  CodePlace place;
  ASSERT_EQ(dl_iterate_phdr(walk, &place), 1);
  EXPECT_STRNE(place.file, "");
}

}  // namespace
}  // namespace spanmalloc::platform
