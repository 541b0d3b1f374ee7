// The heap's parts on a page source that refuses memory: whichever request fails, what was there
// stays whole, and what was freed can be had again in any size.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "support/cache_parts.h"

namespace spanmalloc {
namespace {

using testing::CacheParts;

constexpr size_t kMiB = size_t{1} << 20;

struct Object {
  void* address;
  size_t bytes;
  SizeClass size_class;  // kNoSizeClass: a large span
  Span* span;
  unsigned char fill;
};

class Program {
 public:
  explicit Program(size_t bytes) : parts_(bytes), cache_(*parts_.acquire()) {}

  CacheParts& parts() { return parts_; }
  size_t object_count() const { return objects_.size(); }
  size_t failures() const { return failures_; }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      if (random_() % 5 < 2 && !objects_.empty()) {
        std::swap(objects_[random_() % objects_.size()], objects_.back());
        free_last();
      } else {
        make();
      }
      if (step % 200 == 0) check();
    }
    check();
  }

  void free_all() {
    while (!objects_.empty()) free_last();
    parts_.centrals.for_each([&](const CentralList& central, SizeClass size_class) {
      cache_.flush(size_class, central, parts_.sentinels, ThreadCache::FlushTo::kSpans);
      central.drain_depot(0, testing::kTestKey);
    });
    check();
  }

 private:
  void make() {
    Object object{};
    if (random_() % 20 != 0) {
      object.size_class = static_cast<SizeClass>(1 + random_() % (kSizeClassCount - 1));
      object.bytes = kSizeClasses[object.size_class].object_bytes;
      object.address = parts_.allocate(cache_, object.size_class);
    } else {
      object.span = parts_.spans.new_large({5 + random_() % 100}, PageCount{1}, Growth::kAllowed);
      if (object.span != nullptr) {
        object.bytes = object.span->bytes().value;
        object.address = reinterpret_cast<void*>(object.span->base());
      }
    }
    if (object.address == nullptr) {
      ++failures_;
      return;
    }
    object.fill = static_cast<unsigned char>(random_());
    memset(object.address, object.fill, object.bytes);
    objects_.push_back(object);
  }

  void free_last() {
    const Object object = objects_.back();
    objects_.pop_back();
    const auto* memory = static_cast<const unsigned char*>(object.address);
    ASSERT_EQ(memory[0], object.fill);
    ASSERT_EQ(memcmp(memory, memory + 1, object.bytes - 1), 0);
    if (object.size_class != kNoSizeClass) {
      parts_.deallocate(cache_, object.size_class, static_cast<FreeNode*>(object.address));
    } else {
      ASSERT_TRUE(parts_.spans.delete_large(object.span));
    }
  }

  void check() {
    parts_.page_heap.check_invariants();
    cache_.check_invariants(parts_.page_map.class_map());
    parts_.centrals.for_each(
        [](const CentralList& central, SizeClass) { central.check_invariants(); });
  }

  CacheParts parts_;
  ThreadCache& cache_;
  std::mt19937_64 random_{99};
  std::vector<Object> objects_;
  size_t failures_ = 0;
};

TEST(OutOfMemory, AnyOneRefusalIsSurvived) {
  size_t requests = 0;
  {
    Program program(128 * kMiB);
    program.run(3000);
    requests = program.parts().source.grow_calls();
    EXPECT_EQ(program.failures(), 0u);
  }
  ASSERT_GE(requests, 5u);
  for (size_t nth = 1; nth <= requests; ++nth) {
    Program program(128 * kMiB);
    program.parts().source.fail_grow(nth);
    program.run(3000);
    program.free_all();
    EXPECT_EQ(program.parts().page_heap.in_use_bytes(), 0u) << "after refusal " << nth;
  }
}

TEST(OutOfMemory, AFullHeapFailsAndWorksAgainAfterFrees) {
  for (const size_t bytes : {4 * kMiB, 8 * kMiB, 16 * kMiB}) {
    Program program(bytes);
    program.run(4000);
    EXPECT_GT(program.failures(), 0u);
    const size_t failures = program.failures();
    program.free_all();
    EXPECT_EQ(program.parts().page_heap.in_use_bytes(), 0u);
    program.run(50);
    EXPECT_EQ(program.failures(), failures) << "empty again, so there is room";
    program.free_all();
  }
}

TEST(OutOfMemory, FreedMemoryServesEveryOtherSize) {
  CacheParts parts(16 * kMiB);
  ThreadCache& cache = *parts.acquire();
  std::vector<size_t> order{1, 72, 40, 10, 65, 2, 30, 1};
  size_t last = 0;
  for (const size_t index : order) {
    const auto size_class = static_cast<SizeClass>(index);
    std::vector<FreeNode*> objects;
    while (FreeNode* object = parts.allocate(cache, size_class)) objects.push_back(object);
    last = objects.size() * kSizeClasses[index].object_bytes;
    EXPECT_GE(last, 14 * kMiB) << "size " << kSizeClasses[index].object_bytes;
    for (FreeNode* object : objects) parts.deallocate(cache, size_class, object);
    cache.flush(size_class, parts.centrals[size_class], parts.sentinels,
                ThreadCache::FlushTo::kSpans);
    parts.centrals[size_class].drain_depot(0, testing::kTestKey);
    ASSERT_EQ(parts.page_heap.in_use_bytes(), 0u);
  }
}

}  // namespace
}  // namespace spanmalloc
