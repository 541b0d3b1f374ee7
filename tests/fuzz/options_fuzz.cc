// SPANMALLOC_OPTIONS with any text, against a reader made of strings.
#include "base/options.h"

#include <cstdlib>
#include <string>

#include "base/check.h"
#include "fuzz/input.h"

namespace spanmalloc::testing {
namespace {

void expect(Options& expected, const std::string& item) {
  const size_t equals = item.find('=');
  if (equals == std::string::npos) return;
  const std::string name = item.substr(0, equals);
  const std::string value = item.substr(equals + 1);
  if (value.empty() || value.size() > 18) return;
  if (value.find_first_not_of("0123456789") != std::string::npos) return;
  const uint64_t number = strtoull(value.c_str(), nullptr, 10);
  for (const OptionRow& row : kOptionTable) {
    if (name != row.name || number < row.least || number > row.most) continue;
    SPANMALLOC_CHECK(expected.set(row.option, number), "a value in range is refused");
  }
}

void compare(const std::string& text) {
  Options options;
  options.parse(text.c_str());
  Options expected;
  const std::string read = text.c_str();  // up to the first zero byte
  for (size_t begin = 0; begin <= read.size();) {
    const size_t end = std::min(read.find(':', begin), read.size());
    expect(expected, read.substr(begin, end - begin));
    begin = end + 1;
  }
  for (const OptionRow& row : kOptionTable) {
    SPANMALLOC_CHECK(options[row.option] == expected[row.option], "an option has another value");
  }
}

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  compare(Input(data, size).text());
  return 0;
}
