// The page source where the kernel has its own idea of where memory lies.
#include "pages/os_page_source.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/metadata_arena.h"
#include "kernels/fake_kernel.h"
#include "pages/page_heap.h"
#include "platform/compiler.h"

namespace spanmalloc {
namespace {

using testing::Addresses;
using testing::fake_kernel;

constexpr size_t kGiB = size_t{1} << 30;

class PageSourceOf : public ::testing::TestWithParam<Addresses> {
 protected:
  PageSourceOf() : addresses_(fake_kernel.addresses), memory_(fake_kernel.physical_memory) {
    fake_kernel.addresses = GetParam();
    fake_kernel.physical_memory = 512 * kGiB;
    fake_kernel.ignored_hints = 0;
  }
  ~PageSourceOf() override {
    fake_kernel.addresses = addresses_;
    fake_kernel.physical_memory = memory_;
  }

 private:
  const Addresses addresses_;
  const size_t memory_;
};

TEST_P(PageSourceOf, OpensAWindowThatHoldsWhatTheKernelGives) {
  OsPageSource source;
  ASSERT_TRUE(source.open());
  if (platform::kAddressHintsAllowed) {
    EXPECT_EQ(fake_kernel.ignored_hints > 0, GetParam() != Addresses::kAsWished);
  }
  for (int round = 0; round < 300; ++round) {
    const PageRange range = source.grow({kPagesPerChunk * (1 + round % 3)});
    ASSERT_GT(range.count.value, 0u) << round;
    const uintptr_t begin = source.window().address(range.first);
    ASSERT_TRUE(source.window().contains(begin + range.count.bytes().value - 1));
    memset(reinterpret_cast<void*>(begin), 1, 100);
  }
}

TEST_P(PageSourceOf, CarriesAPageHeap) {
  OsPageSource source;
  ASSERT_TRUE(source.open());
  MetadataArena arena;
  PageHeap heap(source, arena);
  ASSERT_TRUE(heap.open(source.window()));
  size_t in_use = 0;
  for (size_t count = 1; count < 100000; count += count / 2 + 1) {
    const PageAllocation allocation = heap.allocate({count}, {1}, Growth::kAllowed);
    ASSERT_TRUE(allocation.ok()) << count;
    *reinterpret_cast<char*>(source.window().address(allocation.pages.first)) = 1;
    in_use += count;
  }
  EXPECT_EQ(heap.in_use_bytes(), in_use * kPageBytes);
  heap.check_invariants();
}

INSTANTIATE_TEST_SUITE_P(Kernels, PageSourceOf,
                         ::testing::Values(Addresses::kAsWished, Addresses::k39Bits,
                                           Addresses::kNoHints));

}  // namespace
}  // namespace spanmalloc
