// A program of somebody else: threads, fork, C++ strings and an exception for want of memory.
// It ends with 0 only when its malloc is spanmalloc's.
#include <malloc.h>
#include <spanmalloc/spanmalloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <thread>

namespace {

void fail(const char* sentence) {
  std::fprintf(stderr, "%s\n", sentence);
  std::_Exit(1);
}

void build_map() {
  std::map<int, std::string> map;
  for (int key = 0; key < 10000; ++key) map[key] = std::string(static_cast<size_t>(key % 200), 'x');
}

}  // namespace

int main() {
  void* block = std::malloc(17);
  // glibc would say 24.
  if (malloc_usable_size(block) % 16 != 0) fail("malloc is not spanmalloc's");
  std::free(block);

  std::thread first(build_map), second(build_map);
  first.join();
  second.join();

  const pid_t child = fork();
  if (child == 0) {
    build_map();
    _exit(0);
  }
  int status = 1;
  if (waitpid(child, &status, 0) != child || status != 0) fail("the child failed");

  bool thrown = false;
  try {
    volatile size_t bytes = PTRDIFF_MAX;
    ::operator delete(::operator new(bytes));
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  if (!thrown) fail("no bad_alloc");

  spanmalloc_release_memory();
  return 0;
}
