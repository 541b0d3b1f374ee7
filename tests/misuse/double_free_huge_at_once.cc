// By two threads at the same time: while one gives the memory back, the other frees the block.
#include <pthread.h>

#include "misuse/misuse.h"

static int arrived = 0;

static void* free_with_the_other(void* block) {
  __atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < 2) {
  }
  free(block);
  return nullptr;
}

int main() {
  constexpr size_t kBytes = size_t{200} << 20;
  void* block = malloc(kBytes);
  memset(misuse::opaque(block), 1, kBytes);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, free_with_the_other, misuse::announce(block)) != 0) return 2;
  free_with_the_other(misuse::opaque(block));
  pthread_join(thread, nullptr);
  return 0;
}
