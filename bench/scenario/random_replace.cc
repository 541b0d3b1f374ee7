// random_replace [live objects] [replacements]
//
// A large heap of small objects, one million by default; again and again a random one is freed and
// another size takes its place. Every step misses the processor's caches, so this weighs how many
// lines of metadata malloc and free touch besides the object: databases, caches, in-memory graphs.
#include "scenario.h"

int main(int count, char** arguments) {
  const size_t live = scenario::argument(count, arguments, 1, 1000000);
  const size_t replacements = scenario::argument(count, arguments, 2, 10000000);
  scenario::Random random(1);
  std::vector<char*> objects(live);
  for (char*& object : objects) object = scenario::filled_block(16 + random.below(240));
  for (size_t step = 0; step < replacements; ++step) {
    char*& object = objects[random.below(live)];
    std::free(object);
    object = scenario::filled_block(16 + random.below(240));
  }
  for (char* object : objects) std::free(object);
  return 0;
}
