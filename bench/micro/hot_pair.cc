// hot_pair <size> <pairs>: malloc and free of one size in a loop, nothing else. Run at two counts
// under callgrind, the difference gives the instructions of one pair, loop and PLT included.
#include <cstdlib>

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const std::size_t size = std::strtoul(arguments[1], nullptr, 10);
  for (long pairs = std::atol(arguments[2]); pairs > 0; --pairs) {
    std::free(std::malloc(size));
  }
  return 0;
}
