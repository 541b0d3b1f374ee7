// The first free comes from a thread that is gone.
#include <pthread.h>

#include "misuse/misuse.h"

static void* free_block(void* block) {
  free(block);
  return nullptr;
}

int main() {
  void* block = malloc(64);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, free_block, misuse::opaque(block)) != 0) return 2;
  pthread_join(thread, nullptr);
  free(misuse::announce(block));
  return 0;
}
