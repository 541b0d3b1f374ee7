#include "cache/quarantine.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace spanmalloc {
namespace {

const SizeClass kClass = size_class_of(64);

Quarantine::Block block_number(uint64_t number, SizeClass size_class = kClass) {
  return {static_cast<uintptr_t>(0x1000000000 + number * 0x10000), size_class};
}

TEST(Quarantine, StartsEmpty) {
  Quarantine quarantine;
  EXPECT_TRUE(quarantine.take(5).is_none());
  EXPECT_EQ(quarantine.bytes(), 0u);
  EXPECT_TRUE(quarantine.has_room_for(size_class_of(kMaxSmallBytes)));
  quarantine.check_invariants();
}

TEST(Quarantine, WhatComesPutsOutWhatLayThere) {
  Quarantine quarantine;
  EXPECT_TRUE(quarantine.exchange(block_number(1), 9).is_none());
  EXPECT_EQ(quarantine.object_count(kClass), 1u);
  const Quarantine::Block before = quarantine.exchange(block_number(2), 9 + Quarantine::kPlaces);
  EXPECT_EQ(before.address, block_number(1).address);
  EXPECT_EQ(before.size_class, kClass);
  EXPECT_EQ(quarantine.object_count(kClass), 1u);
  EXPECT_EQ(quarantine.bytes(), kSizeClasses[kClass].object_bytes);
  quarantine.check_invariants();
}

TEST(Quarantine, HasRoomUpToItsBoundInBytes) {
  Quarantine quarantine;
  const SizeClass large = size_class_of(size_t{64} << 10);
  uint64_t number = 0;
  while (quarantine.has_room_for(large)) {
    ASSERT_LT(number, Quarantine::kPlaces);
    EXPECT_TRUE(quarantine.exchange(block_number(number, large), number).is_none());
    ++number;
  }
  EXPECT_EQ(number, Quarantine::kMaxBytes / kSizeClasses[large].object_bytes);
  EXPECT_FALSE(quarantine.has_room_for(kClass));
  EXPECT_EQ(quarantine.take(0).address, block_number(0).address);
  EXPECT_TRUE(quarantine.has_room_for(large));
  quarantine.check_invariants();
}

TEST(Quarantine, HoldsWhatAModelHolds) {
  Quarantine quarantine;
  std::map<uintptr_t, SizeClass> model;
  std::mt19937_64 random(3);
  for (uint64_t number = 1; number <= 20000; ++number) {
    Quarantine::Block out;
    if (random() % 3 == 0) {
      out = quarantine.take(random());
      ASSERT_EQ(out.is_none(), model.empty());
    } else {
      const SizeClass size_class = size_class_of(1 + random() % 1024);
      const Quarantine::Block block = block_number(number, size_class);
      model[block.address] = size_class;
      out = quarantine.exchange(block, random());
    }
    if (!out.is_none()) {
      const auto found = model.find(out.address);
      ASSERT_NE(found, model.end());
      ASSERT_EQ(found->second, out.size_class);
      model.erase(found);
    }
    if (number % 100 == 0) quarantine.check_invariants();
  }
  while (!model.empty()) {
    const Quarantine::Block out = quarantine.take(random());
    ASSERT_EQ(model.erase(out.address), 1u);
  }
  EXPECT_TRUE(quarantine.take(0).is_none());
  EXPECT_EQ(quarantine.bytes(), 0u);
}

TEST(Quarantine, CountingAgainChangesNothing) {
  Quarantine quarantine;
  for (uint64_t number = 0; number < 300; ++number) {
    quarantine.exchange(block_number(number, size_class_of(16 + number)), number * 7);
  }
  const size_t bytes = quarantine.bytes();
  quarantine.recount();
  EXPECT_EQ(quarantine.bytes(), bytes);
  quarantine.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
