#include "central/hole_releaser.h"

#include <bit>

#include "base/bits.h"
#include "platform/call_filter.h"

namespace spanmalloc {

bool HoleReleaser::is_candidate(const Span* span, Rest rest) const {
  if (span->state() != SpanState::kSmall || !span->is_listed() || span->holes_are_settled()) {
    return false;
  }
  const uint16_t epochs = static_cast<uint16_t>(centrals_.epoch() - span->claim_epoch());
  return epochs >= static_cast<uint16_t>(rest);
}

// Adds the runs of units of the newest loan to the batch.
void HoleReleaser::collect(Batch& batch) {
  const HoleLoan& loan = loans_[batch.loan_count];
  const size_t unit = loan.span->unit_bytes();
  for (uint64_t left = loan.units; left != 0;) {
    const size_t first = static_cast<size_t>(std::countr_zero(left));
    const size_t count = static_cast<size_t>(std::countr_one(left >> first));
    batch.pieces[batch.piece_count] = {loan.span->base() + first * unit, count * unit};
    batch.owners[batch.piece_count] = static_cast<uint8_t>(batch.loan_count);
    ++batch.piece_count;
    left &= ~(low_bits(count) << first);
  }
  ++batch.loan_count;
}

// Which units of each loan the first `done` pieces of the batch are.
HoleReleaser::UnitsOfLoans HoleReleaser::units_of(const Batch& batch, size_t done) const {
  UnitsOfLoans units{};
  for (size_t index = 0; index < done; ++index) {
    const platform::MemoryPiece& piece = batch.pieces[index];
    const Span* span = loans_[batch.owners[index]].span;
    const size_t first = (piece.address - span->base()) / span->unit_bytes();
    units[batch.owners[index]] |= low_bits(piece.bytes / span->unit_bytes()) << first;
  }
  return units;
}

// How many pieces, from the first on, were given back. In one call of the system where that may be:
// each interrupts all processors on which the program runs.
size_t HoleReleaser::release_pieces(const Batch& batch, Caller caller) {
  // Filters beside inherited ones are counted in a file, which no malloc may open.
  const bool may_batch = caller == Caller::kReleaser ||
                         (!platform::has_inherited_filter() && !platform::has_late_filter());
  if (may_batch) {
    return page_heap_.release_pieces(batch.pieces.data(), batch.piece_count);
  }
  size_t done = 0;
  while (done < batch.piece_count && page_heap_.release_pieces(&batch.pieces[done], 1) == 1) ++done;
  return done;
}

Bytes HoleReleaser::release(const Batch& batch, Caller caller) {
  const size_t done = release_pieces(batch, caller);
  const UnitsOfLoans units = units_of(batch, done);
  Bytes released{};
  for (size_t index = 0; index < batch.loan_count; ++index) {
    HoleLoan& loan = loans_[index];
    // Of the spans behind a refusal, none was tried.
    if (done < batch.piece_count && batch.owners[done] < index) loan.span->unsettle_holes();
    released += {static_cast<size_t>(std::popcount(units[index])) * loan.span->unit_bytes()};
    centrals_[loan.size_class].end_loan(loan, units[index]);
  }
  return released;
}

void HoleReleaser::end_left_over_loans() {
  for (HoleLoan& loan : loans_) {
    if (loan.span == nullptr) continue;
    loan.span->unsettle_holes();
    centrals_[loan.size_class].end_loan(loan, 0);
  }
}

size_t HoleReleaser::open_loans() const {
  size_t count = 0;
  for (const HoleLoan& loan : loans_) count += loan.span != nullptr ? 1 : 0;
  return count;
}

HoleReleaser::Progress HoleReleaser::release_some(PageNumber from, Rest rest, Caller caller) {
  // Acquire and release: the loans belong to one thread at a time.
  if (busy_.exchange(true, std::memory_order_acquire)) {
    return {.next = from, .released = {}, .was_busy = true};
  }
  const bool is_releaser = caller == Caller::kReleaser;
  const size_t most_pages = is_releaser ? kPagesPerVisit : kPagesPerVisitOfMalloc;
  const size_t most_pieces = is_releaser ? kMaxPieces : kMaxPiecesOfMalloc;
  end_left_over_loans();
  Batch batch;
  PageNumber page = page_heap_.first_mapped_page(from);
  const AddressWindow window = page_heap_.window();
  const Span* last = nullptr;
  for (size_t visited = 0;
       page != kNoPage && visited < most_pages && !batch.is_full(most_pieces);) {
    Span* span = page_map_.find(window.address(page));
    const SizeClass size_class = span != nullptr ? span->size_class() : kNoSizeClass;
    // A span that was lent must not be lent again, also when an object of it is freed meanwhile.
    if (size_class != kNoSizeClass && span != last && is_candidate(span, rest)) {
      if (centrals_[size_class].lend_holes(span, loans_[batch.loan_count])) collect(batch);
      last = span;
    }
    ++visited;
    page = page + PageCount{1};
    if (page.index_in_chunk() == 0) page = page_heap_.first_mapped_page(page);
  }
  Progress progress{page, {}};
  if (batch.loan_count > 0) progress.released = release(batch, caller);
  busy_.store(false, std::memory_order_release);
  return progress;
}

}  // namespace spanmalloc
