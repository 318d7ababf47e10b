// One batch on its way: the plan that turns operations into pieces of I/O, and what happens when a piece comes back.
// Knows neither io_uring nor threads; both engines drive it.
#pragma once
#include <sys/uio.h>

#include <memory>
#include <vector>

#include "batch.h"
#include "buffers.h"
#include "files.h"
#include "instance.h"

namespace refill {

/** One I/O is at most this long: more in one request buys nothing and delays those behind it. */
constexpr uint32_t kPieceBytes = 1u << 20;
constexpr uint32_t kPieceVectors = 64;

class BatchRun;

enum class PieceKind : uint8_t { io, sync, compute };
enum class PieceState : uint8_t { planned, inKernel, done };

/** One request to the kernel: a part of a long operation, or several short adjacent ones. */
struct Piece {
  BatchRun* run;
  PieceKind kind;
  PieceState state = PieceState::planned;
  bool retried = false;
  bool write;
  uint32_t firstOp;
  uint32_t ops;
  uint32_t offsetInOp;
  /** Bytes the kernel is asked for, and those of them that the operations need. */
  uint32_t bytes;
  uint32_t needed;
  uint32_t moved = 0;
  uint64_t fileOffset;
  OpenFile* file;
  /** The buffer that holds all vectors, or nullptr when they lie in several. */
  Buffer* buffer;
  uint32_t vectorAt;
  uint32_t vectors;
  TaskRef task;
};

class BatchRun : public std::enable_shared_from_this<BatchRun> {
 public:
  /** Validates and plans. `words` may be written only until `finish`. */
  void plan(InstanceRef instance, IoOp* ops, uint32_t count, int64_t startedMicros);

  std::vector<Piece>& pieces() { return pieces_; }
  size_t pieceCount() const { return pieces_.size(); }
  iovec* vectorsOf(const Piece& piece) { return &vectors_[piece.vectorAt]; }
  /** Whether an operation before `op` failed. */
  bool failedBefore(uint32_t op) const { return firstFailed_ < op; }
  /** Whether any operation has a checksum to compute. */
  bool sums() const { return sums_; }
  bool done() const { return piecesLeft_ == 0; }

  /** Just before a piece of I/O is given to the kernel: zeroes tails, verifies. False: it failed and is done. */
  bool prepare(Piece& piece);
  /** Checksums of a write, once it is on its way. */
  void checksumWrite(Piece& piece);
  /** A copy or checksum, in place. */
  void compute(Piece& piece);
  /** The kernel's answer. True: call again with the rest of the piece (`piece.vectors` were moved on). */
  bool complete(Piece& piece, int32_t result);
  /** A sync that must not run since something before it failed. */
  void skipSync(Piece& piece);

  /** How far the engine is with it: pieces given out, of those the ones not back, and how many were checksummed. */
  struct Progress {
    size_t next = 0;
    size_t summed = 0;
    uint32_t outstanding = 0;
    uint64_t inflightBytes = 0;
  } progress;

  /**
   * The deadline passed: reports what is not done as timed out and forgets the batch's memory. `stillInKernel`
   * says of each piece given to the engine whether the kernel may still touch its buffers.
   */
  template <typename Ask>
  void expire(Ask stillInKernel) {
    expired_ = true;
    for (Piece& piece : pieces_) {
      if (piece.state == PieceState::done) continue;
      if (piece.state == PieceState::inKernel && stillInKernel(piece)) {
        holdOps(piece, 1);
        continue;
      }
      piece.state = PieceState::done;
    }
    reportExpired();
  }
  bool expired() const { return expired_; }
  /** The kernel let go of a piece of an expired batch. True when that was the last one. */
  bool completeLate(Piece& piece);

 private:
  struct OpState {
    Buffer* buffer;
    uint8_t* base;
    Buffer* source;
    OpenFile* file;
    uint32_t length;
    uint32_t padded;
    uint32_t flags;
    uint32_t pieceAt;
    uint32_t pieces;
    uint32_t piecesLeft;
    /** Pieces, from the first, whose bytes are in `crc`. */
    uint32_t folded;
    /** Pieces that the kernel still has after the deadline. */
    uint32_t held;
    int32_t error;
    uint64_t crc;
    uint32_t bufferId;
    uint64_t bufferOffset;
    uint64_t fileOffset;
    bool finished;
  };

  void planOp(uint32_t index);
  void planIo(uint32_t index);
  bool joins(const OpState& op, const Piece& last, bool write) const;
  void addVector(Piece& piece, uint8_t* base, uint32_t bytes);
  Buffer* useBuffer(uint32_t id);
  OpenFile* useFile(uint32_t id);
  void failOp(uint32_t index, int32_t error);
  void fold(Piece& piece);
  void foldBound(uint32_t index);
  void pieceDone(Piece& piece, int32_t error);
  void finishOp(uint32_t index);
  void holdOps(const Piece& piece, int by);
  void releaseOp(const OpState& op);
  void reportExpired();
  void dropBehind(const OpState& op);

  InstanceRef instance_;
  IoOp* ops_ = nullptr;
  uint32_t count_ = 0;
  int64_t startedMicros_ = 0;
  uint32_t piecesLeft_ = 0;
  uint32_t firstFailed_ = UINT32_MAX;
  bool expired_ = false;
  bool sums_ = false;
  std::vector<OpState> states_;
  std::vector<Piece> pieces_;
  std::vector<iovec> vectors_;
  std::vector<FileRef> files_;
  std::vector<uint32_t> fileIds_;
  std::vector<BufferRef> buffers_;
  std::vector<uint32_t> bufferIds_;
};

using RunRef = std::shared_ptr<BatchRun>;

}  // namespace refill
