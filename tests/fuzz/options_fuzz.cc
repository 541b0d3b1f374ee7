// SPANMALLOC_OPTIONS with any text, against a reader made of strings.
#include "base/options.h"

#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>

#include "base/check.h"
#include "fuzz/input.h"

namespace spanmalloc::testing {
namespace {

std::optional<uint64_t> digits(const std::string& text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  if (text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return strtoull(text.c_str(), nullptr, 10);
}

// Digits, a name of the option's list, or digits with a power of 1024.
std::optional<uint64_t> value_of(const OptionRow& row, std::string text) {
  if (row.names != nullptr) {
    std::istringstream names(row.names);
    std::string name;
    for (uint64_t value = 0; std::getline(names, name, '|'); ++value) {
      if (name == text) return value;
    }
  }
  const size_t unit = text.empty() ? std::string::npos : std::string("kmgKMG").find(text.back());
  if (row.unit != OptionUnit::kBytes || unit == std::string::npos) return digits(text);
  text.pop_back();
  const std::optional<uint64_t> number = digits(text);
  const unsigned shift = 10 * (static_cast<unsigned>(unit) % 3 + 1);
  if (!number || *number > UINT64_MAX >> shift) return std::nullopt;
  return *number << shift;
}

void expect(Options& expected, const std::string& item) {
  const size_t equals = item.find('=');
  if (equals == std::string::npos) return;
  for (const OptionRow& row : kOptionTable) {
    if (item.substr(0, equals) != row.name) continue;
    const std::optional<uint64_t> value = value_of(row, item.substr(equals + 1));
    if (!value || *value < row.least || *value > row.most) continue;
    SPANMALLOC_CHECK(expected.set(row.option, *value), "a value in range is refused");
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
