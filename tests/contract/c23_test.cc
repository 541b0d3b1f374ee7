// Entry points that the C library lacks or hides: free_sized, free_aligned_sized, cfree, and the
// __libc_ names that old programs call.
#include <malloc.h>

#include <initializer_list>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

template <typename Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

void expect_in_library_of_malloc(std::initializer_list<const char*> names) {
  Dl_info first{};
  REQUIRE(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &first) != 0);
  for (const char* name : names) {
    Dl_info info{};
    REQUIRE(dladdr(dlsym(RTLD_DEFAULT, name), &info) != 0);
    if (info.dli_fbase != first.dli_fbase) contract::say("%s is in %s", name, info.dli_fname);
    EXPECT(info.dli_fbase == first.dli_fbase);
  }
}

}  // namespace

CASE(free_sized_frees) {
  if (contract::not_promised_by_libc()) return;
  auto* const free_sized = find<void(void*, size_t)>("free_sized");
  REQUIRE(free_sized != nullptr);
  const size_t before = mallinfo2().uordblks;
  for (size_t i = 0; i < 200000; ++i) free_sized(malloc(i % 3000), i % 3000);
  free_sized(malloc(5 << 20), 5 << 20);
  free_sized(calloc(10, 10), 100);
  free_sized(nullptr, 10);
  EXPECT(mallinfo2().uordblks < before + (8 << 20));
}

CASE(free_aligned_sized_frees) {
  if (contract::not_promised_by_libc()) return;
  auto* const free_aligned_sized = find<void(void*, size_t, size_t)>("free_aligned_sized");
  REQUIRE(free_aligned_sized != nullptr);
  const size_t before = mallinfo2().uordblks;
  for (size_t i = 0; i < 100000; ++i) {
    const size_t alignment = size_t{16} << i % 9;
    void* block = aligned_alloc(alignment, alignment * 2);
    free_aligned_sized(block, alignment, alignment * 2);
  }
  free_aligned_sized(nullptr, 64, 64);
  EXPECT(mallinfo2().uordblks < before + (8 << 20));
}

CASE(cfree_frees) {
  if (contract::not_promised_by_libc()) return;
  auto* const cfree = find<void(void*)>("cfree");
  REQUIRE(cfree != nullptr);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 100000; ++i) cfree(malloc(500));
  cfree(nullptr);
  EXPECT(mallinfo2().uordblks < before + (8 << 20));
}

#ifdef __GLIBC__
CASE(libc_names_reach_the_same_allocator) {
  auto* const libc_malloc = find<void*(size_t)>("__libc_malloc");
  auto* const libc_calloc = find<void*(size_t, size_t)>("__libc_calloc");
  auto* const libc_realloc = find<void*(void*, size_t)>("__libc_realloc");
  auto* const libc_memalign = find<void*(size_t, size_t)>("__libc_memalign");
  auto* const libc_free = find<void(void*)>("__libc_free");
  REQUIRE(libc_malloc != nullptr && libc_free != nullptr && libc_calloc != nullptr);
  REQUIRE(libc_realloc != nullptr && libc_memalign != nullptr);
  free(libc_malloc(100));
  free(libc_calloc(10, 10));
  free(libc_realloc(malloc(10), 5000));
  free(libc_memalign(4096, 100));
  libc_free(malloc(100));
}
#endif

// A missing entry point would mix two allocators in one process.
CASE(all_entry_points_come_from_one_library) {
  expect_in_library_of_malloc({"free", "calloc", "realloc", "reallocarray", "aligned_alloc",
                               "memalign", "valloc", "posix_memalign", "pvalloc",
                               "malloc_usable_size"});
#ifdef __GLIBC__
  expect_in_library_of_malloc({"mallinfo", "mallinfo2", "mallopt", "malloc_trim", "malloc_stats",
                               "malloc_info", "__libc_malloc", "__libc_free", "__libc_calloc",
                               "__libc_realloc", "__libc_memalign", "__libc_valloc",
                               "__libc_pvalloc", "__libc_mallinfo", "__libc_mallopt"});
#endif
}

RUN_CASES()
