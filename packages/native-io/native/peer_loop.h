// A native thread over epoll. Whoever posts is on another thread; everything else happens on this one.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace refill::peer {

/** What the loop calls. `who` is what was given to `watch`, and may have been closed earlier in the same turn. */
class LoopUser {
 public:
  virtual ~LoopUser() = default;
  virtual void onEvent(void* who, uint32_t events, int64_t nowMicros) = 0;
  /** After the events of a turn. Answers when it wants its next turn at the latest, INT64_MAX for never. */
  virtual int64_t onTurn(int64_t nowMicros) = 0;
  /** The last call, on the loop's thread. */
  virtual void onStop() = 0;
};

class Loop {
 public:
  ~Loop();
  /** 0 or an errno. */
  int open();
  /** Runs `user`, kept alive until `stop`, on a thread of its own: 0 or an errno. */
  int start(std::shared_ptr<LoopUser> user);
  /** Runs `command` on the loop's thread before the next events. After `stop` it is dropped. */
  void post(std::function<void()> command);
  /** Ends the thread after `onStop`; `stopped` is called then, on that thread. Once. */
  void stop(std::function<void()> stopped);

  bool watch(int fd, uint32_t events, void* who);
  void change(int fd, uint32_t events, void* who);
  /** Before it is closed: a child that was just forked may still hold it, and events would go on. */
  void forget(int fd);

 private:
  void run(LoopUser& user);
  void runCommands();

  int epoll_ = -1;
  int wake_ = -1;
  std::mutex mutex_;
  std::vector<std::function<void()>> commands_;
  std::function<void()> stopped_;
  bool isClosed_ = false;
  bool isStopping_ = false;
};

}  // namespace refill::peer
