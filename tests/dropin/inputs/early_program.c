/* Refers to a function that the loader has resolved when it relocates this program's data. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int early_answer(void);
int early_blocks(void);

int (*volatile pointer)(void) = early_answer;

static void* work(void* argument) {
  for (int i = 0; i < 100000; i++) free(malloc((size_t)i % 5000));
  return argument;
}

int main(void) {
  pthread_t thread;
  printf("%d %d\n", pointer(), early_blocks());
  if (pthread_create(&thread, NULL, work, NULL) != 0) return 1;
  work(NULL);
  pthread_join(thread, NULL);
  return 0;
}
