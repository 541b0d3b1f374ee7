#include "cache/hot_cache.h"

namespace spanmalloc {

constinit FreeNode empty_cache_sentinel{FreeNode::kEnd, 0};
constinit HotCache empty_thread_cache{&empty_cache_sentinel};
constinit thread_local CacheSlot current_thread_cache SPANMALLOC_INITIAL_EXEC_TLS{
    &empty_thread_cache};

}  // namespace spanmalloc
