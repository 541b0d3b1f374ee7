// kv_cache [operations] [MiB of keys and values at most]
//
// A cache in memory of strings by strings, such as memcached or a web server's own. Entries expire
// in the order of time, after a short, a middle or a long life, and the oldest are evicted when the
// limit is reached; readers take a copy of the value. Sizes of values are spread widely and grow
// during the run, as they do when a new version of the application is rolled out: freed memory
// must serve other sizes than it held.
#include "scenario.h"

namespace {

using scenario::filled_block;
using scenario::Random;

constexpr size_t kBuckets = 1 << 17;
constexpr size_t kKeys = 400000;
constexpr size_t kLives = 3;
constexpr uint64_t kLifetime[kLives] = {20000, 200000, 1000000};  // in operations

struct Entry {
  Entry* next;   // in the bucket
  Entry* older;  // among entries of the same lifetime
  Entry* newer;
  uint64_t expiry;
  char* key;
  char* value;
  size_t key_size;
  size_t value_size;
  size_t life;
  size_t bucket;
};

// A key's text, of 16 to 47 characters.
struct Key {
  explicit Key(size_t number) : size(16 + (number * 0x9e3779b1u >> 7) % 32) {
    for (size_t index = 0; index < size; ++index) {
      text[index] = static_cast<char>('a' + (number >> (index % 5 * 4)) % 16);
    }
    bucket = (number * 0x9e3779b97f4a7c15u) >> 47;
  }
  char text[48];
  size_t size;
  size_t bucket;
};

class Cache {
 public:
  explicit Cache(size_t limit) : limit_(limit) {}

  Entry* find(const Key& key) const {
    for (Entry* entry = buckets_[key.bucket]; entry != nullptr; entry = entry->next) {
      if (entry->key_size == key.size && std::memcmp(entry->key, key.text, key.size) == 0) {
        return entry;
      }
    }
    return nullptr;
  }

  void set(const Key& key, size_t value_size, size_t life, uint64_t now) {
    if (Entry* old = find(key)) remove(old);
    while (bytes_ + key.size + value_size > limit_) evict_oldest();
    Entry* entry = reinterpret_cast<Entry*>(filled_block(sizeof(Entry)));
    *entry = {buckets_[key.bucket],
              newest_[life],
              nullptr,
              now + kLifetime[life],
              filled_block(key.size),
              filled_block(value_size),
              key.size,
              value_size,
              life,
              key.bucket};
    std::memcpy(entry->key, key.text, key.size);
    buckets_[key.bucket] = entry;
    (newest_[life] != nullptr ? newest_[life]->newer : oldest_[life]) = entry;
    newest_[life] = entry;
    bytes_ += key.size + value_size;
  }

  void expire(uint64_t now) {
    for (size_t life = 0; life < kLives; ++life) {
      while (oldest_[life] != nullptr && oldest_[life]->expiry <= now) remove(oldest_[life]);
    }
  }

  size_t bytes() const { return bytes_; }
  size_t evictions() const { return evictions_; }

 private:
  void evict_oldest() {
    Entry* first = nullptr;
    for (Entry* entry : oldest_) {
      if (entry != nullptr && (first == nullptr || entry->expiry < first->expiry)) first = entry;
    }
    remove(first);
    ++evictions_;
  }

  void remove(Entry* entry) {
    Entry** link = &buckets_[entry->bucket];
    while (*link != entry) link = &(*link)->next;
    *link = entry->next;
    (entry->older != nullptr ? entry->older->newer : oldest_[entry->life]) = entry->newer;
    (entry->newer != nullptr ? entry->newer->older : newest_[entry->life]) = entry->older;
    bytes_ -= entry->key_size + entry->value_size;
    std::free(entry->key);
    std::free(entry->value);
    std::free(entry);
  }

  Entry* buckets_[kBuckets] = {};
  Entry* oldest_[kLives] = {};
  Entry* newest_[kLives] = {};
  size_t bytes_ = 0;
  size_t limit_;
  size_t evictions_ = 0;
};

size_t value_size(Random& random, size_t growth_percent) {
  const size_t kind = random.below(100);
  const size_t size = kind < 70   ? 16 + random.below(184)
                      : kind < 95 ? 200 + random.below(800)
                                  : 1000 + random.below(7000);
  return size * growth_percent / 100;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t operations = scenario::argument(count, arguments, 1, 3000000);
  const size_t limit = scenario::argument(count, arguments, 2, 48) << 20;
  static Cache cache(limit);
  Random random(1);
  uint64_t sum = 0;
  for (size_t now = 0; now < operations; ++now) {
    cache.expire(now);
    // The smaller of two: a few keys are wanted often, many seldom.
    const size_t first = random.below(kKeys);
    const size_t second = random.below(kKeys);
    const Key key(first < second ? first : second);
    if (random.below(10) < 4) {
      const Entry* entry = cache.find(key);
      if (entry == nullptr) continue;
      char* copy = filled_block(entry->value_size);
      copy[0] = entry->value[0];
      sum += scenario::check_bytes(copy, entry->value_size);
      std::free(copy);
    } else {
      const size_t kind = random.below(10);
      const size_t life = kind < 5 ? 0 : kind < 9 ? 1 : 2;
      cache.set(key, value_size(random, 100 + 100 * now / operations), life, now);
    }
  }
  const size_t bytes = cache.bytes();
  cache.expire(~uint64_t{0});
  std::printf("%llu, %zu bytes at the end, %zu evictions\n", static_cast<unsigned long long>(sum),
              bytes, cache.evictions());
  return 0;
}
