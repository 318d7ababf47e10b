#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <algorithm>

#include "checksum.h"
#include "clock.h"
#include "guard.h"

namespace refill {

void BatchRun::plan(InstanceRef instance, IoOp* ops, uint32_t count, int64_t startedMicros) {
  instance_ = std::move(instance);
  ops_ = ops;
  count_ = count;
  startedMicros_ = startedMicros;
  states_.assign(count, OpState{});
  // Pieces are pointed at by the kernel's completions: reserve before the first, so that none moves.
  size_t most = 0;
  for (uint32_t i = 0; i < count; i++)
    most += ops[i].opcode <= kWrite && ops[i].length <= INT32_MAX ? ops[i].length / kPieceBytes + 2 : 1;
  pieces_.reserve(most);
  vectors_.reserve(most + count);
  for (uint32_t i = 0; i < count; i++) planOp(i);
  for (const Piece& piece : pieces_) piecesLeft_ += piece.state != PieceState::done;
}

Buffer* BatchRun::useBuffer(uint32_t id) {
  for (size_t i = buffers_.size(); i-- > 0;)
    if (bufferIds_[i] == id) return buffers_[i].get();
  BufferRef found = id == 0 ? instance_->arena.buffer : buffers::find(id);
  if (!found) return nullptr;
  bufferIds_.push_back(id);
  buffers_.push_back(std::move(found));
  return buffers_.back().get();
}

OpenFile* BatchRun::useFile(uint32_t id) {
  for (size_t i = files_.size(); i-- > 0;)
    if (fileIds_[i] == id) return files_[i].get();
  FileRef found = files::find(id);
  if (!found) return nullptr;
  fileIds_.push_back(id);
  files_.push_back(std::move(found));
  return files_.back().get();
}

void BatchRun::planOp(uint32_t index) {
  const IoOp& in = ops_[index];
  OpState& op = states_[index];
  op.flags = in.flags;
  op.length = op.padded = in.length;
  op.bufferId = in.buffer;
  op.bufferOffset = join(in.bufferOffset);
  op.fileOffset = join(in.fileOffset);
  op.pieceAt = uint32_t(pieces_.size());
  const bool sums = in.opcode == kChecksum || (in.flags & (kFlagChecksum | kFlagVerify)) != 0;
  sums_ |= sums;
  const bool needsFile = in.opcode <= kSync || (sums && !(in.flags & kFlagUnbound));
  if (needsFile) {
    op.file = useFile(in.file);
    if (op.file == nullptr) return failOp(index, EBADF);
  }
  if (in.opcode == kSync) {
    op.pieces = op.piecesLeft = 1;
    pieces_.push_back({.run = this, .kind = PieceKind::sync, .write = true, .firstOp = index, .ops = 1,
                       .offsetInOp = 0, .bytes = 0, .needed = 0, .fileOffset = 0, .file = op.file,
                       .buffer = nullptr, .vectorAt = 0, .vectors = 0, .task = nullptr});
    return;
  }
  if (in.opcode < kRead || in.opcode > kChecksum || in.length == 0) return failOp(index, EINVAL);
  op.buffer = useBuffer(in.buffer);
  if (op.buffer == nullptr) return failOp(index, EFAULT);
  if (in.opcode <= kWrite && op.file->padded) {
    if (op.fileOffset % kPageBytes != 0 || op.bufferOffset % kPageBytes != 0) return failOp(index, EINVAL);
    const uint64_t padded = roundUp(in.length, kPageBytes);
    if (padded > INT32_MAX) return failOp(index, EINVAL);
    op.padded = uint32_t(padded);
  }
  if (in.opcode == kWrite && !op.file->writable) return failOp(index, EBADF);
  if (op.length > INT32_MAX || op.fileOffset > uint64_t(INT64_MAX) - op.padded) return failOp(index, EINVAL);
  if (op.bufferOffset > op.buffer->bytes || op.padded > op.buffer->bytes - op.bufferOffset)
    return failOp(index, EFAULT);
  op.base = op.buffer->base + op.bufferOffset;
  if (in.opcode <= kWrite) return planIo(index);
  if (in.opcode == kCopy) {
    op.source = useBuffer(in.sourceBuffer);
    const uint64_t from = join(in.sourceOffset);
    if (op.source == nullptr || from > op.source->bytes || in.length > op.source->bytes - from)
      return failOp(index, EFAULT);
  }
  op.pieces = op.piecesLeft = 1;
  pieces_.push_back({.run = this, .kind = PieceKind::compute, .write = false, .firstOp = index, .ops = 1,
                     .offsetInOp = 0, .bytes = 0, .needed = 0, .fileOffset = 0, .file = nullptr,
                     .buffer = nullptr, .vectorAt = 0, .vectors = 0, .task = nullptr});
}

bool BatchRun::joins(const OpState& op, const Piece& last, bool write) const {
  if (!(op.flags & kFlagAdjacent) || last.kind != PieceKind::io || last.state == PieceState::done) return false;
  if (last.write != write || last.file != op.file || last.fileOffset + last.bytes != op.fileOffset) return false;
  // A part of a long operation stays alone, and so does a write that may still be refused.
  if (states_[last.firstOp].pieces != 1 || (write && (op.flags & kFlagVerify))) return false;
  if (write && (states_[last.firstOp].flags & kFlagVerify)) return false;
  if (&states_[last.firstOp + last.ops] != &op) return false;
  return last.bytes + op.padded <= kPieceBytes && last.vectors < kPieceVectors;
}

void BatchRun::addVector(Piece& piece, uint8_t* base, uint32_t bytes) {
  if (piece.vectors > 0) {
    iovec& last = vectors_.back();
    // Neighbours in memory as well: one vector, and with luck one fixed buffer.
    if (static_cast<uint8_t*>(last.iov_base) + last.iov_len == base) {
      last.iov_len += bytes;
      return;
    }
  }
  vectors_.push_back({base, bytes});
  piece.vectors++;
}

void BatchRun::planIo(uint32_t index) {
  OpState& op = states_[index];
  const bool write = ops_[index].opcode == kWrite;
  if (!pieces_.empty() && joins(op, pieces_.back(), write)) {
    Piece& last = pieces_.back();
    op.pieceAt = uint32_t(pieces_.size() - 1);
    op.pieces = op.piecesLeft = 1;
    addVector(last, op.base, op.padded);
    last.needed = last.bytes + op.length;
    last.bytes += op.padded;
    last.ops++;
    if (last.buffer != op.buffer) last.buffer = nullptr;
    return;
  }
  const uint32_t parts = (op.padded + kPieceBytes - 1) / kPieceBytes;
  const uint32_t step = uint32_t(roundUp((op.padded + parts - 1) / parts, kPageBytes));
  for (uint32_t at = 0; at < op.padded; at += step) {
    const uint32_t bytes = std::min(step, op.padded - at);
    pieces_.push_back({.run = this, .kind = PieceKind::io, .write = write, .firstOp = index, .ops = 1,
                       .offsetInOp = at, .bytes = bytes, .needed = std::min(bytes, op.length - at),
                       .fileOffset = op.fileOffset + at, .file = op.file, .buffer = op.buffer,
                       .vectorAt = uint32_t(vectors_.size()), .vectors = 0, .task = nullptr});
    addVector(pieces_.back(), op.base + at, bytes);
    op.pieces++;
  }
  op.piecesLeft = op.pieces;
}

void BatchRun::failOp(uint32_t index, int32_t error) {
  states_[index].error = error;
  finishOp(index);
}

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

void BatchRun::compute(Piece& piece) {
  constexpr uint32_t kStep = 32 * 1024;
  OpState& op = states_[piece.firstOp];
  const IoOp& in = ops_[piece.firstOp];
  const bool sums = in.opcode == kChecksum || (op.flags & (kFlagChecksum | kFlagVerify));
  const bool alive = guarded([&] {
    if (in.opcode == kCopy) {
      const uint8_t* from = op.source->base + join(in.sourceOffset);
      // In steps that stay in the nearest cache, so that the checksum reads each byte from there. Without one, whole:
      // the C library copies long ranges in another way, which is faster.
      const uint32_t step = sums ? kStep : op.length;
      for (uint32_t at = 0; at < op.length; at += step) {
        const uint32_t bytes = std::min(step, op.length - at);
        memmove(op.base + at, from + at, bytes);
        if (sums) op.crc = crc64(op.crc, op.base + at, bytes);
      }
    } else {
      op.crc = crc64(0, op.base, op.length);
    }
  });
  op.folded = 1;
  pieceDone(piece, alive ? 0 : EFAULT);
}

void BatchRun::skipSync(Piece& piece) { pieceDone(piece, ECANCELED); }

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
