#include "base/options.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>

namespace spanmalloc {
namespace {

// What parse() says on standard error.
std::string parse(Options& options, const std::string& text) {
  ::testing::internal::CaptureStderr();
  options.parse(text.c_str());
  return ::testing::internal::GetCapturedStderr();
}

void expect_defaults(const Options& options) {
  for (const OptionRow& row : kOptionTable) EXPECT_EQ(options[row.option], row.initial) << row.name;
}

TEST(Options, TableIsSoundAndInTheOrderOfTheEnumeration) {
  for (size_t index = 0; index < kOptionTable.size(); ++index) {
    const OptionRow& row = kOptionTable[index];
    EXPECT_EQ(static_cast<size_t>(row.option), index);
    EXPECT_LE(row.least, row.initial) << row.name;
    EXPECT_LE(row.initial, row.most) << row.name;
    EXPECT_EQ(Options::find(row.name, strlen(row.name)), &row) << "name not unique: " << row.name;
    EXPECT_GT(strlen(row.help), 0u);
    EXPECT_EQ(strpbrk(row.name, ":= "), nullptr);
  }
}

TEST(Options, DefaultsAreThoseOfTheTable) {
  expect_defaults(Options());
}

TEST(Options, EveryOptionTakesItsWholeRangeAndNothingBeyond) {
  for (const OptionRow& row : kOptionTable) {
    Options options;
    for (const uint64_t value : {row.least, row.most}) {
      EXPECT_EQ(parse(options, std::string(row.name) + "=" + std::to_string(value)), "");
      EXPECT_EQ(options[row.option], value);
    }
    EXPECT_TRUE(options.set(row.option, row.least));
    EXPECT_FALSE(options.set(row.option, row.most + 1));
    if (row.least > 0) {
      EXPECT_FALSE(options.set(row.option, row.least - 1));
    }
    EXPECT_EQ(options[row.option], row.least);
    EXPECT_NE(parse(options, std::string(row.name) + "=" + std::to_string(row.most + 1)), "");
    EXPECT_EQ(options[row.option], row.least);
  }
}

TEST(Options, SeveralAreSeparatedByColonsAndEmptyPartsAreAllowed) {
  Options options;
  EXPECT_EQ(parse(options, ":scavenger=0::retain_percent=50:epoch_ms=20:"), "");
  EXPECT_EQ(options[Option::kScavenger], 0u);
  EXPECT_EQ(options[Option::kRetainPercent], 50u);
  EXPECT_EQ(options[Option::kEpochMilliseconds], 20u);
}

TEST(Options, TheLastValueCounts) {
  Options options;
  EXPECT_EQ(parse(options, "retain_percent=5:retain_percent=7"), "");
  EXPECT_EQ(options[Option::kRetainPercent], 7u);
}

TEST(Options, BadValuesAreReportedByNameAndIgnored) {
  for (const char* value : {"", "x", "1x", "-1", "+1", " 1", "1 ", "0x10", "1.5", "1001",
                            "18446744073709551617", "99999999999999999999999999"}) {
    Options options;
    const std::string item = std::string("retain_percent=") + value;
    EXPECT_EQ(parse(options, item), "spanmalloc: option '" + item + "' has a bad value, ignored\n");
    expect_defaults(options);
  }
}

TEST(Options, SizesTakeTheLettersOfPowersOf1024) {
  const struct {
    const char* text;
    uint64_t bytes;
  } cases[] = {{"0", 0},
               {"4096", 4096},
               {"1K", 1024},
               {"64k", 65536},
               {"256M", uint64_t{256} << 20},
               {"3m", uint64_t{3} << 20},
               {"2G", uint64_t{2} << 30},
               {"131072g", uint64_t{1} << 47}};
  for (const auto& [text, bytes] : cases) {
    Options options;
    EXPECT_EQ(parse(options, std::string("memory_limit=") + text), "");
    EXPECT_EQ(options[Option::kMemoryLimit], bytes) << text;
  }
  for (const char* text : {"", "K", "M1", "1KK", "1T", "1.5G", "131073G", "99999999999G", "-1M",
                           "18446744073709551615", "1 M", "off"}) {
    Options options;
    EXPECT_NE(parse(options, std::string("memory_limit=") + text), "") << text;
    expect_defaults(options);
  }
  Options options;
  EXPECT_NE(parse(options, "retain_percent=1K"), "") << "only sizes take letters";
}

TEST(Options, SomeValuesHaveNames) {
  Options options;
  EXPECT_EQ(parse(options, "trace=scavenger:policy=idle_age"), "");
  EXPECT_EQ(options[Option::kTrace], 1u);
  EXPECT_EQ(options[Option::kPolicy], static_cast<uint64_t>(ReleasePolicy::kIdleAge));
  EXPECT_EQ(parse(options, "trace=off:policy=peak"), "");
  expect_defaults(options);
  for (const char* item : {"trace=scav", "trace=scavengers", "trace=off|scavenger", "trace=|",
                           "policy=scavenger", "stats=off", "trace="}) {
    EXPECT_NE(parse(options, item), "") << item;
  }
  expect_defaults(options);
}

TEST(Options, UnknownNamesAreReportedAndTheRestIsRead) {
  Options options;
  EXPECT_EQ(parse(options, "scaven=1:trace=1:tracer=1:=1"),
            "spanmalloc: option 'scaven=1' is unknown, ignored\n"
            "spanmalloc: option 'tracer=1' is unknown, ignored\n"
            "spanmalloc: option '=1' is unknown, ignored\n");
  EXPECT_EQ(options[Option::kTrace], 1u);
}

TEST(Options, ANameWithoutAValueIsReported) {
  Options options;
  EXPECT_EQ(parse(options, "trace"), "spanmalloc: option 'trace' has no value, ignored\n");
  expect_defaults(options);
}

TEST(Options, LongNonsenseIsCutInTheReport) {
  Options options;
  const std::string report = parse(options, std::string(100000, 'a'));
  EXPECT_EQ(report, "spanmalloc: option '" + std::string(63, 'a') + "' has no value, ignored\n");
}

TEST(Options, HelpPrintsTheTableAndChangesNothing) {
  Options options;
  const std::string help = parse(options, "help");
  for (const OptionRow& row : kOptionTable) {
    EXPECT_NE(help.find(std::string(row.name) + "=" + std::to_string(row.initial)),
              std::string::npos);
    EXPECT_NE(help.find(row.help), std::string::npos) << "cut: " << row.name;
  }
  expect_defaults(options);
}

// A program may set an option while the scavenger reads it; the race detector looks on.
TEST(Options, MayBeSetWhileOthersRead) {
  Options options;
  std::thread reader([&] {
    for (int round = 0; round < 1000; ++round) {
      const uint64_t value = options[Option::kRetainPercent];
      EXPECT_TRUE(value == 10 || value == 20) << value;
    }
  });
  for (int round = 0; round < 1000; ++round) {
    EXPECT_TRUE(options.set(Option::kRetainPercent, round % 2 == 0 ? 10 : 20));
  }
  reader.join();
}

}  // namespace
}  // namespace spanmalloc
