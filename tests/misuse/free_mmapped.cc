// Memory from mmap.
#include <sys/mman.h>

#include "misuse/misuse.h"

int main() {
  void* pages = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  free(misuse::announce(pages));
  return 0;
}
