// Programs may bring some of the replaceable functions themselves and leave the others to this
// library. The size that a block is freed with says nothing about a block that went through theirs.
#ifndef SPANMALLOC_API_REPLACED_H_
#define SPANMALLOC_API_REPLACED_H_

#include <type_traits>

#include "platform/compiler.h"

namespace spanmalloc {

// Whether the address of a function of this library is one in the program, which leads here all the
// same. Known under hardening alone, and in the shared library, which has this function.
SPANMALLOC_WEAK bool is_program_entry(const void* address);

// Whether a symbol still leads to the function that this library has for it. The compiler knows
// that the addresses of two functions differ, but not what the loader makes of the symbol.
template <typename Function>
bool is_in_force(Function* symbol, std::type_identity_t<Function>* own) {
  asm("" : "+r"(symbol));
  if (SPANMALLOC_LIKELY(symbol == own)) return true;
  return is_program_entry != nullptr && is_program_entry(reinterpret_cast<const void*>(symbol));
}

// Whether blocks for free_sized() and free_aligned_sized() are made by this library alone.
bool has_own_malloc();

// Whether the basic forms of operator new, without and with an alignment, are this library's.
bool has_own_new();
bool has_own_aligned_new();

}  // namespace spanmalloc

#endif  // SPANMALLOC_API_REPLACED_H_
