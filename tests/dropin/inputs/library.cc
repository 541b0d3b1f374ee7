// One of many libraries: constructors, thread-local objects and exceptions, all of which allocate.
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::map<int, std::string> table = [] {
  std::map<int, std::string> made;
  for (int i = 0; i < 50; ++i) made[i] = std::string(static_cast<size_t>(i), 'x');
  return made;
}();
thread_local std::vector<std::string> kept;
thread_local char space[200];

}  // namespace

extern "C" size_t work(size_t n) {
  for (size_t i = 0; i < 20; ++i) kept.emplace_back(i + n, 'y');
  space[n % 200] = 1;
  try {
    table.at(1000);
  } catch (const std::out_of_range& error) {
    return kept.size() + std::string(error.what()).size() / 1000 + table.size();
  }
  return 0;
}
