#include "guard.h"

#include <signal.h>

#include <mutex>

namespace refill {

thread_local sigjmp_buf* guardJump = nullptr;

namespace {

struct sigaction previous;

void onBusError(int number, siginfo_t* info, void* context) {
  if (guardJump != nullptr) siglongjmp(*guardJump, 1);
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(number, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(number);
  signal(SIGBUS, SIG_DFL);
}

}  // namespace

void installGuard() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = onBusError;
    // NODEFER: the jump leaves the handler without restoring the signal mask.
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGBUS, &action, &previous);
  });
}

}  // namespace refill
