#include "engine.h"

#include <algorithm>

#include "clock.h"

namespace refill {

/** One operation that hangs holds back the answers, and what follows, of others no longer than this. */
constexpr int64_t kGatherMicros = 5000;

void Engine::execute(Instance& instance, const RunRef& run, const RunOptions& options) {
  auto& pieces = run->pieces();
  size_t next = 0;
  inflight_ = 0;
  outstanding_ = 0;
  if (options.lane == Lane::read) instance.readsRunning++;
  while (!run->done()) {
    if (nowMicros() >= options.deadlineMicros) {
      expire(run);
      break;
    }
    const bool behindReads = options.lane == Lane::write && instance.readsRunning > 0;
    const uint64_t budget = behindReads ? options.inflightBytesBehindReads : options.inflightBytes;
    const size_t first = next;
    for (; next < pieces.size(); next++) {
      Piece& piece = pieces[next];
      if (piece.state == PieceState::done) continue;
      if (piece.kind == PieceKind::compute) {
        // The disk works meanwhile.
        flush();
        run->compute(piece);
        continue;
      }
      if (piece.kind == PieceKind::sync) {
        if (outstanding_ > 0) break;
        if (run->failedBefore(piece.firstOp)) {
          run->skipSync(piece);
          continue;
        }
      } else if (outstanding_ > 0 && inflight_ + piece.bytes > budget) {
        break;
      }
      if (!room()) break;
      if (!run->prepare(piece)) continue;
      piece.state = PieceState::inKernel;
      outstanding_++;
      inflight_ += piece.bytes;
      issue(run, piece);
    }
    if (outstanding_ == 0) {
      if (run->done()) break;
      // Only a ring full of operations that hang leaves nothing to wait for but time.
      wait(run, 1, options.deadlineMicros);
      continue;
    }
    if (options.lane == Lane::write) {
      // The disk works meanwhile. Reads have nothing to do before they wait: one call submits them and waits.
      flush();
      for (size_t at = first; at < next; at++) {
        Piece& piece = pieces[at];
        if (piece.kind == PieceKind::io && piece.write) run->checksumWrite(piece);
      }
    }
    const uint32_t answers = answersWanted(*run, next < pieces.size());
    const int64_t gatherUntil = answers == 1 ? INT64_MAX : nowMicros() + kGatherMicros;
    wait(run, answers, std::min(gatherUntil, options.deadlineMicros));
  }
  if (options.lane == Lane::read) instance.readsRunning--;
}

/**
 * Each return from the kernel costs a wake-up, several microseconds. So nothing returns for less than half of what is
 * in flight: the other half keeps the disk busy while checksums are computed and more is issued. With neither to do,
 * nothing returns before the end.
 */
uint32_t Engine::answersWanted(const BatchRun& run, bool moreToIssue) const {
  if (!moreToIssue && !run.sums()) return outstanding_;
  return std::max(1u, outstanding_ / 2);
}

void Engine::settle(const RunRef& run, Piece& piece, int32_t result) {
  if (run->complete(piece, result)) {
    issue(run, piece);
    return;
  }
  outstanding_--;
  inflight_ -= piece.bytes;
}

}  // namespace refill
