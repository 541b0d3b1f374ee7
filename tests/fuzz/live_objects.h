#ifndef SPANMALLOC_TESTS_FUZZ_LIVE_OBJECTS_H_
#define SPANMALLOC_TESTS_FUZZ_LIVE_OBJECTS_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "spans/free_list.h"
#include "spans/size_class.h"
#include "support/central_parts.h"

namespace spanmalloc::testing {

// The objects of one class that the program under test owns. Each carries its address at both ends
// while it is here, so that an object given out twice or written to is seen.
class LiveObjects {
 public:
  explicit LiveObjects(SizeClass size_class) : size_class_(size_class) {}

  SizeClass size_class() const { return size_class_; }
  size_t object_bytes() const { return kSizeClasses[size_class_].object_bytes; }
  size_t bytes() const { return objects_.size() * object_bytes(); }
  bool empty() const { return objects_.empty(); }
  size_t size() const { return objects_.size(); }

  void add(FreeNode* object) {
    const bool is_new = addresses_.insert(object).second;
    SPANMALLOC_CHECK(is_new, "an object given out twice");
    *object = {address_of(object), 0};
    *last_word_of(object) = address_of(object);
    objects_.push_back(object);
  }

  // REQUIRES: not empty.
  FreeNode* take(size_t index) {
    std::swap(objects_[index % objects_.size()], objects_.back());
    FreeNode* object = objects_.back();
    objects_.pop_back();
    addresses_.erase(object);
    SPANMALLOC_CHECK(object->link == address_of(object), "an object was overwritten");
    SPANMALLOC_CHECK(*last_word_of(object) == address_of(object),
                     "an object was overwritten at its end");
    return object;
  }

 private:
  uintptr_t* last_word_of(FreeNode* object) const {
    return reinterpret_cast<uintptr_t*>(address_of(object) + object_bytes()) - 1;
  }

  const SizeClass size_class_;
  std::vector<FreeNode*> objects_;
  std::set<const FreeNode*> addresses_;
};

// Classes that differ in every constant: objects of a span, of a claim, of a magazine.
inline std::vector<LiveObjects> classes_under_test() {
  std::vector<LiveObjects> classes;
  for (const size_t bytes : {size_t{16}, size_t{1040}, size_t{7168}, kMaxSmallBytes}) {
    classes.emplace_back(size_class_of(bytes));
  }
  return classes;
}

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_FUZZ_LIVE_OBJECTS_H_
