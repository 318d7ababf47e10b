// Where the bytes are touched: checksums before and after the kernel has them, copies, zeroed tails.
#include <errno.h>
#include <string.h>

#include <algorithm>

#include "checksum.h"
#include "copy.h"
#include "guard.h"
#include "run.h"

namespace refill {

bool BatchRun::prepare(Piece& piece) {
  if (piece.kind != PieceKind::io || !piece.write) return true;
  for (uint32_t i = piece.firstOp; i < piece.firstOp + piece.ops; i++) {
    OpState& op = states_[i];
    if (piece.offsetInOp > 0) continue;
    const uint64_t expected = join(ops_[i].checksum);
    const bool touched = guarded([&] {
      memset(op.base + op.length, 0, op.padded - op.length);
      if (op.flags & kFlagVerify) op.crc = crc64(0, op.base, op.length);
    });
    if (!touched) op.error = EFAULT;
    if (touched && (op.flags & kFlagVerify)) {
      op.folded = op.pieces;
      foldBound(i);
      if (op.crc != expected) op.error = EBADMSG;
    }
    if (op.error == 0) continue;
    // Nothing of it may reach the disk; the pieces of a merged write go together.
    const int32_t error = op.error;
    for (uint32_t at = op.pieceAt; at < op.pieceAt + op.pieces; at++) pieceDone(pieces_[at], error);
    return false;
  }
  return true;
}

void BatchRun::checksumWrite(Piece& piece) {
  if (piece.state != PieceState::done) fold(piece);
}

void BatchRun::fold(Piece& piece) {
  for (uint32_t i = piece.firstOp; i < piece.firstOp + piece.ops; i++) {
    OpState& op = states_[i];
    if (!(op.flags & (kFlagChecksum | kFlagVerify))) continue;
    // Parts come back in any order; the checksum takes them from the first.
    while (op.folded < op.pieces) {
      const Piece& part = pieces_[op.pieceAt + op.folded];
      if (&part != &piece && part.state != PieceState::done) break;
      const uint32_t from = op.pieces == 1 ? 0 : part.offsetInOp;
      const uint32_t bytes = op.pieces == 1 ? op.length : part.needed;
      if (!guarded([&] { op.crc = crc64(op.crc, op.base + from, bytes); })) op.error = EFAULT;
      op.folded++;
    }
  }
}

void BatchRun::foldBound(uint32_t index) {
  OpState& op = states_[index];
  if (op.flags & kFlagUnbound) return;
  Identity identity;
  memcpy(identity.file, op.file->identity, sizeof identity.file);
  memcpy(identity.key, ops_[index].key, sizeof identity.key);
  split(op.fileOffset, identity.offset);
  split(op.length, identity.length);
  op.crc = crc64(op.crc, &identity, sizeof identity);
}

void BatchRun::compute(Piece& piece) {
  constexpr uint32_t kStep = 32 * 1024;
  OpState& op = states_[piece.firstOp];
  const IoOp& in = ops_[piece.firstOp];
  const bool sums = in.opcode == kChecksum || (op.flags & (kFlagChecksum | kFlagVerify));
  const bool alive = guarded([&] {
    if (in.opcode == kCopy) {
      const uint8_t* from = op.source->base + join(in.sourceOffset);
      if (!sums) return copyBlock(op.base, from, op.length);
      // In steps that stay in the nearest cache, so that the checksum reads each byte from there.
      for (uint32_t at = 0; at < op.length; at += kStep) {
        const uint32_t bytes = std::min(kStep, op.length - at);
        memmove(op.base + at, from + at, bytes);
        op.crc = crc64(op.crc, op.base + at, bytes);
      }
    } else {
      op.crc = crc64(0, op.base, op.length);
    }
  });
  op.folded = 1;
  pieceDone(piece, alive ? 0 : EFAULT);
}

}  // namespace refill
