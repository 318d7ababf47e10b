// Monotonic microseconds: the same clock as Node's process.hrtime.
#pragma once
#include <time.h>

#include <cstdint>

namespace refill {

inline int64_t nowMicros() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

}  // namespace refill
