#include "base/sparse_array.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace spanmalloc {
namespace {

// Elements of the smallest piece of an array that becomes writable piece by piece, and of the
// smallest such array.
constexpr size_t kPiece = (size_t{64} << 10) / sizeof(uint64_t);
constexpr size_t kLarge = (size_t{1} << 20) / sizeof(uint64_t) + 1;

TEST(SparseArray, IsEmptyBeforeReserve) {
  constexpr SparseArray<uint64_t> array;
  EXPECT_FALSE(array.is_reserved());
  EXPECT_EQ(array.size(), 0u);
}

TEST(SparseArray, ReadsZeroWhereNothingWasMadeWritable) {
  MetadataArena arena;
  SparseArray<uint64_t> array;
  ASSERT_TRUE(array.reserve(size_t{1} << 30, arena));
  EXPECT_TRUE(array.is_reserved());
  for (size_t index = 0; index < array.size(); index += array.size() / 128) {
    EXPECT_EQ(array[index], 0u);
  }
  EXPECT_EQ(array[array.size() - 1], 0u);
}

TEST(SparseArray, WritablePartsKeepValuesAndNeighboursStayZero) {
  MetadataArena arena;
  SparseArray<uint64_t> array;
  ASSERT_TRUE(array.reserve(32 * kPiece, arena));
  ASSERT_TRUE(array.make_writable(5 * kPiece - 1, 5 * kPiece + 1));
  array[5 * kPiece - 1] = 1;
  array[5 * kPiece] = 2;
  ASSERT_TRUE(array.make_writable(4 * kPiece, 6 * kPiece)) << "again";
  EXPECT_EQ(array[5 * kPiece - 1], 1u);
  EXPECT_EQ(array[5 * kPiece], 2u);
  EXPECT_EQ(array[4 * kPiece - 1], 0u);
  EXPECT_EQ(array[6 * kPiece], 0u);
}

TEST(SparseArray, AnEmptyRangeIsAlwaysWritable) {
  MetadataArena arena;
  SparseArray<uint64_t> array;
  ASSERT_TRUE(array.reserve(kPiece, arena));
  EXPECT_TRUE(array.make_writable(0, 0));
  EXPECT_TRUE(array.make_writable(kPiece, kPiece));
}

TEST(SparseArray, EverySizeCanBeWrittenToItsEnd) {
  for (const size_t size : {size_t{1}, kPiece + 1, kLarge - 1, kLarge, kLarge + 5}) {
    MetadataArena arena;
    SparseArray<uint64_t> array;
    ASSERT_TRUE(array.reserve(size, arena));
    ASSERT_TRUE(array.make_writable(0, size));
    for (size_t index = 0; index < size; ++index) array[index] = index;
    EXPECT_EQ(array[size - 1], size - 1);
  }
}

// Whether the kernel may not give huge pages to the mapping of the address; true also where it does
// not tell, or has none.
bool has_no_huge_pages(uintptr_t address) {
  FILE* file = fopen("/proc/self/smaps", "r");
  if (file == nullptr) return true;
  char line[512];
  bool is_inside = false;
  bool is_refused = true;
  while (fgets(line, sizeof line, file) != nullptr) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2) {
      is_inside = begin <= address && address < end;
    }
    constexpr char kFlags[] = "VmFlags:";
    if (is_inside && strncmp(line, kFlags, sizeof kFlags - 1) == 0) {
      is_refused = strstr(line, " nh") != nullptr;
    }
  }
  fclose(file);
  return is_refused;
}

TEST(SparseArray, LargePiecesLieInNoHugePages) {
  if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) GTEST_SKIP() << "there are none";
  MetadataArena arena;
  SparseArray<uint64_t> array;
  ASSERT_TRUE(array.reserve(size_t{1} << 28, arena));  // 2 GiB: pieces of 8 MiB
  ASSERT_TRUE(array.make_writable(array.size() / 2, array.size() / 2 + 1));
  array[array.size() / 2] = 1;
  EXPECT_TRUE(has_no_huge_pages(reinterpret_cast<uintptr_t>(&array[array.size() / 2])));
}

TEST(SparseArray, AgreesWithAVectorUnderRandomWritesInAHugeArray) {
  MetadataArena arena;
  SparseArray<uint64_t> array;
  ASSERT_TRUE(array.reserve(size_t{1} << 31, arena));  // 16 GiB: pieces of 64 MiB
  std::mt19937_64 random(1);
  std::vector<std::pair<size_t, uint64_t>> written;
  for (int round = 0; round < 200; ++round) {
    const size_t index = random() % array.size();
    ASSERT_TRUE(array.make_writable(index, index + 1));
    array[index] = random();
    written.emplace_back(index, array[index]);
  }
  for (const auto& [index, value] : written) EXPECT_EQ(array[index], value);
}

TEST(SparseArray, SmallArraysLieInTheArenaAndCountAsNothing) {
  MetadataArena arena;
  SparseArray<uint64_t> one;
  SparseArray<uint64_t> other;
  ASSERT_TRUE(one.reserve(kPiece, arena));
  const size_t mapped = arena.mapped_bytes();
  ASSERT_TRUE(other.reserve(kPiece, arena));
  EXPECT_EQ(mapped - arena.mapped_bytes(), kPiece * sizeof(uint64_t)) << "of the same mapping";
  EXPECT_EQ(arena.used_bytes(), 0u);
  ASSERT_TRUE(one.make_writable(0, kPiece));
  one[kPiece - 1] = 1;
  EXPECT_EQ(other[0], 0u);
}

TEST(SparseArray, MakingWritableKeepsWhatIsThere) {
  MetadataArena arena;
  for (const size_t size : {kPiece, 32 * kPiece}) {
    SparseArray<uint64_t> array;
    ASSERT_TRUE(array.reserve(size, arena));
    ASSERT_TRUE(array.make_writable(0, size));
    for (size_t index = 0; index < size; ++index) array[index] = index;
    ASSERT_TRUE(array.make_writable(3, size - 3));
    for (size_t index = 0; index < size; ++index) ASSERT_EQ(array[index], index);
  }
}

TEST(SparseArray, RefusedAddressSpaceIsReported) {
  MetadataArena arena;
  SparseArray<uint64_t> array;
  EXPECT_FALSE(array.reserve(size_t{1} << 58, arena));
  EXPECT_FALSE(array.is_reserved());
}

TEST(SparseBytesDeathTest, MetadataBeyondTheEndIsAFault) {
  MetadataArena arena;
  SparseBytes bytes;
  ASSERT_TRUE(bytes.reserve(1, arena));
  EXPECT_DEATH((void)bytes.make_writable(0, bytes.bytes() + 1), "metadata beyond the end");
  EXPECT_DEATH((void)bytes.make_writable(2, 1), "metadata beyond the end");
}

}  // namespace
}  // namespace spanmalloc
