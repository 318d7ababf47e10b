// From operations to pieces: validation, merging of neighbours, cutting of what is long.
#include <errno.h>

#include <algorithm>

#include "run.h"

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

}  // namespace refill
