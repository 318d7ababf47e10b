// What the kernel still holds after the deadline of its batch.
#include <errno.h>

#include "clock.h"
#include "run.h"

namespace refill {

void BatchRun::holdOps(const Piece& piece, int by) {
  for (uint32_t i = piece.firstOp; i < piece.firstOp + piece.ops; i++) states_[i].held += uint32_t(by);
}

void BatchRun::releaseOp(const OpState& op) {
  if (op.buffer != nullptr) instance_->release({op.bufferId, op.bufferOffset, op.length});
}

void BatchRun::reportExpired() {
  for (uint32_t i = 0; i < count_; i++) {
    OpState& op = states_[i];
    if (op.finished) continue;
    ops_[i].result = -ETIMEDOUT;
    ops_[i].micros = uint32_t(nowMicros() - startedMicros_);
    instance_->counters.timeouts++;
    if (op.held == 0) releaseOp(op);
    else instance_->counters.quarantined++;
  }
  ops_ = nullptr;
}

bool BatchRun::completeLate(Piece& piece) {
  piece.state = PieceState::done;
  bool more = false;
  for (uint32_t i = piece.firstOp; i < piece.firstOp + piece.ops; i++) {
    OpState& op = states_[i];
    if (--op.held > 0) continue;
    instance_->counters.quarantined--;
    releaseOp(op);
  }
  for (const Piece& other : pieces_) more |= other.state == PieceState::inKernel;
  return !more;
}

}  // namespace refill
