// Central lists with their spans and depots, on a page source that refuses.
#include <algorithm>
#include <deque>
#include <vector>

#include "base/check.h"
#include "fuzz/fresh_page_map.h"
#include "fuzz/input.h"
#include "fuzz/live_objects.h"
#include "support/central_parts.h"

namespace spanmalloc::testing {
namespace {

// What is known of one class.
struct ShadowList {
  LiveObjects live;
  std::vector<Claim> claims{};
  std::vector<Magazine> depot{};
  size_t fewest_magazines = 0;  // since the last epoch began

  void note_depot() { fewest_magazines = std::min(fewest_magazines, depot.size()); }
};

class ShadowCentral {
 public:
  ShadowCentral(Input& input, PageMap& map) : input_(input), parts_(kBytes, map) {
    for (LiveObjects& live : classes_under_test()) lists_.push_back({std::move(live)});
  }

  void step() {
    const size_t what = input_.below(64);
    ShadowList& list = lists_[what / 16];
    const CentralList central = parts_.centrals[list.live.size_class()];
    switch (what % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
        return claim(list, central);
      case 4:
        return give_back(list, central);
      case 5:
      case 6:
      case 7:
        return put_magazine(list, central);
      case 8:
      case 9:
        return take_magazine(list, central);
      case 10:
      case 11:
        return drain(list, central);
      case 12:
        return drain_depot(list, central);
      case 13:
        return drain_idle(list, central);
      case 14:
        return parts_.source.fail_grow(input_.below(4));
      default:
        return check();
    }
  }

  void check() {
    parts_.page_heap.check_invariants();
    for (ShadowList& list : lists_) {
      const CentralList central = parts_.centrals[list.live.size_class()];
      central.check_invariants();
      size_t used = list.live.bytes() + depot_bytes(list);
      for (const Claim& claim : list.claims) {
        used += static_cast<size_t>(std::popcount(claim.bits)) * list.live.object_bytes();
      }
      const CentralStats stats = central.stats();
      const size_t all = stats.objects * list.live.object_bytes();
      SPANMALLOC_CHECK(stats.depot_bytes == depot_bytes(list), "bytes in a depot differ");
      SPANMALLOC_CHECK(stats.free_bytes + used == all, "objects are lost");
    }
  }

  void finish() {
    check();
    for (ShadowList& list : lists_) {
      const CentralList central = parts_.centrals[list.live.size_class()];
      while (!list.claims.empty()) give_back(list, central);
      (void)central.drain_depot(0, kTestKey);
      list.depot.clear();
      while (!list.live.empty()) drain_objects(central, {list.live.take(0)});
      SPANMALLOC_CHECK(central.stats().spans == 0, "an empty span stays");
    }
    SPANMALLOC_CHECK(parts_.page_heap.in_use_bytes() == 0, "pages are lost");
    check();
  }

 private:
  static constexpr size_t kBytes = size_t{12} << 20;
  static constexpr size_t kMaxDepotBytes = size_t{4} << 20;

  static size_t depot_objects(const ShadowList& list) {
    size_t objects = 0;
    for (const Magazine& magazine : list.depot) objects += magazine.count;
    return objects;
  }
  static size_t depot_bytes(const ShadowList& list) {
    return depot_objects(list) * list.live.object_bytes();
  }

  // Takes the first objects of a claim, as a thread cache does.
  void use(ShadowList& list, Claim& claim, size_t count) {
    const size_t object_bytes = list.live.object_bytes();
    for (; count > 0 && !claim.empty(); --count) {
      const size_t index = static_cast<size_t>(std::countr_zero(claim.bits));
      claim.bits &= claim.bits - 1;
      auto* object = reinterpret_cast<FreeNode*>(claim.word_base + index * object_bytes);
      const char* bytes = reinterpret_cast<const char*>(object);
      SPANMALLOC_CHECK(
          claim.content != MemoryContent::kSealed || object->has_mark_of(kTestKey.mark),
          "an object without its seal");
      SPANMALLOC_CHECK(claim.content != MemoryContent::kZero ||
                           (bytes[0] == 0 && bytes[8] == 0 && bytes[object_bytes - 1] == 0),
                       "memory that is not zero");
      list.live.add(object);
    }
  }

  void claim(ShadowList& list, const CentralList& central) {
    const Growth growth = input_.below(4) == 0 ? Growth::kForbidden : Growth::kAllowed;
    const bool had_free = central.stats().free_bytes > 0;
    Claim claim = central.claim(growth);
    SPANMALLOC_CHECK(!claim.empty() || !had_free, "free objects were not found");
    if (claim.empty()) return;
    const auto taken = static_cast<size_t>(std::popcount(claim.bits));
    SPANMALLOC_CHECK(taken <= kSizeClasses[list.live.size_class()].claim_limit, "too many claimed");
    use(list, claim, input_.below(2) == 0 ? taken : input_.below(taken + 1));
    if (!claim.empty()) list.claims.push_back(claim);
  }

  void give_back(ShadowList& list, const CentralList& central) {
    if (list.claims.empty()) return;
    central.give_back(list.claims.back());
    list.claims.pop_back();
  }

  Magazine magazine_of(ShadowList& list) {
    const size_t most = kSizeClasses[list.live.size_class()].magazine_capacity;
    const size_t wanted = input_.below(2) == 0 ? most : 1 + input_.below(most);
    std::vector<FreeNode*> objects;
    while (objects.size() < wanted && !list.live.empty()) {
      objects.push_back(list.live.take(input_.below(65536)));
    }
    if (objects.empty()) return {};
    return make_magazine(objects, &sentinels_.emplace_back());
  }

  void put_magazine(ShadowList& list, const CentralList& central) {
    const Magazine magazine = magazine_of(list);
    if (magazine.count == 0) return;
    const uintptr_t top = address_of(magazine.top);
    const bool is_kept = depot_bytes(list) < kMaxDepotBytes;
    central.put_magazine(magazine, kTestKey);
    SPANMALLOC_CHECK(central.is_free(top, kTestKey), "a freed object is not known to be free");
    if (is_kept) list.depot.push_back(magazine);
  }

  void take_magazine(ShadowList& list, const CentralList& central) {
    const Magazine magazine = central.take_magazine();
    SPANMALLOC_CHECK((magazine.top == nullptr) == list.depot.empty(), "a depot is empty wrongly");
    if (list.depot.empty()) return;
    const Magazine expected = list.depot.back();
    list.depot.pop_back();
    list.note_depot();
    SPANMALLOC_CHECK(magazine.top == expected.top && magazine.count == expected.count,
                     "not the magazine that came last");
    FreeNode* node = magazine.top;
    for (size_t left = magazine.count; left > 0; --left) {
      FreeNode* next = node->next(kTestKey);
      list.live.add(node);
      node = next;
    }
    SPANMALLOC_CHECK(FreeNode::is_end(node->next(kTestKey)), "a magazine without end");
    SPANMALLOC_CHECK(!central.is_free(address_of(magazine.top), kTestKey), "used and free");
  }

  void drain(ShadowList& list, const CentralList& central) {
    const Magazine magazine = magazine_of(list);
    if (magazine.count > 0) central.drain(magazine, kTestKey);
  }

  void drain_depot_to(ShadowList& list, size_t keep) {
    if (list.depot.size() > keep) list.depot.resize(keep);
    list.note_depot();
  }

  void drain_depot(ShadowList& list, const CentralList& central) {
    const size_t keep = input_.below(8);
    const size_t before = depot_bytes(list);
    const size_t drained = central.drain_depot(keep, kTestKey);
    drain_depot_to(list, keep);
    SPANMALLOC_CHECK(drained == before - depot_bytes(list), "a wrong count of bytes drained");
  }

  void drain_idle(ShadowList& list, const CentralList& central) {
    const size_t before = depot_bytes(list);
    const size_t drained = central.drain_idle(kTestKey);
    drain_depot_to(list, list.depot.size() - list.fewest_magazines);
    SPANMALLOC_CHECK(drained == before - depot_bytes(list), "a wrong count of bytes drained");
    list.fewest_magazines = list.depot.size();
  }

  Input& input_;
  CentralParts parts_;
  std::vector<ShadowList> lists_;
  std::deque<FreeNode> sentinels_;  // their addresses stay
};

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  FreshPageMap map;
  Input input(data, size);
  ShadowCentral central(input, map.get());
  while (!input.empty()) central.step();
  central.finish();
  return 0;
}
