/* The three io_uring system calls and their two rings, without liburing. One thread uses a ring. */
#ifndef BENCH_URING_H
#define BENCH_URING_H
#include "common.h"
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct uring {
  int fd;
  unsigned *sq_tail, sq_mask, *sq_array, *cq_head, *cq_tail, cq_mask;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  unsigned queued; /* Filled and not yet submitted. */
};

static inline void uring_open(struct uring *ring, unsigned entries) {
  struct io_uring_params params = {0};
#ifdef IORING_SETUP_DEFER_TASKRUN
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
#elif defined(IORING_SETUP_SINGLE_ISSUER)
  /* The headers are older than the kernel may be: DEFER_TASKRUN is bit 13 since Linux 6.1. */
  params.flags = IORING_SETUP_SINGLE_ISSUER | (1u << 13);
#endif
  ring->fd = (int)syscall(__NR_io_uring_setup, entries, &params);
  if (ring->fd < 0 && errno == EINVAL) {
    memset(&params, 0, sizeof params);
    ring->fd = (int)syscall(__NR_io_uring_setup, entries, &params);
  }
  if (ring->fd < 0) die("io_uring_setup");
  const size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  const size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  const int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
  uint8_t *sq = mmap(NULL, sq_bytes, protection, flags, ring->fd, IORING_OFF_SQ_RING);
  uint8_t *cq = mmap(NULL, cq_bytes, protection, flags, ring->fd, IORING_OFF_CQ_RING);
  void *sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), protection, flags, ring->fd, IORING_OFF_SQES);
  if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED) die("mmap of the rings");
  ring->sq_tail = (unsigned *)(sq + params.sq_off.tail);
  ring->sq_mask = *(unsigned *)(sq + params.sq_off.ring_mask);
  ring->sq_array = (unsigned *)(sq + params.sq_off.array);
  ring->cq_head = (unsigned *)(cq + params.cq_off.head);
  ring->cq_tail = (unsigned *)(cq + params.cq_off.tail);
  ring->cq_mask = *(unsigned *)(cq + params.cq_off.ring_mask);
  ring->cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
  ring->sqes = sqes;
  ring->queued = 0;
}

/* Registers memory in panes of at most 1 GiB, the kernel's bound for one vector. */
static inline void uring_register_memory(struct uring *ring, const struct memory *memory) {
  struct iovec panes[64];
  unsigned count = 0;
  for (size_t offset = 0; offset < memory->length; offset += PANE_BYTES) {
    if (count == 64) die("more than 64 GiB to register");
    const size_t left = memory->length - offset;
    panes[count++] = (struct iovec){memory->bytes + offset, left < PANE_BYTES ? left : PANE_BYTES};
  }
  if (syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, panes, count) != 0) die("register buffers");
}

static inline void uring_register_file(struct uring *ring, int fd) {
  if (syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_FILES, &fd, 1) != 0) die("register file");
}

static inline void uring_replace_file(struct uring *ring, int fd) {
  struct io_uring_files_update update = {.offset = 0, .fds = (uint64_t)(uintptr_t)&fd};
  if (syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_FILES_UPDATE, &update, 1) != 1) die("update file");
}

/* The next free submission entry, zeroed. The caller keeps the depth below the ring's size. */
static inline struct io_uring_sqe *uring_entry(struct uring *ring) {
  const unsigned tail = *ring->sq_tail + ring->queued, index = tail & ring->sq_mask;
  ring->sq_array[index] = index;
  ring->queued++;
  memset(&ring->sqes[index], 0, sizeof ring->sqes[index]);
  return &ring->sqes[index];
}

/* Submits what is queued and waits until at least `wait` completions are there. */
static inline void uring_enter(struct uring *ring, unsigned wait) {
  const unsigned queued = ring->queued;
  __atomic_store_n(ring->sq_tail, *ring->sq_tail + queued, __ATOMIC_RELEASE);
  ring->queued = 0;
  unsigned submitted = 0;
  do {
    const long result = syscall(__NR_io_uring_enter, ring->fd, queued - submitted, wait, IORING_ENTER_GETEVENTS, NULL, 0);
    if (result < 0 && errno != EINTR) die("io_uring_enter");
    if (result > 0) submitted += (unsigned)result;
  } while (submitted < queued);
}

static inline int uring_reap(struct uring *ring, uint64_t *token, int *result) {
  const unsigned head = *ring->cq_head;
  if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) return 0;
  const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
  *token = cqe->user_data;
  *result = cqe->res;
  __atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
  return 1;
}
#endif
