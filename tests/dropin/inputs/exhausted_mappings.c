/* Uses up the mappings of the process, then lives on from malloc alone for a while. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { kPages = 300000, kBlocks = 200000, kPage = 4096 };

static char* block[kBlocks];

/* Every second page differs from its neighbours, so that each costs a mapping of its own. */
static int exhaust(void) {
  char* start = mmap(NULL, (size_t)kPages * kPage, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return 0;
  for (int page = 1; page < kPages; page += 2) {
    if (mprotect(start + (size_t)page * kPage, kPage, PROT_READ) != 0) return 1;
  }
  return 0;
}

static size_t size_of(int i) {
  return 16 + (size_t)(i * 7919LL % 985);
}

static int churn(void) {
  int had = 0;
  for (int i = 0; i < kBlocks; i++) {
    block[i] = malloc(size_of(i));
    if (block[i] == NULL) continue;
    memset(block[i], i & 0xff, size_of(i));
    had++;
  }
  for (int i = 0; i < kBlocks; i++) {
    if (block[i] != NULL && block[i][size_of(i) - 1] != (char)(i & 0xff)) puts("damaged");
    free(block[i]);
  }
  return had;
}

int main(void) {
  static char* kept[3000];
  for (int i = 0; i < 3000; i++) {
    kept[i] = malloc(size_of(i));
    memset(kept[i], 'k', size_of(i));
  }
  if (!exhaust()) {
    puts("no limit of mappings was met");
    return 77;
  }
  /* 100 MB of small blocks, which the heap has room for in the mappings that it has. What was had
     once is there again after it was freed. */
  printf("%d\n", churn());
  malloc_trim(0);
  printf("%d\n", churn());
  char* grown = NULL;
  for (size_t size = 10; size < 60000; size = size * 3 / 2) {
    grown = realloc(grown, size);
    if (grown == NULL) return 1;
    memset(grown, 'x', size);
  }
  free(grown);
  /* What needs a mapping may be refused, and nothing else. */
  for (int i = 0; i < 200; i++) {
    char* large = malloc((size_t)1 << 20);
    if (large != NULL) large[1000] = 1;
    free(large);
  }
  for (int i = 0; i < 3000; i++) {
    if (kept[i][size_of(i) - 1] != 'k') puts("damaged");
    free(kept[i]);
  }
  char text[100];
  snprintf(text, sizeof text, "%s %d", "a line from stdio after it all", 42);
  puts(text);
  return 0;
}
