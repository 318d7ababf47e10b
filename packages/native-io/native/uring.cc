#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "clock.h"

namespace refill {
namespace {

constexpr unsigned kEntries = 256;
constexpr uint32_t kRegisteredFiles = 4096;
/** Answers that nobody waits for: cancellations. */
constexpr uint64_t kIgnored = 0;

unsigned acquire(const unsigned* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void publish(unsigned* word, unsigned value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

}  // namespace

std::unique_ptr<UringEngine> UringEngine::create(Lane lane, int& error) {
  std::unique_ptr<UringEngine> engine(new UringEngine);
  error = engine->open(lane);
  if (error != 0) return nullptr;
  return engine;
}

int UringEngine::open(Lane lane) {
  const unsigned base = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
  // Newest first: deferred task work (6.1), cooperative (5.19), plain.
  const unsigned ladder[] = {base | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                             base | IORING_SETUP_COOP_TASKRUN, base};
  io_uring_params params;
  for (const unsigned flags : ladder) {
    memset(&params, 0, sizeof params);
    params.flags = flags;
    params.cq_entries = kEntries * 4;
    fd_ = abi::setup(kEntries, &params);
    flags_ = flags;
    if (fd_ >= 0 || errno != EINVAL) break;
  }
  if (fd_ < 0) return -errno;
  features_ = params.features;
  // Waiting with a time limit came with 5.11. Without it a deadline could not be kept.
  if (!(features_ & IORING_FEAT_EXT_ARG) || !(features_ & IORING_FEAT_SINGLE_MMAP)) return -ENOSYS;
  const int error = mapRings(params);
  if (error != 0) return error;
  if (lane == Lane::write) ioprio_ = 3 << 13;  // Class idle of ioprio_set(2).
  probe();
  registerTables();
  return 0;
}

int UringEngine::mapRings(const io_uring_params& params) {
  ringBytes_ = std::max<size_t>(params.sq_off.array + params.sq_entries * sizeof(unsigned),
                                params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  void* ring = mmap(nullptr, ringBytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, IORING_OFF_SQ_RING);
  if (ring == MAP_FAILED) return -errno;
  ring_ = ring;
  sqesBytes_ = params.sq_entries * sizeof(io_uring_sqe);
  void* sqes = mmap(nullptr, sqesBytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, IORING_OFF_SQES);
  if (sqes == MAP_FAILED) return -errno;
  sqes_ = static_cast<io_uring_sqe*>(sqes);
  auto* at = static_cast<uint8_t*>(ring);
  const auto word = [at](unsigned offset) { return reinterpret_cast<unsigned*>(at + offset); };
  sqHead_ = word(params.sq_off.head);
  sqTail_ = word(params.sq_off.tail);
  sqFlags_ = word(params.sq_off.flags);
  sqArray_ = word(params.sq_off.array);
  sqMask_ = *word(params.sq_off.ring_mask);
  sqEntries_ = params.sq_entries;
  cqHead_ = word(params.cq_off.head);
  cqTail_ = word(params.cq_off.tail);
  cqMask_ = *word(params.cq_off.ring_mask);
  cqEntries_ = params.cq_entries;
  cqes_ = reinterpret_cast<io_uring_cqe*>(at + params.cq_off.cqes);
  for (unsigned i = 0; i < sqEntries_; i++) sqArray_[i] = i;
  return 0;
}

void UringEngine::probe() {
  alignas(io_uring_probe) uint8_t memory[sizeof(io_uring_probe) + abi::kOpsProbed * sizeof(io_uring_probe_op)] = {};
  auto* probe = reinterpret_cast<io_uring_probe*>(memory);
  if (abi::registers(fd_, IORING_REGISTER_PROBE, probe, abi::kOpsProbed) != 0) return;
  const auto has = [&](unsigned op) {
    return op <= probe->last_op && (probe->ops[op].flags & IO_URING_OP_SUPPORTED) != 0;
  };
  readvFixed_ = has(abi::kOpReadvFixed);
  writevFixed_ = has(abi::kOpWritevFixed);
}

void UringEngine::registerTables() {
  io_uring_rsrc_register table = {};
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  table.nr = kRegisteredFiles;
  fileTable_ = abi::registers(fd_, IORING_REGISTER_FILES2, &table, sizeof table) == 0;
  table.nr = kBufferSlots;
  bufferTable_ = abi::registers(fd_, IORING_REGISTER_BUFFERS2, &table, sizeof table) == 0;
  if (fileTable_) fileSlots_.assign(kRegisteredFiles, 0);
  if (bufferTable_) {
    bufferSlots_.assign(kBufferSlots, 0);
    bufferRefused_.assign(kBufferSlots, 0);
  }
}

UringEngine::~UringEngine() {
  // The kernel finishes or cancels what it still has. It may write into those buffers until then, so that whatever
  // lingers is kept for ever rather than unmapped under it.
  if (cqes_ != nullptr) reap(nullptr);
  for (auto& [run, ref] : lingering_) new RunRef(ref);
  if (sqes_ != nullptr) munmap(sqes_, sqesBytes_);
  if (ring_ != nullptr) munmap(ring_, ringBytes_);
  if (fd_ >= 0) close(fd_);
}

std::vector<std::string> UringEngine::features() const {
  std::vector<std::string> names;
  if (flags_ & IORING_SETUP_SINGLE_ISSUER) names.push_back("single_issuer");
  if (flags_ & IORING_SETUP_DEFER_TASKRUN) names.push_back("defer_taskrun");
  if (flags_ & IORING_SETUP_COOP_TASKRUN) names.push_back("coop_taskrun");
  if (fileTable_) names.push_back("fixed_files");
  if (bufferTable_) names.push_back("fixed_buffers");
  if (readvFixed_ && writevFixed_) names.push_back("vectored_fixed");
  return names;
}

bool UringEngine::fixedFile(const OpenFile& file) {
  if (!fileTable_ || file.slot >= kRegisteredFiles) return false;
  if (fileSlots_[file.slot] == file.uid) return true;
  int fd = file.fd;
  io_uring_files_update update = {};
  update.offset = file.slot;
  update.fds = reinterpret_cast<uintptr_t>(&fd);
  if (abi::registers(fd_, IORING_REGISTER_FILES_UPDATE, &update, 1) != 1) return false;
  fileSlots_[file.slot] = file.uid;
  return true;
}

/** Index of the registered pane that holds all vectors, or -1. */
int UringEngine::fixedBuffer(const Buffer& buffer, const iovec* vectors, uint32_t count) {
  if (!bufferTable_ || buffer.slot < 0) return -1;
  const auto paneOf = [&](uint64_t offset) { return int64_t(offset / kPaneBytes); };
  int64_t pane = -1;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t from = uint64_t(static_cast<uint8_t*>(vectors[i].iov_base) - buffer.base);
    if (pane < 0) pane = paneOf(from);
    if (paneOf(from) != pane || paneOf(from + vectors[i].iov_len - 1) != pane) return -1;
  }
  const uint32_t slot = uint32_t(buffer.slot + pane);
  if (bufferSlots_[slot] == buffer.uid) return int(slot);
  if (bufferRefused_[slot] == buffer.uid) return -1;
  const uint64_t from = uint64_t(pane) * kPaneBytes;
  iovec whole = {buffer.base + from, std::min(kPaneBytes, buffer.bytes - from)};
  io_uring_rsrc_update2 update = {};
  update.offset = slot;
  update.data = reinterpret_cast<uintptr_t>(&whole);
  update.nr = 1;
  if (abi::registers(fd_, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update) != 1) {
    bufferRefused_[slot] = buffer.uid;
    return -1;
  }
  bufferSlots_[slot] = buffer.uid;
  return int(slot);
}

unsigned UringEngine::queued() const { return *sqTail_ - acquire(sqHead_); }

bool UringEngine::room() { return inKernel_ < cqEntries_ - 1 && queued() < sqEntries_; }

io_uring_sqe* UringEngine::nextSqe() {
  if (queued() == sqEntries_) flush();
  if (queued() == sqEntries_) return nullptr;
  io_uring_sqe* sqe = &sqes_[*sqTail_ & sqMask_];
  memset(sqe, 0, sizeof *sqe);
  return sqe;
}

void UringEngine::issue(const RunRef& run, Piece& piece) {
  io_uring_sqe* sqe = nextSqe();
  while (sqe == nullptr) {
    reap(run);
    sqe = nextSqe();
  }
  const iovec* vectors = run->vectorsOf(piece);
  sqe->user_data = reinterpret_cast<uintptr_t>(&piece);
  sqe->fd = piece.file->fd;
  if (fixedFile(*piece.file)) {
    sqe->fd = int(piece.file->slot);
    sqe->flags = IOSQE_FIXED_FILE;
  }
  if (piece.kind == PieceKind::sync) {
    sqe->opcode = IORING_OP_FSYNC;
    sqe->fsync_flags = IORING_FSYNC_DATASYNC;
  } else {
    sqe->off = piece.fileOffset + piece.moved;
    sqe->ioprio = ioprio_;
    const int fixed = piece.buffer == nullptr ? -1 : fixedBuffer(*piece.buffer, vectors, piece.vectors);
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

void UringEngine::enter(unsigned wait, int64_t deadlineMicros) {
  const unsigned submit = queued();
  if (wait == 0) {
    if (submit > 0) abi::enter(fd_, submit, 0, 0, nullptr, 0);
    return;
  }
  const int64_t left = std::max<int64_t>(0, deadlineMicros - nowMicros());
  __kernel_timespec limit = {left / 1000000, left % 1000000 * 1000};
  io_uring_getevents_arg arg = {};
  arg.ts = reinterpret_cast<uintptr_t>(&limit);
  const int result = abi::enter(fd_, submit, wait, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
  // A time-out or a signal leaves no answer, and a submission refused for want of memory stays queued: the caller
  // comes again until its deadline, though not in a hot loop.
  if (result < 0 && (errno == EAGAIN || errno == EBUSY || errno == ENOMEM)) usleep(500);
}

void UringEngine::flush() { enter(0, 0); }

void UringEngine::wait(const RunRef& run, uint32_t answers, int64_t deadlineMicros) {
  if (acquire(cqTail_) - *cqHead_ < answers) enter(answers, deadlineMicros);
  else flush();
  reap(run);
}

void UringEngine::reap(const RunRef& current) {
  // Answers that arrive while these are handled are left for the next turn: the caller refills the ring first.
  unsigned head = *cqHead_;
  const unsigned tail = acquire(cqTail_);
  while (head != tail) {
    const io_uring_cqe cqe = cqes_[head & cqMask_];
    publish(cqHead_, ++head);
    if (cqe.user_data == kIgnored) continue;
    inKernel_--;
    Piece& piece = *reinterpret_cast<Piece*>(cqe.user_data);
    if (piece.run == current.get() && !current->expired()) settle(current, piece, cqe.res);
    else late(piece);
  }
}

void UringEngine::late(Piece& piece) {
  BatchRun* run = piece.run;
  if (run->completeLate(piece)) lingering_.erase(run);
}

void UringEngine::expire(const RunRef& run) {
  reap(run);
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
  if (inKernel_ > 0) enter(1, nowMicros());
  reap(nullptr);
  letGo();
}

void UringEngine::letGo() {
  const uint64_t departures = files::departures();
  if (departures == departuresSeen_) return;
  departuresSeen_ = departures;
  for (uint32_t slot = 0; slot < fileSlots_.size(); slot++) {
    if (fileSlots_[slot] == 0 || files::ownerOf(slot) == fileSlots_[slot]) continue;
    int none = -1;
    io_uring_files_update update = {};
    update.offset = slot;
    update.fds = reinterpret_cast<uintptr_t>(&none);
    abi::registers(fd_, IORING_REGISTER_FILES_UPDATE, &update, 1);
    fileSlots_[slot] = 0;
  }
  for (uint32_t slot = 0; slot < bufferSlots_.size(); slot++) {
    if (bufferSlots_[slot] == 0 || buffers::ownerOf(slot) == bufferSlots_[slot]) continue;
    iovec none = {nullptr, 0};
    io_uring_rsrc_update2 update = {};
    update.offset = slot;
    update.data = reinterpret_cast<uintptr_t>(&none);
    update.nr = 1;
    abi::registers(fd_, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update);
    bufferSlots_[slot] = 0;
  }
}

}  // namespace refill
