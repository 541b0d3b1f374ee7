// Thread caches and their registry above central lists, with what threads and forks do to them.
#include <vector>

#include "base/check.h"
#include "fuzz/fresh_page_map.h"
#include "fuzz/input.h"
#include "fuzz/live_objects.h"
#include "platform/thread.h"
#include "support/cache_parts.h"

namespace spanmalloc::testing {
namespace {

class ShadowCaches {
 public:
  ShadowCaches(Input& input, PageMap& map) : input_(input), parts_(kBytes, map) {
    for (ThreadCache*& cache : caches_) cache = acquire();
  }

  void step() {
    ThreadCache*& cache = caches_[input_.below(kCaches)];
    const size_t what = input_.below(64);
    LiveObjects& live = classes_[what / 16];
    switch (what % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return allocate(*cache, live);
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        return deallocate(*cache, live);
      case 10:
        parts_.cache_budget = input_.below(2) == 0 ? SIZE_MAX : input_.below(65536) << 4;
        parts_.check = input_.below(2) == 0 ? SealCheck::kAtFree : SealCheck::kDeferred;
        // As in large heaps.
        parts_.order =
            parts_.check == SealCheck::kDeferred ? BlockOrder::kByAddress : BlockOrder::kAsFreed;
        return;
      case 11:
        return flush(*cache, live.size_class());
      case 12:
        (void)cache->flush_idle(parts_.centrals, parts_.sentinels);
        return;
      case 13:
        return restart_thread(cache);
      case 14:
        return use_rarely(cache);
      default:
        return check();
    }
  }

  void check() {
    parts_.page_heap.check_invariants();
    parts_.registry.check_invariants();
    for (const ThreadCache* cache : caches_) {
      cache->check_invariants(parts_.page_map.class_map());
    }
    for (const LiveObjects& live : classes_) {
      const CentralList central = parts_.centrals[live.size_class()];
      central.check_invariants();
      size_t cached = 0;
      parts_.registry.for_each([&](const ThreadCache& cache) {
        cached += cache.object_count(live.size_class()) * live.object_bytes();
        return true;
      });
      const CentralStats stats = central.stats();
      const size_t all = stats.objects * live.object_bytes();
      SPANMALLOC_CHECK(live.bytes() + cached + stats.depot_bytes + stats.free_bytes == all,
                       "objects are lost");
    }
  }

  void finish() {
    check();
    for (LiveObjects& live : classes_) {
      while (!live.empty()) parts_.deallocate(*caches_[0], live.size_class(), live.take(0));
    }
    for (ThreadCache* cache : caches_) {
      parts_.registry.release(cache, ThreadCacheRegistry::Contents::kKept);
    }
    (void)parts_.registry.empty_warm(parts_.centrals, parts_.sentinels);
    parts_.centrals.for_each(
        [](const CentralList& central, SizeClass) { (void)central.drain_depot(0, kTestKey); });
    SPANMALLOC_CHECK(parts_.page_heap.in_use_bytes() == 0, "pages are lost");
  }

 private:
  static constexpr size_t kBytes = size_t{16} << 20;
  static constexpr size_t kCaches = 3;

  ThreadCache* acquire() {
    ThreadCache* cache = parts_.acquire();
    SPANMALLOC_CHECK(cache != nullptr, "no metadata");
    return cache;
  }

  // How many objects at once: lists have room for up to 512.
  size_t any_count() {
    const size_t most[] = {1, 4, 64, 700};
    return 1 + input_.below(most[input_.below(4)]);
  }

  void allocate(ThreadCache& cache, LiveObjects& live) {
    for (size_t count = any_count(); count > 0; --count) {
      FreeNode* object = parts_.allocate(cache, live.size_class());
      if (object == nullptr) return;
      SPANMALLOC_CHECK(!object->has_mark_of(kTestKey.mark),
                       "an object with the seal of a free one");
      live.add(object);
      const bool held = cache.holds(live.size_class(), address_of(object), class_map());
      SPANMALLOC_CHECK(!held, "an object that is live and free");
    }
  }

  void deallocate(ThreadCache& cache, LiveObjects& live) {
    for (size_t count = any_count(); count > 0 && !live.empty(); --count) {
      FreeNode* object = live.take(input_.below(256));
      parts_.deallocate(cache, live.size_class(), object);
      const bool held = cache.holds(live.size_class(), address_of(object), class_map());
      SPANMALLOC_CHECK(held, "a freed object is not known to be free");
    }
  }

  void flush(ThreadCache& cache, SizeClass size_class) {
    const auto to =
        input_.below(2) == 0 ? ThreadCache::FlushTo::kDepot : ThreadCache::FlushTo::kSpans;
    cache.flush(size_class, parts_.centrals[size_class], parts_.sentinels, to);
    SPANMALLOC_CHECK(cache.object_count(size_class) == 0, "a flushed cache keeps objects");
  }

  // As a thread that ends and one that starts.
  void restart_thread(ThreadCache*& cache) {
    const bool is_kept = !parts_.registry.has_enough_warm() && input_.below(2) == 0;
    if (!is_kept) {
      parts_.centrals.for_each([&](const CentralList& central, SizeClass size_class) {
        cache->flush(size_class, central, parts_.sentinels, ThreadCache::FlushTo::kDepot);
      });
    }
    parts_.registry.release(cache, is_kept ? ThreadCacheRegistry::Contents::kKept
                                           : ThreadCacheRegistry::Contents::kEmptied);
    if (input_.below(2) == 0) parts_.registry.empty_warm(parts_.centrals, parts_.sentinels);
    cache = acquire();
  }

  void use_rarely(ThreadCache*& cache) {
    switch (input_.below(4)) {
      case 0:
        return parts_.source.fail_grow(input_.below(4));
      case 1:
        parts_.centrals.for_each(
            [&](const CentralList& central, SizeClass) { (void)central.drain_idle(kTestKey); });
        return;
      case 2:
        // More caches than threads: one is left to the registry.
        parts_.registry.release(acquire(), ThreadCacheRegistry::Contents::kKept);
        return;
      default:
        fork_on(cache);
        return;
    }
  }

  // As in the child of a fork: of the other caches each is lost with its thread, or one that the
  // forking thread has in its hands, since a handler forks that interrupted it.
  void fork_on(ThreadCache* mine) {
    bool is_lost[kCaches] = {};
    for (size_t i = 0; i < kCaches; ++i) {
      is_lost[i] = caches_[i] != mine && input_.below(4) != 0;
      if (is_lost[i]) caches_[i]->holder = platform::thread_number() + 1;
    }
    parts_.registry.orphan_all_but(mine, ThreadCacheRegistry::WaitingLists::kWhole);
    for (size_t i = 0; i < kCaches; ++i) {
      if (is_lost[i]) caches_[i] = acquire();
    }
  }

  const ClassMap& class_map() const { return parts_.page_map.class_map(); }

  Input& input_;
  CacheParts parts_;
  std::vector<LiveObjects> classes_ = classes_under_test();
  ThreadCache* caches_[kCaches];
};

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  FreshPageMap map;
  Input input(data, size);
  ShadowCaches caches(input, map.get());
  while (!input.empty()) caches.step();
  caches.finish();
  return 0;
}
