// In a large heap, from another thread, which then takes the block for itself.
#include <pthread.h>

#include "misuse/large_heap.h"

static void* free_and_take(void* block) {
  free(malloc(64));
  free(block);
  return malloc(64);
}

int main() {
  misuse::fill_heap();
  void* block = malloc(64);
  free(malloc(64));
  free(block);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, free_and_take, misuse::announce(block)) != 0) return 2;
  void* taken;
  pthread_join(thread, &taken);
  if (taken != block) return 3;
  memset(taken, 1, 64);
  misuse::opaque(malloc(64));
  return 0;
}
