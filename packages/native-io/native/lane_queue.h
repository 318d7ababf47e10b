// Batches on their way to the workers of one lane. Knows neither Node nor engines.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

#include "batch.h"

namespace refill {

/** One batch. Its memory belongs to whoever pushed it, until it is settled or withdrawn. */
struct Ticket {
  uint32_t slot;
  IoOp* ops;
  uint32_t count;
  int64_t startedMicros;
  int64_t deadlineMicros;
};

/**
 * A worker that is done takes the next batch from here rather than from its message port: between two threads that are
 * busy a batch then costs no message and no wake-up.
 */
class LaneQueue {
 public:
  /** Whether a worker that waits will take it; if not, one has to be called. */
  bool push(const Ticket& ticket);
  /** The next batch, waiting for it at most so long. */
  bool pop(Ticket& ticket, int64_t waitMicros);
  /** The next batch if one is there: for a worker that has others under way. */
  bool tryPop(Ticket& ticket);
  /** Takes a batch back that no worker has taken. */
  bool withdraw(uint32_t slot);
  bool empty();

  /** Told of each batch that a worker is done with: 0, or minus errno when it had no engine. Set before the first. */
  std::function<void(uint32_t slot, int32_t status)> settled;

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Ticket> queue_;
  size_t waiting_ = 0;
};

}  // namespace refill
