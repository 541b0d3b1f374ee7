#include "spans/size_class.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <map>
#include <vector>

namespace spanmalloc {
namespace {

// The smallest class that suffices, found by looking at all.
size_t naive_class(size_t bytes, size_t alignment) {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const size_t object = kSizeClasses[index].object_bytes;
    if (object >= bytes && object % alignment == 0) return index;
  }
  return kNoSizeClass;
}

template <typename Visit>
void for_each_class(Visit visit) {
  for (size_t index = 1; index < kSizeClassCount; ++index) visit(index, kSizeClasses[index]);
}

TEST(SizeClass, EverySizeMapsToTheSmallestSufficientClass) {
  for (size_t bytes = 0; bytes <= kMaxSmallBytes; ++bytes) {
    ASSERT_EQ(size_class_of(bytes), naive_class(bytes, 1)) << bytes;
  }
}

TEST(SizeClass, SizesGrowAndAreMultiplesOf16) {
  size_t last = 0;
  for_each_class([&](size_t, const SizeClassInfo& info) {
    EXPECT_GT(info.object_bytes, last);
    EXPECT_EQ(info.object_bytes % kMinAlignment, 0u);
    last = info.object_bytes;
  });
  EXPECT_EQ(last, kMaxSmallBytes);
  EXPECT_EQ(kSizeClasses[kNoSizeClass].object_bytes, 0u);
}

TEST(SizeClass, FollowsTheStatedRule) {
  std::vector<size_t> sizes = {0};
  for (size_t bytes = 16; bytes <= size_t{1} << 10; bytes += 16) sizes.push_back(bytes);
  for (size_t power = size_t{1} << 10; power < size_t{8} << 10; power *= 2) {
    for (size_t eighths = 9; eighths <= 16; ++eighths) sizes.push_back(power / 8 * eighths);
  }
  for (size_t power = size_t{8} << 10; power < size_t{128} << 10; power *= 2) {
    for (const size_t eighths : {9, 10, 12, 14, 16}) sizes.push_back(power / 8 * eighths);
  }
  std::vector<size_t> classes;
  for (const SizeClassInfo& info : kSizeClasses) classes.push_back(info.object_bytes);
  EXPECT_EQ(classes, sizes);
}

TEST(SizeClass, UpTo1KiBTheClassIsTheSizeInUnitsOf16) {
  EXPECT_EQ(linear_size_class_of(0), kNoSizeClass);
  for (size_t bytes = 1; bytes <= kMaxLinearBytes; ++bytes) {
    ASSERT_EQ(linear_size_class_of(bytes), size_class_of(bytes));
  }
}

TEST(SizeClass, AboveLinearSizesRoundingWastesAtMostAnEighthAndAboveFineOnesASixth) {
  for (size_t bytes = kMaxLinearBytes / 2 + 1; bytes <= kMaxSmallBytes; ++bytes) {
    const size_t object = kSizeClasses[size_class_of(bytes)].object_bytes;
    ASSERT_LE((object - bytes) * (bytes <= kMaxFineBytes ? 8 : 6), object) << bytes;
  }
}

TEST(SizeClass, AlignedLookupAgreesWithTheNaiveSearch) {
  for (size_t alignment = 1; alignment <= kPageBytes; alignment *= 2) {
    for (size_t bytes = 0; bytes <= kMaxSmallBytes; bytes += bytes < 1100 ? 1 : 13) {
      ASSERT_EQ(size_class_of_aligned(bytes, alignment), naive_class(bytes, alignment))
          << bytes << " aligned to " << alignment;
    }
    ASSERT_EQ(size_class_of_aligned(kMaxSmallBytes, alignment), naive_class(kMaxSmallBytes, 1));
  }
}

TEST(SizeClass, NoClassBeyondAPageOfAlignmentOrTheLargestSize) {
  EXPECT_EQ(size_class_of_aligned(1, 2 * kPageBytes), kNoSizeClass);
  EXPECT_EQ(size_class_of_aligned(1, size_t{1} << 63), kNoSizeClass);
  EXPECT_EQ(size_class_of_aligned(kMaxSmallBytes + 1, 16), kNoSizeClass);
  EXPECT_EQ(size_class_of_aligned(SIZE_MAX, 16), kNoSizeClass);
}

TEST(SizeClass, ReciprocalDividesEveryOffsetOfEverySpanExactly) {
  for_each_class([](size_t, const SizeClassInfo& info) {
    const size_t bytes = info.span_pages * kPageBytes;
    size_t quotient = 0;
    size_t remainder = 0;
    for (size_t offset = 0; offset < bytes; ++offset) {
      ASSERT_EQ((uint64_t{offset} * info.reciprocal) >> kReciprocalShift, quotient)
          << offset << " / " << info.object_bytes;
      if (++remainder == info.object_bytes) {
        remainder = 0;
        ++quotient;
      }
    }
  });
}

TEST(SizeClass, ObjectsStartAtTheMultiplesOfTheirSizeUpToTheLast) {
  for_each_class([](size_t index, const SizeClassInfo& info) {
    const size_t end = info.objects_per_span * info.object_bytes;
    for (size_t offset = 0; offset < info.span_pages * kPageBytes + info.object_bytes; ++offset) {
      const bool starts = offset % info.object_bytes == 0 && offset < end;
      ASSERT_EQ(object_starting_at(static_cast<SizeClass>(index), offset, info.objects_per_span),
                starts ? offset / info.object_bytes : kNoObject)
          << offset << " of " << info.object_bytes;
    }
  });
}

TEST(SizeClass, SpansHoldWhatTheyClaimAndAllButOneWasteAtMost1In32BehindTheLastObject) {
  size_t wasteful = 0;
  for_each_class([&](size_t, const SizeClassInfo& info) {
    const size_t bytes = info.span_pages * kPageBytes;
    EXPECT_EQ(info.objects_per_span, bytes / info.object_bytes);
    EXPECT_LE(info.objects_per_span, kMaxObjectsPerSpan);
    EXPECT_GE(info.objects_per_span, info.object_bytes <= size_t{16} << 10 ? 4u : 1u)
        << info.object_bytes;
    EXPECT_GE(bytes, std::min(size_t{32} << 10, info.object_bytes * kMaxObjectsPerSpan));
    EXPECT_LE(bytes % info.object_bytes * 16, bytes) << info.object_bytes;
    if (bytes % info.object_bytes * 32 > bytes) ++wasteful;
  });
  EXPECT_LE(wasteful, 1u);
}

TEST(SizeClass, ShortSpansAreNoLongerThanOthersAndHoldFourObjectsWhereThoseDo) {
  for_each_class([](size_t, const SizeClassInfo& info) {
    const size_t bytes = info.pages_of(SpanLength::kShort).bytes().value;
    EXPECT_LE(info.short_span_pages, info.span_pages);
    EXPECT_EQ(info.objects_per_short_span, bytes / info.object_bytes);
    EXPECT_EQ(info.objects_in(info.pages_of(SpanLength::kShort)), info.objects_per_short_span);
    EXPECT_EQ(info.objects_in(info.pages_of(SpanLength::kLong)), info.objects_per_span);
    EXPECT_GE(size_t{info.objects_per_short_span}, std::min<size_t>(info.objects_per_span, 4));
    EXPECT_LE(bytes % info.object_bytes * 16, bytes) << info.object_bytes;
    if (info.object_bytes <= 512) {
      EXPECT_LE(bytes, size_t{16} << 10) << info.object_bytes;
    }
  });
}

TEST(SizeClass, MagazinesAndClaimsAreBoundedInBytesButForOneObject) {
  for_each_class([](size_t, const SizeClassInfo& info) {
    EXPECT_GE(info.magazine_capacity, 8u);
    EXPECT_LE(info.magazine_capacity, 512u);
    if (info.magazine_capacity > 8) {
      EXPECT_LE(info.magazine_capacity * info.object_bytes, size_t{32} << 10);
    }
    EXPECT_GE(info.claim_limit, 1u);
    EXPECT_LE(info.claim_limit, 64u);
    if (info.claim_limit > 1) {
      EXPECT_LE(info.claim_limit * info.object_bytes, size_t{32} << 10);
    }
  });
}

TEST(SizeClass, TheColorIsAnObjectOfTheFirstClaimAndOfTheFirstPage) {
  for_each_class([](size_t, const SizeClassInfo& info) {
    EXPECT_LT(size_t{info.color}, std::min<size_t>(info.objects_per_short_span, 64));
    if (info.object_bytes <= kMaxLinearBytes) {
      EXPECT_LE((info.color + 1u) * info.object_bytes, 4096u) << "a second page";
    }
  });
}

// Of 64 lines of a page, each serves the first objects of few classes.
TEST(SizeClass, FirstObjectsOfClassesLieOnDifferentLinesOfTheirPages) {
  std::map<size_t, int> classes_of_line;
  for_each_class([&](size_t, const SizeClassInfo& info) {
    if (info.object_bytes > kMaxLinearBytes) return;
    const size_t place = size_t{info.color} * info.object_bytes;
    ++classes_of_line[place % 4096 / 64];
  });
  for (const auto& [line, classes] : classes_of_line) EXPECT_LE(classes, 5) << "line " << line;
}

TEST(SizeClass, PrintsTheTable) {
  printf("class  bytes  pages (short)  objects  magazine  claim  tail waste  worst rounding\n");
  for_each_class([](size_t index, const SizeClassInfo& info) {
    const double span = static_cast<double>(info.span_pages * kPageBytes);
    const double object = info.object_bytes;
    printf("%5zu %6u %6u (%5u) %8u %9u %6u %9.2f %% %13.2f %%\n", index, info.object_bytes,
           info.span_pages, info.short_span_pages, info.objects_per_span, info.magazine_capacity,
           info.claim_limit, 100 * (span - info.objects_per_span * object) / span,
           100 * (object - 1 - kSizeClasses[index - 1].object_bytes) / object);
  });
}

}  // namespace
}  // namespace spanmalloc
