// Opens many libraries from several threads, works in them, closes them, and does so again.
// Usage: many_libraries COUNT      opens ./library<i>.so
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

using Work = size_t (*)(size_t);

static size_t use(size_t first, size_t count) {
  std::vector<void*> handles;
  size_t sum = 0;
  for (size_t i = first; i < first + count; ++i) {
    const std::string name = "./library" + std::to_string(i) + ".so";
    void* handle = dlopen(name.c_str(), i % 2 == 0 ? RTLD_NOW : RTLD_LAZY);
    if (handle == nullptr) {
      std::puts(dlerror());
      std::exit(1);
    }
    sum += reinterpret_cast<Work>(dlsym(handle, "work"))(i);
    handles.push_back(handle);
  }
  for (size_t i = 0; i < handles.size(); i += 2) dlclose(handles[i]);
  return sum;
}

int main(int, char** argv) {
  const size_t count = std::strtoul(argv[1], nullptr, 10);
  for (int round = 0; round < 3; ++round) {
    constexpr size_t kThreads = 4;
    size_t sums[kThreads] = {};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] { sums[t] = use(t * count / kThreads, count / kThreads); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const size_t sum : sums) std::printf("%zu ", sum);
    std::puts("");
  }
  if (dlopen("./no_such_library.so", RTLD_NOW) == nullptr) std::puts(dlerror());
}
