// Engine by io_uring: one ring, used by the one thread that created it.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine.h"
#include "uring_abi.h"

namespace refill {

class UringEngine : public Engine {
 public:
  /** nullptr and a negative errno when the kernel refuses. */
  static std::unique_ptr<UringEngine> create(Lane lane, int& error);
  ~UringEngine() override;

  void sweep() override;

  /** Names of what the kernel granted, for the report. */
  std::vector<std::string> features() const;

 protected:
  bool room() override;
  void issue(Piece& piece) override;
  void flush() override;
  void wait(uint32_t answers, int64_t untilMicros) override;
  void expire(const RunRef& run) override;

 private:
  explicit UringEngine(Lane lane) : Engine(lane) {}
  int open(Lane lane);
  int mapRings(const io_uring_params& params);
  void probe();
  void registerTables();
  /** Whether the kernel has taken all that was queued, so that a table may change under none of it. */
  bool taken();
  bool fixedFile(const OpenFile& file);
  int fixedBuffer(const Buffer& buffer, const iovec* vectors, uint32_t count);
  io_uring_sqe* nextSqe();
  void reap();
  void late(Piece& piece);
  void letGo();
  void enter(unsigned wait, int64_t untilMicros);
  unsigned queued() const;

  int fd_ = -1;
  unsigned flags_ = 0;
  unsigned features_ = 0;
  uint16_t ioprio_ = 0;
  bool readvFixed_ = false, writevFixed_ = false;
  bool fileTable_ = false, bufferTable_ = false;

  void* ring_ = nullptr;
  size_t ringBytes_ = 0;
  io_uring_sqe* sqes_ = nullptr;
  size_t sqesBytes_ = 0;
  unsigned *sqHead_ = nullptr, *sqTail_ = nullptr, *sqArray_ = nullptr, *sqFlags_ = nullptr;
  unsigned sqMask_ = 0, sqEntries_ = 0;
  unsigned *cqHead_ = nullptr, *cqTail_ = nullptr;
  unsigned cqMask_ = 0, cqEntries_ = 0;
  io_uring_cqe* cqes_ = nullptr;

  /** Pieces the kernel has. */
  unsigned inKernel_ = 0;
  uint64_t departuresSeen_ = 0;
  /** Unique id of what each registered slot holds, 0 for nothing. */
  std::vector<uint64_t> fileSlots_, bufferSlots_;
  /** Slots the kernel refused (RLIMIT_MEMLOCK, memory of another kind): not tried again. */
  std::vector<uint64_t> bufferRefused_;
  /** Expired batches that the kernel still has pieces of. */
  std::unordered_map<BatchRun*, RunRef> lingering_;
};

}  // namespace refill
