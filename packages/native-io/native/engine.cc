#include "engine.h"

#include <algorithm>

#include "clock.h"

namespace refill {
namespace {

/**
 * Nothing waits longer for answers: one operation that hangs must hold back neither the answers of others nor batches
 * that have not begun.
 */
constexpr int64_t kGatherMicros = 5000;
/** What is left is waited for as a whole when it is no more than this: a wake-up costs as much as its checksum. */
constexpr uint64_t kTailBytes = 1u << 20;
constexpr size_t kActiveMax = 64;

}  // namespace

void Engine::begin(Instance& instance, RunRef run, uint32_t slot, int64_t deadlineMicros) {
  if (lane_ == Lane::read) instance.readsRunning++;
  active_.push_back({std::move(run), slot, deadlineMicros});
}

bool Engine::hungry(const InflightLimits& limits) const {
  if (active_.empty()) return true;
  // A write batch has its worker for itself: what follows its sync shall not wait behind another's payloads.
  if (lane_ == Lane::write || active_.size() >= kActiveMax || inflight_ >= limits.bytes) return false;
  return std::all_of(active_.begin(), active_.end(),
                     [](const Active& one) { return one.run->progress.next == one.run->pieces().size(); });
}

void Engine::work(Instance& instance, const InflightLimits& limits) {
  const int64_t now = nowMicros();
  expireOverdue(now);
  const bool behindReads = lane_ == Lane::write && instance.readsRunning > 0;
  const uint64_t budget = behindReads ? limits.bytesBehindReads : limits.bytes;
  int64_t deadline = now + kGatherMicros;
  bool more = true;
  for (const Active& one : active_) {
    if (one.run->expired()) continue;
    more = more && issueFrom(*one.run, budget);
    deadline = std::min(deadline, one.deadlineMicros);
  }
  if (lane_ == Lane::write && outstanding_ > 0) {
    // The disk works meanwhile. Reads have nothing to do before they wait: one call submits them and waits.
    flush();
    for (const Active& one : active_) {
      auto& [next, summed, outstanding, bytes] = one.run->progress;
      for (; summed < next && !one.run->expired(); summed++) {
        Piece& piece = one.run->pieces()[summed];
        if (piece.kind == PieceKind::io && piece.write) one.run->checksumWrite(piece);
      }
    }
  }
  const bool anyLeft = std::any_of(active_.begin(), active_.end(), [](const Active& one) {
    return !one.run->done() && !one.run->expired();
  });
  // With nothing out, a ring full of operations that hang leaves nothing to wait for but time.
  if (anyLeft) wait(answersWanted(), deadline);
}

void Engine::expireOverdue(int64_t now) {
  for (const Active& one : active_) {
    if (one.deadlineMicros > now) continue;
    expire(one.run);
    outstanding_ -= one.run->progress.outstanding;
    inflight_ -= one.run->progress.inflightBytes;
  }
}

/** False when nothing more can be given to the kernel now, by this batch or another. */
bool Engine::issueFrom(BatchRun& run, uint64_t budget) {
  auto& pieces = run.pieces();
  auto& progress = run.progress;
  for (; progress.next < pieces.size(); progress.next++) {
    Piece& piece = pieces[progress.next];
    if (piece.state == PieceState::done) continue;
    if (piece.kind == PieceKind::compute) {
      // The disk works meanwhile.
      flush();
      run.compute(piece);
      continue;
    }
    if (piece.kind == PieceKind::sync) {
      if (progress.outstanding > 0) return true;
      if (run.failedBefore(piece.firstOp)) {
        run.skipSync(piece);
        continue;
      }
    } else if (outstanding_ > 0 && inflight_ + piece.bytes > budget) {
      return false;
    }
    if (!room()) return false;
    if (!run.prepare(piece)) continue;
    piece.state = PieceState::inKernel;
    progress.outstanding++;
    progress.inflightBytes += piece.bytes;
    outstanding_++;
    inflight_ += piece.bytes;
    issue(piece);
  }
  return true;
}

/**
 * Each return from the kernel costs a wake-up, several microseconds. So nothing returns for less than half of what is
 * in flight: the other half keeps the disk busy while checksums are computed and more is issued. Nor does it wait
 * for more than the oldest batch needs, whose caller waits too.
 */
uint32_t Engine::answersWanted() const {
  if (outstanding_ == 0) return 1;
  const BatchRun& oldest = *active_.front().run;
  const bool whole = inflight_ <= kTailBytes || !oldest.sums();
  uint32_t wanted = active_.size() == 1 && whole && oldest.progress.next == oldest.pieceCount()
                        ? outstanding_
                        : std::max(1u, outstanding_ / 2);
  if (oldest.progress.outstanding > 0) wanted = std::min(wanted, oldest.progress.outstanding);
  return wanted;
}

void Engine::settle(Piece& piece, int32_t result) {
  BatchRun& run = *piece.run;
  if (run.complete(piece, result)) {
    issue(piece);
    return;
  }
  run.progress.outstanding--;
  run.progress.inflightBytes -= piece.bytes;
  outstanding_--;
  inflight_ -= piece.bytes;
}

}  // namespace refill
