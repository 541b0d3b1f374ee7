// A kernel with other pages and other addresses than the one the tests run on. The linker sends the
// calls of the core into platform/ here (--wrap). Addresses that this kernel gives are multiples of
// its page. A call that is not about whole pages of it is refused where the platform refuses it,
// and counted as a fault where the platform would ask the kernel.
#ifndef SPANMALLOC_TESTS_KERNELS_FAKE_KERNEL_H_
#define SPANMALLOC_TESTS_KERNELS_FAKE_KERNEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace spanmalloc::testing {

// Where memory lies for which there is a hint, or none.
enum class Addresses {
  kAsWished,
  k39Bits,   // programs have 512 GiB; hints above are not followed
  kNoHints,  // no hint is followed
};

struct FakeKernel {
  // Takes `addresses` from the environment variable FAKE_KERNEL: "39_bits" or "no_hints".
  FakeKernel();

  std::atomic<size_t> page_bytes{size_t{64} << 10};
  std::atomic<Addresses> addresses{Addresses::kAsWished};
  // What the machine has, where it is not what the real one has.
  std::atomic<size_t> physical_memory{0};

  // Requests that such a kernel would not understand.
  std::atomic<size_t> faults{0};
  // Requests for parts of its pages, which the platform refuses.
  std::atomic<size_t> refused{0};
  std::atomic<size_t> released_bytes{0};
  // Hints that were not followed.
  std::atomic<size_t> ignored_hints{0};
};

extern FakeKernel fake_kernel;

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_KERNELS_FAKE_KERNEL_H_
