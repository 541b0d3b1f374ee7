/* Opened with RTLD_DEEPBIND: its calls go to the C library's malloc, whatever is preloaded.
   It frees nothing that the C library allocates itself (strdup): that is the preloaded one's. */
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 3000 };

static char* block[BLOCKS];

void deep_take(void) {
  for (int i = 0; i < BLOCKS; i++) {
    block[i] = malloc((size_t)(i * 7919LL % 5000) + 1);
    if (block[i] != NULL) memset(block[i], i, (size_t)(i * 7919LL % 5000) + 1);
  }
  free(realloc(malloc(10), 3000000));
}

int deep_drop(void) {
  int whole = 0;
  for (int i = 0; i < BLOCKS; i++) {
    whole += block[i] != NULL && block[i][i * 7919LL % 5000] == (char)i;
    free(block[i]);
  }
  return whole;
}
