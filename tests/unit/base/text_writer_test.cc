#include "base/text_writer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace spanmalloc {
namespace {

TEST(TextWriter, JoinsItsParts) {
  BufferedText<100> text;
  text.text("free(").hexadecimal(0xab12).text("): ").number(64).text(" bytes");
  EXPECT_STREQ(text.begin(), "free(0xab12): 64 bytes");
  EXPECT_EQ(text.length(), strlen(text.begin()));
}

TEST(TextWriter, HandsFullBuffersToItsSink) {
  std::string taken;
  const TextWriter::Sink sink{
      [](const char* text, void* context) { *static_cast<std::string*>(context) += text; }, &taken};
  BufferedText<8> text(sink);
  text.text("seven c");
  EXPECT_EQ(taken, "");
  text.text("haracters ").number(1234567890);
  EXPECT_LT(text.length(), 8u);
  text.flush();
  EXPECT_EQ(taken, "seven characters 1234567890");
  text.flush();
  EXPECT_EQ(taken, "seven characters 1234567890");
}

TEST(TextWriter, NumbersPrintAsPrintfDoes) {
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{9}, uint64_t{10}, uint64_t{1234567890123}, UINT64_MAX}) {
    char expected[32];
    BufferedText<64> text;
    snprintf(expected, sizeof(expected), "%llu", static_cast<unsigned long long>(value));
    EXPECT_STREQ(text.number(value).begin(), expected);
    text.clear();
    snprintf(expected, sizeof(expected), "0x%llx", static_cast<unsigned long long>(value));
    EXPECT_STREQ(text.hexadecimal(value).begin(), expected);
  }
}

TEST(TextWriter, WhatDoesNotFitIsCutAndTheTextStillEnds) {
  for (size_t capacity = 1; capacity < 12; ++capacity) {
    char buffer[16];
    memset(buffer, '#', sizeof(buffer));
    TextWriter text(buffer, capacity);
    text.text("ab").number(12345).hexadecimal(0xf).text("more");
    EXPECT_EQ(std::string(buffer), std::string("ab123450xfmore").substr(0, capacity - 1));
    EXPECT_EQ(text.length(), capacity - 1);
    EXPECT_EQ(buffer[capacity], '#') << "written behind the buffer";
  }
}

TEST(TextWriter, ClearStartsAgain) {
  BufferedText<8> text;
  text.text("1234567890").clear();
  EXPECT_STREQ(text.begin(), "");
  EXPECT_EQ(text.length(), 0u);
  EXPECT_STREQ(text.text("abc").begin(), "abc");
}

}  // namespace
}  // namespace spanmalloc
