#include "pool.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

namespace refill {
namespace {

// ioprio_set(2) has no wrapper: who = this thread, class idle.
void takeIdlePriority() { syscall(SYS_ioprio_set, 1, 0, 3 << 13); }

}  // namespace

void ThreadPool::submit(TaskRef task) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(task));
  if (queue_.size() > idle_ && threads_ < target_ + stuck_ && stuck_ <= stuckMax_) spawnLocked();
  wake_.notify_one();
}

void ThreadPool::spawnLocked() {
  threads_++;
  // Signals belong to Node's own threads.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([self = shared_from_this()] { self->loop(); }).detach();
  } catch (...) {
    threads_--;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ThreadPool::loop() {
  if (idlePriority_) takeIdlePriority();
  std::unique_lock lock(mutex_);
  for (;;) {
    while (queue_.empty() && !stopping_) {
      idle_++;
      wake_.wait(lock);
      idle_--;
    }
    if (queue_.empty()) break;
    TaskRef task = std::move(queue_.front());
    queue_.pop_front();
    if (task->cancelled) continue;
    task->started = true;
    lock.unlock();
    task->run();
    // What the task holds (files, memory) goes before the lock is taken again.
    task->run = nullptr;
    lock.lock();
    task->finished = true;
    if (task->abandoned) {
      stuck_--;
      // Its replacement runs already.
      if (threads_ > target_ + stuck_) break;
    }
  }
  threads_--;
}

bool ThreadPool::abandon(const TaskRef& task) {
  std::lock_guard lock(mutex_);
  if (!task->started) {
    task->cancelled = true;
    return false;
  }
  if (!task->finished && !task->abandoned) {
    task->abandoned = true;
    stuck_++;
    if (stuck_ <= stuckMax_ && !queue_.empty()) spawnLocked();
  }
  return true;
}

void ThreadPool::stop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

}  // namespace refill
