// A ring from its creation to its end: what the kernel grants.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "uring.h"

namespace refill {
namespace {

constexpr unsigned kEntries = 256;

}  // namespace

std::unique_ptr<UringEngine> UringEngine::create(Lane lane, int& error) {
  std::unique_ptr<UringEngine> engine(new UringEngine(lane));
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

UringEngine::~UringEngine() {
  // The kernel finishes or cancels what it still has. It may write into those buffers until then, so that whatever
  // lingers is kept for ever rather than unmapped under it.
  if (cqes_ != nullptr) reap();
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

}  // namespace refill
