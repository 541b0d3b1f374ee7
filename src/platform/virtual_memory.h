// Address space and memory of the operating system, as a machine of four states:
//
//   None --reserve--> Reserved --prepare--> Prepared --first touch--> Ready
//     ^                  ^                     ^                        |
//     +------unmap-------+---------------------+--------release---------+
//
// Reserved: ours, any access faults. Prepared: readable and writable, reads as zero, not backed by
// memory. Ready: backed by memory. Linux moves from Prepared to Ready by itself at the first touch.
// Every function leaves errno as it was. Addresses and sizes are multiples of page_bytes(), but for
// release(), move_pages(), guards and wishes: with pages of the kernel that are larger than the
// heap's these may get any page of the heap, and then refuse or do what they can.
#ifndef SPANMALLOC_PLATFORM_VIRTUAL_MEMORY_H_
#define SPANMALLOC_PLATFORM_VIRTUAL_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc::platform {

// Bytes of a page of the kernel: 4, 16 or 64 KiB.
size_t page_bytes();

// None -> Reserved. `hint` is a wish (0: none); the kernel may place the range elsewhere.
// Returns 0 when refused.
uintptr_t reserve(size_t bytes, uintptr_t hint);

// None -> Prepared, as by reserve() and prepare() one after the other. Returns 0 when refused.
uintptr_t reserve_prepared(size_t bytes, uintptr_t hint);

// None -> a range that reads as zero, costs no memory and no commit charge, and becomes writable
// piece by piece by prepare(). Returns 0 when refused.
uintptr_t reserve_zero_readable(size_t bytes);

// None -> Prepared, and the kernel counts the memory as promised to the process at once. `hint` as
// for reserve(). Returns 0 when refused.
uintptr_t map(size_t bytes, uintptr_t hint);

// Makes the Prepared or Ready mapping that ends at `end` longer by `bytes`, which become Prepared,
// and takes no mapping of the process's number for that. False when the kernel refuses or something
// lies there.
[[nodiscard]] bool extend_prepared(uintptr_t end, size_t bytes);

// Reserved (or zero-readable) -> Prepared. False when the kernel refuses; the range is unchanged.
[[nodiscard]] bool prepare(uintptr_t address, size_t bytes);

// Prepared or Ready -> Reserved, content undefined. False when the kernel refuses (too many
// mappings); the range is unchanged. prepare() makes it accessible again.
[[nodiscard]] bool make_inaccessible(uintptr_t address, size_t bytes);

// Prepared or Ready -> Reserved, and gives the memory back. Costs the process no mapping from Linux
// 6.13 on; before, the range becomes a mapping of its own as by make_inaccessible(). False when
// refused: the range is as accessible as before, its content undefined. It is also refused where
// the process's limits might not let the range be opened again.
[[nodiscard]] bool install_guard(uintptr_t address, size_t bytes);

// Undoes install_guard() for the range or a part of it, which becomes Prepared. False when refused.
[[nodiscard]] bool remove_guard(uintptr_t address, size_t bytes);

// Whether install_guard() marks pages, which takes no mapping.
bool guards_take_no_mappings();

// Guards that are mappings can lie where the heap must grow or be used, which then takes a mapping
// more. So with the first of them some mappings are kept in reserve. Gives these up for a process
// that has used up all others; true when there were some. No more such guards are made then.
bool give_up_spare_mappings();

// What is left in released memory, if the kernel took it at all.
enum class ReleaseResult { kReleasedReadsZero, kReleasedReadsAnything, kRefused };

// Ready -> Prepared: gives the memory back, keeps the range usable. Never kReleasedReadsAnything.
ReleaseResult release(uintptr_t address, size_t bytes);

// As release(), but the kernel takes the memory only when it is short of some; until then it counts
// as resident and keeps its content. Where the kernel knows no such thing (before Linux 4.5), as
// release().
ReleaseResult release_lazily(uintptr_t address, size_t bytes);

// A part of the address space.
struct MemoryPiece {
  uintptr_t address;
  size_t bytes;
};

// As release() for each of the pieces, in as few system calls as the kernel allows (one a batch
// from Linux 6.14). Returns how many of them, from the first one on, were given back; the kernel
// refused the next one.
size_t release_pieces(const MemoryPiece* pieces, size_t count);

// Any -> None. False when the kernel refuses (too many mappings); the range is then unchanged.
[[nodiscard]] bool unmap(uintptr_t address, size_t bytes);

// What became of the two ranges of move_pages(). kRefused: the source is unchanged, the target is
// Prepared or Ready. kTargetLost: the source is unchanged, the target is None and could not be had
// again; it must never be touched. kSourceLost: moved, and the same of the source.
enum class MoveResult { kMoved, kRefused, kTargetLost, kSourceLost };

// Moves the pages of [from, from + bytes) to [to, to + bytes) without copying. The target must be
// Prepared or Ready and loses what it had; the source becomes Prepared, with this name (see
// name_range()) and without a wish for or against huge pages. May cost two mappings, as long as the
// block is there.
[[nodiscard]] MoveResult move_pages(uintptr_t from, uintptr_t to, size_t bytes, const char* name);

// Prepared -> Ready for the whole range in one call, where the kernel can (Linux 5.14). Only a
// wish.
void populate(uintptr_t address, size_t bytes);

enum class HugePages { kAsk, kRefuse };

// Asks the kernel to back the range by huge pages, or not to. Only a wish.
void advise_huge_pages(uintptr_t address, size_t bytes, HugePages wish);

// Names the range in the kernel's map of the process. Only a wish.
void name_range(uintptr_t address, size_t bytes, const char* name);

// The process's limit on address space in bytes; SIZE_MAX when there is none.
size_t address_space_limit();
// The same for its private writable memory.
size_t data_limit();

// Bytes of memory of the machine; 0 when unknown.
size_t physical_memory();

// Bytes of this process that the kernel holds in memory now; 0 when unknown.
size_t resident_bytes();

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_VIRTUAL_MEMORY_H_
