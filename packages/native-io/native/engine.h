// The loop that drives a batch through an engine: what may start, what must wait, when to give up.
#pragma once
#include <cstdint>

#include "run.h"

namespace refill {

enum class Lane : int { read = 0, write = 1 };

struct RunOptions {
  Lane lane;
  int64_t startedMicros;
  int64_t deadlineMicros;
  /** Bytes this worker keeps in flight, and how many of them while read batches run (write lane only). */
  uint32_t inflightBytes;
  uint32_t inflightBytesBehindReads;
};

/** One worker's access to the kernel. Used by one thread at a time. */
class Engine {
 public:
  virtual ~Engine() = default;
  /** Whether one more piece can be given. */
  virtual bool room() = 0;
  virtual void issue(const RunRef& run, Piece& piece) = 0;
  /** Hands everything issued to the kernel without waiting. */
  virtual void flush() = 0;
  /** Flushes and waits for `answers` of them, or fewer, or the time; hands answers on by `settle`. */
  virtual void wait(const RunRef& run, uint32_t answers, int64_t deadlineMicros) = 0;
  /** Expires the batch, keeping what the kernel still has. */
  virtual void expire(const RunRef& run) = 0;
  /** Takes late answers and lets go of files and buffers that are gone. */
  virtual void sweep() = 0;

  /** Runs a batch to its end or its deadline. */
  void execute(Instance& instance, const RunRef& run, const RunOptions& options);

 protected:
  /** An answer for a piece of a batch that has not expired. */
  void settle(const RunRef& run, Piece& piece, int32_t result);

 private:
  uint32_t answersWanted(const BatchRun& run, bool moreToIssue) const;

  uint64_t inflight_ = 0;
  uint32_t outstanding_ = 0;
};

}  // namespace refill
