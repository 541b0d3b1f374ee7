// growth [rounds]
//
// Containers of the C++ library as everyday programs use them: strings that are appended to until
// they hold some KiB, vectors pushed to without reserve, from a few elements to many, vectors of
// strings, and a map in which entries come and go. Sizes double and half of every doubling is freed
// at once; whether the freed sizes serve the next container decides.
#include <map>
#include <string>
#include <utility>

#include "scenario.h"

namespace {

using scenario::Random;

size_t append_strings(Random& random) {
  constexpr char kPiece[] = "a piece of text to be appended here";
  std::string strings[64];
  size_t length = 0;
  for (size_t step = 0; step < 64 * 100; ++step) {
    std::string& string = strings[random.below(std::size(strings))];
    string.append(kPiece, 1 + random.below(sizeof(kPiece) - 1));
    // An ended message: its text is taken out, the next begins anew.
    if (string.size() > 2048) length += std::exchange(string, {}).size();
  }
  return length;
}

size_t push_numbers(Random& random) {
  size_t sum = 0;
  for (size_t number = 0; number < 100; ++number) {
    std::vector<uint32_t> vector;
    const size_t size = number == 0 ? 20000 : 1 + random.below(100);
    for (size_t index = 0; index < size; ++index) vector.push_back(static_cast<uint32_t>(index));
    sum += vector.back();
  }
  return sum;
}

size_t push_strings(Random& random) {
  std::vector<std::string> words;
  for (size_t word = 0; word < 2000; ++word) words.emplace_back(8 + random.below(40), 'w');
  return words.back().size();
}

using Map = std::map<uint64_t, std::string>;

// Half of the steps insert, half erase, so that the map stays at half of its keys.
void churn(Map& map, Random& random) {
  for (size_t step = 0; step < 2000; ++step) {
    const uint64_t key = random.below(4096);
    const auto found = map.find(key);
    if (found != map.end()) {
      map.erase(found);
    } else {
      map.emplace(key, std::string(random.below(64), 'm'));
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const size_t rounds = scenario::argument(count, arguments, 1, 1000);
  Random random(1);
  Map map;
  size_t sum = 0;
  for (size_t round = 0; round < rounds; ++round) {
    sum += append_strings(random) + push_numbers(random) + push_strings(random);
    churn(map, random);
  }
  std::printf("%zu, %zu entries\n", sum, map.size());
  return 0;
}
