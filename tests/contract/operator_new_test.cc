// Every form of operator new and delete of C++20, called as functions and through expressions.
#include <malloc.h>

#include <new>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_aligned;
using contract::is_filled;
using contract::kMiB;
using contract::opaque;
using std::align_val_t;
using std::nothrow;

constexpr size_t kSizes[] = {0, 1, 8, 16, 17, 64, 100, 1000, 4096, 32768, 32769, 100000, 3000000};
constexpr size_t kTooLarge[] = {SIZE_MAX,         SIZE_MAX - 63, SIZE_MAX - 4096,
                                SIZE_MAX / 2 + 1, PTRDIFF_MAX,   size_t{1} << 62};

void check(void* block, size_t size, size_t alignment) {
  REQUIRE(block != nullptr);
  EXPECT(is_aligned(block, alignment));
  EXPECT(is_aligned(block, 16));
  fill(block, size, size);
  EXPECT(is_filled(block, size, size));
}

// True if the call throws std::bad_alloc (or what is derived from it).
template <typename Call>
bool throws_bad_alloc(Call call) {
  try {
    void* block = call();
    contract::say("got %p", block);
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

struct alignas(256) Aligned {
  char bytes[512];
};

}  // namespace

CASE(unaligned_forms) {
  for (const size_t size : kSizes) {
    void* block = ::operator new(size);
    check(block, size, 16);
    ::operator delete(block);
    block = ::operator new[](size);
    check(block, size, 16);
    ::operator delete[](block);
    block = ::operator new(size, nothrow);
    check(block, size, 16);
    ::operator delete(block, nothrow);
    block = ::operator new[](size, nothrow);
    check(block, size, 16);
    ::operator delete[](block, nothrow);
    block = ::operator new(size);
    ::operator delete(block, size);
    block = ::operator new[](size);
    ::operator delete[](block, size);
  }
}

CASE(aligned_forms) {
  for (size_t power = 1; power <= 2 * kMiB; power *= 2) {
    const align_val_t alignment{power};
    for (const size_t size : kSizes) {
      void* block = ::operator new(size, alignment);
      check(block, size, power);
      ::operator delete(block, alignment);
      block = ::operator new[](size, alignment);
      check(block, size, power);
      ::operator delete[](block, alignment);
      block = ::operator new(size, alignment, nothrow);
      check(block, size, power);
      ::operator delete(block, alignment, nothrow);
      block = ::operator new[](size, alignment, nothrow);
      check(block, size, power);
      ::operator delete[](block, alignment, nothrow);
      block = ::operator new(size, alignment);
      ::operator delete(block, size, alignment);
      block = ::operator new[](size, alignment);
      ::operator delete[](block, size, alignment);
    }
  }
}

CASE(expressions) {
  for (int i = 0; i < 1000; ++i) {
    int* one = opaque(new int(i));
    EXPECT_EQ(*one, i);
    delete one;
    int* many = opaque(new int[1000]);
    many[999] = i;
    delete[] many;
    Aligned* aligned = opaque(new Aligned);
    EXPECT(is_aligned(aligned, 256));
    delete aligned;
    aligned = opaque(new (nothrow) Aligned[3]);
    EXPECT(is_aligned(aligned, 256));
    delete[] aligned;
  }
}

// Classes with a flexible last member are deleted by a size that is not theirs.
CASE(the_size_that_delete_is_told_does_not_matter) {
  for (const size_t size : kSizes) {
    ::operator delete(opaque(::operator new(size)), size / 2);
    ::operator delete(opaque(::operator new(size)), size * 3 + 1);
    ::operator delete[](opaque(::operator new[](size)), size + 100000);
  }
  void* blocks[100];
  for (size_t i = 0; i < 100; ++i) blocks[i] = ::operator new(i * 10);
  for (size_t i = 0; i < 100; ++i) check(blocks[i], i * 10, 16);
  for (size_t i = 0; i < 100; ++i) EXPECT(is_filled(blocks[i], i * 10, i * 10));
  for (void* block : blocks) ::operator delete(block);
}

CASE(delete_of_null_does_nothing) {
  const auto none = [] { return opaque(static_cast<void*>(nullptr)); };
  ::operator delete(none());
  ::operator delete[](none());
  ::operator delete(none(), 8);
  ::operator delete[](none(), 8);
  ::operator delete(none(), nothrow);
  ::operator delete (none(), align_val_t{64});
  ::operator delete[](none(), align_val_t{64});
  ::operator delete (none(), 8, align_val_t{64});
  ::operator delete (none(), align_val_t{64}, nothrow);
}

// The blocks of new and of malloc have one source: mixing them works, though it is not clean.
CASE(new_and_malloc_share_the_heap) {
  void* block = ::operator new(100);
  EXPECT(malloc_usable_size(block) >= 100);
  free(opaque(block));
  block = malloc(100);
  ::operator delete(opaque(block));
}

CASE(too_large_sizes_throw_bad_alloc) {
  for (const size_t constant : kTooLarge) {
    const size_t size = opaque(constant);
    EXPECT(throws_bad_alloc([=] { return ::operator new(size); }));
    EXPECT(throws_bad_alloc([=] { return ::operator new[](size); }));
  }
}

CASE(too_large_aligned_sizes_throw_bad_alloc) {
  if (contract::not_promised_by_libc()) return;
  for (const size_t constant : kTooLarge) {
    const size_t size = opaque(constant);
    for (const size_t power : {size_t{32}, size_t{4096}, kMiB}) {
      const align_val_t alignment{power};
      EXPECT(throws_bad_alloc([=] { return ::operator new(size, alignment); }));
      EXPECT(throws_bad_alloc([=] { return ::operator new[](size, alignment); }));
    }
  }
  EXPECT(throws_bad_alloc([] { return ::operator new(64, opaque(align_val_t{size_t{1} << 62})); }));
}

CASE(too_large_sizes_without_throw_give_null) {
  for (const size_t constant : kTooLarge) {
    const size_t size = opaque(constant);
    EXPECT(::operator new(size, nothrow) == nullptr);
    EXPECT(::operator new[](size, nothrow) == nullptr);
  }
}

CASE(too_large_aligned_sizes_without_throw_give_null) {
  if (contract::not_promised_by_libc()) return;
  for (const size_t constant : kTooLarge) {
    const size_t size = opaque(constant);
    EXPECT(::operator new (size, align_val_t{64}, nothrow) == nullptr);
    EXPECT(::operator new[](size, align_val_t{8192}, nothrow) == nullptr);
  }
}

CASE(array_lengths_that_overflow_throw) {
  EXPECT(throws_bad_alloc([] { return opaque(new int[opaque(SIZE_MAX / 2)]); }));
}

// Frames between the throw and the handler are unwound.
CASE(unwinding_runs_destructors) {
  int destroyed = 0;
  struct Guard {
    int* count;
    ~Guard() { ++*count; }
  };
  try {
    Guard guard{&destroyed};
    void* block = ::operator new(opaque(size_t{PTRDIFF_MAX}));
    ::operator delete(block);
  } catch (const std::bad_alloc& error) {
    EXPECT(error.what() != nullptr);
    ++destroyed;
  }
  EXPECT_EQ(destroyed, 2);
}

RUN_CASES()
