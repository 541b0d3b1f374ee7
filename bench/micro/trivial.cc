// A program that allocates once and ends: what is measured is loading and starting the allocator.
#include <cstdlib>

int main() {
  void* volatile block = std::malloc(100);
  std::free(block);
  return block == nullptr;
}
