#include "spans/block_end.h"

#include <gtest/gtest.h>

#include <array>

namespace spanmalloc {
namespace {

constexpr size_t kObjectBytes = 80;

struct Object {
  alignas(16) std::array<unsigned char, kObjectBytes> bytes{};
  uintptr_t address() const { return reinterpret_cast<uintptr_t>(bytes.data()); }
};

BlockEnds ends_with_secret(uint64_t secret) {
  BlockEnds ends;
  ends.set_secret(secret);
  return ends;
}

TEST(BlockEnds, TellEverySizeThatWasWritten) {
  const BlockEnds ends = ends_with_secret(0x123456789abcdef0);
  Object object;
  for (size_t bytes = 0; bytes + BlockEnds::kWordBytes <= kObjectBytes; ++bytes) {
    ends.write_live(object.address(), kObjectBytes, bytes);
    const BlockEnd end = ends.read(object.address(), kObjectBytes);
    ASSERT_EQ(end.state, BlockEnd::State::kLive);
    ASSERT_EQ(end.bytes, bytes);
  }
}

TEST(BlockEnds, AreBrokenByAnyOtherByteBehindTheBlock) {
  const BlockEnds ends = ends_with_secret(0x123456789abcdef0);
  Object object;
  for (size_t bytes : {size_t{0}, size_t{41}, size_t{72}}) {
    for (size_t offset = bytes; offset < kObjectBytes; ++offset) {
      for (unsigned change = 1; change < 256; ++change) {
        ends.write_live(object.address(), kObjectBytes, bytes);
        object.bytes[offset] = static_cast<unsigned char>(object.bytes[offset] ^ change);
        ASSERT_EQ(ends.read(object.address(), kObjectBytes).state, BlockEnd::State::kBroken)
            << "byte " << offset << " changed by " << change;
      }
    }
  }
}

TEST(BlockEnds, AZeroBehindABlockIsSeen) {
  Object object;
  for (uint64_t secret = 1; secret < 1000; ++secret) {
    const BlockEnds ends = ends_with_secret(secret);
    ends.write_live(object.address(), kObjectBytes, 71);
    object.bytes[71] = 0;
    ASSERT_EQ(ends.read(object.address(), kObjectBytes).state, BlockEnd::State::kBroken);
  }
}

TEST(BlockEnds, TellFreedObjectsAndTheirFill) {
  const BlockEnds ends = ends_with_secret(7);
  Object object;
  for (const FreedFill fill : {FreedFill::kZero, FreedFill::kPattern}) {
    ends.write_freed(object.address(), kObjectBytes, fill);
    const BlockEnd end = ends.read(object.address(), kObjectBytes);
    EXPECT_EQ(end.state, BlockEnd::State::kFreed);
    EXPECT_EQ(end.fill, fill);
  }
}

TEST(BlockEnds, HoldAtOneAddressUnderOneSecret) {
  const BlockEnds ends = ends_with_secret(7);
  std::array<Object, 2> objects;
  ends.write_live(objects[0].address(), kObjectBytes, 64);
  objects[1].bytes = objects[0].bytes;
  EXPECT_EQ(ends.read(objects[1].address(), kObjectBytes).state, BlockEnd::State::kBroken);
  EXPECT_EQ(ends_with_secret(8).read(objects[0].address(), kObjectBytes).state,
            BlockEnd::State::kBroken);
}

TEST(BlockEnds, CanariesAloneTellAChange) {
  const BlockEnds ends = ends_with_secret(7);
  Object object;
  ends.write_canary(object.address(), 10, 30);
  EXPECT_TRUE(ends.has_canary(object.address(), 10, 30));
  for (size_t offset = 10; offset < 40; ++offset) {
    object.bytes[offset] ^= 1;
    EXPECT_FALSE(ends.has_canary(object.address(), 10, 30));
    object.bytes[offset] ^= 1;
  }
}

}  // namespace
}  // namespace spanmalloc
