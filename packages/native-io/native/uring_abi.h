// The kernel's interface, with what headers older than the running kernel lack. Values: include/uapi/linux/io_uring.h.
#pragma once
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#define __NR_io_uring_register 427
#endif
#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1u << 8)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1u << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1u << 13)
#endif

namespace refill::abi {

// Enumerators cannot be tested by the preprocessor: own names for those that came after Linux 6.1.
constexpr unsigned kOpReadvFixed = 60;   // Linux 6.15
constexpr unsigned kOpWritevFixed = 61;  // Linux 6.15
constexpr unsigned kOpsProbed = 64;

inline int setup(unsigned entries, io_uring_params* params) {
  return int(syscall(__NR_io_uring_setup, entries, params));
}
inline int enter(int fd, unsigned submit, unsigned wait, unsigned flags, const void* arg, size_t size) {
  return int(syscall(__NR_io_uring_enter, fd, submit, wait, flags, arg, size));
}
inline int registers(int fd, unsigned opcode, const void* arg, unsigned count) {
  return int(syscall(__NR_io_uring_register, fd, opcode, arg, count));
}

}  // namespace refill::abi
