// What is asked of the kernel before the heap relies on it. For platform/ alone.
#ifndef SPANMALLOC_PLATFORM_KERNEL_PROMISE_LINUX_H_
#define SPANMALLOC_PLATFORM_KERNEL_PROMISE_LINUX_H_

#include <sys/resource.h>

#include <atomic>
#include <cstdint>

#include "platform/virtual_memory.h"

namespace spanmalloc::platform {

// The kernel rounds lengths up, and would then take what lies behind a range.
inline bool are_whole_pages(uintptr_t addresses_and_bytes) {
  return (addresses_and_bytes & (page_bytes() - 1)) == 0;
}

// True also where none can be read.
inline bool may_have_limit(decltype(RLIMIT_AS) resource) {
  rlimit limit{};
  return getrlimit(resource, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

enum class Answer : uint8_t { kUnknown, kYes, kNo };

// Emulators of the kernel may answer that they did what they did not. What a system call does to
// two pages made for it shows that once, before it is used on the heap's. A call that is refused
// shows nothing, and the next one tries again. Where no pages are to be had (too many mappings),
// one may do whose content need not stay, if the call keeps to one; 0: there is none.
template <Answer (*try_on)(uintptr_t pages)>
bool keeps_promise(uintptr_t instead = 0) {
  static constinit std::atomic<Answer> known{Answer::kUnknown};
  Answer answer = known.load(std::memory_order_relaxed);
  if (answer != Answer::kUnknown) return answer == Answer::kYes;
  const uintptr_t made = map(2 * page_bytes(), 0);
  const uintptr_t pages = made != 0 ? made : instead;
  if (pages == 0) return false;
  auto* first = reinterpret_cast<volatile char*>(pages);
  const char before = *first;
  *first = 1;
  answer = try_on(pages);
  if (made != 0) {
    (void)unmap(made, 2 * page_bytes());
  } else if (answer != Answer::kYes) {
    *first = before;
  }
  known.store(answer, std::memory_order_relaxed);
  return answer == Answer::kYes;
}

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_KERNEL_PROMISE_LINUX_H_
