// What a central list ends the process for: blocks that the program gives back wrongly, and
// structures that contradict each other.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <vector>

#include "central/central_list.h"
#include "support/central_parts.h"

namespace spanmalloc::testing {
namespace {

const SizeClass kClass = size_class_of(512);
const size_t kObjectsPerSpan = kSizeClasses[kClass].objects_per_short_span;

TEST(CentralListDeathTest, AnObjectDrainedTwiceIsReported) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 3);
  drain_objects(central, {objects[1]});
  EXPECT_DEATH(drain_objects(central, {objects[1]}),
               "free\\(0x[0-9a-f]+\\): double free of a 512-byte block");
}

// As a block of a span that has ended, freed twice, when the pages serve another span by then.
TEST(CentralListDeathTest, AnObjectOfASpanThatIsJustBeingMadeIsReported) {
  CentralParts parts;
  Span* span = parts.spans.new_small(kClass, SpanLength::kLong, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  const Claim claim = span->claim(3, 0);
  const std::vector<FreeNode*> objects = objects_of(claim, kClass);
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_DEATH(drain_objects(parts.centrals[kClass], {objects[1]}),
               "double free of a 512-byte block");
}

TEST(CentralListDeathTest, ABlockInTwoMagazinesOfTheDepotIsReported) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 5);
  FreeNode sentinels[2]{};
  central.put_magazine(make_magazine({objects[0], objects[1], objects[2]}, &sentinels[0]),
                       kTestKey);
  // The top of the first is freed again.
  central.put_magazine(make_magazine({objects[3], objects[2]}, &sentinels[1]), kTestKey);
  EXPECT_DEATH(central.drain_depot(0, kTestKey), "double free of a 512-byte block|was written to");
}

TEST(CentralListDeathTest, AWrongCountOfFreeObjectsIsAFault) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  (void)claim_objects(central, kClass, 3);
  central.check_invariants();
  {
    CentralState& state = parts.central_states[kClass];
    MutexLock lock(state.mutex);
    ++state.free_objects;
  }
  EXPECT_DEATH(central.check_invariants(), "a class with a wrong count of free objects");
}

TEST(CentralListDeathTest, AListedSpanWithAWrongEntryInThePageMapIsAFault) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, kObjectsPerSpan + 1);
  // The second span has room, and so is listed.
  Span* span = parts.page_map.find(address_of(objects.back()));
  ASSERT_TRUE(span->is_listed());
  central.check_invariants();
  parts.page_map.set_small({span->pages().first, {1}}, span, kClass + 1);
  EXPECT_DEATH(central.check_invariants(), "a page of a span has a wrong class");
  parts.page_map.clear_small({span->pages().first, {1}});
  EXPECT_DEATH(central.check_invariants(), "a page of a span leads elsewhere");
  parts.page_map.set_small(span->pages(), span, kClass);
  central.check_invariants();
}

TEST(CentralListDeathTest, AListedSpanThatTheSpanAllocatorDoesNotCountIsAFault) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 1);
  ASSERT_EQ(central.stats().partly_used_spans, 1u);
  // The same state, seen by lists of another allocator.
  SpanAllocator empty(parts.page_heap, parts.page_map, parts.arena);
  const CentralLists foreign(parts.central_states, empty, parts.page_map, parts.arena);
  EXPECT_DEATH(foreign[kClass].check_invariants(), "more spans are listed than were made");
  parts.central_states[kClass].span_counts = 0;
  EXPECT_DEATH(central.check_invariants(), "a class has more spans than it counts");
}

TEST(CentralListDeathTest, ASpanOnTheListOfAnotherClassIsAFault) {
  CentralParts parts;
  (void)claim_objects(parts.centrals[kClass], kClass, 1);
  std::atomic<uint16_t> epoch{0};
  std::atomic<bool> was_claimed_from{false};
  const CentralEnvironment environment{parts.spans, parts.page_map, parts.arena, epoch,
                                       was_claimed_from};
  const CentralList other(static_cast<SizeClass>(kClass + 1), environment,
                          parts.central_states[kClass]);
  EXPECT_DEATH(other.check_invariants(), "a span is listed with another class");
}

TEST(CentralListDeathTest, AnInteriorPointerIsReported) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 3);
  auto* inside = reinterpret_cast<FreeNode*>(address_of(objects[1]) + 32);
  EXPECT_DEATH(drain_objects(central, {inside}),
               "free\\(0x[0-9a-f]+\\): pointer into the middle of a 512-byte block");
  EXPECT_DEATH(drain_objects(central, {objects[0], inside, objects[2]}),
               "pointer into the middle of a 512-byte block");
}

TEST(CentralListDeathTest, ALinkThatWasOverwrittenIsReportedByItsBlock) {
  for (const uintptr_t garbage : {uintptr_t{0}, uintptr_t{0x4141414141414141}, UINTPTR_MAX}) {
    CentralParts parts;
    const CentralList central = parts.centrals[kClass];
    const std::vector<FreeNode*> objects = claim_objects(central, kClass, 3);
    FreeNode sentinel{};
    const Magazine magazine = make_magazine(objects, &sentinel);
    objects[1]->link = garbage;
    char sentence[100];
    snprintf(sentence, sizeof(sentence), "malloc\\(0x%zx\\): a free 512-byte block was written to",
             address_of(objects[1]));
    EXPECT_DEATH(central.drain(magazine, kTestKey), sentence);
  }
}

TEST(CentralListDeathTest, ALinkToABlockOfAnotherClassIsReported) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const SizeClass other = size_class_of(64);
  FreeNode* foreign = claim_objects(parts.centrals[other], other, 1).front();
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 2);
  FreeNode sentinel{};
  const Magazine magazine = make_magazine(objects, &sentinel);
  objects[1]->link = address_of(foreign) ^ kTestKey.link;
  EXPECT_DEATH(central.drain(magazine, kTestKey), "was written to after its free");
}

}  // namespace
}  // namespace spanmalloc::testing
