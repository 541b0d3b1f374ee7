/* Two mallocs in one process, that do not exchange blocks: beside each other, over a fork, and in a
   thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void (*take)(void);
static int (*drop)(void);

static void* use_both(void* argument) {
  void* own[500];
  for (int i = 0; i < 500; i++) own[i] = calloc(1, (size_t)i * 300 + 1);
  take();
  for (int i = 0; i < 500; i++) free(own[i]);
  *(int*)argument = drop();
  return NULL;
}

int main(void) {
  pthread_t thread;
  int whole = 0, status = 0;
  void* library = dlopen("./libdeep.so", RTLD_NOW | RTLD_DEEPBIND);
  if (library == NULL) return 1;
  *(void**)&take = dlsym(library, "deep_take");
  *(void**)&drop = dlsym(library, "deep_drop");
  use_both(&whole);
  printf("%d\n", whole);
  take();
  pid_t child = fork();
  if (child == 0) {
    free(malloc(50000000));
    _exit(drop() == 3000 ? 7 : 1);
  }
  waitpid(child, &status, 0);
  printf("%d %d\n", drop(), WEXITSTATUS(status));
  if (pthread_create(&thread, NULL, use_both, &whole) != 0) return 1;
  pthread_join(thread, NULL);
  printf("%d %d\n", whole, dlclose(library));
  return 0;
}
