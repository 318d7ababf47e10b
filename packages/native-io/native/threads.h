// Engine by native threads and preadv2/pwritev2, for kernels and containers that refuse io_uring.
#pragma once
#include "engine.h"

namespace refill {

class ThreadsEngine : public Engine {
 public:
  explicit ThreadsEngine(PoolRef pool) : pool_(std::move(pool)), answers_(std::make_shared<Answers>()) {}
  bool room() override { return true; }
  void issue(const RunRef& run, Piece& piece) override;
  void flush() override {}
  void wait(const RunRef& run, uint32_t answers, int64_t deadlineMicros) override;
  void expire(const RunRef& run) override;
  void sweep() override {}

 private:
  struct Answer {
    Piece* piece;
    int32_t result;
  };
  /** Filled by the pool's threads under the mutex of the batch. */
  struct Answers {
    std::vector<Answer> list;
    std::condition_variable filled;
  };

  PoolRef pool_;
  std::shared_ptr<Answers> answers_;
  std::vector<Answer> taken_;
};

}  // namespace refill
