// Sleep on a 32-bit word until another thread changes it and wakes the sleepers.
#ifndef SPANMALLOC_PLATFORM_FUTEX_H_
#define SPANMALLOC_PLATFORM_FUTEX_H_

#include <atomic>
#include <cstdint>

namespace spanmalloc::platform {

// Sleeps while *word == expected, at most `timeout_ns` nanoseconds; may also return early.
void futex_wait(std::atomic<uint32_t>& word, uint32_t expected, uint64_t timeout_ns);

// Wakes one of the threads that sleep on the word, if there is one.
void futex_wake_one(std::atomic<uint32_t>& word);

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_FUTEX_H_
