// The central layer: what threads share of a size class.
#include <bit>
#include <cstdlib>
#include <string>
#include <vector>

#include "heap/heap.h"
#include "micro.h"
#include "spans/free_list.h"

namespace micro {
namespace {

using namespace spanmalloc;

constexpr size_t kObjectBytes[] = {16, 64, 1024, 16384};

const CentralList central_of(SizeClass size_class) {
  if (!heap.open()) std::abort();
  return heap.central(size_class);
}

// A claim from the span with room and its return. A second claim is held all the time, so that the
// span does not become empty.
void claim_and_give_back(benchmark::State& state, SizeClass size_class) {
  const CentralList central = central_of(size_class);
  const Claim held = central.claim(Growth::kAllowed);
  for (auto _ : state) {
    const Claim claim = central.claim(Growth::kAllowed);
    benchmark::DoNotOptimize(claim);
    central.give_back(claim);
  }
  central.give_back(held);
}

// A list that takes objects of one class and hands them over.
class List {
 public:
  explicit List(SizeClass size_class) : size_class_(size_class) { clear(); }

  size_t capacity() const { return kSizeClasses[size_class_].magazine_capacity; }

  // Links claimed objects until the list is full; what is left of the last claim goes back.
  void fill(const CentralList& central) {
    while (magazine_.count < capacity()) {
      Claim claim = central.claim(Growth::kAllowed);
      if (claim.empty()) std::abort();
      for (; claim.bits != 0 && magazine_.count < capacity(); claim.bits &= claim.bits - 1) {
        push(claim.word_base + static_cast<size_t>(std::countr_zero(claim.bits)) *
                                   kSizeClasses[size_class_].object_bytes);
      }
      central.give_back(claim);
    }
  }
  Magazine hand_over() {
    const Magazine magazine = magazine_;
    clear();
    return magazine;
  }

 private:
  void push(uintptr_t address) {
    FreeNode* object = reinterpret_cast<FreeNode*>(address);
    object->link_above(magazine_.top, heap.key());
    magazine_ = {object, magazine_.count + 1};
  }
  void clear() {
    sentinel_.make_sentinel(heap.key(), capacity(), SealCheck::kAtFree);
    magazine_ = {&sentinel_, 0};
  }

  const SizeClass size_class_;
  FreeNode sentinel_{};
  Magazine magazine_;
};

void put_and_take_magazine(benchmark::State& state, SizeClass size_class) {
  const CentralList central = central_of(size_class);
  List list(size_class);
  list.fill(central);
  central.put_magazine(list.hand_over(), heap.key());
  for (auto _ : state) {
    const Magazine magazine = central.take_magazine();
    benchmark::DoNotOptimize(magazine);
    central.put_magazine(magazine, heap.key());
  }
  central.drain_depot(0, heap.key());
}

// Objects are claimed, linked, and go from the list back to their spans.
void fill_and_drain(benchmark::State& state, SizeClass size_class) {
  const CentralList central = central_of(size_class);
  const Claim held = central.claim(Growth::kAllowed);
  List list(size_class);
  for (auto _ : state) {
    list.fill(central);
    central.drain(list.hand_over(), heap.key());
  }
  central.give_back(held);
  report_time_each(state, list.capacity());
}

// The objects of a MiB, linked into full lists in any order and drained: a walk over many spans.
void drain_scattered(benchmark::State& state, SizeClass size_class) {
  const CentralList central = central_of(size_class);
  const size_t object_bytes = kSizeClasses[size_class].object_bytes;
  const size_t count = (size_t{1} << 20) / object_bytes;
  std::vector<FreeNode*> objects;
  Random random(1);
  FreeNode sentinel{};
  for (auto _ : state) {
    state.PauseTiming();
    objects.clear();
    while (objects.size() < count) {
      const Claim claim = central.claim(Growth::kAllowed);
      if (claim.empty()) std::abort();
      for (uint64_t bits = claim.bits; bits != 0; bits &= bits - 1) {
        const size_t index = static_cast<size_t>(std::countr_zero(bits));
        objects.push_back(reinterpret_cast<FreeNode*>(claim.word_base + index * object_bytes));
      }
    }
    for (size_t i = objects.size(); i > 1; --i) {
      std::swap(objects[i - 1], objects[random.below(i)]);
    }
    const size_t capacity = kSizeClasses[size_class].magazine_capacity;
    state.ResumeTiming();
    for (size_t first = 0; first < objects.size(); first += capacity) {
      sentinel.make_sentinel(heap.key(), capacity, SealCheck::kAtFree);
      Magazine magazine{&sentinel, 0};
      for (size_t i = first; i < objects.size() && i < first + capacity; ++i) {
        objects[i]->link_above(magazine.top, heap.key());
        magazine = {objects[i], magazine.count + 1};
      }
      central.drain(magazine, heap.key());
    }
  }
  report_time_each(state, objects.size());
}

}  // namespace

void register_benchmarks(int, char**) {
  for (const size_t bytes : kObjectBytes) {
    const auto add_for_size = [bytes](const std::string& name, auto body) {
      return add("central/" + name + "/" + std::to_string(bytes),
                 [bytes, body](benchmark::State& state) { body(state, size_class_of(bytes)); });
    };
    add_for_size("claim", claim_and_give_back);
    add_for_size("depot", put_and_take_magazine);
    add_for_size("drain", fill_and_drain);
    add_for_size("drain_scattered", drain_scattered);
  }
  for (const int threads : {2, 4}) {
    add("central/claim/64",
        [](benchmark::State& state) { claim_and_give_back(state, size_class_of(64)); })
        ->Threads(threads)
        ->UseRealTime();
  }
}

}  // namespace micro
