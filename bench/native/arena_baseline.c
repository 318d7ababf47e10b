/*
 * What an arena costs at least: map and touch shared memory in 2 MiB pages, register it with io_uring, then a second
 * process maps the same file and touches every huge page, again and again: the median is told.
 *
 *   arena_baseline --bytes N [--attaches N]
 */
#include "uring.h"
#include <sys/wait.h>

int main(int count, char **arguments) {
  check_arguments(count, arguments, "bytes,attaches");
  const uint64_t bytes = number_argument(count, arguments, "bytes", 1ull << 30);
  const uint64_t attaches = number_argument(count, arguments, "attaches", 1);
  if (attaches == 0) die("--attaches must be at least 1");
  const double gibibytes = (double)bytes / (double)PANE_BYTES;
  const uint64_t begin = now_ns();
  struct memory memory = map_memory(bytes, 1, 1);
  const uint64_t mapped = now_ns();
  struct uring ring;
  uring_open(&ring, 8);
  uring_register_memory(&ring, &memory);
  const uint64_t registered = now_ns();
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) die("pipe");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    munmap(memory.bytes, memory.length);
    uint32_t *took_ns = malloc(attaches * sizeof *took_ns);
    if (took_ns == NULL) die("malloc");
    for (uint64_t i = 0; i < attaches; i++) {
      const uint64_t attach_begin = now_ns();
      /* At a 2 MiB boundary, or the kernel could not use one page-table entry for a whole page. */
      uint8_t *hole = mmap(NULL, memory.length + HUGE_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      uint8_t *at = (uint8_t *)(((uintptr_t)hole + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1));
      if (mmap(at, memory.length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory.fd, 0) == MAP_FAILED) die("attach");
      volatile uint8_t sum = 0;
      for (size_t byte = 0; byte < memory.length; byte += HUGE_PAGE_BYTES) sum += at[byte];
      took_ns[i] = (uint32_t)(now_ns() - attach_begin);
      munmap(hole, memory.length + HUGE_PAGE_BYTES);
    }
    const uint64_t took = (uint64_t)(percentile_us(took_ns, attaches, 0.5) * 1e3);
    if (write(pipe_ends[1], &took, sizeof took) != sizeof took) die("write");
    _exit(0);
  }
  uint64_t attached;
  if (read(pipe_ends[0], &attached, sizeof attached) != sizeof attached) die("the attaching process failed");
  waitpid(child, NULL, 0);
  printf("{\"startSecondsPerGibibyte\":%.5f,\"registerSecondsPerGibibyte\":%.5f,\"attachSecondsPerGibibyte\":%.5f,\"pages\":\"%s\"}\n",
         (double)(registered - begin) / 1e9 / gibibytes, (double)(registered - mapped) / 1e9 / gibibytes,
         (double)attached / 1e9 / gibibytes, memory.pages);
  return 0;
}
