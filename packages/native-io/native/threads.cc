#include "threads.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include <chrono>

#include "clock.h"

namespace refill {
namespace {

int32_t transfer(BatchRun& run, const Piece& piece) {
  ssize_t result;
  if (piece.kind == PieceKind::sync) result = fdatasync(piece.file->fd);
  else if (piece.write)
    result = pwritev2(piece.file->fd, run.vectorsOf(piece), int(piece.vectors),
                      off_t(piece.fileOffset + piece.moved), 0);
  else
    result = preadv2(piece.file->fd, run.vectorsOf(piece), int(piece.vectors),
                     off_t(piece.fileOffset + piece.moved), 0);
  return result < 0 ? -errno : int32_t(result);
}

}  // namespace

void ThreadsEngine::issue(Piece& piece) {
  auto task = std::make_shared<Task>();
  task->run = [run = piece.run->shared_from_this(), &piece, answers = answers_] {
    const int32_t result = transfer(*run, piece);
    std::lock_guard lock(answers->mutex);
    if (run->expired()) {
      run->completeLate(piece);
      return;
    }
    answers->list.push_back({&piece, result});
    answers->filled.notify_one();
  };
  piece.task = task;
  pool_->submit(std::move(task));
}

void ThreadsEngine::wait(uint32_t answers, int64_t untilMicros) {
  {
    std::unique_lock lock(answers_->mutex);
    const std::chrono::steady_clock::time_point until{std::chrono::microseconds(untilMicros)};
    answers_->filled.wait_until(lock, until, [&] { return answers_->list.size() >= answers; });
    taken_.swap(answers_->list);
  }
  for (const Answer& answer : taken_) {
    answer.piece->task = nullptr;
    settle(*answer.piece, answer.result);
  }
  taken_.clear();
}

void ThreadsEngine::expire(const RunRef& run) {
  std::lock_guard lock(answers_->mutex);
  std::erase_if(answers_->list, [&](const Answer& answer) {
    if (answer.piece->run != run.get()) return false;
    if (!run->complete(*answer.piece, answer.result)) answer.piece->task = nullptr;
    else answer.piece->state = PieceState::done;
    return true;
  });
  run->expire([&](Piece& piece) {
    const bool started = pool_->abandon(piece.task);
    piece.task = nullptr;
    return started;
  });
}

}  // namespace refill
