// Programs may bring some of the replaceable functions themselves and leave the others to this
// library. The size that a block is freed with says nothing about a block that went through theirs.
#ifndef SPANMALLOC_API_REPLACED_H_
#define SPANMALLOC_API_REPLACED_H_

#include <type_traits>

namespace spanmalloc {

// Whether a symbol still leads to the function that this library has for it. The compiler knows
// that the addresses of two functions differ, but not what the loader makes of the symbol.
template <typename Function>
bool is_in_force(Function* symbol, std::type_identity_t<Function>* own) {
  asm("" : "+r"(symbol));
  return symbol == own;
}

// Whether blocks for free_sized() and free_aligned_sized() are made by this library alone.
bool has_own_malloc();

// Whether the basic forms of operator new, without and with an alignment, are this library's.
bool has_own_new();
bool has_own_aligned_new();

}  // namespace spanmalloc

#endif  // SPANMALLOC_API_REPLACED_H_
