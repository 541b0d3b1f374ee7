// Opens libraries with initial-exec thread-local storage until no more of it is left, then goes
// on with threads, which have all of it.
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

using Touch = int (*)(int);

int main() {
  std::vector<Touch> touch;
  for (int i = 0; i < 200; ++i) {
    void* handle = dlopen(("./tls" + std::to_string(i) + ".so").c_str(), RTLD_NOW);
    if (handle == nullptr) break;
    touch.push_back(reinterpret_cast<Touch>(dlsym(handle, "touch")));
  }
  const char* error = dlerror();
  std::printf("%s\n", touch.size() > 5 && error != nullptr ? "filled" : "not filled");
  std::printf("%s\n", error == nullptr || std::string(error).find("static TLS") == std::string::npos
                          ? "another error"
                          : "no static TLS left");
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      std::vector<std::string> texts;
      for (int i = 0; i < 2000; ++i) {
        texts.emplace_back(static_cast<size_t>(i), 'x');
        if (touch[static_cast<size_t>(i) % touch.size()](i) < 0) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::puts("done");
}
