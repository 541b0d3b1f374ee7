/* Allocates as early as a library can: in the resolver of a function, which the loader calls while
   it relocates the program, and in a constructor that runs before most. */
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 200 };

static char* of_resolver[BLOCKS];
static char* of_constructor[BLOCKS];

static void allocate(char** blocks) {
  for (int i = 0; i < BLOCKS; i++) {
    void* gone = calloc(10, (size_t)i * 20);
    blocks[i] = malloc((size_t)i * 40 + 1);
    free(gone);
    if (blocks[i] != NULL) memset(blocks[i], i, (size_t)i * 40 + 1);
  }
  free(realloc(malloc(10), 3000000));
}

static int free_all(char** blocks) {
  int whole = 0;
  for (int i = 0; i < BLOCKS; i++) {
    blocks[i] = realloc(blocks[i], (size_t)i * 60 + 1);
    whole += blocks[i] != NULL && blocks[i][i * 40] == (char)i;
    free(blocks[i]);
  }
  return whole;
}

static int answer(void) {
  return 42;
}

static int (*resolve(void))(void) {
  allocate(of_resolver);
  return answer;
}

int early_answer(void) __attribute__((ifunc("resolve")));

__attribute__((constructor(101))) static void construct(void) {
  allocate(of_constructor);
}

int early_blocks(void) {
  return free_all(of_resolver) + free_all(of_constructor);
}
