// The loop that drives batches through an engine: what may start, what must wait, when to give up.
#pragma once
#include <cstdint>
#include <deque>

#include "run.h"

namespace refill {

enum class Lane : int { read = 0, write = 1 };

/** Bytes that one worker keeps in flight, and how many of them while read batches run (write lane only). */
struct InflightLimits {
  uint32_t bytes;
  uint32_t bytesBehindReads;
};

/** One worker's access to the kernel. Used by one thread at a time. */
class Engine {
 public:
  explicit Engine(Lane lane) : lane_(lane) {}
  virtual ~Engine() = default;
  /** Takes late answers and lets go of files and buffers that are gone. */
  virtual void sweep() = 0;

  /** Takes a planned batch. Its words are written until `turn` hands it back. */
  void begin(Instance& instance, RunRef run, uint32_t slot, int64_t deadlineMicros);
  /** Batches that have not been handed back. */
  bool busy() const { return !active_.empty(); }
  /** Whether the kernel has less to do than it may have, so that one more batch should begin. */
  bool hungry(const InflightLimits& limits) const;

  /** Issues what may go, waits for some of it, and calls `ended(slot)` for each batch that is done or expired. */
  template <typename Ended>
  void turn(Instance& instance, const InflightLimits& limits, Ended ended) {
    work(instance, limits);
    for (size_t i = 0; i < active_.size();) {
      if (!active_[i].run->done() && !active_[i].run->expired()) {
        i++;
        continue;
      }
      const uint32_t slot = active_[i].slot;
      active_.erase(active_.begin() + ptrdiff_t(i));
      if (lane_ == Lane::read) instance.readsRunning--;
      ended(slot);
    }
  }

 protected:
  /** Whether one more piece can be given. */
  virtual bool room() = 0;
  virtual void issue(Piece& piece) = 0;
  /** Hands everything issued to the kernel without waiting. */
  virtual void flush() = 0;
  /** Flushes and waits for `answers` of them, or fewer, or the time; hands answers on by `settle`. */
  virtual void wait(uint32_t answers, int64_t untilMicros) = 0;
  /** Expires the batch, keeping what the kernel still has. */
  virtual void expire(const RunRef& run) = 0;
  /** An answer for a piece of a batch that has not expired. */
  void settle(Piece& piece, int32_t result);

 private:
  struct Active {
    RunRef run;
    uint32_t slot;
    int64_t deadlineMicros;
  };

  void work(Instance& instance, const InflightLimits& limits);
  bool issueFrom(BatchRun& run, uint64_t budget);
  void expireOverdue(int64_t now);
  uint32_t answersWanted() const;

  const Lane lane_;
  /** Oldest first. */
  std::deque<Active> active_;
  uint64_t inflight_ = 0;
  uint32_t outstanding_ = 0;
};

}  // namespace refill
