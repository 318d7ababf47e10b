#include "lane_queue.h"

#include <algorithm>
#include <chrono>

namespace refill {

bool LaneQueue::push(const Ticket& ticket) {
  bool covered;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(ticket);
    // One that was woken counts until it has taken its batch, which counts as well.
    covered = waiting_ >= queue_.size();
    if (waiting_ == 0) return false;
  }
  filled_.notify_one();
  return covered;
}

bool LaneQueue::pop(Ticket& ticket, int64_t waitMicros) {
  std::unique_lock lock(mutex_);
  if (queue_.empty()) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(waitMicros);
    waiting_++;
    filled_.wait_until(lock, until, [&] { return !queue_.empty(); });
    waiting_--;
    if (queue_.empty()) return false;
  }
  ticket = queue_.front();
  queue_.pop_front();
  return true;
}

bool LaneQueue::tryPop(Ticket& ticket) {
  std::lock_guard lock(mutex_);
  if (queue_.empty()) return false;
  ticket = queue_.front();
  queue_.pop_front();
  return true;
}

bool LaneQueue::withdraw(uint32_t slot) {
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(queue_.begin(), queue_.end(), [&](const Ticket& one) { return one.slot == slot; });
  if (found == queue_.end()) return false;
  queue_.erase(found);
  return true;
}

bool LaneQueue::empty() {
  std::lock_guard lock(mutex_);
  return queue_.empty();
}

}  // namespace refill
