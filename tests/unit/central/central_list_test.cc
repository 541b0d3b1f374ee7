#include "central/central_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "base/bits.h"
#include "platform/virtual_memory.h"
#include "support/central_parts.h"

namespace spanmalloc {
namespace {

using testing::address_of;
using testing::CentralParts;
using testing::claim_objects;
using testing::drain_objects;
using testing::kTestKey;
using testing::make_magazine;
using testing::objects_of;

const SizeClass kClass = size_class_of(512);
// The first spans are short.
const size_t kObjectsPerSpan = kSizeClasses[kClass].objects_per_short_span;

TEST(CentralList, ClaimsAreDisjointObjectsOfOneClassUpToItsLimit) {
  CentralParts parts;
  for (size_t index = 1; index < kSizeClassCount; index += 5) {
    const auto size_class = static_cast<SizeClass>(index);
    const CentralList central = parts.centrals[size_class];
    std::set<FreeNode*> seen;
    for (int round = 0; round < 20; ++round) {
      const Claim claim = central.claim(Growth::kAllowed);
      const std::vector<FreeNode*> objects = objects_of(claim, size_class);
      ASSERT_FALSE(objects.empty());
      ASSERT_LE(objects.size(), kSizeClasses[index].claim_limit);
      for (FreeNode* object : objects) {
        ASSERT_TRUE(seen.insert(object).second);
        ASSERT_TRUE(parts.page_map.find(address_of(object))->is_object_start(address_of(object)));
        ASSERT_EQ(parts.page_map.class_map()[address_of(object)], size_class);
      }
    }
    central.check_invariants();
  }
}

TEST(CentralList, WithoutGrowthAClaimNeedsASpanWithRoom) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  EXPECT_TRUE(central.claim(Growth::kForbidden).empty());
  EXPECT_FALSE(central.claim(Growth::kAllowed).empty());
}

TEST(CentralList, ADepotThatIsFullTakesNoMore) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  constexpr size_t kMagazine = 512;
  const size_t magazines = (size_t{4} << 20) / (kMagazine * kSizeClasses[kClass].object_bytes) + 3;
  std::vector<FreeNode> sentinels(magazines);
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, magazines * kMagazine);
  ASSERT_EQ(objects.size(), magazines * kMagazine);
  for (size_t index = 0; index < magazines; ++index) {
    const auto first = objects.begin() + static_cast<ptrdiff_t>(index * kMagazine);
    central.put_magazine(make_magazine({first, first + kMagazine}, &sentinels[index]), kTestKey);
  }
  EXPECT_EQ(central.depot_bytes(), size_t{4} << 20);
  EXPECT_EQ(central.stats().depot_bytes + central.stats().free_bytes +
                parts.page_heap.free_retained_bytes(),
            parts.page_heap.backed_bytes());
  central.drain_depot(0, kTestKey);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
}

TEST(CentralList, TheFullestSpanIsClaimedFirst) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  std::vector<FreeNode*> objects = claim_objects(central, kClass, 2 * kObjectsPerSpan);
  std::vector<FreeNode*> first(objects.begin(), objects.begin() + kObjectsPerSpan);
  std::vector<FreeNode*> second(objects.begin() + kObjectsPerSpan, objects.end());
  // The first span keeps one object, the second all but one.
  drain_objects(central, {first.begin() + 1, first.end()});
  drain_objects(central, {second[7]});
  EXPECT_EQ(central.stats().partly_used_spans, 2u);
  EXPECT_EQ(objects_of(central.claim(Growth::kForbidden), kClass),
            std::vector<FreeNode*>{second[7]});
  EXPECT_EQ(central.stats().free_bytes, (kObjectsPerSpan - 1) * 512);
}

TEST(CentralList, AClaimGivenBackInPartLeavesTheRestInUse) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  Claim claim = central.claim(Growth::kAllowed);
  FreeNode* kept = objects_of(claim, kClass).front();
  claim.bits &= claim.bits - 1;
  central.give_back(claim);
  EXPECT_EQ(central.stats().free_bytes, (kObjectsPerSpan - 1) * 512);
  EXPECT_FALSE(central.is_free(address_of(kept), kTestKey));
  central.give_back({});
  drain_objects(central, {kept});
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
}

TEST(CentralList, AWholeClaimGivenBackFreesItsSpan) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  central.give_back(central.claim(Growth::kAllowed));
  EXPECT_EQ(central.stats().spans, 0u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
}

TEST(CentralList, MagazinesAreKeptWholeAndTakenLastFirst) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  std::array<FreeNode, 2> sentinels{};
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 20);
  const Magazine a = make_magazine({objects.begin(), objects.begin() + 12}, &sentinels[0]);
  const Magazine b = make_magazine({objects.begin() + 12, objects.end()}, &sentinels[1]);
  EXPECT_EQ(central.take_magazine().top, nullptr);
  central.put_magazine(a, kTestKey);
  central.put_magazine(b, kTestKey);
  EXPECT_EQ(central.depot_bytes(), 20u * 512);
  EXPECT_EQ(central.stats().depot_bytes, 20u * 512);
  EXPECT_TRUE(central.is_free(address_of(objects[3]), kTestKey));
  const Magazine taken = central.take_magazine();
  EXPECT_EQ(taken.top, b.top);
  EXPECT_EQ(taken.count, b.count);
  EXPECT_EQ(central.take_magazine().top, a.top);
  EXPECT_EQ(central.depot_bytes(), 0u);
  EXPECT_FALSE(central.is_free(address_of(objects[3]), kTestKey));
}

// Puts the objects into the depot in as many magazines as there are sentinels.
template <size_t kMagazines>
void hand_over(const CentralList& central, const std::vector<FreeNode*>& objects,
               std::array<FreeNode, kMagazines>& sentinels) {
  const auto count = static_cast<ptrdiff_t>(objects.size() / kMagazines);
  auto first = objects.begin();
  for (FreeNode& sentinel : sentinels) {
    central.put_magazine(make_magazine({first, first + count}, &sentinel), kTestKey);
    first += count;
  }
}

TEST(CentralList, DrainingTheDepotKeepsAsManyMagazinesAsAsked) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  std::array<FreeNode, 5> sentinels{};
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 50);
  hand_over(central, objects, sentinels);
  EXPECT_EQ(central.drain_depot(2, kTestKey), 30u * 512);
  EXPECT_EQ(central.depot_bytes(), 20u * 512);
  EXPECT_EQ(central.drain_depot(2, kTestKey), 0u);
  EXPECT_EQ(central.drain_depot(0, kTestKey), 20u * 512);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
}

TEST(CentralList, MagazinesOfAnyLengthsAreDrainedSideBySide) {
  std::mt19937_64 random(1);
  // More magazines than are drained at once, and some longer than a batch has room for.
  for (const std::vector<size_t>& lengths : std::vector<std::vector<size_t>>{
           {1}, {65, 1}, {1, 64, 65, 200, 3, 17, 130}, {16, 16, 16, 17}, {500, 1, 1, 1, 1}}) {
    CentralParts parts;
    const CentralList central = parts.centrals[kClass];
    size_t count = 0;
    for (const size_t length : lengths) count += length;
    std::vector<FreeNode*> objects = claim_objects(central, kClass, count + 1);
    std::shuffle(objects.begin(), objects.end(), random);
    FreeNode* kept = objects.back();
    objects.pop_back();
    std::deque<FreeNode> sentinels(lengths.size());
    auto first = objects.begin();
    for (size_t index = 0; index < lengths.size(); ++index) {
      const auto end = first + static_cast<ptrdiff_t>(lengths[index]);
      central.put_magazine(make_magazine({first, end}, &sentinels[index]), kTestKey);
      first = end;
    }
    EXPECT_EQ(central.drain_depot(0, kTestKey), count * 512);
    central.check_invariants();
    const Span* span = parts.page_map.find(address_of(kept));
    EXPECT_EQ(span->free_count(), span->object_count() - 1);
    EXPECT_EQ(parts.page_heap.in_use_bytes(), span->bytes().value) << "all others are gone";
    drain_objects(central, {kept});
    EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  }
}

TEST(CentralList, DrainingTheDepotEndsHoweverMuchOthersHandOverMeanwhile) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  constexpr size_t kMagazines = 400;
  constexpr size_t kMore = 4000;
  constexpr size_t kObjects = 10;
  const std::vector<FreeNode*> objects =
      claim_objects(central, kClass, (kMagazines + kMore) * kObjects);
  std::deque<FreeNode> sentinels;
  const auto hand_over = [&](size_t index) {
    sentinels.emplace_back();
    const auto first = objects.begin() + static_cast<ptrdiff_t>(kObjects * index);
    central.put_magazine(make_magazine({first, first + kObjects}, &sentinels.back()), kTestKey);
  };
  for (size_t index = 0; index < kMagazines; ++index) hand_over(index);
  std::atomic<bool> drained{false};
  std::thread other([&] {
    // Makes up for what is drained, as long as the drain lasts.
    for (size_t index = kMagazines; index < kMagazines + kMore;) {
      if (drained || central.depot_bytes() < kMagazines * kObjects * 512) hand_over(index++);
    }
  });
  EXPECT_LE(central.drain_depot(0, kTestKey), kMagazines * kObjects * 512);
  drained = true;
  other.join();
  central.drain_depot(0, kTestKey);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
}

TEST(CentralList, MagazinesThatNobodyNeededForAnEpochAreDrained) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  std::array<FreeNode, 4> sentinels{};
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 40);
  hand_over(central, objects, sentinels);
  EXPECT_EQ(central.drain_idle(kTestKey), 0u) << "they came in this epoch";
  const Magazine needed = central.take_magazine();
  central.put_magazine(needed, kTestKey);
  EXPECT_EQ(central.drain_idle(kTestKey), 30u * 512);
  EXPECT_EQ(central.depot_bytes(), 10u * 512);
  EXPECT_EQ(central.drain_idle(kTestKey), 10u * 512);
  EXPECT_EQ(central.drain_idle(kTestKey), 0u);
}

TEST(CentralList, AnAllowanceEndsADrainAndTheNextOneGoesOn) {
  for (const bool idle : {false, true}) {
    CentralParts parts;
    const CentralList central = parts.centrals[kClass];
    std::array<FreeNode, 6> sentinels{};
    const std::vector<FreeNode*> objects = claim_objects(central, kClass, 60);
    hand_over(central, objects, sentinels);
    const auto drain = [&](CentralList::DrainAllowance* allowance) {
      return idle ? central.drain_idle(kTestKey, allowance)
                  : central.drain_depot(0, kTestKey, allowance);
    };
    if (idle) {
      EXPECT_EQ(central.drain_idle(kTestKey), 0u);
    }
    CentralList::DrainAllowance allowance = 15;
    EXPECT_EQ(drain(&allowance), 20u * 512) << "magazines are drained whole";
    EXPECT_EQ(allowance, 0u);
    EXPECT_EQ(drain(&allowance), 0u);
    allowance = 1000;
    EXPECT_EQ(drain(&allowance), 40u * 512);
    EXPECT_EQ(allowance, 960u) << "what is left tells that the depot is done";
    EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  }
}

// Claims, drains, give-backs, puts and takes of random sizes beside a model of who has what.
TEST(CentralList, AgreesWithAModelUnderRandomUse) {
  for (const size_t bytes : {size_t{16}, size_t{176}, size_t{1152}, size_t{32768}}) {
    const SizeClass size_class = size_class_of(bytes);
    const size_t object_bytes = kSizeClasses[size_class].object_bytes;
    CentralParts parts;
    const CentralList central = parts.centrals[size_class];
    std::mt19937_64 random(bytes);
    std::vector<FreeNode*> owned;
    std::deque<FreeNode> sentinels;
    std::vector<std::vector<FreeNode*>> depot;
    auto take_random = [&](size_t count) {
      std::vector<FreeNode*> taken;
      while (taken.size() < count && !owned.empty()) {
        std::swap(owned[random() % owned.size()], owned.back());
        taken.push_back(owned.back());
        owned.pop_back();
      }
      return taken;
    };
    for (int round = 0; round < 1500; ++round) {
      const size_t count = 1 + random() % kSizeClasses[size_class].magazine_capacity;
      switch (random() % 6) {
        case 0:
        case 1: {
          Claim claim = central.claim(Growth::kAllowed);
          if (claim.empty()) break;
          std::vector<FreeNode*> objects = objects_of(claim, size_class);
          const size_t used = 1 + random() % objects.size();
          for (size_t index = 0; index < used; ++index) claim.bits &= claim.bits - 1;
          central.give_back(claim);
          owned.insert(owned.end(), objects.begin(),
                       objects.begin() + static_cast<ptrdiff_t>(used));
          break;
        }
        case 2: {
          drain_objects(central, take_random(count));
          break;
        }
        case 3: {
          depot.push_back(take_random(count));
          if (depot.back().empty()) {
            depot.pop_back();
          } else {
            sentinels.emplace_back();
            central.put_magazine(make_magazine(depot.back(), &sentinels.back()), kTestKey);
          }
          break;
        }
        case 4: {
          const Magazine magazine = central.take_magazine();
          ASSERT_EQ(magazine.top == nullptr, depot.empty());
          if (depot.empty()) break;
          ASSERT_EQ(magazine.top, depot.back().back());
          ASSERT_EQ(magazine.count, depot.back().size());
          owned.insert(owned.end(), depot.back().begin(), depot.back().end());
          depot.pop_back();
          break;
        }
        default: {
          const size_t keep = random() % 20;
          central.drain_depot(keep, kTestKey);
          if (depot.size() > keep) depot.resize(keep);
        }
      }
      size_t in_depot = 0;
      for (const auto& magazine : depot) in_depot += magazine.size();
      const CentralStats stats = central.stats();
      ASSERT_EQ(stats.depot_bytes, in_depot * object_bytes);
      ASSERT_EQ(stats.objects * object_bytes,
                (owned.size() + in_depot) * object_bytes + stats.free_bytes);
    }
    central.check_invariants();
    parts.page_heap.check_invariants();
    std::set<FreeNode*> distinct(owned.begin(), owned.end());
    ASSERT_EQ(distinct.size(), owned.size());
    drain_objects(central, owned);
    central.drain_depot(0, kTestKey);
    EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  }
}

TEST(CentralList, ThreadsExchangeObjectsThroughOneList) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  std::vector<std::thread> threads;
  std::array<std::deque<FreeNode>, 4> sentinels;
  for (unsigned index = 0; index < 4; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937_64 random(index);
      std::vector<FreeNode*> owned;
      for (int round = 0; round < 1500; ++round) {
        if (random() % 2 == 0) {
          if (const Magazine magazine = central.take_magazine(); magazine.top != nullptr) {
            FreeNode* node = magazine.top;
            for (size_t count = 0; count < magazine.count; ++count) {
              owned.push_back(node);
              node = node->next(kTestKey);
            }
          } else {
            for (FreeNode* object : claim_objects(central, kClass, 30)) owned.push_back(object);
          }
        } else {
          const size_t count = std::min<size_t>(owned.size(), 1 + random() % 50);
          const std::vector<FreeNode*> some(owned.end() - static_cast<ptrdiff_t>(count),
                                            owned.end());
          owned.resize(owned.size() - count);
          if (count > 0 && random() % 2 == 0) {
            sentinels[index].emplace_back();
            central.put_magazine(make_magazine(some, &sentinels[index].back()), kTestKey);
          } else {
            drain_objects(central, some);
          }
        }
        if (round % 64 == 0) central.drain_idle(kTestKey);
        // Whoever owns an object may write all of it.
        for (FreeNode* object : owned) object->seal = index;
      }
      drain_objects(central, owned);
    });
  }
  for (std::thread& thread : threads) thread.join();
  central.check_invariants();
  EXPECT_EQ(central.stats().span_bytes, parts.page_heap.in_use_bytes());
  central.drain_depot(0, kTestKey);
  EXPECT_EQ(central.stats().span_bytes, 0u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  parts.page_heap.check_invariants();
}

TEST(CentralLists, EachClassHasItsOwnList) {
  CentralParts parts;
  size_t visited = 0;
  parts.centrals.for_each([&](const CentralList& central, SizeClass size_class) {
    ++visited;
    EXPECT_EQ(&central.mutex(), &parts.centrals[size_class].mutex());
    EXPECT_EQ(visited, size_class);
  });
  EXPECT_EQ(visited, kSizeClassCount - 1);
}

TEST(CentralLists, DepotBytesAreSummed) {
  CentralParts parts;
  FreeNode sentinels[2]{};
  size_t index = 0;
  for (const size_t bytes : {size_t{16}, size_t{4096}}) {
    const SizeClass size_class = size_class_of(bytes);
    const CentralList central = parts.centrals[size_class];
    central.put_magazine(make_magazine(claim_objects(central, size_class, 8), &sentinels[index++]),
                         kTestKey);
  }
  EXPECT_EQ(parts.centrals.depot_bytes(), 8u * (16 + 4096));
}

TEST(CentralList, StatisticsLookAtNoSpan) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 3);
  const auto record = reinterpret_cast<uintptr_t>(parts.page_map.find(address_of(objects[0])));
  const uintptr_t page = align_down(record, platform::page_bytes());
  ASSERT_TRUE(platform::make_inaccessible(page, platform::page_bytes()));
  EXPECT_EQ(central.stats().free_bytes, (kObjectsPerSpan - 3) * 512);
  EXPECT_EQ(central.stats().partly_used_spans, 1u);
  ASSERT_TRUE(platform::prepare(page, platform::page_bytes()));
  central.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
