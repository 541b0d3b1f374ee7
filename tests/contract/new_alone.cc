// Linked with the archive, names operator new and delete and nothing else of it: what is done at
// the time of loading is done nevertheless. Seen by the statistics at its end.
#include <new>

int main() {
  void* volatile block = ::operator new(100);
  ::operator delete(block);
}
