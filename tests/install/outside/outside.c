/* The header in C, and a C program that never loads a C++ library. */
#include <malloc.h>
#include <spanmalloc/spanmalloc.h>
#include <stdlib.h>

int main(void) {
  void* block = malloc(17);
  int right = malloc_usable_size(block) % 16 == 0;
  free(block);
  spanmalloc_release_memory();
  return right ? 0 : 1;
}
