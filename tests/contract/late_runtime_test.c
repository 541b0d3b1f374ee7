/* A program without C++ that loads a plugin with it: the C++ runtime comes after the library, and
 * its symbols are the plugin's alone. Usage: late_runtime_test PLUGIN [CASE...] */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (dlsym(RTLD_DEFAULT, "__cxa_begin_catch") != NULL) {
    fputs("the C++ runtime is there before the plugin\n", stderr);
    return 2;
  }
  void* plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  int (*run)(int, char**);
  *(void**)&run = dlsym(plugin, "run_plugin");
  return run == NULL ? 2 : run(argc - 1, argv + 1);
}
