// lifetimes [objects in all]
//
// Few long-lived objects among very many short-lived ones: the lifetime of an object, counted in
// allocations, is drawn from a heavy-tailed distribution (one in n lives longer than 4 n^2, at most
// 2^20), its size from another (one in n is larger than 16 n, at most 64 KiB), and one in 64 goes
// to a table of 50000 where it stays until its place is wanted. Most programs live so: what
// survives pins the pages around it, so peak memory tells as much as time.
#include "scenario.h"

namespace {

constexpr size_t kLongest = 1 << 20;
constexpr size_t kPermanent = 50000;
constexpr size_t kLargest = 65536;

// Uniform in [1, 2^16]: 2^16 divided by it is n or more once in n times.
size_t share(scenario::Random& random) {
  return 1 + random.below(1 << 16);
}

size_t size_drawn(scenario::Random& random) {
  const size_t size = (16 << 16) / share(random);
  return size < kLargest ? size : kLargest;
}

size_t lifetime_drawn(scenario::Random& random) {
  const size_t root = (2 << 16) / share(random);
  const size_t lifetime = root * root;
  return lifetime < kLongest ? lifetime : kLongest - 1;
}

// Objects that end together; the next is found in the first bytes of each.
struct Object {
  Object* next;
};

uint64_t end_all(Object* object) {
  uint64_t ended = 0;
  while (object != nullptr) {
    Object* next = object->next;
    std::free(object);
    object = next;
    ++ended;
  }
  return ended;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t objects = scenario::argument(count, arguments, 1, 20000000);
  static Object* ending_at[kLongest];
  static char* permanent[kPermanent];
  scenario::Random random(1);
  uint64_t ended = 0;
  for (size_t now = 0; now < objects; ++now) {
    Object*& ending_now = ending_at[now % kLongest];
    ended += end_all(ending_now);
    ending_now = nullptr;
    char* block = scenario::filled_block(size_drawn(random));
    if (random.below(64) == 0) {
      char*& place = permanent[random.below(kPermanent)];
      std::free(place);
      place = block;
      continue;
    }
    Object* object = reinterpret_cast<Object*>(block);
    Object*& ending = ending_at[(now + lifetime_drawn(random)) % kLongest];
    object->next = ending;
    ending = object;
  }
  for (Object* object : ending_at) ended += end_all(object);
  for (char* block : permanent) std::free(block);
  std::printf("%llu\n", static_cast<unsigned long long>(ended));
  return 0;
}
