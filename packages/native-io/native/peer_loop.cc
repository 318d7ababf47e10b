#include "peer_loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "clock.h"

namespace refill::peer {
namespace {

constexpr int kEventsMax = 64;

}  // namespace

Loop::~Loop() {
  if (epoll_ >= 0) close(epoll_);
  if (wake_ >= 0) close(wake_);
}

int Loop::open() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return epoll_ >= 0 && wake_ >= 0 && watch(wake_, EPOLLIN, nullptr) ? 0 : errno;
}

int Loop::start(std::shared_ptr<LoopUser> user) {
  // Signals belong to Node's own threads; the two that tell of lost memory come to whoever touched it.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  try {
    std::thread([this, user = std::move(user)] { run(*user); }).detach();
  } catch (const std::system_error& thrown) {
    error = thrown.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

void Loop::post(std::function<void()> command) {
  std::lock_guard lock(mutex_);
  if (isClosed_) return;
  const bool isFirst = commands_.empty();
  commands_.push_back(std::move(command));
  const uint64_t one = 1;
  // A full counter wakes as well.
  if (isFirst && write(wake_, &one, sizeof one) < 0) return;
}

void Loop::stop(std::function<void()> stopped) {
  post([this, stopped = std::move(stopped)]() mutable {
    stopped_ = std::move(stopped);
    isStopping_ = true;
  });
}

bool Loop::watch(int fd, uint32_t events, void* who) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = who;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Loop::change(int fd, uint32_t events, void* who) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = who;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void Loop::forget(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

void Loop::runCommands() {
  std::vector<std::function<void()>> commands;
  {
    std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (auto& command : commands) command();
}

void Loop::run(LoopUser& user) {
  epoll_event events[kEventsMax];
  while (!isStopping_) {
    const int64_t now = nowMicros();
    const int64_t next = user.onTurn(now);
    // Rounded up: a turn that comes a moment early would find nothing due, again and again.
    const int64_t waitMs = next == INT64_MAX ? -1 : std::clamp<int64_t>((next - now + 999) / 1000, 0, 60'000);
    const int count = epoll_wait(epoll_, events, kEventsMax, int(waitMs));
    uint64_t counted;
    for (int i = 0; i < count; i++)
      if (events[i].data.ptr == nullptr && read(wake_, &counted, sizeof counted) < 0) continue;
    runCommands();
    const int64_t then = nowMicros();
    for (int i = 0; i < count && !isStopping_; i++)
      if (events[i].data.ptr != nullptr) user.onEvent(events[i].data.ptr, events[i].events, then);
  }
  {
    std::lock_guard lock(mutex_);
    isClosed_ = true;
  }
  // What was posted before the door closed still counts.
  runCommands();
  user.onStop();
  if (stopped_) std::exchange(stopped_, nullptr)();
}

}  // namespace refill::peer
