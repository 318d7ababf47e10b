// The kernel's answers: pieces and operations that end.
#include <errno.h>
#include <fcntl.h>

#include <algorithm>

#include "clock.h"
#include "run.h"

namespace refill {

bool BatchRun::complete(Piece& piece, int32_t result) {
  if (piece.kind == PieceKind::sync) {
    if (result == 0) instance_->counters.syncs++;
    pieceDone(piece, result < 0 ? -result : 0);
    return false;
  }
  if (result < 0) {
    // A signal or a full queue is no answer; everything else is.
    if ((result == -EINTR || result == -EAGAIN) && !piece.retried) {
      piece.retried = true;
      return true;
    }
    pieceDone(piece, -result);
    return false;
  }
  piece.moved += uint32_t(result);
  (piece.write ? instance_->counters.bytesWritten : instance_->counters.bytesRead) += uint32_t(result);
  if (piece.moved >= piece.needed) {
    pieceDone(piece, 0);
    return false;
  }
  if (piece.retried) {
    pieceDone(piece, EIO);
    return false;
  }
  piece.retried = true;
  uint32_t skip = uint32_t(result);
  if (piece.file->direct) skip -= skip % kPageBytes;
  piece.moved -= uint32_t(result) - skip;
  iovec* vector = vectorsOf(piece);
  while (skip >= vector->iov_len) {
    skip -= uint32_t(vector->iov_len);
    vector++;
    piece.vectorAt++;
    piece.vectors--;
  }
  vector->iov_base = static_cast<uint8_t*>(vector->iov_base) + skip;
  vector->iov_len -= skip;
  return true;
}

void BatchRun::pieceDone(Piece& piece, int32_t error) {
  if (piece.state == PieceState::done) return;
  if (error == 0 && piece.kind == PieceKind::io) fold(piece);
  piece.state = PieceState::done;
  piecesLeft_--;
  uint64_t end = 0;
  for (uint32_t i = piece.firstOp; i < piece.firstOp + piece.ops; i++) {
    OpState& op = states_[i];
    // Of a merged request that came back short, the operations before the gap are whole.
    const bool whole = error != 0 && piece.ops > 1 && error == EIO && end + op.length <= piece.moved;
    end += op.padded;
    if (error != 0 && !whole && op.error == 0) op.error = error;
    if (whole) fold(piece);
    if (--op.piecesLeft == 0) finishOp(i);
  }
}

void BatchRun::finishOp(uint32_t index) {
  OpState& op = states_[index];
  IoOp& out = ops_[index];
  op.finished = true;
  const bool sums = (op.flags & (kFlagChecksum | kFlagVerify)) || out.opcode == kChecksum;
  if (op.error == 0 && sums && out.opcode != kSync) {
    // A verified write was bound when it was prepared.
    if (!(out.opcode == kWrite && (op.flags & kFlagVerify))) foldBound(index);
    if ((op.flags & kFlagVerify) && op.crc != join(out.checksum)) op.error = EBADMSG;
    split(op.crc, out.checksum);
  }
  if (op.error != 0) firstFailed_ = std::min(firstFailed_, index);
  out.result = op.error != 0 ? -op.error : int32_t(out.opcode == kSync ? 0 : op.length);
  out.micros = uint32_t(nowMicros() - startedMicros_);
  if (out.opcode == kRead) instance_->counters.reads++;
  if (out.opcode == kWrite) instance_->counters.writes++;
  if (op.file != nullptr && out.opcode <= kSync) dropBehind(op);
}

void BatchRun::dropBehind(const OpState& op) {
  // Where O_DIRECT was refused, nothing should stay in the page cache: the arena is the cache. A length of 0 is the
  // whole file, after a sync.
  if (!op.file->padded || op.file->direct) return;
  if (op.buffer == nullptr) posix_fadvise(op.file->fd, 0, 0, POSIX_FADV_DONTNEED);
  else if (!op.file->writable) posix_fadvise(op.file->fd, off_t(op.fileOffset), op.padded, POSIX_FADV_DONTNEED);
}

void BatchRun::skipSync(Piece& piece) { pieceDone(piece, ECANCELED); }

}  // namespace refill
