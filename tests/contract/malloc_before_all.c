// A library whose constructor the loader calls before all others, the C library's too.
#include <stdlib.h>

void* kept;

__attribute__((constructor)) static void begin(void) {
  kept = malloc(50);
  void* volatile freed = malloc(60);
  free(freed);
}
