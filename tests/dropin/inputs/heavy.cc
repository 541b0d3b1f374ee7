// Much for a compiler to read, and a program that allocates in threads.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#ifdef BROKEN
int broken = std::string("text");
#endif

static size_t churn(unsigned seed) {
  std::unordered_map<unsigned, std::string> kept;
  std::map<std::string, std::vector<int>> index;
  unsigned value = seed;
  for (int i = 0; i < 30000; ++i) {
    value = value * 1103515245 + 12345;
    kept[value % 997] = std::string(value % 700, 'x');
    index[std::to_string(value % 313)].push_back(i);
  }
  size_t total = 0;
  for (const auto& [key, text] : kept) total += text.size();
  for (const auto& [key, list] : index) total += list.size() * key.size();
  return total;
}

int main() {
  std::vector<size_t> results(6);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 6; ++i) threads.emplace_back([&results, i] { results[i] = churn(i); });
  for (std::thread& thread : threads) thread.join();
  for (const size_t result : results) std::cout << result << ' ';
  std::cout << '\n';
  try {
    std::vector<int> impossible(static_cast<size_t>(-1) / 8);
  } catch (const std::exception& error) {
    std::cout << error.what() << '\n';
  }
  auto shared = std::make_shared<std::vector<std::string>>(1000, std::string(100, 's'));
  std::sort(shared->begin(), shared->end());
  std::cout << shared->size() << std::endl;
}
