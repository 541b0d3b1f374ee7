// The writers: any text and number into any buffer, and any figures as JSON and XML.
#include <cinttypes>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/text_writer.h"
#include "fuzz/input.h"
#include "stats/heap_stats.h"

namespace spanmalloc::testing {
namespace {

std::string formatted(const char* format, uint64_t value) {
  char text[32];
  snprintf(text, sizeof(text), format, value);
  return text;
}

// The buffer lies at the end of its own block, so that the sanitizer sees a byte too many.
void write_pieces(Input& input) {
  const size_t capacity = 1 + input.below(200);
  std::vector<char> buffer(capacity);
  TextWriter writer(buffer.data(), capacity);
  std::string expected;
  while (!input.empty()) {
    const size_t kind = input.below(4);
    const uint64_t value = input.next() >> input.below(64);
    if (kind == 0) {
      const std::string text = input.part(input.below(40)).text();
      writer.text(text.c_str());
      expected += text.c_str();
    } else if (kind == 1) {
      writer.number(value);
      expected += std::to_string(value);
    } else if (kind == 2) {
      writer.hexadecimal(value);
      expected += formatted("0x%" PRIx64, value);
    } else if (input.below(16) == 0) {
      writer.clear();
      expected.clear();
    }
    if (expected.size() > capacity - 1) expected.resize(capacity - 1);
    SPANMALLOC_CHECK(writer.length() == expected.size(), "a text of another length");
    SPANMALLOC_CHECK(writer.begin() == expected, "another text");
  }
}

HeapStats any_stats(Input& input) {
  HeapStats stats;
  size_t* const figures[] = {&stats.mapped,     &stats.in_use,        &stats.free_retained,
                             &stats.released,   &stats.scavenged,     &stats.small_spans,
                             &stats.live_large, &stats.large_count,   &stats.cached,
                             &stats.metadata,   &stats.free_in_spans, &stats.span_waste};
  for (size_t* figure : figures) *figure = input.next() >> (1 + input.below(63));
  while (!input.empty()) {
    ClassStats& of_class = stats.classes[1 + input.below(kSizeClassCount - 1)];
    of_class.cached = input.next() >> (1 + input.below(63));
    of_class.free_in_spans = input.next() >> (1 + input.below(63));
  }
  return stats;
}

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

// What fits is the beginning of the whole document, and that is closed where it was opened.
template <typename Write>
std::string document(const HeapStats& stats, size_t capacity, Write write) {
  std::vector<char> large(65536);
  TextWriter whole(large.data(), large.size());
  write(stats, whole);
  SPANMALLOC_CHECK(whole.length() < large.size() - 1, "a document without end");
  std::vector<char> small(capacity);
  TextWriter cut(small.data(), small.size());
  write(stats, cut);
  const std::string text = whole.begin();
  SPANMALLOC_CHECK(cut.begin() == text.substr(0, capacity - 1), "a document cut wrongly");
  return text;
}

void write_documents(Input& input) {
  const size_t capacity = 1 + input.below(8000);
  const HeapStats stats = any_stats(input);
  (void)document(stats, capacity, write_text);
  const std::string json = document(stats, capacity, write_json);
  SPANMALLOC_CHECK(count(json, "{") == count(json, "}"), "JSON with an open brace");
  SPANMALLOC_CHECK(count(json, "\"") % 2 == 0 && count(json, ", ]") == 0, "broken JSON");
  const std::string xml = document(stats, capacity, write_xml);
  SPANMALLOC_CHECK(count(xml, "<") == count(xml, ">"), "XML with an open tag");
  SPANMALLOC_CHECK(count(xml, "</") * 2 + count(xml, "/>") == count(xml, "<"), "XML not closed");
}

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  Input input(data, size);
  input.below(2) == 0 ? write_pieces(input) : write_documents(input);
  return 0;
}
