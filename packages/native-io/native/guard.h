// A client may shrink its shared memory at any time, and touching the lost pages raises SIGBUS. Code that touches
// client memory runs inside `guarded`, which turns the signal into `false` instead of the death of the node.
#pragma once
#include <setjmp.h>

namespace refill {

void installGuard();
extern thread_local sigjmp_buf* guardJump;

/** Runs `body`, which must own nothing that needs a destructor; false when it touched memory that is gone. */
template <typename Body>
bool guarded(Body body) {
  sigjmp_buf jump;
  if (sigsetjmp(jump, 0) != 0) {
    guardJump = nullptr;
    return false;
  }
  guardJump = &jump;
  body();
  guardJump = nullptr;
  return true;
}

}  // namespace refill
