// curve threads <number> [requests in all]
// curve live <number> [replacements]
// curve visit <number> [visits]
//
// Points of the curves of cost against the size of the work; prints one number, nanoseconds of the
// process's CPU time per operation.
// threads: an operation is a malloc and a free of the server mix, which is constant in all and
// divided among the threads; starting them is not counted. Flat is ideal: what rises is waiting for
// each other. live: an operation frees one of the live objects of 16 to 255 bytes at random and
// allocates another; filling the heap is not counted. visit: the same objects, but an operation
// only writes to one as a replacement would: the cache misses that no allocator can avoid.
#include <ctime>

#include "server_mix.h"

namespace {

double processor_nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

size_t object_size(scenario::Random& random) {
  return 16 + random.below(240);
}

// Left to the end of the process: freeing millions would double the time of a point.
std::vector<char*> live_objects(size_t live, scenario::Random& random) {
  std::vector<char*> objects(live);
  for (char*& object : objects) object = scenario::filled_block(object_size(random));
  return objects;
}

double threads_cost(size_t threads, size_t requests) {
  requests -= requests % threads;
  double start = 0;
  scenario::server_mix(threads, requests, [&]() noexcept { start = processor_nanoseconds(); });
  return (processor_nanoseconds() - start) /
         static_cast<double>(requests * scenario::kOperationsPerRequest);
}

// Of one call of body(object, size) for one of the live objects.
template <typename Body>
double live_cost(size_t live, size_t operations, Body body) {
  scenario::Random random(1);
  std::vector<char*> objects = live_objects(live, random);
  const double start = processor_nanoseconds();
  for (size_t step = 0; step < operations; ++step) {
    body(objects[random.below(live)], object_size(random));
  }
  return (processor_nanoseconds() - start) / static_cast<double>(operations);
}

void replace(char*& object, size_t size) {
  std::free(object);
  object = scenario::filled_block(size);
}

void visit(char*& object, size_t size) {
  *static_cast<volatile char*>(object) = static_cast<char>(size);
}

}  // namespace

int main(int count, char** arguments) {
  const size_t number = scenario::argument(count, arguments, 2, 0);
  if (number == 0) {
    std::fputs("usage: curve threads|live|visit <number> [operations]\n", stderr);
    return 2;
  }
  double cost = 0;
  if (std::strcmp(arguments[1], "threads") == 0) {
    cost = threads_cost(number, scenario::argument(count, arguments, 3, 1000000));
  } else if (std::strcmp(arguments[1], "live") == 0) {
    cost = live_cost(number, scenario::argument(count, arguments, 3, 5000000), replace);
  } else if (std::strcmp(arguments[1], "visit") == 0) {
    cost = live_cost(number, scenario::argument(count, arguments, 3, 5000000), visit);
  } else {
    return 2;
  }
  std::printf("%.2f\n", cost);
  return 0;
}
