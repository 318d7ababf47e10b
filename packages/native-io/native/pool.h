// Native threads for calls that may hang. A thread that does not come back is abandoned and replaced, up to a bound.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace refill {

struct Task {
  std::function<void()> run;
  bool started = false;
  bool cancelled = false;
  bool abandoned = false;
  bool finished = false;
};

using TaskRef = std::shared_ptr<Task>;

class ThreadPool : public std::enable_shared_from_this<ThreadPool> {
 public:
  ThreadPool(unsigned threads, unsigned stuckMax, bool idlePriority)
      : target_(threads), stuckMax_(stuckMax), idlePriority_(idlePriority) {}

  void submit(TaskRef task);
  /** The task's deadline passed. False: it had not begun and never will. True: it runs, or ran to its end. */
  bool abandon(const TaskRef& task);
  /** Threads end when they are idle; those that hang end when they come back. */
  void stop();

 private:
  void loop();
  void spawnLocked();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<TaskRef> queue_;
  const unsigned target_;
  const unsigned stuckMax_;
  const bool idlePriority_;
  unsigned threads_ = 0;
  unsigned idle_ = 0;
  unsigned stuck_ = 0;
  bool stopping_ = false;
};

using PoolRef = std::shared_ptr<ThreadPool>;

}  // namespace refill
