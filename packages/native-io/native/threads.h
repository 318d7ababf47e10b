// Engine by native threads and preadv2/pwritev2, for kernels and containers that refuse io_uring.
#pragma once
#include "engine.h"

namespace refill {

class ThreadsEngine : public Engine {
 public:
  ThreadsEngine(Lane lane, PoolRef pool)
      : Engine(lane), pool_(std::move(pool)), answers_(std::make_shared<Answers>()) {}
  void sweep() override {}

 protected:
  bool room() override { return true; }
  void issue(Piece& piece) override;
  void flush() override {}
  void wait(uint32_t answers, int64_t untilMicros) override;
  void expire(const RunRef& run) override;

 private:
  struct Answer {
    Piece* piece;
    int32_t result;
  };
  /** Filled by the pool's threads. The mutex also guards the hand-over between batches that expire and late threads. */
  struct Answers {
    std::mutex mutex;
    std::vector<Answer> list;
    std::condition_variable filled;
  };

  PoolRef pool_;
  std::shared_ptr<Answers> answers_;
  std::vector<Answer> taken_;
};

}  // namespace refill
