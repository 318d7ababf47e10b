#include "uring.h"

#include <errno.h>
#include <string.h>

#include <algorithm>

#include "clock.h"

namespace refill {
namespace {

/** Answers that nobody waits for: cancellations. */
constexpr uint64_t kIgnored = 0;

unsigned acquire(const unsigned* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void publish(unsigned* word, unsigned value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

}  // namespace

unsigned UringEngine::queued() const { return *sqTail_ - acquire(sqHead_); }

bool UringEngine::room() { return inKernel_ < cqEntries_ - 1 && queued() < sqEntries_; }

io_uring_sqe* UringEngine::nextSqe() {
  if (queued() == sqEntries_) flush();
  if (queued() == sqEntries_) return nullptr;
  io_uring_sqe* sqe = &sqes_[*sqTail_ & sqMask_];
  memset(sqe, 0, sizeof *sqe);
  return sqe;
}

void UringEngine::issue(Piece& piece) {
  const iovec* vectors = piece.run->vectorsOf(piece);
  const bool io = piece.kind == PieceKind::io;
  // Before an entry is taken: a table that changes hands over what is queued.
  const bool fixedFd = fixedFile(*piece.file);
  const int fixed = io && piece.buffer != nullptr ? fixedBuffer(*piece.buffer, vectors, piece.vectors) : -1;
  io_uring_sqe* sqe = nextSqe();
  while (sqe == nullptr) {
    reap();
    sqe = nextSqe();
  }
  sqe->user_data = reinterpret_cast<uintptr_t>(&piece);
  sqe->fd = piece.file->fd;
  if (fixedFd) {
    sqe->fd = int(piece.file->slot);
    sqe->flags = IOSQE_FIXED_FILE;
  }
  if (!io) {
    sqe->opcode = IORING_OP_FSYNC;
    sqe->fsync_flags = IORING_FSYNC_DATASYNC;
  } else {
    sqe->off = piece.fileOffset + piece.moved;
    sqe->ioprio = ioprio_;
    if (piece.vectors == 1) {
      sqe->opcode = fixed >= 0 ? (piece.write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED)
                               : (piece.write ? IORING_OP_WRITE : IORING_OP_READ);
      sqe->addr = reinterpret_cast<uintptr_t>(vectors->iov_base);
      sqe->len = uint32_t(vectors->iov_len);
      if (fixed >= 0) sqe->buf_index = uint16_t(fixed);
    } else {
      const bool vectoredFixed = fixed >= 0 && (piece.write ? writevFixed_ : readvFixed_);
      sqe->opcode = vectoredFixed ? uint8_t(piece.write ? abi::kOpWritevFixed : abi::kOpReadvFixed)
                                  : uint8_t(piece.write ? IORING_OP_WRITEV : IORING_OP_READV);
      sqe->addr = reinterpret_cast<uintptr_t>(vectors);
      sqe->len = piece.vectors;
      if (vectoredFixed) sqe->buf_index = uint16_t(fixed);
    }
  }
  publish(sqTail_, *sqTail_ + 1);
  inKernel_++;
}

void UringEngine::enter(unsigned wait, int64_t untilMicros) {
  const unsigned submit = queued();
  if (wait == 0) {
    if (submit > 0) abi::enter(fd_, submit, 0, 0, nullptr, 0);
    return;
  }
  const int64_t left = std::max<int64_t>(0, untilMicros - nowMicros());
  __kernel_timespec limit = {left / 1000000, left % 1000000 * 1000};
  io_uring_getevents_arg arg = {};
  arg.ts = reinterpret_cast<uintptr_t>(&limit);
  const int result = abi::enter(fd_, submit, wait, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
  // A time-out or a signal leaves no answer, and a submission refused for want of memory stays queued: the caller
  // comes again until its deadline, though not in a hot loop.
  if (result < 0 && (errno == EAGAIN || errno == EBUSY || errno == ENOMEM)) usleep(500);
}

void UringEngine::flush() { enter(0, 0); }

void UringEngine::wait(uint32_t answers, int64_t untilMicros) {
  if (acquire(cqTail_) - *cqHead_ < answers) enter(answers, untilMicros);
  else flush();
  reap();
}

void UringEngine::reap() {
  // Answers that arrive while these are handled are left for the next turn: the caller refills the ring first.
  unsigned head = *cqHead_;
  const unsigned tail = acquire(cqTail_);
  while (head != tail) {
    const io_uring_cqe cqe = cqes_[head & cqMask_];
    publish(cqHead_, ++head);
    if (cqe.user_data == kIgnored) continue;
    inKernel_--;
    Piece& piece = *reinterpret_cast<Piece*>(cqe.user_data);
    if (piece.run->expired()) late(piece);
    else settle(piece, cqe.res);
  }
}

void UringEngine::late(Piece& piece) {
  BatchRun* run = piece.run;
  if (run->completeLate(piece)) lingering_.erase(run);
}

void UringEngine::expire(const RunRef& run) {
  reap();
  if (run->done()) return;
  bool lingers = false;
  run->expire([&](Piece&) { return lingers = true; });
  if (!lingers) return;
  lingering_.emplace(run.get(), run);
  // Ask the kernel to drop what has not begun. Nobody waits for the outcome.
  for (Piece& piece : run->pieces()) {
    if (piece.state != PieceState::inKernel) continue;
    io_uring_sqe* sqe = nextSqe();
    if (sqe == nullptr) break;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = reinterpret_cast<uintptr_t>(&piece);
    sqe->user_data = kIgnored;
    publish(sqTail_, *sqTail_ + 1);
  }
  flush();
}

void UringEngine::sweep() {
  // Deferred task work runs only inside enter with GETEVENTS.
  if (!lingering_.empty()) enter(1, nowMicros());
  reap();
  letGo();
}

}  // namespace refill
